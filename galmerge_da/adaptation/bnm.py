"""Batch nuclear-norm maximisation of the predictions."""

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import bnm
from galmerge_da.options import NoOptions
from galmerge_da.plugins import LossSpec

__all__ = ["BNM", "SPEC"]


class BNM(AdaptationLoss):
    """`galmerge_da.adaptation.functional.bnm` of the target's predictions.

    Parameters
    ----------
    config : `~galmerge_da.options.NoOptions`
    context : `~galmerge_da.adaptation.LossContext`
    """

    def __init__(self, config, context):
        super().__init__()

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        return bnm(target.logits)


SPEC = LossSpec(
    "bnm",
    BNM,
    NoOptions,
    reference="Cui et al. 2020, CVPR, 3940",
    summary="sure and diverse predictions of the target",
)
