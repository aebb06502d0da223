"""The loss ``example-moments``."""

from dataclasses import dataclass

from galmerge_da.adaptation import AdaptationLoss
from galmerge_da.plugins import LossSpec, Options, hookimpl, option

__all__ = ["Moments", "MomentsConfig", "galmerge_da_losses"]


@dataclass(frozen=True)
class MomentsConfig(Options):
    """Options of `Moments`."""

    variance: float = option(1.0, "how much the variances count beside the means", at_least=0)


class Moments(AdaptationLoss):
    r"""Differences of the mean and of the standard deviation of each feature.

    .. math:: \frac{1}{D} \sum_d (\bar s_d - \bar t_d)^2 + v (\sigma_{s,d} - \sigma_{t,d})^2

    Parameters
    ----------
    config : MomentsConfig
    context : `~galmerge_da.adaptation.LossContext`
        Not needed: nothing is learned.
    """

    def __init__(self, config, context):
        super().__init__()
        self.config = config

    def forward(self, source, target, step):
        """As `AdaptationLoss.forward`."""
        means = source.features.mean(0) - target.features.mean(0)
        widths = _width(source.features) - _width(target.features)
        return means.square().mean() + self.config.variance * widths.square().mean()


def _width(features):
    """Standard deviation of each feature, shape (D,); its gradient is finite where it is zero."""
    return (features.var(0, correction=0) + 1e-12).sqrt()


@hookimpl
def galmerge_da_losses():
    """Offer the loss."""
    return [
        LossSpec(
            "example-moments",
            Moments,
            MomentsConfig,
            reference="Sun & Saenko 2016, ECCV Workshops, 443, for the idea",
            summary="differences of the means and the widths of the features",
        )
    ]
