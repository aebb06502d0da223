"""The built-in losses, as one plugin."""

from galmerge_da.adaptation import (
    afn,
    bnm,
    cdan,
    contrastive,
    coral,
    dann,
    deepjdot,
    entropy,
    fisher,
    fixmatch,
    jmmd,
    mcc,
    mean_teacher,
    mmd,
    sinkhorn,
)
from galmerge_da.plugins import hookimpl

__all__ = ["galmerge_da_losses"]

_METHODS = (
    afn,
    bnm,
    cdan,
    contrastive,
    coral,
    dann,
    deepjdot,
    entropy,
    fisher,
    fixmatch,
    jmmd,
    mcc,
    mean_teacher,
    mmd,
    sinkhorn,
)


@hookimpl
def galmerge_da_losses():
    """Offer the built-in losses."""
    return [method.SPEC for method in _METHODS]
