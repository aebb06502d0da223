"""Ranking and decision scores against scikit-learn and against plain loops."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.calibration import calibration_curve

from galmerge_da.exceptions import InputError
from galmerge_da.metrics import (
    accuracy,
    average_precision,
    binary_scores,
    brier_score,
    expected_calibration_error,
    roc_auc,
    roc_curve,
)

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=2, max_size=40).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


def sample(n=300, n_classes=None, seed=0):
    rng = np.random.default_rng(seed)
    if n_classes:
        labels = rng.integers(0, n_classes, n)
        logits = rng.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[labels]
        return labels, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = rng.integers(0, 2, n)
    return labels, np.clip(0.3 * labels + rng.uniform(0, 0.7, n), 0, 1)


@settings(deadline=None, max_examples=60)
@given(ROWS)
def test_ranking_with_many_ties_agrees_with_scikit_learn(rows):
    labels, scores = np.array(rows).T
    scores = scores / 8
    assert_allclose(roc_auc(labels, scores), sk.roc_auc_score(labels, scores))
    assert_allclose(average_precision(labels, scores), sk.average_precision_score(labels, scores))
    for ours, theirs in zip(
        roc_curve(labels, scores), sk.roc_curve(labels, scores, drop_intermediate=False), strict=True
    ):
        assert_allclose(ours, theirs)


@settings(deadline=None, max_examples=30)
@given(ROWS)
def test_area_is_the_chance_of_the_right_order(rows):
    labels, scores = np.array(rows).T
    pairs = [(a > b) + (a == b) / 2 for a in scores[labels == 1] for b in scores[labels == 0]]
    assert_allclose(roc_auc(labels, scores), np.mean(pairs))


def test_decision_scores_agree_with_scikit_learn():
    labels, probs = sample()
    scores = binary_scores(labels, probs, threshold=0.45)
    chosen = probs >= 0.45
    assert scores["n"] == 300 and scores["n_positive"] == labels.sum()
    for name, function in (
        ("accuracy", sk.accuracy_score),
        ("purity", sk.precision_score),
        ("completeness", sk.recall_score),
        ("f1", sk.f1_score),
    ):
        assert_allclose(scores[name], function(labels, chosen), err_msg=name)
    assert_allclose(scores["brier"], sk.brier_score_loss(labels, probs))
    assert scores["auc"] == roc_auc(labels, probs)
    assert scores["average_precision"] == average_precision(labels, probs)
    assert scores["ece"] == expected_calibration_error(labels, probs)


def test_a_probability_on_the_threshold_is_selected():
    assert binary_scores([0, 1], [0.1, 0.5])["completeness"] == 1


def test_many_classes_agree_with_scikit_learn():
    labels, probs = sample(n_classes=4)
    assert_allclose(roc_auc(labels, probs), sk.roc_auc_score(labels, probs, multi_class="ovr"))
    assert_allclose(average_precision(labels, probs), sk.average_precision_score(np.eye(4)[labels], probs))
    assert_allclose(accuracy(labels, probs), sk.accuracy_score(labels, probs.argmax(axis=1)))
    assert_allclose(brier_score(labels, probs), np.mean(np.sum((np.eye(4)[labels] - probs) ** 2, axis=1)) / 2)


@pytest.mark.parametrize(
    "score", [roc_auc, average_precision, brier_score, accuracy, expected_calibration_error], ids=lambda f: f.__name__
)
def test_one_column_and_two_columns_agree(score):
    labels, probs = sample()
    assert_allclose(score(labels, np.stack([1 - probs, probs], axis=1)), score(labels, probs))


def test_calibration_error_agrees_with_the_quantile_curve_of_scikit_learn():
    labels, probs = sample(1000)
    happened, promised = calibration_curve(labels, probs, n_bins=10, strategy="quantile")
    assert_allclose(expected_calibration_error(labels, probs, n_bins=10), np.mean(np.abs(happened - promised)))


def test_calibration_error_keeps_equal_probabilities_together():
    probs = np.repeat([0.2, 0.6, 0.9], [50, 30, 20])
    labels = np.concatenate([np.arange(n) < k for n, k in ((50, 10), (30, 18), (20, 18))]).astype(int)
    shuffled = np.random.default_rng(0).permutation(100)
    assert_allclose(expected_calibration_error(labels, probs), 0, atol=1e-12)
    assert_allclose(expected_calibration_error(labels[shuffled], probs[shuffled]), 0, atol=1e-12)
    assert_allclose(expected_calibration_error(1 - labels, probs), (0.5 * 0.6 + 0.3 * 0.2 + 0.2 * 0.8))


def test_calibration_error_of_few_rows_is_not_made_of_chance():
    probs = np.full(30, 0.5) + np.linspace(-1e-3, 1e-3, 30)
    assert expected_calibration_error(np.arange(30) % 2, probs) < 0.01


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_ranking(label):
    labels, probs = np.full(5, label), np.linspace(0.1, 0.9, 5)
    scores = binary_scores(labels, probs)
    assert np.isnan(scores["auc"]) and np.isnan(scores["average_precision"])
    assert_allclose(scores["accuracy"], 0.4 if label == 0 else 0.6)
    assert np.isnan(scores["completeness"]) == (label == 0)
    rates = roc_curve(labels, probs)
    assert np.isnan(rates[1 - label]).all() and rates[label][-1] == 1


def test_nothing_at_all_gives_nan():
    scores = binary_scores([], [])
    assert scores.pop("n") == 0 and scores.pop("n_positive") == 0
    assert all(np.isnan(value) for value in scores.values())


def test_nothing_selected_has_no_purity():
    scores = binary_scores([0, 1], [0.1, 0.2], threshold=0.9)
    assert np.isnan(scores["purity"]) and scores["completeness"] == 0 and scores["f1"] == 0


@pytest.mark.parametrize(
    ("labels", "probs", "message"),
    [
        ([0, 1], [0.1], "shape"),
        ([0, 2], [0.1, 0.2], "whole numbers from 0 to 1"),
        ([0, 0.5], [0.1, 0.2], "whole numbers"),
        (["a", "b"], [0.1, 0.2], "whole numbers"),
        ([0, 1], [0.1, np.nan], "1 of 2 scores are not finite"),
        ([0, 1], np.ma.masked_array([0.1, 0.2], [False, True]), "not finite"),
        ([0, 1], [0.1, 1.2], r"\[0, 1\]"),
    ],
)
def test_input_that_cannot_be_scored_is_refused(labels, probs, message):
    with pytest.raises(InputError, match=message):
        binary_scores(labels, probs)
