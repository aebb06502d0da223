"""Domain adaptation: losses that pull the features of two domains together.

The maths is in `galmerge_da.adaptation.functional`; each method is a small
module that wraps it, and comes in as a plugin. This room sees tensors only.
"""

from galmerge_da.adaptation import functional
from galmerge_da.adaptation.base import AdaptationLoss, DomainBatch, LossContext, StepContext
from galmerge_da.adaptation.weighted import WeightedLosses, build_losses, make_loss

__all__ = [
    "AdaptationLoss",
    "DomainBatch",
    "LossContext",
    "StepContext",
    "WeightedLosses",
    "build_losses",
    "functional",
    "make_loss",
]
