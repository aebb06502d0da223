"""The calibrator recovers what was done to the logits, and never turns the order round."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.metrics import TemperatureCalibrator, expected_calibration_error


def honest_logits(n, n_classes, seed=0):
    """Logits, and labels drawn from exactly the probabilities they promise."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(n, n_classes))
    cumulative = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (rng.uniform(size=(n, 1)) > cumulative).sum(axis=1)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_known_distortion_is_undone(n_classes):
    logits, labels = honest_logits(40_000, n_classes)
    bias = np.linspace(0, 1.2, n_classes)
    calibrator = TemperatureCalibrator.fit(3.0 * (logits - bias), labels)
    assert_allclose(calibrator.temperature, 3, rtol=0.04)
    assert_allclose(calibrator.bias, bias, atol=0.06)


def test_two_classes_agree_with_unpenalised_logistic_regression():
    logits, labels = honest_logits(5000, 2)
    difference = 2.5 * (logits[:, 1] - logits[:, 0]) - 1
    regression = LogisticRegression(C=1e8, tol=1e-8).fit(difference[:, None], labels)
    calibrator = TemperatureCalibrator.fit(np.stack([0 * difference, difference], axis=1), labels)
    assert_allclose(1 / calibrator.temperature, regression.coef_[0, 0], rtol=5e-3)
    assert_allclose(calibrator.bias[1], regression.intercept_[0], atol=5e-3)


def test_calibration_lowers_the_calibration_error_of_an_overconfident_network():
    logits, labels = honest_logits(4000, 2)
    calibrator = TemperatureCalibrator.fit(4 * logits[:2000], labels[:2000])
    before = expected_calibration_error(labels[2000:], softmax(4 * logits[2000:], axis=1))
    after = expected_calibration_error(labels[2000:], calibrator.transform(4 * logits[2000:]))
    assert before > 0.1 and after < before / 2


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.booleans())
def test_the_order_of_two_classes_never_changes(seed, backwards):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(30, 2))
    labels = (logits[:, 1] - logits[:, 0] + rng.normal(size=30) > 0).astype(int)
    labels[:2] = 0, 1
    calibrator = TemperatureCalibrator.fit(logits, 1 - labels if backwards else labels)
    order = np.argsort(logits[:, 1] - logits[:, 0])
    assert np.all(np.diff(calibrator.transform(logits)[order, 1]) >= 0)


def test_perfect_separation_is_not_trusted_without_limit():
    difference = np.concatenate([np.linspace(-9, -1, 50), np.linspace(1, 9, 50)])
    calibrator = TemperatureCalibrator.fit(np.stack([-difference, difference], axis=1), difference > 0)
    merger = difference > 0
    probs = calibrator.transform(np.stack([-difference, difference], axis=1))[merger, 1]
    assert_allclose(np.average(probs, weights=difference[merger]), 51 / 52, rtol=1e-5)
    assert probs.max() < 1


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_of_the_logits_does_not_matter(factor):
    logits, labels = honest_logits(2000, 2)
    small, big = (TemperatureCalibrator.fit(f * logits, labels) for f in (1.0, factor))
    assert_allclose(small.transform(logits), big.transform(factor * logits), atol=1e-4)


def test_constant_logits_give_the_prior():
    calibrator = TemperatureCalibrator.fit(np.zeros((100, 2)), np.arange(100) < 30)
    assert_allclose(calibrator.transform([[0.0, 0.0]])[0, 1], 0.3, atol=0.02)


def test_round_trip_through_json():
    calibrator = TemperatureCalibrator(1.7, (0, -0.3))
    again = TemperatureCalibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    assert again == calibrator


@pytest.mark.parametrize(
    ("temperature", "bias"),
    [(0, (0, 0)), (-1, (0, 0)), (np.nan, (0, 0)), (1, (0, np.inf)), (1, (0,)), (1, 3), ("x", (0, 0))],
)
def test_impossible_calibrators_are_refused(temperature, bias):
    with pytest.raises(ConfigError, match="positive temperature"):
        TemperatureCalibrator(temperature, bias)


@pytest.mark.parametrize(
    "values", [{}, None, {"method": "temperature"}, {"method": "beta", "temperature": 1, "bias": [0, 0]}]
)
def test_a_damaged_description_is_refused(values):
    with pytest.raises(ConfigError, match="calibration"):
        TemperatureCalibrator.from_dict(values)


def test_a_class_without_rows_is_refused():
    with pytest.raises(InputError, match=r"counts \[3, 0\]"):
        TemperatureCalibrator.fit(np.zeros((3, 2)), [0, 0, 0])


def test_the_wrong_number_of_classes_is_refused():
    with pytest.raises(InputError, match=r"\(N, 2\)"):
        TemperatureCalibrator(1, (0, 0)).transform(np.zeros((3, 4)))
    with pytest.raises(InputError, match=r"\(N, K\)"):
        TemperatureCalibrator.fit(np.zeros(3), [0, 1, 0])
