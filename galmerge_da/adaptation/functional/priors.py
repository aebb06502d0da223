"""Label shift: the classes' shares in an unlabelled target, and what they say about source rows."""

import torch

from galmerge_da.adaptation.functional._checks import check_labels, check_rows
from galmerge_da.exceptions import InputError

__all__ = ["estimate_prior", "prior_weights"]


def estimate_prior(
    probs: torch.Tensor, source_prior: torch.Tensor, *, strength: float = 0.0, n_iter: int = 100
) -> torch.Tensor:
    """Shares of the classes in a target, from predictions alone (Saerens et al. 2002, Neural Comput. 14, 21).

    Expectation maximisation: predictions are corrected for the shares, the
    shares are their mean, and so on from the source's shares. Predictions
    must be calibrated on the source; those that say nothing leave its shares
    as they are.

    Parameters
    ----------
    probs : `~torch.Tensor`, shape (N, K)
        Class probabilities of target rows, as learned on the source.
    source_prior : `~torch.Tensor`, shape (K,)
        Shares of the classes in the source, all above 0.
    strength : float, optional
        Rows that the source's shares are worth, against chance in small samples.
    n_iter : int, optional

    Returns
    -------
    `~torch.Tensor`, shape (K,)
        Adds up to 1; without gradient.

    Raises
    ------
    InputError
        If shapes do not correspond, or a share of the source is not positive.
    """
    check_rows("estimate_prior", probs)
    if source_prior.shape != probs.shape[1:] or not bool((source_prior > 0).all()):
        raise InputError(
            f"estimate_prior: source_prior must be {probs.shape[1]} positive numbers, got {source_prior.tolist()}"
        )
    probs = probs.detach().double()
    start = source_prior.detach().to(probs) / source_prior.sum()
    prior = start
    for _ in range(n_iter):
        corrected = probs * (prior / start)
        corrected = corrected / corrected.sum(1, keepdim=True).clamp_min(torch.finfo(probs.dtype).tiny)
        prior = (corrected.sum(0) + strength * start) / (len(probs) + strength)
        prior = prior / prior.sum()
    return prior.to(source_prior.dtype)


def prior_weights(labels: torch.Tensor, source_prior: torch.Tensor, target_prior: torch.Tensor) -> torch.Tensor:
    """How much each source row counts if classes are to have the target's shares.

    Parameters
    ----------
    labels : `~torch.Tensor` of int, shape (N,)
        Of source rows.
    source_prior, target_prior : `~torch.Tensor`, shape (K,)

    Returns
    -------
    `~torch.Tensor`, shape (N,)
        ``target_prior / source_prior`` of each row's class.

    Raises
    ------
    InputError
        If shapes do not correspond, a label is no class, or a share of the
        source is not positive.
    """
    if source_prior.ndim != 1 or source_prior.shape != target_prior.shape or not bool((source_prior > 0).all()):
        raise InputError("prior_weights: both priors must be K numbers, the source's above 0")
    check_labels("prior_weights", labels, len(labels), len(source_prior))
    return (target_prior / source_prior)[labels]
