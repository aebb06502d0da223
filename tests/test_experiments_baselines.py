"""Baselines in the tables of a study: same galaxies, same splits, same columns as the networks."""

import numpy as np
import pytest
from astropy.table import Table

from galmerge_da.evaluation import morphology_table, train_forest
from galmerge_da.experiments import sim_to_sim
from galmerge_da.experiments.baselines import BASELINES, add_baselines, baseline_scores
from galmerge_da.experiments.study import FinishedRun
from galmerge_da.experiments.study_tables import SCORES, format_summary, score_runs, summarise_runs
from galmerge_da.io import save_cutouts
from galmerge_da.metrics import brier_score, roc_auc
from galmerge_da.simulation import simulate
from galmerge_da.training import TracedSplit

N = 96
SPLITS = {
    ("source", "validation"): slice(64, 70),
    ("source", "test"): slice(70, 96),
    ("target", "test"): slice(48, 80),
}


def run(name, seed, folder):
    """A run as it would be loaded, of a network that guesses."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(N)
    trace = {
        key: TracedSplit(order[rows], order[rows].astype(str), rng.normal(size=(2, len(order[rows]), 2)))
        for key, rows in SPLITS.items()
    }
    history = Table({"epoch": [1, 2], "validation_cross_entropy": [0.6, 0.5], "validation_accuracy": [0.7, 0.8]})
    return FinishedRun(name, "deepmerge", seed, folder, history, Table(), trace, ())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    data = {domain: simulate(N, "sdss", seed=seed, n_jobs=1) for domain, seed in (("source", 1), ("target", 2))}
    labels = {domain: np.asarray(table["label"]) for domain, table in data.items()}
    shapes = {domain: morphology_table(table) for domain, table in data.items()}
    return [run(name, seed, folder) for name in ("noDA", "MMD") for seed in (1, 2)], data, labels, shapes


def test_a_baseline_is_trained_on_the_training_split_and_scored_on_the_test_split(study):
    finished, _, labels, shapes = study
    scores = baseline_scores(finished, shapes, labels, {"source": 0.5, "target": 0.25})
    assert list(scores["run"][::2]) == 2 * list(BASELINES)
    assert set(scores["selector"]) == {"none"} and not scores["uses_target_labels"].any()
    first = finished[0]
    test = first.trace["target", "test"].rows
    held_out = {*first.trace["source", "validation"].rows, *first.trace["source", "test"].rows}
    train = [row for row in range(N) if row not in held_out]
    forest = train_forest(shapes["source"][train], seed=1)
    probs = forest.predict_proba(shapes["target"][test])[:, 1]
    own = scores[(scores["seed"] == 1) & (scores["domain"] == "target")]
    row = own[own["run"] == "random forest"][0]
    assert row["auc"] == roc_auc(labels["target"][test], probs) and row["n"] == 32
    assert row["brier"] == brier_score(labels["target"][test], probs)
    assert 0.25 < row["seconds_per_image"] < 0.3
    row = own[own["run"] == "asymmetry"][0]
    assert row["auc"] == pytest.approx(roc_auc(labels["target"][test], np.asarray(shapes["target"]["asymmetry"])[test]))


def test_shapes_tell_simulated_mergers_from_others(study):
    _, _, labels, shapes = study
    probs = train_forest(shapes["source"], labels["source"]).predict_proba(shapes["target"])[:, 1]
    assert roc_auc(labels["target"], probs) > 0.65


def test_labels_of_the_target_are_used_for_scores_alone(study):
    finished, _, labels, shapes = study
    seconds = {"source": 0.0, "target": 0.0}
    right = baseline_scores(finished, shapes, labels, seconds)
    wrong = baseline_scores(finished, shapes, {**labels, "target": 1 - labels["target"]}, seconds)
    target = right["domain"] == "target"
    np.testing.assert_allclose(wrong["auc"][target], 1 - right["auc"][target])
    np.testing.assert_array_equal(wrong["auc"][~target], right["auc"][~target])


def test_a_galaxy_without_measures_counts_and_is_given_what_is_known_of_all(study):
    finished, _, labels, shapes = study
    flawed = {domain: table.copy() for domain, table in shapes.items()}
    flawed["target"]["gini"] = np.nan
    scores = baseline_scores(finished[:1], flawed, labels, {"source": 0.0, "target": 0.0})
    row = scores[(scores["run"] == "random forest") & (scores["domain"] == "target")][0]
    assert row["n"] == row["n_unmeasured"] == 32 and row["auc"] == 0.5
    row = scores[(scores["run"] == "asymmetry") & (scores["domain"] == "target")][0]
    assert row["n_unmeasured"] == 0


def test_baselines_are_rows_of_the_table_and_of_the_summary(study, tmp_path):
    finished, data, labels, _ = study
    networks = score_runs(finished, labels, selectors=("last",))
    scores = add_baselines(networks, finished, data["source"], data["target"], labels)
    assert len(scores) == len(networks) + 2 * 3 * 2
    assert np.isnan(scores["seconds_per_image"][: len(networks)]).all()
    assert np.all(scores["seconds_per_image"][len(networks) :] > 0)
    assert all(np.isfinite(scores[name]).all() for name in SCORES if name != "precision" and name != "purity_5")
    summary = summarise_runs(scores, selector="last")
    assert set(summary["run"]) == {"noDA", "MMD", *BASELINES} and set(summary["n_seeds"]) == {2}
    assert "-          random forest  target" in format_summary(summary)
    for suffix in ("fits", "ecsv"):
        scores.write(tmp_path / f"scores.{suffix}")
        assert list(Table.read(tmp_path / f"scores.{suffix}")["run"]) == list(scores["run"])


def test_the_sim_to_sim_study_writes_them_beside_its_runs(study, tmp_path, monkeypatch):
    finished, data, labels, _ = study
    paths = [tmp_path / f"{name}.fits" for name in data]
    for path, galaxies in zip(paths, data.values(), strict=True):
        save_cutouts(galaxies, path)
    monkeypatch.setattr(sim_to_sim, "simulate_pair", lambda *args, **options: (*paths, labels))
    monkeypatch.setattr(sim_to_sim, "run_study", lambda *args, **options: finished)
    table, none = Table({"run": ["noDA"]}), sim_to_sim.score_runs(finished, labels)[:0]
    none["seconds_per_image"], none["n_unmeasured"] = np.zeros(0), np.zeros(0, int)
    for name, made in (  # what needs trained models
        ("measure_gaps", table), ("report_selectors", table), ("summarise_selectors", table), ("draw_sim_to_sim", {}),
        ("report_study", None), ("score_ceiling", none),
    ):  # fmt: skip
        monkeypatch.setattr(sim_to_sim, name, lambda *args, made=made, **options: made)
    scores, _ = sim_to_sim.run_sim_to_sim(tmp_path)
    assert set(scores["run"]) == {"noDA", "MMD", *BASELINES}
    for name in ("scores", "summary"):
        assert set(Table.read(tmp_path / f"{name}.fits")["run"]) == set(scores["run"])
    assert "random forest" in (tmp_path / "summary.txt").read_text()
