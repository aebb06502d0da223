"""`train`: labelled source and unlabelled target in, a calibrated classifier out."""

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table
from tqdm import tqdm

from galmerge_da.adaptation import adabn
from galmerge_da.exceptions import ConfigError, GalmergeWarning
from galmerge_da.inference import MergerClassifier
from galmerge_da.metrics import (
    TemperatureCalibrator,
    accuracy,
    average_precision,
    brier_score,
    expected_calibration_error,
    roc_auc,
)
from galmerge_da.models import build_network, choose_device
from galmerge_da.plugins.requests import AdaptLike
from galmerge_da.training.checkpoint import load_checkpoint, save_checkpoint
from galmerge_da.training.data import load_domain, splits_table
from galmerge_da.training.loop import TrainingRun
from galmerge_da.training.parallel import is_first_process, join_processes
from galmerge_da.training.recipe import Recipe, check_request, read_recipe
from galmerge_da.training.selection import COLLAPSED, warn_if_collapsed
from galmerge_da.training.splits import SPLITS
from galmerge_da.training.watch import TracedSplit

__all__ = ["Selected", "TrainingResult", "train"]

_COLLAPSED = COLLAPSED


@dataclasses.dataclass(frozen=True)
class Selected:
    """Which epoch was kept, of how many, and who chose it.

    Attributes
    ----------
    epoch, n_epochs : int
        Counted from 1.
    selector : str
        Name of the selector, as the recipe of `~galmerge_da.train` has it.
    """

    epoch: int
    n_epochs: int
    selector: str

    def __str__(self) -> str:
        return f"{self.epoch} of {self.n_epochs}, chosen by {self.selector}"


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingResult:
    """What `train` gives.

    Attributes
    ----------
    classifier : `~galmerge_da.MergerClassifier`
        With the selected epoch's weights, calibrated on the source's validation split.
    history : `~astropy.table.Table`
        One row per epoch: ``epoch``, ``learning_rate``, ``cross_entropy`` and
        each loss on the training split, with ``weight_<loss>``, the mean of its
        weight; ``validation_cross_entropy``, ``validation_auc`` and
        ``validation_accuracy`` on the source; with a target ``target_entropy``,
        ``target_largest_class`` (share of the most frequent prediction),
        ``target_mean_prob`` and ``select_<name>`` of each selector that is
        watched, larger is better, on its validation split.
    splits : `~astropy.table.Table`
        ``id``, ``group``, ``domain``, ``split`` of every row.
    selected : Selected
        The epoch whose weights the classifier has.
    scores : `~astropy.table.Table`
        One row per domain and split: ``n``, ``auc``, ``average_precision``,
        ``accuracy``, ``brier``, ``ece`` (NaN for the target: it has no labels)
        and the mean calibrated probability.
    trace : dict of (str, str) to `~galmerge_da.training.TracedSplit`, or None
        (domain, split) -> logits of every epoch, where ``[training] trace`` asks
        for them: of the source's validation and test, and the target's test
        split. `galmerge_da.evaluation.selection_report` reads it.
    """

    classifier: MergerClassifier
    history: Table
    splits: Table
    selected: Selected
    scores: Table
    trace: dict[tuple[str, str], TracedSplit] | None = None


