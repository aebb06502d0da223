"""The contract tester for plugins: `check_loss_plugin` runs a loss as the training loop would and looks for trouble."""

import dataclasses

import torch
from torch import nn

from galmerge_da.adaptation import DomainBatch, LossContext, StepContext, make_loss
from galmerge_da.exceptions import ConfigError, PluginError
from galmerge_da.options import make_config
from galmerge_da.plugins import LossSpec

__all__ = ["check_loss_plugin"]

_FEATURE_DIM = 12
_IMAGE_SHAPE = (2, 6, 6)
_SIZES = ((24, 17), (15, 24))


def check_loss_plugin(spec, options=None):
    """Check that a loss plugin keeps its contract.

    It is made and run on small random batches, for two classes and for three:

    - ``config``: a senseless value for any option is refused;
    - ``labels``: the target has no labels, and labels there would change nothing;
    - ``value``: one finite number, with a finite gradient that is not all zero;
    - ``sizes``: the two batches may differ in size;
    - ``parameters``: every parameter moves when the optimizer steps;
    - ``determinism``: the same generators give the same loss;
    - ``state``: ``state_dict`` holds all that was learned.

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
            for name, check in _CHECKS.items():
                try:
                    problem = check(case)
                except Exception as error:
                    raise PluginError(_message(case, name, f"{type(error).__name__}: {error}")) from error
                if problem:
                    raise PluginError(_message(case, name, problem))


class _Model(nn.Module):
    """Stands in for the network."""

    def __init__(self, n_classes):
        super().__init__()
        n_pixels = torch.Size(_IMAGE_SHAPE).numel()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(n_pixels, _FEATURE_DIM), nn.ReLU())
        self.head = nn.Linear(_FEATURE_DIM, n_classes)

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
        context = LossContext(_FEATURE_DIM, self.n_classes, torch.Generator().manual_seed(seed))
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


def _check_config(case):
    for field in dataclasses.fields(case.spec.config_class):
        if field.init:
            try:
                make_config(case.spec.config_class, {**case.options, field.name: object()}, case.spec.name)
            except ConfigError:
                continue
            return f"{case.spec.config_class.__name__} takes any object for {field.name!r}; check it in __post_init__"
    return None


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
    value = case.value(case.make(), sizes=sizes)
    if not isinstance(value, torch.Tensor) or value.ndim:
        return f"forward must give a tensor of shape (), got {value!r}"
    if not torch.isfinite(value):
        return f"its value is {value.item()}"
    if not value.requires_grad:
        return "its value has no gradient"
    case.model.zero_grad()
    value.backward()
    gradients = [parameter.grad for parameter in case.model.parameters() if parameter.grad is not None]
    if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
        return "its gradient is not finite"
    if not any(bool(gradient.any()) for gradient in gradients):
        return "its gradient for the network is zero"
    return None


def _check_sizes(case):
    return _check_value(case, _SIZES[1])


def _check_parameters(case):
    loss = case.make()
    before = {name: value.detach().clone() for name, value in loss.named_parameters() if value.requires_grad}
    given = {id(parameter) for group in loss.parameter_groups(0.01) for parameter in group["params"]}
    parameters = dict(loss.named_parameters())
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


_CHECKS = {
    "config": _check_config,
    "labels": _check_labels,
    "value": _check_value,
    "sizes": _check_sizes,
    "parameters": _check_parameters,
    "determinism": _check_determinism,
    "state": _check_state,
}


def _message(case, check, problem):
    return f"loss {case.spec.name!r} fails the check {check!r} with {case.n_classes} classes: {problem}"
