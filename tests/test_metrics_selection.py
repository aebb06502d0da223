"""Selectors against public implementations, scikit-learn and plain loops, and on what breaks them."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, mutual_info_score, normalized_mutual_info_score

from galmerge_da.exceptions import InputError
from galmerge_da.metrics import selection

REFERENCE = Path(__file__).parents[1].parent / "shared" / "reference"
ON_LOGITS = ("entropy", "infomax", "snd", "bnm")


@pytest.fixture(scope="module")
def reference():
    if not REFERENCE.is_dir():
        pytest.skip("the reference values of other implementations are not here")
    with np.load(REFERENCE / "ref_inputs.npz") as inputs:
        return json.loads((REFERENCE / "ref_losses.json").read_text())["validators"], dict(inputs)


def clusters(n=200, n_classes=3, d=8, seed=0, shift=0.0):
    """Features in well separated clusters, their numbers, and logits that know them."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    features = rng.normal(size=(n, d)) + 8 * np.eye(n_classes, d)[labels] + shift
    return features, labels, 5.0 * np.eye(n_classes)[labels] + rng.normal(size=(n, n_classes))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("entropy", "neg_entropy"),
        ("infomax", "IM = H(mean p) - mean H(p)"),
        ("snd", "SND(T=0.05)"),
        ("bnm", "BNM = ||p||_* / N"),
    ],
)
def test_predictions_score_as_elsewhere(reference, name, key):
    values, inputs = reference
    assert_allclose(getattr(selection, name)(inputs["logits"]), values[key], rtol=1e-12)


def test_dev_is_as_elsewhere(reference):
    values, inputs = reference
    key = "DEV risk = mean(w e) + eta mean(w) - eta"
    assert_allclose(-selection.dev(inputs["src_val_err"], inputs["dev_w"]), values[key], rtol=1e-12)


def test_source_validation_is_the_log_loss():
    _, labels, logits = clusters()
    assert_allclose(-selection.source_validation(labels, logits), log_loss(labels, softmax(logits, axis=1)))
    far = np.array([[0.0, -5000.0]])
    assert selection.source_validation([1], far) == -5000


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_predictions_score_as_plain_loops_do(n_classes):
    logits = np.random.default_rng(n_classes).normal(size=(30, n_classes)) * 2
    probs = softmax(logits, axis=1)
    rows = np.mean([sum(p * np.log(p) for p in row) for row in probs])
    assert_allclose(selection.entropy(logits), rows)
    assert_allclose(selection.infomax(logits), rows - sum(p * np.log(p) for p in probs.mean(axis=0)))
    unit = [row / np.sqrt(sum(row**2)) for row in probs]
    entropies = []
    for i in range(30):
        weights = np.array([np.exp(unit[i] @ unit[j] / 0.05) for j in range(30) if j != i])
        weights /= weights.sum()
        entropies.append(-sum(weights * np.log(weights)))
    assert_allclose(selection.snd(logits), np.mean(entropies))
    assert_allclose(selection.bnm(logits), np.sqrt(np.linalg.eigvalsh(probs.T @ probs)).sum() / 30)


def test_class_ami_is_1_where_the_border_is_between_the_clusters():
    features, labels, logits = clusters()
    assert selection.class_ami(logits, features) == pytest.approx(1)
    shuffled = np.random.default_rng(1).permutation(logits)
    assert abs(selection.class_ami(shuffled, features)) < 0.05
    half = np.where(np.arange(200)[:, None] < 60, np.roll(logits, 1, axis=1), logits)
    value, predicted = selection.class_ami(half, features), half.argmax(axis=1)
    assert 0 < value < normalized_mutual_info_score(labels, predicted) < 1
    assert mutual_info_score(labels, predicted) > 0


def test_domains_that_are_alike_cannot_be_told_apart():
    source, target = clusters(600, seed=1)[0], clusters(600, seed=2)[0]
    near = selection.domain_classifier(*selection.domain_log_ratio(source, target))
    some = selection.domain_classifier(*selection.domain_log_ratio(source, target + 0.5))
    far = selection.domain_classifier(*selection.domain_log_ratio(source, target + 20))
    assert near > -0.15 > some > far
    assert far == -1


def test_the_ratio_of_two_normal_densities_is_found_whatever_the_numbers():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(4000, 1)), rng.normal(size=(1000, 1)) + 0.7
    ratios = selection.domain_log_ratio(source, target)
    for rows, ratio in zip((source, target), ratios, strict=True):
        assert_allclose(ratio, 0.7 * rows[:, 0] - 0.245, atol=0.5)
    assert np.mean(np.exp(ratios[0])) == pytest.approx(1, abs=0.1)