def train(
    source: object,
    target: object = None,
    *,
    adapt: AdaptLike = None,
    backbone: str | None = None,
    recipe: str | PathLike[str] | Mapping[str, object] | Recipe | None = None,
    seed: int | None = None,
    init: MergerClassifier | str | PathLike[str] | None = None,
    device: object = None,
    progress: bool = False,
    output: str | PathLike[str] | None = None,
) -> TrainingResult:
    """Train a classifier on a labelled source, adapted to an unlabelled target.

    Started by ``torchrun``, several processes train it together; each returns
    the same, and the first alone writes.

    Parameters
    ----------
    source : `~astropy.table.Table`, path or `~galmerge_da.Cutouts`
        Labelled cutouts, in any form that `galmerge_da.classify` takes.
    target : the same, optional
        Cutouts of the survey to adapt to. Labels that it may have are never looked at.
    adapt : mapping of str to float or mapping, or iterable of str, optional
        Domain-adaptation losses and their weights, as ``{"mmd": 1.0}`` or
        ``{"dann": {"weight": 1.0, "max_lambda": 0.5}}``, or in words,
        ``["mmd=1.0", "dann.max_lambda=0.5"]``. A weight may follow a
        ``schedule``; see `~galmerge_da.plugins.WeightOptions`. Without any loss
        the network is trained on the source alone.
    backbone : str, optional
        Name of the network; ``"deepmerge"`` by default.
    recipe : path-like, mapping or Recipe, optional
        Every other choice; see `~galmerge_da.training.Recipe`. The keywords here override it.
    seed : int, optional
        Same seed, same data, same device: the same classifier, bit for bit. 0 by default.
    init : path-like or `~galmerge_da.MergerClassifier`, optional
        Start from these weights (transfer learning), with bands of the same
        names in the same order. The entrance's statistics are taken from the
        new source.
    device : str or `~torch.device`, optional
        The best there is by default.
    progress : bool, optional
        Show a progress bar.
    output : path-like, optional
        Folder, made if need be, for ``model.safetensors``, ``history.ecsv``,
        ``splits.ecsv`` and ``scores.ecsv``. A run that was interrupted goes on
        from there when it is called again.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ConfigError
        If the recipe or a keyword is wrong, losses are named without a target,
        a selector that looks at the target is, ``init`` has other weights than
        the network needs, or ``output`` is called like a model file.
    InputError
        If the data cannot be read, or a row of the source has no label.
    PluginError
        If no such backbone or loss is installed.
    ModelFileError
        If ``init`` is not the path of a classifier.
    TrainingError
        If a split or a class in it is empty, a loss is not finite, or
        ``output`` has the checkpoint of another run.

    Warns
    -----
    GalmergeWarning
        If the classifier puts the whole target into one class, the selector
        could choose no epoch, or it is one of the losses.

    Examples
    --------
    Far too few galaxies and epochs, to be quick:

    >>> from galmerge_da import simulate, train
    >>> source, target = simulate(80, "deepmerge-z2-pristine", seed=1), simulate(80, "deepmerge-z2", seed=2)
    >>> recipe = {"training": {"epochs": 1, "batch_size": 16, "selector": "last"}}
    >>> result = train(source, target, adapt={"mmd": 1.0}, recipe=recipe, seed=1)
    >>> result.scores.colnames[:2]
    ['domain', 'split']
    >>> mergers = result.classifier.classify(target)
    """
    if output is not None and Path(output).suffix.lower() == ".safetensors":
        raise ConfigError(
            f"output={str(output)!r} must be a folder for all files of a run; to save the classifier alone, "
            "leave output out and call result.classifier.save(path)"
        )
    recipe = read_recipe(recipe, adapt=adapt, backbone=backbone, seed=seed)
    check_request(recipe, has_target=target is not None)
    if (name := recipe.training.selector) in recipe.adapt and is_first_process():
        message = f"{name} is both loss and selector: what was optimised says nothing of how well it went"
        warnings.warn(message, GalmergeWarning, stacklevel=2)
    choose_device(device)
    if init is not None and not isinstance(init, MergerClassifier):
        init = MergerClassifier.load(init)
    source = load_domain(
        source, "source", recipe, recipe.preprocessing, reading=recipe.data.source, order=init and init.bands
    )
    if target is not None:
        target = load_domain(target, "target", recipe, source.preprocessing, reading=recipe.data.target)
    with join_processes(device) as processes:
        result = _train(recipe, source, target, init, processes, output, progress and processes.first)
        if output is not None and processes.first:
            _write(result, Path(output))
    return result


def _train(recipe, source, target, init, processes, output, progress):
    """From domains in memory to the result."""
    device = processes.device
    generators = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(generators), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
        torch.manual_seed(recipe.training.seed)
        run = TrainingRun(_make_network(source, recipe, init), source, target, recipe, processes)
        _run(run, recipe, source, target, output, progress)
        run.finish()
        # Each domain as its own statistics show it: the source before they become the target's.
        predictions = processes.once(_predict, run, source)
        if "adabn" in recipe.training.post_train:
            adabn(run.network, target.images[target.rows("train")])
        if target is not None:
            predictions |= processes.once(_predict, run, target)
    return _result(run, source, target, recipe, predictions, init)


def _make_network(source, recipe, init):
    """A network with fresh or given weights, and the statistics of the training split."""
    network = build_network(
        recipe.model.backbone,
        dict(recipe.model.options),
        in_channels=source.images.shape[1],
        image_size=source.preprocessing.size,
        n_classes=len(recipe.data.classes),
        entrance=dict(recipe.model.entrance),
    )
    if init is not None:
        given = init.network.state_dict()
        needed, had = (
            {name: tuple(tensor.shape) for name, tensor in state.items()} for state in (network.state_dict(), given)
        )
        for name in {**needed, **had}:
            if needed.get(name) != had.get(name):
                raise ConfigError(
                    f"init does not fit the network: {name} has shape {had.get(name)}, expected {needed.get(name)}"
                )
        network.load_state_dict(given)
    network.entrance.fit(source.images[source.rows("train")])
    return network


