"""Fisher loss: classes that are compact and far apart in the source's features."""

from dataclasses import dataclass

import torch
from torch import nn

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import fisher
from galmerge_da.options import Options, option
from galmerge_da.plugins import LossSpec

__all__ = ["SPEC", "Fisher", "FisherConfig"]


@dataclass(frozen=True)
class FisherConfig(Options):
    """Options of `Fisher`, as for `galmerge_da.adaptation.functional.fisher`."""

    form: str = option("ratio", "ratio or difference of the scatters", choices=("ratio", "difference"))
    within: float = option(1.0, "weight of the scatter within classes", at_least=0)
    between: float = option(1.0, "weight of the scatter between them", above=0)
    reduction: str = option("mean", "over galaxies; sum: as published", choices=("mean", "sum"))
    centers: str = option("trainable", "whether centres are learned or the batch's", choices=("trainable", "batch"))


class Fisher(AdaptationLoss):
    """`galmerge_da.adaptation.functional.fisher` of the source's features.

    Parameters
    ----------
    config : FisherConfig
    context : `~galmerge_da.adaptation.LossContext`
    """

    def __init__(self, config, context):
        super().__init__()
        self.config = config
        centers = torch.randn(context.n_classes, context.feature_dim, generator=context.generator)
        self.centers = nn.Parameter(centers) if config.centers == "trainable" else None

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        config = self.config
        return fisher(
            source.features,
            source.labels,
            self.centers,
            form=config.form,
            within=config.within,
            between=config.between,
            reduction=config.reduction,
        )


SPEC = LossSpec(
    "fisher",
    Fisher,
    FisherConfig,
    reference="Zhang et al. 2020, arXiv:2003.05636",
    summary="compact classes, far apart, in the features of the source",
)
