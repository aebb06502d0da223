"""Joint maximum mean discrepancy of features and predictions."""

from dataclasses import dataclass

from galmerge_da.adaptation.functional import jmmd
from galmerge_da.adaptation.priors import AlignmentLoss, AlignmentOptions
from galmerge_da.options import option
from galmerge_da.plugins import LossSpec

__all__ = ["JMMD", "JMMDConfig", "SPEC"]


@dataclass(frozen=True)
class JMMDConfig(AlignmentOptions):
    """Options of `JMMD`, as for `galmerge_da.adaptation.functional.jmmd`."""

    variant: str = option("unbiased", "the estimator", choices=("unbiased", "biased"))


class JMMD(AlignmentLoss):
    """`galmerge_da.adaptation.functional.jmmd` of features and class probabilities."""

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        layers = [(each.features, each.logits.softmax(1)) for each in (source, target)]
        return jmmd(*layers, variant=self.config.variant, source_weight=self.source_weight(source, target))


SPEC = LossSpec(
    "jmmd",
    JMMD,
    JMMDConfig,
    reference="Long et al. 2017, PMLR 70, 2208",
    summary="maximum mean discrepancy of features and predictions together",
)