def _run(run, recipe, source, target, output, progress):
    """All epochs that are left, with a checkpoint after each."""
    path = None
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)
        path = Path(output) / "checkpoint.pt"
        name = _fingerprint(run.network, recipe, source, target)
        state = load_checkpoint(path, name)
        if state is not None:
            run.restore(state)
    total = run.options.epochs * run.n_steps
    try:
        with tqdm(total=total, initial=run.epoch * run.n_steps, disable=not progress, desc="train", unit="step") as bar:
            while not run.done:
                run.run_epoch(bar.update)
                last = run.history[-1]
                bar.set_postfix(epoch=run.epoch, auc=f"{last['validation_auc']:.3f}", best=run.selected)
                if path is not None and run.processes.first:
                    save_checkpoint(path, {"run": name, **run.state()})
    except KeyboardInterrupt:
        if path is not None and run.epoch and run.processes.first:
            message = f"stopped after epoch {run.epoch}; the same call with output {str(output)!r} goes on from there"
            warnings.warn(message, GalmergeWarning, stacklevel=3)
        raise


def _fingerprint(network, recipe, source, target):
    """What tells one run from another: recipe, first weights with the data's statistics, splits and labels."""
    digest = hashlib.sha256(json.dumps(recipe.to_dict(), sort_keys=True).encode())
    for tensor in [*network.state_dict().values(), source.labels]:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for domain in filter(None, (source, target)):
        digest.update("\n".join(domain.split).encode())
        digest.update(domain.images.sum(dim=(1, 2, 3)).numpy().tobytes())
    return digest.hexdigest()


def _predict(run, domain):
    """(name of the domain, split) -> logits and rows."""
    return {(domain.name, split): run.predict(domain, split) for split in SPLITS}


def _adapted_by(run, source, init):
    """How images of a survey had a part in the weights, without labels; of the model that it started from too."""
    counts = run.losses is not None and any(weight > 0 for weight in run.losses.weights(1.0).values())
    ways = ["losses"] if counts else []
    ways += [f"{source.n_composites} composites"] if source.n_composites else []
    ways += ["adabn"] if "adabn" in run.options.post_train else []
    return ways + [f"{way} before" for way in (init.provenance.get("adapted_by", ["unknown"]) if init else ())]


def _result(run, source, target, recipe, predictions, init):
    options = recipe.training
    logits, rows = predictions["source", "validation"]
    calibrator = TemperatureCalibrator.fit(logits, source.labels[rows].numpy())
    learnt_from = _adapted_by(run, source, init)
    provenance = {
        "losses": recipe.to_dict()["adapt"],
        "source": source.description,
        "target": target and target.description,
        "adapted": bool(learnt_from),
        "adapted_by": learnt_from,
        "epoch": run.selected,
        "selector": options.selector,
        "torch": torch.__version__,
        "device": run.device.type,
        "processes": run.processes.size,
        "recipe": recipe.to_dict(),
    }
    classifier = MergerClassifier(
        run.network, source.preprocessing, classes=recipe.data.classes, calibrator=calibrator, provenance=provenance
    )
    domains = [source] if target is None else [source, target]
    scores = _scores(predictions, calibrator, domains, recipe.data.classes)
    if run.processes.first:
        warn_if_collapsed(
            run.history, run.selected, options.selector, run.keeper.eligible, adapted=bool(recipe.adapt),
            threshold=_COLLAPSED, stacklevel=5,
        )  # fmt: skip
    return TrainingResult(
        classifier=classifier,
        history=Table(rows=run.history),
        splits=splits_table(domains),
        selected=Selected(run.selected, run.epoch, options.selector),
        scores=scores,
        trace=_trace(run, domains) if options.trace else None,
    )


def _trace(run, domains):
    domains = {domain.name: domain for domain in domains}
    trace = {}
    for (name, split), logits in run.trace.items():
        rows = domains[name].rows(split).numpy()
        trace[name, split] = TracedSplit(rows, domains[name].ids[rows], torch.stack(logits).numpy())
    return trace


def _scores(predictions, calibrator, domains, classes):
    measures = {
        "auc": roc_auc,
        "average_precision": average_precision,
        "accuracy": accuracy,
        "brier": brier_score,
        "ece": expected_calibration_error,
    }
    table = []
    for domain in domains:
        for split in SPLITS:
            logits, rows = predictions[domain.name, split]
            probs = calibrator.transform(logits)
            labels = None if domain.labels is None else domain.labels[rows].numpy()
            row = {"domain": domain.name, "split": split, "n": len(rows)}
            row |= {name: np.nan if labels is None else score(labels, probs) for name, score in measures.items()}
            means = probs.mean(axis=0)
            if len(classes) == 2:
                row["mean_prob"] = means[1]
            else:
                row |= {f"mean_prob_{name}": mean for name, mean in zip(classes, means, strict=True)}
            table.append(row)
    return Table(rows=table)


def _write(result, folder):
    """The four files of a finished run, in place of its checkpoint."""
    result.classifier.save(folder / "model.safetensors")
    for name in ("history", "splits", "scores"):
        getattr(result, name).write(folder / f"{name}.ecsv", overwrite=True)
    (folder / "checkpoint.pt").unlink(missing_ok=True)
