"""Minimum class confusion of the predictions."""

from dataclasses import dataclass

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import mcc
from galmerge_da.options import Options, option
from galmerge_da.plugins import LossSpec

__all__ = ["MCC", "MCCConfig", "SPEC"]


@dataclass(frozen=True)
class MCCConfig(Options):
    """Options of `MCC`."""

    temperature: float = option(2.5, "of the predictions", above=0)


class MCC(AdaptationLoss):
    """`galmerge_da.adaptation.functional.mcc` of the target's predictions.

    Parameters
    ----------
    config : MCCConfig
    context : `~galmerge_da.adaptation.LossContext`
    """

    def __init__(self, config, context):
        super().__init__()
        self.config = config

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        return mcc(target.logits, temperature=self.config.temperature)


SPEC = LossSpec(
    "mcc",
    MCC,
    MCCConfig,
    reference="Jin et al. 2020, ECCV, 464",
    summary="little confusion of classes in the target",
)