def test_rows_are_judged_by_a_classifier_that_has_not_seen_them():
    noise = np.random.default_rng(0).normal(size=(80, 400))
    source, target = noise[:40], noise[40:]
    seen = LogisticRegression(C=1e3).fit(noise, np.repeat([0, 1], 40)).score(noise, np.repeat([0, 1], 40))
    assert seen == 1
    assert selection.domain_classifier(*selection.domain_log_ratio(source, target)) > -0.5


def test_dev_predicts_the_risk_of_a_shifted_target():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(4000, 2)), rng.normal(size=(4000, 2)) + [1.0, 0.0]
    loss = lambda x: 1 / (1 + np.exp(-x[:, 0]))  # noqa: E731
    weights = np.exp(selection.domain_log_ratio(source, target)[0])
    risk = -selection.dev(loss(source), weights)
    assert abs(risk - loss(target).mean()) < 0.03 < loss(target).mean() - loss(source).mean()
    assert selection.dev([1.0, 3.0], [1.0, 1.0]) == -2, "equal weights need no control variate"


def test_each_seed_gives_the_same_every_time():
    source, target, logits = clusters(seed=1)[0], clusters(seed=2)[0] + 0.5, clusters(seed=2)[2]
    for first, again in zip(*(selection.domain_log_ratio(source, target, seed=3) for _ in "ab"), strict=True):
        assert np.array_equal(first, again)
    assert selection.class_ami(logits, target, seed=3) == selection.class_ami(logits, target, seed=3)


# ------------------------------------------------------------- what breaks them


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_collapsed_network_has_the_scores_that_the_guards_are_for(n_classes):
    """Sure of one class for everything: entropy and density are at their best."""
    logits = np.zeros((50, n_classes)) + np.r_[1000.0, np.zeros(n_classes - 1)]
    assert selection.entropy(logits) == 0
    assert selection.snd(logits) == pytest.approx(np.log(49))
    assert selection.infomax(logits) == pytest.approx(0)
    assert selection.bnm(logits) == pytest.approx(np.sqrt(50) / 50)
    assert selection.class_ami(logits, np.random.default_rng(0).normal(size=(50, 3))) == 0


def test_constant_features_are_no_error():
    constant, logits = np.ones((20, 5)), clusters(20, 2)[2]
    assert selection.class_ami(logits, constant) == 0
    source, target = selection.domain_log_ratio(constant, constant)
    assert_allclose(np.r_[source, target], 0, atol=1e-6)
    assert selection.domain_classifier(source, target) == 0
    few = np.repeat([[0.0], [1.0]], 10, axis=0)
    assert np.isfinite(selection.class_ami(clusters(20, 3)[2], few)), "fewer different rows than classes"


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_rows_give_a_number_or_nan(n):
    features, labels, logits = (values[:n] for values in clusters())
    for name in ON_LOGITS:
        assert np.isnan(getattr(selection, name)(logits)) == (n == 0 or (name == "snd" and n < 2))
    assert np.isnan(selection.class_ami(logits, features)) == (n == 0)
    source, target = selection.domain_log_ratio(features, features)
    assert len(source) == len(target) == n
    assert np.isnan(selection.domain_classifier(source, target)) == (n < 2)
    assert np.isnan(selection.dev(selection.cross_entropies(labels, logits), np.exp(source))) == (n < 2)
    assert np.isnan(selection.source_validation(labels, logits)) == (n == 0)


@pytest.mark.parametrize("name", ON_LOGITS)
@pytest.mark.parametrize("logits", [[1.0, 2.0], [[np.nan, 0.0]], [[np.inf, 0.0]]])
def test_what_are_no_logits_is_refused(name, logits):
    with pytest.raises(InputError, match="logits"):
        getattr(selection, name)(logits)


def test_rows_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="as many rows"):
        selection.class_ami(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(InputError, match="of one length"):
        selection.domain_log_ratio(np.zeros((3, 2)), np.zeros((3, 3)))
    with pytest.raises(InputError, match="shape"):
        selection.dev([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="shape"):
        selection.cross_entropies([1], [0.5])


def test_importing_metrics_loads_no_scikit_learn():
    import subprocess
    import sys

    code = "import sys, galmerge_da.metrics.selection; print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
