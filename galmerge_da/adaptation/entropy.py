"""Entropy of the predictions."""

from dataclasses import dataclass

import torch

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import entropy
from galmerge_da.options import Options, option
from galmerge_da.plugins import LossSpec

__all__ = ["Entropy", "EntropyConfig", "SPEC"]


@dataclass(frozen=True)
class EntropyConfig(Options):
    """Options of `Entropy`."""

    domains: str = option("target", "whose predictions; both: as published", choices=("target", "both"))


class Entropy(AdaptationLoss):
    """`galmerge_da.adaptation.functional.entropy` of the target's predictions, or of all.

    Parameters
    ----------
    config : EntropyConfig
    context : `~galmerge_da.adaptation.LossContext`
    """

    batch_coupled = False

    def __init__(self, config, context):
        super().__init__()
        self.config = config

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        if self.config.domains == "target":
            return entropy(target.logits)
        return entropy(torch.cat([source.logits, target.logits]))


SPEC = LossSpec(
    "entropy",
    Entropy,
    EntropyConfig,
    reference="Grandvalet & Bengio 2005, NeurIPS 17, 529",
    summary="sure predictions",
)
