"""The losses as pure functions of tensors, one for each method.

Half-precision input is computed in float32. Weights of source rows, where a
function takes them, say how much each row counts: see `prior_weights`.
"""

from galmerge_da.adaptation.functional.adversarial import cdan, dann, reverse_gradient
from galmerge_da.adaptation.functional.contrast import contrastive
from galmerge_da.adaptation.functional.kernels import PUBLISHED_BANDWIDTHS, jmmd, mmd
from galmerge_da.adaptation.functional.moments import afn, coral, fisher
from galmerge_da.adaptation.functional.predictions import bnm, consistency, entropy, mcc
from galmerge_da.adaptation.functional.priors import estimate_prior, prior_weights
from galmerge_da.adaptation.functional.transport import deepjdot, sinkhorn

__all__ = [
    "PUBLISHED_BANDWIDTHS",
    "afn",
    "bnm",
    "cdan",
    "consistency",
    "contrastive",
    "coral",
    "dann",
    "deepjdot",
    "entropy",
    "estimate_prior",
    "fisher",
    "jmmd",
    "mcc",
    "mmd",
    "prior_weights",
    "reverse_gradient",
    "sinkhorn",
]
