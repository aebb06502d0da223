"""Maximum mean discrepancy of the features."""

from dataclasses import dataclass

from galmerge_da.adaptation.functional import mmd
from galmerge_da.adaptation.priors import AlignmentLoss, AlignmentOptions
from galmerge_da.options import option
from galmerge_da.plugins import LossSpec

__all__ = ["MMD", "MMDConfig", "SPEC"]


@dataclass(frozen=True)
class MMDConfig(AlignmentOptions):
    """Options of `MMD`, as for `galmerge_da.adaptation.functional.mmd`."""

    variant: str = option("unbiased", "the estimator", choices=("unbiased", "biased", "published"))
    bandwidths: tuple = option(
        None, "variances of the kernels; none: from the median distance, or those published", above=0, optional=True
    )


class MMD(AlignmentLoss):
    """`galmerge_da.adaptation.functional.mmd` of the features."""

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        return mmd(
            source.features,
            target.features,
            variant=self.config.variant,
            bandwidths=self.config.bandwidths,
            source_weight=self.source_weight(source, target),
        )


SPEC = LossSpec(
    "mmd",
    MMD,
    MMDConfig,
    reference="Gretton et al. 2012, JMLR 13, 723; Ciprijanovic et al. 2021, MNRAS 506, 677",
    summary="maximum mean discrepancy of the features, Gaussian kernels",
)
