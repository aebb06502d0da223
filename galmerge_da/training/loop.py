"""The only training loop: source cross-entropy and whatever losses adapt to the target."""

import math

import numpy as np
import torch
from scipy.special import softmax
from torch.nn import functional

from galmerge_da.adaptation import DomainBatch, LearnedWeights, LossContext, StepContext, build_losses
from galmerge_da.augmentation import augment
from galmerge_da.exceptions import TrainingError
from galmerge_da.inference import predict_logits
from galmerge_da.metrics import accuracy, roc_auc
from galmerge_da.metrics.selection import source_validation
from galmerge_da.models import Network, autocast
from galmerge_da.training.inspection import Inspection
from galmerge_da.training.selection import WATCHED, EpochKeeper
from galmerge_da.training.watch import TRACED, look, needs_features, score_selectors

__all__ = ["TrainingRun"]

#: Frames that are copied on the device at once: a whole split would want its memory twice.
_ROWS_AT_ONCE = 4096


class TrainingRun:
    """A network on its way through the epochs.

    Parameters
    ----------
    network : `~galmerge_da.models.Network`
        Trained in place.
    source : `~galmerge_da.training.data.Domain`
        With labels.
    target : `~galmerge_da.training.data.Domain` or None
        Without labels. It takes part in training only if there are losses;
        else it is merely watched.
    recipe : `~galmerge_da.training.Recipe`
    processes : `~galmerge_da.training.parallel.Processes`
        Where it runs, and with whom.

    Attributes
    ----------
    epoch : int
        Epochs that are done.
    history : list of dict
        One per epoch.
    keeper : `~galmerge_da.training.selection.EpochKeeper`
        Knows the epoch whose weights `finish` restores.
    trace : dict of (str, str) to list of `~torch.Tensor`
        (domain, split) -> logits of every epoch; empty unless ``trace`` is on.

    Raises
    ------
    TrainingError
        If there are fewer than two images a batch for each process.
    """

    def __init__(self, network, source, target, recipe, processes):
        self.processes, self.device = processes, processes.device
        self.network, self.source, self.target = network.to(self.device), source, target
        self.options = options = recipe.training
        if options.precision == "bfloat16":
            self.network.to(memory_format=torch.channels_last)  # the layout in which it is fast
        n_rows = len(source.rows("train"))
        self.n_steps = math.ceil(n_rows / options.batch_size)
        if processes.size > 1 and n_rows // self.n_steps < 2 * processes.size:
            raise TrainingError(
                f"{n_rows} images in batches of {options.batch_size} are too few for {processes.size} processes: each "
                "needs two a batch"
            )
        # Draws of the loop itself, and of the losses: one more loss does not change the order of the images.
        self.generator = self.varying = torch.Generator().manual_seed(options.seed)
        self.loss_generator = torch.Generator().manual_seed(options.seed + 1)
        self.losses = self.learned = self.inspection = None
        groups = [{"params": list(network.parameters()), "lr": options.learning_rate}]
        if recipe.adapt:
            context = LossContext(
                network.feature_dim, network.n_classes, generator=self.loss_generator, model=self.network
            )
            self.losses = build_losses(recipe.adapt, context).to(self.device).train()
            self.inspection = Inspection(network, self.losses)
            groups += self.losses.parameter_groups(options.learning_rate)
            if options.weighting == "learned":
                self.learned = LearnedWeights(["cross_entropy", *recipe.adapt]).to(self.device)
                groups.append({"params": [self.learned.log_noise], "lr": options.learning_rate, "weight_decay": 0.0})
        self.optimizer = torch.optim.Adam(
            groups, lr=options.learning_rate, betas=options.betas, weight_decay=options.weight_decay
        )
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=[group["lr"] for group in self.optimizer.param_groups],
            total_steps=options.epochs * self.n_steps + 1,
            cycle_momentum=False,
        )
        self.wrapped = processes.wrap(self.network)
        self.images = {domain.name: domain.images.to(self.device) for domain in (source, target) if domain is not None}
        self.labels = source.labels.to(self.device)
        self.epoch, self.history, self.trace = 0, [], {}
        self.keeper = EpochKeeper(options.selector)
        chosen = [options.selector] if options.selector in WATCHED else []
        self.watched = [] if target is None else list(dict.fromkeys([*options.watch, *chosen]))

    @property
    def done(self):
        """Whether all epochs are over, or patience is."""
        if self.epoch >= self.options.epochs:
            return True
        stale = self.epoch - self.keeper.changed
        return self.options.selector != "last" and stale >= self.options.patience and self.epoch > 0

    @property
    def selected(self):
        """Epoch, counted from 1, that the selector prefers so far."""
        return self.keeper.epoch

    def run_epoch(self, on_step=lambda: None):
        """Train on every source image once, then look at the validation splits.

        Parameters
        ----------
        on_step : callable, optional
            Called after each step, for a progress bar.

        Raises
        ------
        TrainingError
            If a loss is not finite.
        """
        source_batches, target_batches = self._draw_batches()
        # Each process varies its own images; alone, it goes on with the draws of the loop.
        if self.processes.size > 1:
            self.varying = torch.Generator().manual_seed(hash((self.options.seed, self.epoch, self.processes.rank)))
        rate = self.optimizer.param_groups[0]["lr"]
        sums = {}
        for number, (rows, target_rows) in enumerate(zip(source_batches, target_batches, strict=True)):
            step = StepContext(
                progress=(self.epoch * self.n_steps + number) / max(1, self.options.epochs * self.n_steps - 1),
                epoch=self.epoch,
                generator=self.loss_generator,
                model=self.network,
            )
            if self.losses is not None and number == 0:
                self.losses.on_epoch_start(step)
            for name, value in self._train_step(rows, target_rows, step).items():
                sums[name] = sums.get(name, 0.0) + value * len(rows)
            on_step()
        if self.losses is not None and self.epoch == 0:
            self.inspection.epoch_done()
        self.epoch += 1
        self.processes.average([*self.network.buffers(), *(self.losses.buffers() if self.losses is not None else ())])
        n_rows = sum(map(len, source_batches))
        record = {"epoch": self.epoch, "learning_rate": rate, **{name: total / n_rows for name, total in sums.items()}}
        self.history.append(record | self.processes.once(self._validate))
        self.keeper.update(self.history, self.network)
        if self.options.trace:
            for key, logits in self.processes.once(self._trace).items():
                self.trace.setdefault(key, []).append(torch.from_numpy(logits))

    def finish(self):
        """Give the network the weights of the selected epoch."""
        if self.processes.size > 1:  # without what binds it to the other processes
            self.network = Network.from_description(self.network.describe()).to(self.device)
        self.network.load_state_dict(self.keeper.weights[self.selected])
        self.network.eval().to(memory_format=torch.contiguous_format)

    def state(self):
        """All that `restore` needs to go on exactly as if nothing had happened.

        Returns
        -------
        dict
            Tensors and plain values.
        """
        return {
            "network": self.network.state_dict(),
            "losses": None if self.losses is None else self.losses.state_dict(),
            "learned": None if self.learned is None else self.learned.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            # torch 2.3 keeps a function there, which no checkpoint may have
            "scheduler": {name: value for name, value in self.scheduler.state_dict().items() if not callable(value)},
            "generators": [self.generator.get_state(), self.loss_generator.get_state(), torch.get_rng_state()],
            "device_generator": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "epoch": self.epoch,
            "history": self.history,
            "keeper": self.keeper.state(),
            "trace": self.trace,
        }

    def restore(self, state):
        """Go back to what `state` gave.

        Parameters
        ----------
        state : dict
        """
        self.network.load_state_dict(state["network"])
        if self.losses is not None:
            self.losses.load_state_dict(state["losses"])
        if self.learned is not None:
            self.learned.load_state_dict(state["learned"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        own, losses, everywhere = state["generators"]
        self.generator.set_state(own)
        self.loss_generator.set_state(losses)
        torch.set_rng_state(everywhere)
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["device_generator"], self.device)
        self.epoch, self.history, self.trace = state["epoch"], state["history"], state["trace"]
        self.keeper.restore(state["keeper"])

    def _draw_batches(self):
        """Rows of each step: every source row once, in batches of nearly equal size; as many target rows."""
        rows = self.source.rows("train")
        batches = rows[torch.randperm(len(rows), generator=self.generator)].tensor_split(self.n_steps)
        if self.losses is None:
            return batches, [None] * self.n_steps
        candidates = self.target.rows("train")
        n_rounds = math.ceil(len(rows) / len(candidates))
        drawn = torch.cat([torch.randperm(len(candidates), generator=self.generator) for _ in range(n_rounds)])
        return batches, candidates[drawn[: len(rows)]].split([len(batch) for batch in batches])

    def _train_step(self, rows, target_rows, step):
        """One step of the optimizer; the value of every term, and its weight where there are several."""
        n_everywhere, rows = len(rows), self.processes.part(rows)
        n, index = len(rows), rows.to(self.device)
        images = self.images["source"][index]
        if target_rows is not None:
            target_index = self.processes.part(target_rows).to(self.device)
            images = torch.cat([images, self.images["target"][target_index]])
        images = augment(images, self.options.augmentation, self.varying)
        self.network.train()  # whatever validation or a loss did with it
        with autocast(self.device, self.options.precision):
            features, logits = self.wrapped(images)
        features, logits = features.float(), logits.float()
        labels = self.labels[index]
        # A part's share of the mean over the whole batch, times what the average over processes divides by.
        share = n * self.processes.size / n_everywhere
        terms, weights = {"cross_entropy": share * functional.cross_entropy(logits[:n], labels)}, {"cross_entropy": 1.0}
        if target_rows is not None:
            source = DomainBatch(features[:n], logits[:n], images[:n], index, labels)
            target = DomainBatch(features[n:], logits[n:], images[n:], target_index)
            everywhere = tuple(map(self.processes.gather_batch, (source, target)))
            self.inspection.before(source, target)
            own = self.losses(source, target, step, everywhere=everywhere, share=share)
            self.inspection.after(own, source, target)
            terms |= own
            weights |= self.losses.weights(step.progress)
        means = torch.stack([term.detach() for term in terms.values()])
        self.processes.average([means])
        values = dict(zip(terms, means.tolist(), strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                raise TrainingError(
                    f"{name} is {value} in epoch {step.epoch + 1}: lower the learning rate or its weight, or look for "
                    "extreme pixels"
                )
        self.optimizer.zero_grad(set_to_none=True)
        if self.learned is None:
            total = sum(weights[name] * term for name, term in terms.items())
        else:
            total = self.learned(terms, weights)
            weights = {name: weights[name] * factor for name, factor in self.learned.factors().items()}
        try:
            total.backward()
        except RuntimeError as error:
            raise TrainingError(
                f"the gradient of {', '.join(terms)} failed in epoch {step.epoch + 1}: {error}"
            ) from error
        self.processes.average(self._loss_gradients())
        if self.losses is not None and self.epoch == 0:
            self.inspection.step_done(self.losses.weights(step.progress))
        self._check_gradients(terms, step)
        self.optimizer.step()
        self.scheduler.step()
        if self.losses is not None:
            self.losses.after_step(step)
            values |= {f"weight_{name}": weight for name, weight in weights.items()}
        if self.learned is not None:
            self.learned.after_step()
        return values

    def _loss_gradients(self):
        """Gradients of what the losses learn; those of the network are averaged on their way."""
        learning = [*(self.losses.parameters() if self.losses is not None else ())]
        learning += [*(self.learned.parameters() if self.learned is not None else ())]
        return [parameter.grad for parameter in learning if parameter.grad is not None]

    def _check_gradients(self, terms, step):
        """Stop before a gradient that is not finite reaches the weights."""
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        try:
            torch.nn.utils.clip_grad_norm_(parameters, math.inf, error_if_nonfinite=True)  # clips nothing
        except RuntimeError:
            raise TrainingError(
                f"a gradient is not finite in epoch {step.epoch + 1}, though the losses are: one of {', '.join(terms)} "
                "has no derivative there"
            ) from None

    def _validate(self):
        """How the network does on the source's validation split, and what it says of the target's, unlabelled."""
        source, labels = self._look(self.source), self.source.labels[self.source.rows("validation")].numpy()
        logits = source.logits
        if not np.all(np.isfinite(logits)):
            raise TrainingError(f"the network gives no finite logits after epoch {self.epoch}")
        record = {
            "validation_cross_entropy": -source_validation(labels, logits),
            "validation_auc": roc_auc(labels, logits if logits.shape[1] > 2 else logits[:, 1] - logits[:, 0]),
            "validation_accuracy": accuracy(labels, softmax(logits.astype(np.float64), axis=1)),
        }
        if self.target is not None:
            target = self._look(self.target)
            log_probs = torch.from_numpy(target.logits).double().log_softmax(dim=1)
            probs = log_probs.exp()
            record["target_entropy"] = -(probs * log_probs).sum(dim=1).mean().item()
            record["target_largest_class"] = torch.bincount(probs.argmax(dim=1)).max().item() / len(probs)
            if probs.shape[1] == 2:
                record["target_mean_prob"] = probs[:, 1].mean().item()
            record |= score_selectors(self.watched, source, labels, target, seed=self.options.seed)
        return record

    def _look(self, domain):
        return look(
            self.network, self._frames(domain, domain.rows("validation")), device=self.device, seed=self.options.seed,
            features=needs_features(self.watched),
        )  # fmt: skip

    def _frames(self, domain, rows):
        """Frames of some rows, which are on the device already."""
        return self.images[domain.name][rows.to(self.device)]

    def _trace(self):
        """(domain, split) -> logits of every split that a trace has."""
        domains = {domain.name: domain for domain in (self.source, self.target) if domain is not None}
        return {(name, split): self.predict(domains[name], split)[0] for name, split in TRACED if name in domains}

    def predict(self, domain, split):
        """Logits of a split of a domain.

        Parameters
        ----------
        domain : `~galmerge_da.training.data.Domain`
        split : str

        Returns
        -------
        logits : `~numpy.ndarray` of float32, shape (N, K)
        rows : `~torch.Tensor` of int64, shape (N,)
        """
        rows = domain.rows(split)
        parts = rows.split(_ROWS_AT_ONCE)
        logits = [predict_logits(self.network, self._frames(domain, part), device=self.device) for part in parts]
        return np.concatenate(logits), rows
