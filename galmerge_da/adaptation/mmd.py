"""Maximum mean discrepancy between the features of the two domains."""

from dataclasses import dataclass

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import mmd
from galmerge_da.options import Options, option

__all__ = ["MMD", "MMDConfig"]


@dataclass(frozen=True)
class MMDConfig(Options):
    """Options of `MMD`, as for `galmerge_da.adaptation.functional.mmd`."""

    variant: str = option("unbiased", "the estimator", choices=("unbiased", "published"))
    bandwidths: tuple = option(
        None,
        "variances of the kernels; by default from the median distance, as published ones if so",
        above=0,
        optional=True,
    )


class MMD(AdaptationLoss):
    """`galmerge_da.adaptation.functional.mmd` of the features.

    Parameters
    ----------
    config : MMDConfig
    context : `~galmerge_da.adaptation.LossContext`
        Not needed: nothing is learned.
    """

    def __init__(self, config, context):
        super().__init__()
        self.config = config

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        config = self.config
        return mmd(source.features, target.features, variant=config.variant, bandwidths=config.bandwidths)
