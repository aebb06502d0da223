"""From ``{"mmd": 1.0}`` to the losses of a training run and their weights."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from galmerge_da.adaptation.base import AdaptationLoss, DomainBatch, LossContext, StepContext
from galmerge_da.adaptation.weights import scheduled_weight
from galmerge_da.exceptions import ConfigError, GalmergeError, PluginError
from galmerge_da.options import make_config, suggest
from galmerge_da.plugins import LossSpec, WeightOptions, get_loss, parse_adapt
from galmerge_da.plugins.requests import AdaptLike

__all__ = ["WeightedLosses", "build_losses", "check_losses", "make_loss"]


class WeightedLosses(nn.Module):
    """Named losses with their weights; made by `build_losses`.

    Parameters
    ----------
    losses : dict of str to `~galmerge_da.adaptation.AdaptationLoss`
    weights : dict of str to `~galmerge_da.plugins.WeightOptions`
        For the same names.
    """

    def __init__(self, losses: Mapping[str, AdaptationLoss], weights: Mapping[str, WeightOptions]) -> None:
        super().__init__()
        self.losses = nn.ModuleDict(losses)
        self.options = dict(weights)

    def forward(
        self,
        source: DomainBatch,
        target: DomainBatch,
        step: StepContext,
        *,
        everywhere: tuple[DomainBatch, DomainBatch] | None = None,
        share: float = 1.0,
    ) -> dict[str, torch.Tensor]:
        """The losses of one step, not weighted, in float32 and outside autocast.

        Parameters
        ----------
        source, target : `~galmerge_da.adaptation.DomainBatch`
        step : `~galmerge_da.adaptation.StepContext`
        everywhere : (DomainBatch, DomainBatch), optional
            The batches of all processes together, for losses that are
            ``batch_coupled``.
        share : float, optional
            What the other losses, means over this process's rows, are
            multiplied by: its part of all rows times the number of processes.

        Returns
        -------
        dict of str to `~torch.Tensor`, shape ()
            By name.

        Raises
        ------
        ConfigError
            If the target has labels.
        PluginError
            If a loss fails, does not give one number, or gives one without a gradient.
        """
        batches = [(source, target), everywhere or (source, target)]
        if any(each.labels is not None for _, each in batches):
            raise ConfigError("the target batch has labels: a domain-adaptation loss must never see them")
        values = {}
        with torch.autocast(source.features.device.type, enabled=False):
            batches = [tuple(map(_in_float32, pair)) for pair in batches]
            for name, loss in self.losses.items():
                one, other = batches[loss.batch_coupled]
                value = _run(name, loss, one, other, step)
                values[name] = value if loss.batch_coupled else share * value
        return values

    def weights(self, progress: float) -> dict[str, float]:
        """The weights at some point of the training.

        Parameters
        ----------
        progress : float
            0 at the first step, 1 at the last.

        Returns
        -------
        dict of str to float
        """
        return {name: scheduled_weight(options, progress) for name, options in self.options.items()}

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """What the optimizer gets, for all losses.

        Parameters
        ----------
        lr : float
            Learning rate of the network.

        Returns
        -------
        list of dict
            Empty if no loss learns anything.
        """
        return [group for name, loss in self.losses.items() for group in _groups(name, loss, lr)]

    def on_epoch_start(self, step: StepContext) -> None:
        """Tell every loss that an epoch starts.

        Parameters
        ----------
        step : `~galmerge_da.adaptation.StepContext`
        """
        for name, loss in self.losses.items():
            _call(name, loss.on_epoch_start, step)

    def after_step(self, step: StepContext) -> None:
        """Tell every loss that the optimizer has stepped.

        Parameters
        ----------
        step : `~galmerge_da.adaptation.StepContext`
        """
        for name, loss in self.losses.items():
            _call(name, loss.after_step, step)


def check_losses(adapt: AdaptLike) -> None:
    """Refuse a wrong request before any work is done for it.

    Parameters
    ----------
    adapt : mapping, iterable of str, or None
        As for `build_losses`.

    Raises
    ------
    ConfigError, PluginError
        As `build_losses`.
    """
    for name, asked in parse_adapt(adapt).items():
        spec, _, options = _resolve(name, asked)
        make_config(spec.config_class, options, f"loss {name!r}")


def build_losses(adapt: AdaptLike, context: LossContext) -> WeightedLosses:
    """Make the losses that a user asked for.

    Parameters
    ----------
    adapt : mapping, iterable of str, or None
        Name of a loss plugin -> weight, or a mapping of its options and those
        of `~galmerge_da.plugins.WeightOptions`; or words, as
        `~galmerge_da.plugins.parse_adapt` takes them.
    context : `~galmerge_da.adaptation.LossContext`

    Returns
    -------
    WeightedLosses
        Empty if ``adapt`` is.

    Raises
    ------
    ConfigError
        If ``adapt`` is neither, a weight is not a number of at least 0, or an
        option is refused.
    PluginError
        If no such loss is installed, or its factory does not make one.
    """
    losses, weights = {}, {}
    for name, asked in parse_adapt(adapt).items():
        spec, weights[name], options = _resolve(name, asked)
        losses[name] = make_loss(spec, options, context)
    return WeightedLosses(losses, weights)


def make_loss(spec: LossSpec, options: Mapping[str, object] | None, context: LossContext) -> AdaptationLoss:
    """Make one loss.

    Its weights are drawn from a seed that the context's generator gives: they
    depend on nothing else, and torch's global generator is left as it was.

    Parameters
    ----------
    spec : `~galmerge_da.plugins.LossSpec`
    options : mapping or None
    context : `~galmerge_da.adaptation.LossContext`

    Returns
    -------
    `~galmerge_da.adaptation.AdaptationLoss`

    Raises
    ------
    ConfigError
        If an option is refused.
    PluginError
        If the factory fails, or does not give an `~galmerge_da.adaptation.AdaptationLoss`.
    """
    config = make_config(spec.config_class, options, f"loss {spec.name!r}")
    seed = int(torch.randint(2**31, (1,), generator=context.generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            loss = spec.factory(config, context)
        except ConfigError as error:
            raise ConfigError(f"loss {spec.name!r}: {error}") from error
        except GalmergeError:
            raise
        except Exception as error:
            raise PluginError(f"loss {spec.name!r} could not be made: {type(error).__name__}: {error}") from error
    if not isinstance(loss, AdaptationLoss):
        raise PluginError(f"loss {spec.name!r}: its factory must give an AdaptationLoss, got {loss!r}")
    return loss


def _resolve(name, asked):
    """The spec of a loss, how much it counts, and its own options."""
    spec = get_loss(name)
    options = dict(asked) if isinstance(asked, Mapping) else {"weight": asked}
    common = {field.name for field in dataclasses.fields(WeightOptions)}
    own = {field.name for field in dataclasses.fields(spec.config_class) if field.init}
    for key in options:
        if key not in common | own:
            raise ConfigError(f"loss {name!r} has no option {key!r}{suggest(key, common | own)}")
    weights = {key: options.pop(key) for key in list(options) if key in common}
    return spec, make_config(WeightOptions, weights, f"loss {name!r}"), options


def _run(name, loss, source, target, step):
    """The value of one loss, checked."""
    value = _call(name, loss, source, target, step)
    if not isinstance(value, torch.Tensor) or value.ndim:
        shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise PluginError(f"loss {name!r} must give a tensor of shape (), got {shape}")
    if source.features.requires_grad and torch.is_grad_enabled() and not value.requires_grad:
        raise PluginError(f"loss {name!r} gives a number without a gradient: the network would learn nothing from it")
    return value


def _call(name, function, *arguments):
    """What a loss gives; if it fails, an error that names it."""
    try:
        return function(*arguments)
    except GalmergeError:
        raise
    except Exception as error:
        hint = ""
        if isinstance(error, TypeError | AttributeError) and "None" in str(error):
            hint = " (did it ask for labels of the target? There are none)"
        where = "" if isinstance(function, nn.Module) else f" in {function.__name__}"
        raise PluginError(f"loss {name!r} failed{where}: {type(error).__name__}: {error}{hint}") from error


def _groups(name, loss, lr):
    """Parameter groups of a loss, checked."""
    groups = _call(name, loss.parameter_groups, lr)
    if not isinstance(groups, list | tuple) or not all(isinstance(group, Mapping) for group in groups):
        raise PluginError(f"loss {name!r}: parameter_groups must give a list of dicts, got {groups!r}")
    return groups


def _in_float32(batch):
    if batch.features.dtype == batch.logits.dtype == torch.float32:
        return batch
    return dataclasses.replace(batch, features=batch.features.float(), logits=batch.logits.float())
