"""Runs of a study: trained once, used again, scored by selectors that see no label of the target, and by an oracle."""

import shutil

import numpy as np
import pytest
from astropy.table import Table

from galmerge_da.exceptions import InputError
from galmerge_da.experiments import sim_to_sim, study
from galmerge_da.experiments.study import Run, is_current, load_run, run_study
from galmerge_da.experiments.study_tables import (
    SCORES,
    format_summary,
    report_selectors,
    score_runs,
    summarise_runs,
    summarise_selectors,
)
from galmerge_da.io import save_cutouts
from galmerge_da.metrics import purity_at_prevalence, roc_auc
from galmerge_da.plugins import get_survey
from galmerge_da.simulation import simulate

SIZE = 16
RECIPE = {
    "preprocessing": {"size": SIZE, "scale": "pixels"},
    "training": {
        "epochs": 3,
        "batch_size": 32,
        "fractions": [0.5, 0.25, 0.25],
        "learning_rate": 5e-3,
        "selector": "last",
    },
}  # fmt: skip
RUNS = (Run("noDA"), Run("MMD", {"mmd": 1.0}), Run("TL+MMD", {"mmd": 1.0}, init="noDA"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two data sets of blobs on the left or the right, and all labels."""
    folder = tmp_path_factory.mktemp("data")
    labels = {}
    for seed, domain in enumerate(("source", "target")):
        rng = np.random.default_rng(seed)
        images = rng.normal(size=(100, 2, SIZE, SIZE)).astype(np.float32)
        labels[domain] = rng.integers(2, size=100)
        for row, label in enumerate(labels[domain]):
            images[row, :, 5:11, 2 + 8 * label : 6 + 8 * label] += 2 + seed
        table = Table({"id": [f"{domain}{i}" for i in range(100)], "image": images, "label": labels[domain]})
        if domain == "target":
            table["label"] = 1 - labels[domain]  # wrong, and never looked at
        save_cutouts(table, folder / f"{domain}.fits")
    return folder, labels


@pytest.fixture(autouse=True)
def no_collapse(monkeypatch):
    """A few epochs are too few: such a network may say one class for everything."""
    monkeypatch.setattr("galmerge_da.training.api._COLLAPSED", 2.0)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("galmerge_da.training.api._COLLAPSED", 2.0)
        folder = tmp_path_factory.mktemp("runs")
        arguments = (RUNS, data[0] / "source.fits", data[0] / "target.fits", folder)
        return arguments, run_study(*arguments, recipe=RECIPE, seeds=(1, 2))


def test_every_run_is_there_with_every_seed_and_its_own_folder(finished):
    _, runs = finished
    assert [(run.run, run.seed) for run in runs] == [(run.name, seed) for run in RUNS for seed in (1, 2)]
    assert len({run.folder for run in runs}) == 6
    for run in runs:
        assert run.model.is_file() and len(run.history) == 3
        assert run.trace["target", "test"].logits.shape[0] == 3
        assert run.losses == (() if run.run == "noDA" else ("mmd",))


def test_a_finished_run_is_not_trained_again(finished, monkeypatch):
    arguments, runs = finished

    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(study, "train", refuse)
    again = run_study(*arguments, recipe=RECIPE, seeds=(1, 2))
    assert [run.folder for run in again] == [run.folder for run in runs]
    with pytest.raises(AssertionError, match="trained again"):
        other = {**RECIPE, "training": {**RECIPE["training"], "epochs": 2}}
        run_study(*arguments, recipe=other, seeds=(1,))


def test_a_damaged_run_says_which_folder_to_remove(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished[1][0].folder, folder)
    whole = (folder / "trace.npz").read_bytes()
    for part in (b"", whole[: len(whole) // 2]):
        (folder / "trace.npz").write_bytes(part)
        with pytest.raises(InputError, match="run is damaged .*remove it, and the run is trained again"):
            load_run(folder)


def test_what_another_version_made_is_not_used_again(finished, tmp_path, monkeypatch):
    path, _, _ = sim_to_sim.simulate_pair(tmp_path, 4)
    (tmp_path / "empty.fits").touch()
    assert is_current(path) and not any(is_current(tmp_path / name) for name in ("none.fits", "empty.fits"))
    assert is_current(finished[0][1])  # nothing says that it was simulated
    monkeypatch.setattr(study, "version", lambda name: "99.0")
    assert not is_current(path) and is_current(finished[0][1])
    monkeypatch.setattr(study, "train", lambda *args, **options: pytest.fail("trained again"))
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        run_study(*finished[0], recipe=RECIPE, seeds=(1,))


def test_a_run_may_start_from_another(finished):
    _, runs = finished
    by_name = {(run.run, run.seed): run for run in runs}
    first = {name: by_name[name, 1].history["cross_entropy"][0] for name in ("MMD", "TL+MMD")}
    assert first["TL+MMD"] < first["MMD"]
    with pytest.raises(InputError, match="'b' starts from 'a', which is not in the study"):
        list(study._stages([Run("b", init="a")]))


def test_scores_are_those_of_the_selected_epochs(finished, data):
    _, runs = finished
    scores = score_runs(runs, data[1])
    watched = sum(name.startswith("select_") for name in runs[0].history.colnames)
    assert watched and len(scores) == len(runs) * (watched + 3) * 2
    assert set(scores["selector"][scores["uses_target_labels"]]) == {"oracle"}
    row = scores[(scores["run"] == "MMD") & (scores["seed"] == 2) & (scores["selector"] == "last")]
    row = row[row["domain"] == "target"][0]
    traced = next(run for run in runs if (run.run, run.seed) == ("MMD", 2)).trace["target", "test"]
    truth = data[1]["target"][traced.rows]
    assert row["epoch"] == 3
    assert row["auc"] == pytest.approx(roc_auc(truth, traced.logits[-1][:, 1] - traced.logits[-1][:, 0]))
    for key in {(run.run, run.seed) for run in runs}:
        own = scores[(scores["run"] == key[0]) & (scores["seed"] == key[1]) & (scores["domain"] == "target")]
        assert own["auc"][own["selector"] == "oracle"][0] == own["auc"].max()


def test_selectors_are_reported_for_every_run_and_summed_up_without_those_that_were_losses(finished, data):
    _, runs = finished
    picked = report_selectors(runs, data[1]["target"])
    assert {tuple(row) for row in picked["run", "seed"]} == {(run.run, run.seed) for run in runs}
    assert np.all(picked["auc_lost"] >= 0) and np.all(picked["auc_lost"][picked["selector"] == "oracle"] == 0)
    picked["optimised"][(picked["selector"] == "entropy") & (picked["seed"] == 1)] = True
    summary = summarise_selectors(picked)
    assert summary["selector"][0] == "oracle" and np.all(np.diff(summary["auc_lost"]) >= 0)
    assert summary["selector"][summary["uses_target_labels"]].tolist() == ["oracle"]
    (row,) = summary[summary["selector"] == "entropy"]
    own = picked[(picked["selector"] == "entropy") & (picked["run"] != "noDA") & (picked["seed"] == 2)]
    assert row["n_runs"] == len(own) == 2
    assert row["auc_lost"] == pytest.approx(np.mean(own["auc_lost"]))


def test_a_summary_has_mean_and_spread_beside_what_was_published(finished, data):
    scores = score_runs(finished[1], data[1])
    summary = summarise_runs(scores, selector="last", published={("MMD", "target"): {"auc": 0.85}})
    assert len(summary) == 6 and set(summary["n_seeds"]) == {2} and not any(summary["uses_target_labels"])
    assert np.all(np.isnan(summary["seconds_per_image"]))
    chosen = scores[(scores["run"] == "MMD") & (scores["selector"] == "last") & (scores["domain"] == "target")]
    row = summary[(summary["run"] == "MMD") & (summary["domain"] == "target")][0]
    for name in SCORES:
        assert row[name] == pytest.approx(np.mean(chosen[name]), nan_ok=True)
        assert row[f"{name}_sd"] == pytest.approx(np.std(chosen[name], ddof=1), nan_ok=True)
    assert f"{row['auc']:.3f}±{row['auc_sd']:.3f} [0.85]" in format_summary(summary)


def test_the_target_of_the_study_has_no_labels(tmp_path):
    source, target, labels = sim_to_sim.simulate_pair(tmp_path, 12)
    assert "label" in Table.read(source).colnames
    assert not {"label", "stage", "mass_ratio"} & set(Table.read(target).colnames)
    assert {name: len(values) for name, values in labels.items()} == {"source": 12, "target": 12}
    before = target.stat().st_mtime_ns
    assert sim_to_sim.simulate_pair(tmp_path, 12)[1].stat().st_mtime_ns == before


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no finished run"):
        load_run(tmp_path)


@pytest.mark.parametrize("prevalence", [0.05, 0.5])
def test_purity_follows_the_prevalence(prevalence):
    rng = np.random.default_rng(0)
    labels, probs = rng.integers(2, size=500), rng.random(500)
    found = [np.mean(probs[labels == value] >= 0.5) for value in (0, 1)]
    purity, completeness = purity_at_prevalence(labels, probs, prevalence)
    expected = prevalence * found[1] / (prevalence * found[1] + (1 - prevalence) * found[0])
    assert (purity, completeness) == pytest.approx((expected, found[1]))


def test_a_prevalence_is_between_0_and_1():
    with pytest.raises(InputError, match="prevalence must be between 0 and 1, got 1"):
        purity_at_prevalence([0, 1], [0.2, 0.8], 1)


@pytest.mark.parametrize(
    "survey, seed, depth, sums, spreads",
    [
        (sim_to_sim.SURVEYS[0], 101, None, (98870, 39420, 5073.4, 41889), (39.756, 13.852, 2.3534, 11.872)),
        (
            sim_to_sim.SURVEYS[1],
            102,
            (29.0, 29.3, 28.6),
            (44815, 9308.9, 8346, 26348),
            (15.153, 3.6048, 3.3537, 8.5272),
        ),
    ],
)
def test_the_galaxies_and_the_noise_of_the_study_are_frozen(survey, seed, depth, sums, spreads):
    """Figures in docs/studies.rst are of these; where this fails, they have to be made anew."""
    assert seed in sim_to_sim.SEEDS
    galaxies = simulate(4, survey, seed=seed, n_jobs=1)
    images = np.asarray(galaxies["image"], float)
    assert galaxies["label"].tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(images.sum((1, 2, 3)), sums, rtol=2e-3)
    np.testing.assert_allclose(images.std((1, 2, 3)), spreads, rtol=2e-3)
    noise = get_survey(survey).depth
    assert noise is None if depth is None else noise.value.tolist() == list(depth)
