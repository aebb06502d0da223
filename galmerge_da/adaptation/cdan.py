"""Adversarial training of features and predictions together."""

from dataclasses import dataclass

from galmerge_da.adaptation.adversarial import AdversarialConfig, AdversarialLoss
from galmerge_da.adaptation.functional import cdan
from galmerge_da.options import option
from galmerge_da.plugins import LossSpec

__all__ = ["CDAN", "CDANConfig", "SPEC"]


@dataclass(frozen=True)
class CDANConfig(AdversarialConfig):
    """Options of `CDAN`."""

    entropy: bool = option(True, "whether galaxies count more where the classifier is sure of them")


class CDAN(AdversarialLoss):
    """`galmerge_da.adaptation.functional.cdan` of features and predictions.

    Parameters
    ----------
    config : CDANConfig
    context : `~galmerge_da.adaptation.LossContext`
    """

    def __init__(self, config, context):
        super().__init__(config, context, context.feature_dim * context.n_classes)

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        return cdan(
            source.features,
            source.logits,
            target.features,
            target.logits,
            self.discriminator,
            entropy=self.config.entropy,
            reversal=self.reversal(step),
            source_weight=self.source_weight(source, target),
        )


SPEC = LossSpec(
    "cdan",
    CDAN,
    CDANConfig,
    reference="Long et al. 2018, NeurIPS 31, 1640",
    summary="discriminator of features times predictions",
)
