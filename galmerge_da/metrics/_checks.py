"""What every score asks of its input, and how a score of two classes becomes one of many."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galmerge_da.exceptions import InputError

__all__ = ["check", "over_classes"]


def check(
    labels: ArrayLike, scores: ArrayLike, *, probabilities: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and scores as arrays that can be trusted.

    Parameters
    ----------
    labels : array_like of int or bool, shape (N,)
        Class of each row, counted from 0.
    scores : array_like of float, shape (N,) or (N, K)
        Score of class 1, or of each class.
    probabilities : bool, optional
        Ask for values in [0, 1] too.

    Returns
    -------
    labels : `~numpy.ndarray` of int64, shape (N,)
    scores : `~numpy.ndarray` of float64, shape (N,) or (N, K)

    Raises
    ------
    InputError
        If lengths differ, a label is not a class, or a score is not a finite
        number (a row without a probability must be left out first).
    """
    labels, scores = np.asarray(labels), np.asarray(np.ma.filled(np.ma.asarray(scores, dtype=np.float64), np.nan))
    if labels.ndim != 1 or scores.ndim not in (1, 2) or len(labels) != len(scores):
        raise InputError(
            f"labels must have shape (N,) and scores (N,) or (N, K); got {labels.shape} and {scores.shape}"
        )
    n_classes = scores.shape[1] if scores.ndim == 2 else 2
    whole = labels.astype(np.int64, copy=True) if labels.dtype.kind in "buif" and np.isfinite(labels).all() else None
    if whole is None or np.any(whole != labels) or np.any((whole < 0) | (whole >= n_classes)):
        raise InputError(f"labels must be whole numbers from 0 to {n_classes - 1}, got {np.unique(labels)[:5]}")
    if bad := np.count_nonzero(~np.isfinite(scores)):
        raise InputError(f"{bad} of {scores.size} scores are not finite; leave out the rows that have none")
    if probabilities and np.any((scores < 0) | (scores > 1)):
        raise InputError(f"probabilities must lie in [0, 1], got {scores.min():g} to {scores.max():g}")
    return whole, scores


def over_classes(score, labels, scores):
    """A two-class score, averaged over one-against-the-rest where there are more classes.

    Parameters
    ----------
    score : callable
        ``score(labels (N,), scores (N,)) -> float``.
    labels : `~numpy.ndarray` of int, shape (N,)
    scores : `~numpy.ndarray` of float, shape (N,) or (N, K)
        Already checked.

    Returns
    -------
    float
        For one or two columns the score of class 1, else the plain mean over
        classes.
    """
    if scores.ndim == 1:
        return float(score(labels, scores))
    if scores.shape[1] == 2:
        return float(score(labels, scores[:, 1]))
    return float(np.mean([score((labels == k).astype(np.int64), scores[:, k]) for k in range(scores.shape[1])]))
