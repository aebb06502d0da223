"""Sinkhorn divergence of the features; needs the extra ``ot``."""

from dataclasses import dataclass

import torch

from galmerge_da.adaptation.functional import sinkhorn
from galmerge_da.adaptation.functional.transport import require
from galmerge_da.adaptation.priors import AlignmentLoss, AlignmentOptions
from galmerge_da.options import option
from galmerge_da.plugins import LossSpec

__all__ = ["SPEC", "Sinkhorn", "SinkhornConfig"]


@dataclass(frozen=True)
class SinkhornConfig(AlignmentOptions):
    """Options of `Sinkhorn`.

    Raises
    ------
    ConfigError
        If a value is out of range, or geomloss is not installed.
    """

    blur: float = option(0.05, "distance below which galaxies are not told apart, of the largest", above=0, at_most=1)
    scaling: float = option(0.9, "nearer to 1 is more exact and slower", above=0, below=1)

    def __post_init__(self):
        super().__post_init__()
        require("geomloss", "sinkhorn")


class Sinkhorn(AlignmentLoss):
    """`galmerge_da.adaptation.functional.sinkhorn` of the features.

    The blur follows the features' largest distance, as in SIDDA (Pandya et
    al. 2025, arXiv:2501.14048).
    """

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        with torch.no_grad():
            farthest = float(torch.cdist(source.features, target.features).max())
        return sinkhorn(
            source.features,
            target.features,
            blur=max(self.config.blur * farthest, 1e-6),
            scaling=self.config.scaling,
            source_weight=self.source_weight(source, target),
        )


SPEC = LossSpec(
    "sinkhorn",
    Sinkhorn,
    SinkhornConfig,
    reference="Feydy et al. 2019, AISTATS, 2681",
    summary="Sinkhorn divergence of the features",
)
