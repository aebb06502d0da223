"""Scores of the sim-to-real study against scikit-learn's, with intervals, and which of them are drawn."""

import json

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from galmerge_da.exceptions import InputError
from galmerge_da.experiments import score_real
from galmerge_da.experiments.real_report import choose_lines
from galmerge_da.experiments.real_scores import completeness_at_purity, mean_rank
from galmerge_da.flags import Flag
from galmerge_da.visualization._axes import run_styles


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40), purity=st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_completeness_at_purity_is_that_of_scikit_learn(seed, n, purity):
    rng = np.random.default_rng(seed)
    labels, scores = np.append(rng.integers(0, 2, n - 1), 1), rng.integers(0, 8, n)
    precision, recall, _ = precision_recall_curve(labels, scores)
    expected = max((r for p, r in zip(precision[:-1], recall[:-1], strict=True) if p >= purity), default=0.0)
    assert completeness_at_purity(labels, scores, purity) == pytest.approx(expected)


@pytest.fixture
def catalogue():
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=600) < 0.15).astype(int)
    good = [1.5 * labels + rng.normal(size=600) for _ in range(3)]
    table = Table({"label": labels, "kind": rng.choice(["disc", "elliptical"], 600)})
    for k, scores in enumerate(good, start=1):
        table[f"good_seed{k}"] = scores
    table["good"] = np.mean(good, axis=0)
    table["noDA_seed1"] = 0.5 * labels + rng.normal(size=600)
    table["noDA"] = table["noDA_seed1"]
    table["asymmetry"] = 0.7 * labels + rng.normal(size=600)
    return table


def test_scores_are_those_of_scikit_learn_and_intervals_hold_them(catalogue, tmp_path):
    scores = score_real(
        catalogue, "label", ["noDA", "good"], kind="kind", n_bootstrap=200, ledger=tmp_path / "looks.jsonl",
        dataset="made up", command="a command",
    )  # fmt: skip
    assert scores["run"].tolist() == ["noDA", "good", "asymmetry"]
    labels = catalogue["label"]
    for row in scores:
        assert row["auc"] == pytest.approx(roc_auc_score(labels, catalogue[row["run"]]))
        assert row["ap"] == pytest.approx(average_precision_score(labels, catalogue[row["run"]]))
        assert row["auc_low"] < row["auc"] < row["auc_high"]
        some = (labels == 1) | (catalogue["kind"] == "disc")
        assert row["auc_disc"] == pytest.approx(roc_auc_score(labels[some], catalogue[row["run"]][some]))
    good = scores[1]
    assert good["n_seeds"] == 3 and good["auc"] > good["auc_seeds"] and good["auc_seeds_sd"] > 0
    assert 0 < good["auc_minus_asymmetry_low"] < good["auc_minus_asymmetry"] < good["auc_minus_asymmetry_high"]
    assert scores[2]["auc_minus_asymmetry"] == scores[2]["auc_minus_asymmetry_high"] == 0
    (look,) = [json.loads(line) for line in (tmp_path / "looks.jsonl").read_text().splitlines()]
    assert look["figures"]["good_auc"] == pytest.approx(good["auc"]) and look["dataset"] == "made up"


def test_a_galaxy_without_a_score_is_not_passed_over(catalogue):
    catalogue["good_seed2"][7] = np.nan
    with pytest.raises(InputError, match="1 galaxies have no score of 'good'"):
        score_real(catalogue, "label", ["good"], n_bootstrap=2)
    with pytest.raises(InputError, match="no column 'best'"):
        score_real(catalogue, "label", ["best"], n_bootstrap=2)


def test_galaxies_without_a_label_or_a_usable_picture_are_left_out_and_counted(catalogue):
    known = np.arange(600) % 7 > 0
    partly = catalogue.copy()
    partly["label"] = np.where(known, catalogue["label"], -1)
    partly["flags"] = np.where(np.arange(600) < 10, Flag.NOT_CLASSIFIED | Flag.BLANK, Flag.MASKED)
    partly["good_seed1"][:10] = np.nan
    partly["asymmetry"][11] = np.nan  # not measured: in the middle
    some = known & (np.arange(600) >= 10)
    (row, baseline) = score_real(partly, "label", ["good"], n_bootstrap=3)
    assert (row["n"], row["n_left_out"]) == (some.sum(), 600 - some.sum())
    assert row["auc"] == pytest.approx(roc_auc_score(catalogue["label"][some], catalogue["good"][some]))
    filled = np.array(catalogue["asymmetry"])
    filled[11] = np.median(filled[some & (np.arange(600) != 11)])
    assert baseline["auc"] == pytest.approx(roc_auc_score(catalogue["label"][some], filled[some]))


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        (["yes", "no"] * 300, None, "does not hold numbers"),
        ([0, 2] * 300, None, "must be 0 or 1, got 2$"),
        ([0, -1] * 300, None, "scores need mergers and others"),
        ([0, 1] * 300, "kinds", "no column 'kinds'; did you mean 'kind'"),
    ],
)
def test_labels_that_cannot_be_scored_by(catalogue, labels, kind, words):
    catalogue["label"] = labels
    with pytest.raises(InputError, match=words):
        score_real(catalogue, "label", ["good"], kind=kind, n_bootstrap=2)


def test_a_mean_rank_is_of_each_group_alone_and_does_not_lose_a_galaxy():
    scores, others = np.array([3.0, 1.0, 2.0, 10.0, 30.0]), np.array([0.1, 0.2, 0.3, np.nan, 5.0])
    together = mean_rank(scores, others, groups=[0, 0, 0, 1, 1])
    np.testing.assert_allclose(together, [(5 / 6 + 1 / 6) / 2, (1 / 6 + 3 / 6) / 2, (3 / 6 + 5 / 6) / 2, 0.375, 0.625])
    rng = np.random.default_rng(1)
    values = rng.normal(size=50)
    np.testing.assert_allclose(mean_rank(values, np.exp(values)), (np.argsort(np.argsort(values)) + 0.5) / 50)


@pytest.mark.parametrize(
    ("runs", "best", "lines"),
    [
        (["noDA", "pairs"], "pairs", ["noDA", "random forest", "asymmetry", "pairs"]),
        (
            ["noDA", "MMD", "TL+MMD", "ADA", "composites", "composites2", "composites+asymmetry"],
            "composites+asymmetry",
            ["noDA", "composites", "composites+asymmetry", "MMD", "ADA", "random forest", "asymmetry"],
        ),
        (
            ["noDA", "MMD", "ADA", "composites", "composites+asymmetry", "mine"],
            "mine",
            ["noDA", "composites", "composites+asymmetry", "MMD", "ADA", "asymmetry", "mine"],
        ),
    ],
)
def test_as_many_lines_are_drawn_as_can_be_told_apart_the_best_among_them(runs, best, lines):
    catalogue = Table({name: [0.5] for name in [*runs, "asymmetry", "Gini-M20", "random forest"]})
    assert choose_lines(catalogue, [*runs, "asymmetry"], best, "asymmetry") == lines
    styles = run_styles(lines)
    assert len({style["color"] for style in styles.values()}) == len(lines)
    assert styles.get("composites", {"linestyle": "-"})["linestyle"] == "-"
