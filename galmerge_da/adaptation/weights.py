"""How much each term of the total loss counts: schedules, and weights that are learned."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from galmerge_da.exceptions import ConfigError

__all__ = ["LearnedWeights", "scheduled_weight", "sigmoid_ramp"]

#: Steepness of the sigmoid of Ganin et al. 2016.
GAMMA = 10.0

#: A learned weight stays within this factor of where it started.
_RANGE = 100.0


def sigmoid_ramp(progress, gamma=GAMMA):
    """From 0 to (nearly) 1 along a sigmoid: ``2 / (1 + exp(-gamma progress)) - 1`` (Ganin et al. 2016, JMLR 17, 59).

    Parameters
    ----------
    progress : float
        0 to 1.
    gamma : float, optional

    Returns
    -------
    float
    """
    return 2 / (1 + math.exp(-gamma * progress)) - 1


def scheduled_weight(options, progress):
    """The weight of a loss at some point of the training.

    Parameters
    ----------
    options : `~galmerge_da.plugins.WeightOptions`
    progress : float
        0 at the first step, 1 at the last.

    Returns
    -------
    float
    """
    if options.schedule == "constant":
        return options.weight
    risen = min(1.0, progress / options.warmup)
    return options.weight * (sigmoid_ramp(risen) if options.schedule == "sigmoid" else risen)


class LearnedWeights(nn.Module):
    r"""Weights that are learned with the network, the cross-entropy's included.

    With :math:`\eta_i` the noise of task i, the total is
    :math:`\sum_i L_i / (2 \eta_i^2) + \log \eta_i` (Kendall et al. 2018, CVPR
    7482), as SIDDA does for a classification and an alignment loss (Pandya et
    al. 2025, arXiv:2501.14048). Each :math:`\eta_i` starts where its term has
    the weight that the user gave, and no weight leaves a factor of 100 around
    it: a loss that can be negative would else grow without limit.

    Parameters
    ----------
    names : iterable of str
        Of the terms.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.log_noise = nn.Parameter(torch.zeros(len(self.names)))

    def forward(self, terms: Mapping[str, torch.Tensor], weights: Mapping[str, float]) -> torch.Tensor:
        """The total loss.

        Parameters
        ----------
        terms : dict of str to `~torch.Tensor`, shape ()
        weights : dict of str to float
            The weights that were asked for. A term of weight 0 stays out.

        Returns
        -------
        `~torch.Tensor`, shape ()

        Raises
        ------
        ConfigError
            If the terms are not those that it was made for.
        """
        if set(terms) != set(self.names):
            raise ConfigError(f"learned weights were made for {', '.join(self.names)}, got {', '.join(terms)}")
        parts = (
            weights[name] * torch.exp(-2 * noise) * terms[name] + noise
            for name, noise in zip(self.names, self.log_noise, strict=True)
            if weights[name] > 0
        )
        return sum(parts, start=self.log_noise.new_zeros(()))

    @torch.no_grad()
    def factors(self) -> dict[str, float]:
        """What each weight has been multiplied by.

        Returns
        -------
        dict of str to float
        """
        return dict(zip(self.names, torch.exp(-2 * self.log_noise).tolist(), strict=True))

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep every weight within its range."""
        limit = math.log(_RANGE) / 2
        self.log_noise.clamp_(-limit, limit)
