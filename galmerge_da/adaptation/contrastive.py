"""Contrastive alignment of classes, on pseudo-labels of the target."""

from dataclasses import dataclass

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import contrastive
from galmerge_da.options import Options, option
from galmerge_da.plugins import LossSpec

__all__ = ["SPEC", "Contrastive", "ContrastiveConfig"]


@dataclass(frozen=True)
class ContrastiveConfig(Options):
    """Options of `Contrastive`, as for `galmerge_da.adaptation.functional.contrastive`."""

    temperature: float = option(0.1, "of the cosines", above=0)
    threshold: float = option(0.9, "probability from which a galaxy has a pseudo-label", at_least=0, at_most=1)


class Contrastive(AdaptationLoss):
    """`galmerge_da.adaptation.functional.contrastive` of the features.

    Parameters
    ----------
    config : ContrastiveConfig
    context : `~galmerge_da.adaptation.LossContext`
    """

    def __init__(self, config, context):
        super().__init__()
        self.config = config

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        return contrastive(
            source.features,
            source.labels,
            target.features,
            target.logits,
            temperature=self.config.temperature,
            threshold=self.config.threshold,
        )


SPEC = LossSpec(
    "contrastive",
    Contrastive,
    ContrastiveConfig,
    reference="Wang et al. 2022, IEEE TMM 25, 1665",
    summary="classes close across domains, on pseudo-labels",
)
