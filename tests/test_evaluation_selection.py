"""What selectors cost against the oracle, on made-up runs."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from scipy.stats import spearmanr

from galmerge_da.evaluation import selection_report
from galmerge_da.exceptions import InputError
from galmerge_da.metrics import roc_auc
from galmerge_da.training import TracedSplit

N, E = 200, 5
LABELS = np.arange(N) % 2
ROWS = np.arange(0, N, 4) + np.arange(50) % 2


def make_result(trace=True, losses=("mmd",), **columns):
    """Five epochs, of which the fourth separates the target best."""
    rng = np.random.default_rng(0)
    logits = np.zeros((E, len(ROWS), 2), np.float32)
    for epoch, skill in enumerate([0.2, 0.6, 1.0, 3.0, 0.4]):
        logits[epoch, :, 1] = skill * LABELS[ROWS] + rng.normal(size=len(ROWS))
    history = Table(
        {
            "epoch": np.arange(1, E + 1),
            "validation_cross_entropy": [0.5, 0.1, 0.2, 0.3, 0.4],
            "validation_accuracy": [0.9] * E,
            "target_largest_class": [0.6, 0.6, 0.6, 0.6, 1.0],
            "select_snd": [1.0, 2.0, 3.0, 4.0, 5.0],
            "select_bnm": [1.0] * E,
        }
        | columns
    )
    splits = Table({"domain": ["source"] * 9 + ["target"] * N})
    return SimpleNamespace(
        trace={("target", "test"): TracedSplit(ROWS, ROWS, logits)} if trace else None,
        history=history,
        splits=splits,
        classifier=SimpleNamespace(provenance={"losses": dict.fromkeys(losses, 1.0)}),
    )


def test_each_selector_is_held_against_the_oracle():
    result = make_result(losses=("mmd", "bnm"))
    report = selection_report(result, LABELS)
    areas = [roc_auc(LABELS[ROWS], epoch[:, 1]) for epoch in result.trace["target", "test"].logits]
    assert list(report["selector"]) == ["source_validation", "snd", "bnm", "last", "oracle"]
    assert list(report["epoch"]) == [2, 4, 1, 5, 4]
    np.testing.assert_allclose(report["target_auc"], [areas[epoch - 1] for epoch in report["epoch"]])
    np.testing.assert_allclose(report["oracle_auc"], max(areas))
    np.testing.assert_allclose(report["auc_lost"], report["oracle_auc"] - report["target_auc"])
    assert report["auc_lost"][1] == report["auc_lost"][4] == 0 and (report["auc_lost"] >= 0).all()
    expected = spearmanr(range(E), areas).statistic
    np.testing.assert_allclose(report["rank_correlation"][[1, 3, 4]], [expected, expected, 1])
    assert np.isnan(report["rank_correlation"][2]), "a constant score has no rank"
    assert list(report["collapsed"]) == [False, False, False, True, False]
    assert list(report["optimised"]) == [False, False, True, False, False]
    assert list(report["uses_target_labels"]) == [False] * 4 + [True]
    assert report.meta == {"N": len(ROWS), "N_EPOCHS": E}


def test_galaxies_without_a_label_are_left_out():
    labels = LABELS.astype(float)
    labels[ROWS[:10]] = np.nan
    report = selection_report(make_result(), np.ma.array(labels, mask=np.arange(N) == ROWS[10]))
    assert report.meta["N"] == len(ROWS) - 11


def test_more_than_two_classes():
    rng = np.random.default_rng(0)
    result = make_result()
    result.trace["target", "test"] = TracedSplit(ROWS, ROWS, rng.normal(size=(E, len(ROWS), 3)).astype(np.float32))
    assert np.isfinite(selection_report(result, np.arange(N) % 3)["target_auc"]).all()


@pytest.mark.parametrize(
    ("result", "labels", "message"),
    [
        (make_result(trace=False), LABELS, "no trace of a target"),
        (make_result(), LABELS[:-1], "each of the 200 rows"),
        (make_result(), np.zeros(N), "of all classes"),
        (make_result(), np.full(N, np.nan), "of all classes"),
        (make_result(), np.full(N, 2), "whole numbers from 0 to 1"),
        (make_result(), ["merger"] * N, "must be numbers"),
    ],
)
def test_what_cannot_be_scored_is_refused(result, labels, message):
    with pytest.raises(InputError, match=message):
        selection_report(result, labels)
