"""Optimal transport of features and labels together; needs the extra ``ot``."""

from dataclasses import dataclass

from galmerge_da.adaptation.functional import deepjdot
from galmerge_da.adaptation.functional.transport import require
from galmerge_da.adaptation.priors import AlignmentLoss, AlignmentOptions
from galmerge_da.options import option
from galmerge_da.plugins import LossSpec

__all__ = ["DeepJDOT", "DeepJDOTConfig", "SPEC"]


@dataclass(frozen=True)
class DeepJDOTConfig(AlignmentOptions):
    """Options of `DeepJDOT`, as for `galmerge_da.adaptation.functional.deepjdot`.

    Raises
    ------
    ConfigError
        If a value is out of range, or POT is not installed.
    """

    feature_weight: float = option(0.001, "weight of the squared distance of features", at_least=0)
    label_weight: float = option(1.0, "weight of the cross-entropy", at_least=0)

    def __post_init__(self):
        super().__post_init__()
        require("ot", "deepjdot")


class DeepJDOT(AlignmentLoss):
    """`galmerge_da.adaptation.functional.deepjdot` of features and predictions."""

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        return deepjdot(
            source.features,
            source.labels,
            target.features,
            target.logits,
            feature_weight=self.config.feature_weight,
            label_weight=self.config.label_weight,
            source_weight=self.source_weight(source, target),
        )


SPEC = LossSpec(
    "deepjdot",
    DeepJDOT,
    DeepJDOTConfig,
    reference="Damodaran et al. 2018, ECCV, 467",
    summary="optimal transport of features and labels",
)
