"""Domain-adversarial training of the features."""

from galmerge_da.adaptation.adversarial import AdversarialConfig, AdversarialLoss
from galmerge_da.adaptation.functional import dann
from galmerge_da.plugins import LossSpec

__all__ = ["DANN", "SPEC"]


class DANN(AdversarialLoss):
    """`galmerge_da.adaptation.functional.dann` of the features.

    Parameters
    ----------
    config : AdversarialConfig
    context : `~galmerge_da.adaptation.LossContext`
    """

    def __init__(self, config, context):
        super().__init__(config, context, context.feature_dim)

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        weight = self.source_weight(source, target)
        return dann(
            source.features, target.features, self.discriminator, reversal=self.reversal(step), source_weight=weight
        )


SPEC = LossSpec(
    "dann",
    DANN,
    AdversarialConfig,
    reference="Ganin et al. 2016, JMLR 17, 59",
    summary="discriminator of domains behind a reversed gradient",
)
