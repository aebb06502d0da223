"""`check_loss_plugin` runs a loss as the training loop would and looks for trouble."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import nn

from galmerge_da.adaptation import DomainBatch, LossContext, StepContext, make_loss
from galmerge_da.exceptions import PluginError
from galmerge_da.plugins import LossSpec
from galmerge_da.testing._processes import compare_processes, take_rows
from galmerge_da.testing._run import agree, check_options, run_checks

__all__ = ["check_loss_plugin"]

_FEATURE_DIM = 12
_IMAGE_SHAPE = (2, 6, 6)
_SIZES = ((24, 17), (15, 24))
_EVEN = (24, 16)
_HUGE = 1e4

#: The head's weights times this: sure of about half of the images, as losses with a threshold need it.
_CONFIDENCE = 20.0


def check_loss_plugin(spec: LossSpec, options: Mapping[str, object] | None = None) -> None:
    """Check that a loss plugin keeps its contract.

    It is made and run on small random batches, for two classes and for three:

    - ``config``: a senseless value for any option is refused;
    - ``labels``: the target has no labels, and labels there would change nothing;
    - ``value``: one finite number, with a finite gradient that is not all zero;
    - ``sizes``: the two batches may differ in size; of one row, value and
      gradient are still finite;
    - ``huge``: they are so too for features of 1e4, constant features and
      identical domains;
    - ``parameters``: every parameter moves when the optimizer steps, and none
      is the network's;
    - ``determinism``: the same generators give the same loss;
    - ``state``: ``state_dict`` holds all that was learned;
    - ``rows``: the order of the rows does not matter;
    - ``processes``: two processes with half of the rows each get the value and
      the gradients of one. A loss that is ``batch_coupled`` is given the rows
      of both, those of the other without gradient; else the mean over the
      processes is taken.

    A loss that draws numbers even in evaluation mode may be different row by
    row, and the last two cannot tell.

    Parameters
    ----------
    spec : `~galmerge_da.plugins.LossSpec`
    options : mapping, optional
        Options to check it with.

    Raises
    ------
    PluginError
        At the first check that fails, which the message names.
    """
    if not isinstance(spec, LossSpec):
        raise PluginError(f"check_loss_plugin needs a LossSpec, got {spec!r}")
    with torch.random.fork_rng(devices=[]):
        for n_classes in (2, 3):
            case = _Case(spec, dict(options or {}), n_classes)
            run_checks(case, _CHECKS, f"loss {spec.name!r}", f" with {n_classes} classes")


class _Model(nn.Module):
    """Stands in for the network."""

    def __init__(self, n_classes):
        super().__init__()
        n_pixels = torch.Size(_IMAGE_SHAPE).numel()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(n_pixels, _FEATURE_DIM), nn.ReLU())
        self.head = nn.Linear(_FEATURE_DIM, n_classes)
        with torch.no_grad():
            self.head.weight *= _CONFIDENCE

    def forward(self, images):
        features = self.backbone(images)
        return features, self.head(features)


class _Case:
    """One loss, one number of classes, and all that the training loop would hand over."""

    def __init__(self, spec, options, n_classes):
        self.spec, self.options, self.n_classes = spec, options, n_classes
        torch.manual_seed(0)
        self.model = _Model(n_classes)

    def make(self, seed=1):
        """The loss with fresh weights, in training mode."""
        generator = torch.Generator().manual_seed(seed)
        context = LossContext(_FEATURE_DIM, self.n_classes, generator, model=self.model)
        return make_loss(self.spec, self.options, context).train()

    def step(self, seed=2):
        """The middle of training; both generators that a loss may use are seeded."""
        torch.manual_seed(seed)
        return StepContext(0.5, 3, torch.Generator().manual_seed(seed), self.model)

    def batches(self, sizes=_SIZES[0], target_labels=False):
        """A source and a target that differ in brightness."""
        generator = torch.Generator().manual_seed(3)
        batches = []
        for shift, size in enumerate(sizes):
            images = torch.randn(size, *_IMAGE_SHAPE, generator=generator) + 0.3 * shift
            labels = torch.randint(self.n_classes, (size,), generator=generator)
            batches.append(
                DomainBatch(
                    *self.model(images), images, torch.arange(size), labels if target_labels or not shift else None
                )
            )
        return batches

    def value(self, loss, seed=2, **batches):
        """The loss of one step."""
        source, target = self.batches(**batches)
        return loss(source, target, self.step(seed))

    def train(self, loss, n_steps=3):
        """Some steps of the training loop."""
        groups = [{"params": list(self.model.parameters())}, *loss.parameter_groups(0.01)]
        optimizer = torch.optim.Adam(groups, lr=0.01)
        loss.on_epoch_start(self.step())
        for number in range(n_steps):
            optimizer.zero_grad()
            self.value(loss, seed=number).backward()
            optimizer.step()
            loss.after_step(self.step(number))

    def is_random(self):
        """Whether the loss draws numbers in evaluation mode."""
        return not torch.equal(*(self.value(self.make().eval(), seed).detach() for seed in (2, 5)))


def _check_config(case):
    return check_options(case.spec.config_class, case.options)


def _check_labels(case):
    blind, again, seeing = (_outcome(case, target_labels) for target_labels in (False, False, True))
    if isinstance(blind, Exception) and not isinstance(seeing, Exception):
        return f"it fails without labels of the target: {type(blind).__name__}: {blind}"
    values = all(isinstance(value, torch.Tensor) for value in (blind, again, seeing))
    if values and torch.equal(blind, again) and not torch.equal(blind, seeing):
        return "labels of the target change its value"
    return None  # if something else is wrong, a later check says what


def _outcome(case, target_labels):
    try:
        return case.value(case.make(), target_labels=target_labels)
    except Exception as error:
        return error


def _check_value(case, sizes=_SIZES[0]):
    problem = _not_finite(case, *case.batches(sizes))
    if problem is None and not any(bool(each.grad.any()) for each in case.model.parameters() if each.grad is not None):
        return "its gradient for the network is zero"
    return problem


def _check_sizes(case):
    problem = _check_value(case, _SIZES[1])
    for sizes in ((1, 1), (1, 9), (9, 1)):
        problem = problem or _not_finite(case, *case.batches(sizes), f" of {sizes[0]} and {sizes[1]} rows")
    return problem


def _check_huge(case):
    source, target = case.batches()
    generator = torch.Generator().manual_seed(4)
    constant = [torch.ones(len(batch), _FEATURE_DIM) for batch in (source, target)]
    huge = [_HUGE * torch.randn(len(batch), _FEATURE_DIM, generator=generator) for batch in (source, target)]
    same = source.features.detach()
    twin = dataclasses.replace(source, labels=None)
    for words, batches, features in (
        (" of features of 1e4", (source, target), huge),
        (" of constant features", (source, target), constant),
        (" of constant features of 1e4", (source, target), [_HUGE * each for each in constant]),
        (" of identical domains", (source, twin), [same, same]),
    ):
        pairs = zip(batches, features, strict=True)
        given = [_with_features(case, batch, each.clone().requires_grad_()) for batch, each in pairs]
        problem = _not_finite(case, *given, words)
        if problem:
            return problem
    return None


def _with_features(case, batch, features):
    return dataclasses.replace(batch, features=features, logits=case.model.head(features))


def _not_finite(case, source, target, words=""):
    """What is wrong with the value or the gradient of a step, or None."""
    loss = case.make()
    value = loss(source, target, case.step())
    if not isinstance(value, torch.Tensor) or value.ndim:
        return f"forward must give a tensor of shape (), got {value!r}"
    if not torch.isfinite(value):
        return f"its value{words} is {value.item()}"
    if not value.requires_grad:
        return f"its value{words} has no gradient"
    case.model.zero_grad()
    value.backward()
    leaves = [batch.features for batch in (source, target) if batch.features.is_leaf]
    gradients = [each.grad for each in (*case.model.parameters(), *loss.parameters(), *leaves) if each.grad is not None]
    if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        return f"its gradient{words} is not finite"
    return None


def _check_parameters(case):
    loss = case.make()
    parameters = dict(loss.named_parameters())
    network = {id(parameter) for parameter in case.model.parameters()}
    if any(id(parameter) in network for parameter in parameters.values()):
        return "it keeps the network itself, which would be trained twice; keep a copy.deepcopy of it"
    before = {name: value.detach().clone() for name, value in parameters.items() if value.requires_grad}
    given = {id(parameter) for group in loss.parameter_groups(0.01) for parameter in group["params"]}
    missing = [name for name in before if id(parameters[name]) not in given]
    if missing:
        return f"parameter_groups leaves out {', '.join(missing)}"
    case.train(loss)
    still = [name for name, value in before.items() if torch.equal(value, parameters[name])]
    return f"no step of the optimizer moves {', '.join(still)}" if still else None


def _check_determinism(case):
    if not torch.equal(case.value(case.make()), case.value(case.make())):
        return "the same generators give two values; draw from step.generator or torch's global one"
    return None


def _check_state(case):
    trained, restored = case.make(), case.make(seed=9)
    case.train(trained)
    restored.load_state_dict(trained.state_dict())
    if not torch.equal(case.value(trained), case.value(restored)):
        return "a loss restored from its state_dict gives another value; keep state in Parameters and buffers"
    return None


def _check_rows(case):
    if case.is_random():
        return None
    batches = case.batches()
    turned = [take_rows(batch, torch.arange(len(batch)).flip(0).roll(5)) for batch in batches]
    one, other = (case.make().eval()(*pair, case.step()).detach() for pair in (batches, turned))
    if not agree(one, other):
        return f"another order of the rows changes its value from {one.item():g} to {other.item():g}"
    return None


def _check_processes(case):
    return None if case.is_random() else compare_processes(case, case.batches(_EVEN))


_CHECKS = {
    "config": _check_config,
    "labels": _check_labels,
    "value": _check_value,
    "sizes": _check_sizes,
    "huge": _check_huge,
    "parameters": _check_parameters,
    "determinism": _check_determinism,
    "state": _check_state,
    "rows": _check_rows,
    "processes": _check_processes,
}
