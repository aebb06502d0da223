"""Adaptive norms of the features."""

from dataclasses import dataclass

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import afn
from galmerge_da.options import Options, option
from galmerge_da.plugins import LossSpec

__all__ = ["AFN", "AFNConfig", "SPEC"]


@dataclass(frozen=True)
class AFNConfig(Options):
    """Options of `AFN`."""

    step: float = option(1.0, "how much larger than it is a norm should be", above=0)


class AFN(AdaptationLoss):
    """`galmerge_da.adaptation.functional.afn` of each domain's features, added.

    Parameters
    ----------
    config : AFNConfig
    context : `~galmerge_da.adaptation.LossContext`
    """

    batch_coupled = False

    def __init__(self, config, context):
        super().__init__()
        self.config = config

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        return sum(afn(each.features, step=self.config.step) for each in (source, target))


SPEC = LossSpec(
    "afn",
    AFN,
    AFNConfig,
    reference="Xu et al. 2019, ICCV, 1426",
    summary="features of growing norm, in both domains",
)
