"""Domain adaptation: losses that pull the features of two domains together.

The maths is in `galmerge_da.adaptation.functional`; each method is a small
module that wraps it, and comes in as a plugin. This room sees tensors only.
"""

from galmerge_da.adaptation import functional
from galmerge_da.adaptation.adabn import adabn
from galmerge_da.adaptation.base import AdaptationLoss, DomainBatch, LossContext, StepContext
from galmerge_da.adaptation.priors import AlignmentLoss, AlignmentOptions
from galmerge_da.adaptation.weighted import WeightedLosses, build_losses, check_losses, make_loss
from galmerge_da.adaptation.weights import LearnedWeights

__all__ = [
    "AdaptationLoss",
    "AlignmentLoss",
    "AlignmentOptions",
    "DomainBatch",
    "LearnedWeights",
    "LossContext",
    "StepContext",
    "WeightedLosses",
    "adabn",
    "build_losses",
    "check_losses",
    "functional",
    "make_loss",
]
