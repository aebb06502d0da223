"""FixMatch: the network learns its own sure predictions on varied views."""

from dataclasses import dataclass

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import consistency
from galmerge_da.adaptation.views import ViewOptions
from galmerge_da.options import option
from galmerge_da.plugins import LossSpec

__all__ = ["FixMatch", "FixMatchConfig", "SPEC"]


@dataclass(frozen=True)
class FixMatchConfig(ViewOptions):
    """Options of `FixMatch`."""

    threshold: float = option(0.95, "probability from which a galaxy is a lesson", at_least=0, at_most=1)


class FixMatch(AdaptationLoss):
    """Pseudo-labels of sure target images, learned on strong views (Sohn et al. 2020, NeurIPS 33, 596).

    The network teaches itself: what it calls the target images of the batch,
    with a probability above a threshold, it is to call their strong views.
    Another forward pass over the target.

    Parameters
    ----------
    config : FixMatchConfig
    context : `~galmerge_da.adaptation.LossContext`
    """

    batch_coupled = False

    def __init__(self, config, context):
        super().__init__()
        self.config = config

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        varied = self.config.vary(target.images, step.generator)
        return consistency(step.model(varied)[1].float(), target.logits, threshold=self.config.threshold)


SPEC = LossSpec(
    "fixmatch",
    FixMatch,
    FixMatchConfig,
    reference="Sohn et al. 2020, NeurIPS 33, 596",
    summary="pseudo-labels of sure target images, learned on varied views",
)
