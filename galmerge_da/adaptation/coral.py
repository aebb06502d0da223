"""Correlation alignment of the features."""

from galmerge_da.adaptation.functional import coral
from galmerge_da.adaptation.priors import AlignmentLoss, AlignmentOptions
from galmerge_da.plugins import LossSpec

__all__ = ["CORAL", "SPEC"]


class CORAL(AlignmentLoss):
    """`galmerge_da.adaptation.functional.coral` of the features."""

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        return coral(source.features, target.features, source_weight=self.source_weight(source, target))


SPEC = LossSpec(
    "coral",
    CORAL,
    AlignmentOptions,
    reference="Sun & Saenko 2016, ECCV workshops, 443",
    summary="equal covariances of the features",
)
