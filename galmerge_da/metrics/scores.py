"""Scores of probabilities and of decisions: Brier, accuracy, purity, completeness."""

import numpy as np
from numpy.typing import ArrayLike

from galmerge_da.exceptions import InputError
from galmerge_da.metrics._checks import check
from galmerge_da.metrics.calibration import expected_calibration_error
from galmerge_da.metrics.ranking import average_precision, roc_auc

__all__ = ["accuracy", "binary_scores", "brier_score", "purity_at_prevalence"]


def brier_score(labels: ArrayLike, probs: ArrayLike) -> float:
    """Mean squared distance of the probabilities from the truth.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Class of each row.
    probs : array_like of float, shape (N,) or (N, K)
        Probability of class 1, or of every class.

    Returns
    -------
    float
        Half the squared distance summed over classes, so that one column and
        two columns agree: 0 is perfect, 1 is the worst. NaN without rows.

    Raises
    ------
    InputError
        If shapes differ, a label is not a class, or a probability is not in [0, 1].
    """
    labels, probs = check(labels, probs, probabilities=True)
    if not len(labels):
        return np.nan
    if probs.ndim == 1:
        return float(np.mean((probs - labels) ** 2))
    return float(np.mean(np.sum((probs - np.eye(probs.shape[1])[labels]) ** 2, axis=1)) / 2)


def accuracy(labels: ArrayLike, probs: ArrayLike, threshold: float = 0.5) -> float:
    """Fraction of rows whose class is right.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Class of each row.
    probs : array_like of float, shape (N,) or (N, K)
        Probability of class 1, or of every class.
    threshold : float, optional
        With one or two columns, class 1 is chosen where its probability
        reaches this; more columns choose the largest.

    Returns
    -------
    float
        NaN without rows.

    Raises
    ------
    InputError
        If shapes differ, a label is not a class, or a probability is not in [0, 1].
    """
    labels, probs = check(labels, probs, probabilities=True)
    if not len(labels):
        return np.nan
    if probs.ndim == 2 and probs.shape[1] > 2:
        return float(np.mean(probs.argmax(axis=1) == labels))
    positive = (probs if probs.ndim == 1 else probs[:, 1]) >= threshold
    return float(np.mean(positive == labels))


def binary_scores(labels: ArrayLike, probs: ArrayLike, threshold: float = 0.5) -> dict[str, float]:
    """Everything worth knowing about a two-class classifier on labelled rows.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        1 for mergers, 0 for the rest.
    probs : array_like of float, shape (N,)
        Probability of being a merger.
    threshold : float, optional
        A row is taken as a merger where its probability reaches this.

    Returns
    -------
    dict of str to float
        ``n`` and ``n_positive`` (counts), ``auc``, ``average_precision``,
        ``brier``, ``ece``, ``accuracy``, ``purity`` (precision), ``completeness``
        (recall) and ``f1``. NaN where a score is not defined: the ranking
        scores with one class only, purity where nothing is selected,
        completeness where there is nothing to find.

    Raises
    ------
    InputError
        If shapes differ, a label is not 0 or 1, or a probability is not in [0, 1].
    """
    labels, probs = check(labels, np.reshape(probs, -1), probabilities=True)
    selected = probs >= threshold
    found, n_selected, n_positive = np.count_nonzero(selected & (labels == 1)), selected.sum(), labels.sum()
    return {
        "n": len(labels),
        "n_positive": int(n_positive),
        "auc": roc_auc(labels, probs),
        "average_precision": average_precision(labels, probs),
        "brier": brier_score(labels, probs),
        "ece": expected_calibration_error(labels, probs),
        "accuracy": accuracy(labels, probs, threshold),
        "purity": _ratio(found, n_selected),
        "completeness": _ratio(found, n_positive),
        "f1": _ratio(2 * found, n_selected + n_positive),
    }


def purity_at_prevalence(
    labels: ArrayLike, probs: ArrayLike, prevalence: float, threshold: float = 0.5
) -> tuple[float, float]:
    """Purity and completeness of a selection, if another share of the galaxies were mergers.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        1 for mergers, 0 for the rest.
    probs : array_like of float, shape (N,)
        Probability of being a merger.
    prevalence : float
        The share of mergers, between 0 and 1.
    threshold : float, optional
        A row is taken as a merger where its probability reaches this.

    Returns
    -------
    purity, completeness : float
        From the fractions selected of either class, which do not depend on
        the share. NaN where nothing is selected, or a class is not there.

    Raises
    ------
    InputError
        If shapes differ, a label is not 0 or 1, a probability is not in [0, 1],
        or the prevalence is not between 0 and 1.
    """
    if not 0 < prevalence < 1:
        raise InputError(f"prevalence must be between 0 and 1, got {prevalence!r}")
    labels, probs = check(labels, np.reshape(probs, -1), probabilities=True)
    selected = probs >= threshold
    of_mergers, of_others = (
        _ratio(np.count_nonzero(selected & (labels == value)), np.count_nonzero(labels == value)) for value in (1, 0)
    )
    found = prevalence * of_mergers
    return _ratio(found, found + (1 - prevalence) * of_others), of_mergers


def _ratio(numerator, denominator):
    return float(numerator / denominator) if denominator else np.nan
