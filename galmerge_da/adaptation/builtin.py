"""The built-in losses, as one plugin."""

from galmerge_da.adaptation.mmd import MMD, MMDConfig
from galmerge_da.plugins import LossSpec, hookimpl

__all__ = ["galmerge_da_losses"]


@hookimpl
def galmerge_da_losses():
    """Offer the built-in losses."""
    return [
        LossSpec(
            "mmd",
            MMD,
            MMDConfig,
            reference="Gretton et al. 2012, JMLR 13, 723; Ciprijanovic et al. 2021, MNRAS 506, 677",
            summary="maximum mean discrepancy of the features, Gaussian kernels",
        )
    ]
