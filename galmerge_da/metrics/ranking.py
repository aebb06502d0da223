"""Scores that only look at the order: ROC curve, its area, average precision."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from galmerge_da.metrics._checks import check, over_classes

__all__ = ["average_precision", "roc_auc", "roc_curve"]


def roc_curve(
    labels: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Receiver operating characteristic.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        1 for the class looked for, 0 for the other.
    scores : array_like of float, shape (N,)
        Larger means more likely class 1.

    Returns
    -------
    false_positive_rate, true_positive_rate, thresholds : `~numpy.ndarray`, shape (M,)
        One point per different score, from (0, 0) at an infinite threshold to
        (1, 1); a row is positive where its score reaches the threshold. A rate
        is NaN where its class has no row.

    Raises
    ------
    InputError
        If shapes differ, a label is not 0 or 1, or a score is not finite.
    """
    labels, scores = check(labels, scores)
    true, false, thresholds = _counts(labels, scores.reshape(len(labels)))
    return (
        _rate(np.append(0, false), np.count_nonzero(labels == 0)),
        _rate(np.append(0, true), np.count_nonzero(labels)),
        np.append(np.inf, thresholds),
    )


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a member of class 1 scores above one of class 0.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Class of each row.
    scores : array_like of float, shape (N,) or (N, K)
        Score of class 1, or of every class. Equal scores count one half. For
        K > 2 the mean over classes, each against the rest.

    Returns
    -------
    float
        NaN where only one class is present.

    Raises
    ------
    InputError
        If shapes differ, a label is not a class, or a score is not finite.
    """
    return over_classes(_area, *check(labels, scores))


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    """Mean of the precision over the recall, without interpolation.

    Parameters
    ----------
    labels, scores
        As for `roc_auc`.

    Returns
    -------
    float
        NaN where only one class is present.

    Raises
    ------
    InputError
        If shapes differ, a label is not a class, or a score is not finite.
    """
    return over_classes(_average_precision, *check(labels, scores))


def _counts(labels, scores):
    """Members of class 1 and of class 0 at or above each different score, from high to low."""
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True)) if len(scores) else np.array([], dtype=int)
    true = np.cumsum(labels)[last]
    return true, last + 1 - true, scores[last]


def _rate(count, total):
    return count / total if total else np.full(len(count), np.nan)


def _area(labels, scores):
    true, false, _ = _counts(labels, scores)
    if not len(true) or not true[-1] or not false[-1]:
        return np.nan
    steps, heights = np.diff(np.append(0, false)), np.append(0, true)
    return np.sum(steps * (heights[1:] + heights[:-1]) / 2) / (true[-1] * false[-1])


def _average_precision(labels, scores):
    true, false, _ = _counts(labels, scores)
    if not len(true) or not true[-1] or not false[-1]:
        return np.nan
    return np.sum(np.diff(np.append(0, true)) * true / (true + false)) / true[-1]
