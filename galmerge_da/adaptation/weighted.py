"""From ``{"mmd": 1.0}`` to the weighted losses of a training run."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import nn

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.exceptions import ConfigError, PluginError
from galmerge_da.plugins import get_loss
from galmerge_da.specs import make_config

__all__ = ["WeightedLosses", "build_losses", "make_loss"]


class WeightedLosses(nn.Module):
    """Named losses with fixed weights; made by `build_losses`.

    Parameters
    ----------
    losses : dict of str to `~galmerge_da.adaptation.AdaptationLoss`
    weights : dict of str to float
        For the same names.
    """

    def __init__(self, losses, weights):
        super().__init__()
        self.losses = nn.ModuleDict(losses)
        self.weights = dict(weights)

    def forward(self, source, target, step):
        """The weighted losses of one step, in float32 and outside autocast.

        Parameters
        ----------
        source, target : `~galmerge_da.adaptation.DomainBatch`
        step : `~galmerge_da.adaptation.StepContext`

        Returns
        -------
        dict of str to `~torch.Tensor`, shape ()
            By name, weighted.

        Raises
        ------
        ConfigError
            If the target has labels.
        PluginError
            If a loss does not give one number.
        """
        if target.labels is not None:
            raise ConfigError("the target batch has labels: a domain-adaptation loss must never see them")
        values = {}
        with torch.autocast(source.features.device.type, enabled=False):
            source, target = _in_float32(source), _in_float32(target)
            for name, loss in self.losses.items():
                value = loss(source, target, step)
                if not isinstance(value, torch.Tensor) or value.ndim:
                    shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
                    raise PluginError(f"loss {name!r} must give a tensor of shape (), got {shape}")
                values[name] = self.weights[name] * value
        return values

    def parameter_groups(self, lr):
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
        return [group for loss in self.losses.values() for group in loss.parameter_groups(lr)]

    def on_epoch_start(self, step):
        """Tell every loss that an epoch starts.

        Parameters
        ----------
        step : `~galmerge_da.adaptation.StepContext`
        """
        for loss in self.losses.values():
            loss.on_epoch_start(step)

    def after_step(self, step):
        """Tell every loss that the optimizer has stepped.

        Parameters
        ----------
        step : `~galmerge_da.adaptation.StepContext`
        """
        for loss in self.losses.values():
            loss.after_step(step)


def build_losses(adapt, context):
    """Make the losses that a user asked for.

    Parameters
    ----------
    adapt : mapping or None
        Name of a loss plugin -> weight, or a mapping of its options with
        ``weight`` among them (1 if it is left out).
    context : `~galmerge_da.adaptation.LossContext`

    Returns
    -------
    WeightedLosses
        Empty if ``adapt`` is.

    Raises
    ------
    ConfigError
        If ``adapt`` is no mapping, a weight is not a number of at least 0, or
        an option is refused.
    PluginError
        If no such loss is installed, or its factory does not make one.
    """
    if adapt is not None and not isinstance(adapt, Mapping):
        raise ConfigError(f"adapt must map names of losses to weights, as {{'mmd': 1.0}}, got {adapt!r}")
    losses, weights = {}, {}
    for name, options in (adapt or {}).items():
        options = dict(options) if isinstance(options, Mapping) else {"weight": options}
        weights[name] = _check_weight(name, options.pop("weight", 1.0))
        losses[name] = make_loss(get_loss(name), options, context)
    return WeightedLosses(losses, weights)


def make_loss(spec, options, context):
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
        If the factory does not give an `~galmerge_da.adaptation.AdaptationLoss`.
    """
    config = make_config(spec.config_class, options, f"loss {spec.name!r}")
    seed = int(torch.randint(2**31, (1,), generator=context.generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loss = spec.factory(config, context)
    if not isinstance(loss, AdaptationLoss):
        raise PluginError(f"loss {spec.name!r}: its factory must give an AdaptationLoss, got {loss!r}")
    return loss


def _check_weight(name, weight):
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 <= weight < float("inf"):
        raise ConfigError(f"the weight of loss {name!r} must be a number of at least 0, got {weight!r}")
    return float(weight)


def _in_float32(batch):
    if batch.features.dtype == batch.logits.dtype == torch.float32:
        return batch
    return dataclasses.replace(batch, features=batch.features.float(), logits=batch.logits.float())
