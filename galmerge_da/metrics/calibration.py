"""Probabilities that mean what they say: how far off they are, and a calibrator that mends them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.metrics._checks import check, over_classes

__all__ = ["TemperatureCalibrator", "expected_calibration_error"]


def expected_calibration_error(labels: ArrayLike, probs: ArrayLike, n_bins: int = 15) -> float:
    """Mean distance between what was promised and what came true.

    Rows are put into bins of equal count by their probability (edges at its
    quantiles, equal values always together), because mergers are rare and bins
    of equal width would be nearly empty where they matter. In each bin the mean
    probability is compared with the fraction of class 1; the absolute
    differences are averaged with the bins' counts as weights.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        Class of each row.
    probs : array_like of float, shape (N,) or (N, K)
        Probability of class 1, or of every class. For K > 2 the mean over
        classes, each against the rest.
    n_bins : int, optional
        Number of bins at most; fewer where a bin would have less than ten
        rows, since chance alone looks like miscalibration there.

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
    return over_classes(lambda truth, p: _binned_error(truth, p, n_bins), labels, probs)


def _binned_error(labels, probs, n_bins):
    if not len(labels):
        return np.nan
    n_bins = max(1, min(n_bins, len(labels) // 10))
    edges = np.quantile(probs, np.linspace(0, 1, n_bins + 1)[1:-1])
    bins = np.searchsorted(edges, probs)
    return np.abs(np.bincount(bins, probs - labels)).sum() / len(labels)


@dataclass(frozen=True)
class TemperatureCalibrator:
    """Probabilities from logits, by one temperature and one bias per class.

    ``softmax(logits / temperature + bias)``: for two classes this is Platt's
    scaling of the difference of the logits. The temperature is positive, so
    with two classes the order of the rows never changes.

    Parameters
    ----------
    temperature : float
        Above 1 where the network is too sure of itself.
    bias : tuple of float, length K
        Added to each class; the first is 0 after `fit`.

    Raises
    ------
    ConfigError
        If the temperature is not positive or a number is not finite.
    """

    temperature: float
    bias: tuple[float, ...]

    def __post_init__(self):
        try:
            numbers = (float(self.temperature), *(float(value) for value in self.bias))
        except (TypeError, ValueError):
            numbers = (np.nan,)
        if not np.all(np.isfinite(numbers)) or not numbers[0] > 0 or len(numbers) < 3:
            raise ConfigError(
                "a calibrator needs a positive temperature and a finite bias for each of at least two classes, "
                f"got {self.temperature!r} and {self.bias!r}"
            )
        object.__setattr__(self, "temperature", numbers[0])
        object.__setattr__(self, "bias", numbers[1:])

    @classmethod
    def fit(cls, logits: ArrayLike, labels: ArrayLike) -> Self:
        """Find the calibrator with the best likelihood on labelled rows.

        Labels are softened by one pseudo-count per class, as Platt does, so that
        a perfect separation gives no infinite confidence.

        Parameters
        ----------
        logits : array_like of float, shape (N, K)
            What the network says, for rows it was not trained on.
        labels : array_like of int, shape (N,)
            Their classes.

        Returns
        -------
        TemperatureCalibrator

        Raises
        ------
        InputError
            If shapes differ, a logit is not finite, or a class has no row.
        """
        labels, logits = check(labels, logits)
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise InputError(f"logits must have shape (N, K) with K of at least 2, got {logits.shape}")
        n_classes = logits.shape[1]
        counts = np.bincount(labels, minlength=n_classes)
        if not counts.all():
            raise InputError(f"calibration needs rows of every class, got counts {counts.tolist()}")
        wanted = ((np.eye(n_classes) * counts[:, None] + 1) / (counts[:, None] + n_classes))[labels]
        logits = np.asarray(logits - logits.mean(axis=1, keepdims=True))
        scale = max(logits.std(), 1e-12)

        def cost(parameters):
            shifted = parameters[0] / scale * logits + np.append(0, parameters[1:])
            log_probs = log_softmax(shifted, axis=1)
            residual = (np.exp(log_probs) - wanted) / len(labels)
            gradient = np.append(np.sum(residual * logits) / scale, residual.sum(axis=0)[1:])
            return -np.sum(wanted * log_probs) / len(labels), gradient

        start = np.append(1.0, np.zeros(n_classes - 1))
        bounds = [(1e-3, 1e3)] + [(None, None)] * (n_classes - 1)
        best = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-14, "gtol": 1e-9})
        return cls(scale / best.x[0], (0.0, *best.x[1:]))

    def transform(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities.

        Parameters
        ----------
        logits : array_like of float, shape (N, K)
            What the network says.

        Returns
        -------
        `~numpy.ndarray` of float64, shape (N, K)

        Raises
        ------
        InputError
            If the number of classes is not the calibrator's.
        """
        logits = np.asarray(logits, dtype=np.float64)
        if logits.ndim != 2 or logits.shape[1] != len(self.bias):
            raise InputError(f"logits must have shape (N, {len(self.bias)}), got {logits.shape}")
        return softmax(logits / self.temperature + np.asarray(self.bias), axis=1)

    def to_dict(self) -> dict[str, Any]:
        """The calibrator as plain numbers that JSON can hold.

        Returns
        -------
        dict
        """
        return {"method": "temperature", "temperature": self.temperature, "bias": list(self.bias)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The calibrator that `to_dict` described.

        Parameters
        ----------
        values : mapping
            As `to_dict` gives it.

        Raises
        ------
        ConfigError
            If the method is another one, a key is missing, or a number is wrong.
        """
        try:
            method, temperature, bias = values["method"], values["temperature"], values["bias"]
        except (KeyError, TypeError) as error:
            raise ConfigError(f"a calibration needs method, temperature and bias, got {values!r}") from error
        if method != "temperature":
            raise ConfigError(f"calibration method {method!r} is not known; known: temperature")
        return cls(temperature, tuple(bias) if isinstance(bias, (list, tuple)) else bias)
