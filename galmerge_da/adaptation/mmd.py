"""Maximum mean discrepancy between the features of the two domains."""

from dataclasses import dataclass

from galmerge_da.adaptation.base import AdaptationLoss
from galmerge_da.adaptation.functional import check_bandwidths, mmd
from galmerge_da.exceptions import ConfigError

__all__ = ["MMD", "MMDConfig"]


@dataclass(frozen=True)
class MMDConfig:
    """Options of `MMD`, as for `galmerge_da.adaptation.functional.mmd`.

    Parameters
    ----------
    variant : {"unbiased", "published"}, optional
    bandwidths : sequence of float, optional

    Raises
    ------
    ConfigError
        If the variant is unknown or a bandwidth is not positive.
    """

    variant: str = "unbiased"
    bandwidths: tuple | None = None

    def __post_init__(self):
        if self.variant not in ("unbiased", "published"):
            raise ConfigError(f"mmd: variant must be 'unbiased' or 'published', got {self.variant!r}")
        if self.bandwidths is not None:
            object.__setattr__(self, "bandwidths", check_bandwidths(self.bandwidths))


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
