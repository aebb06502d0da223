"""The study of two simulated domains from end to end: its figures and its report."""

import re
import warnings
from importlib.metadata import version

import numpy as np
import pytest
import torch
from astropy.table import Table
from PIL import Image

from galmerge_da.exceptions import GalmergeWarning
from galmerge_da.experiments import figures as study_figures
from galmerge_da.experiments import sim_to_sim
from galmerge_da.experiments.figures import draw_sim_to_sim, measure_gaps
from galmerge_da.experiments.study import load_run
from galmerge_da.experiments.study_tables import SCORES, format_score
from galmerge_da.inference import MergerClassifier
from galmerge_da.training import train

pytestmark = pytest.mark.slow

ALWAYS = {"roc", "completeness_purity", "reliability", "histories", "examples"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A tiny study of three runs: its folder and what it returned."""
    folder = tmp_path_factory.mktemp("study")
    runs = [run for run in sim_to_sim.RUNS if run.name in ("noDA", "MMD", "ADA")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GalmergeWarning)  # one epoch of so few may say one class for everything
        return folder, sim_to_sim.run_sim_to_sim(folder, n=120, epochs=1, seeds=(1,), runs=runs)


@pytest.fixture
def parts(study):
    folder = study[0]
    finished = [load_run(path.parent) for path in sorted(folder.glob("runs/*/run.json"))]
    names = ("noDA", "MMD", "ADA")
    finished = sorted((run for run in finished if run.run in names), key=lambda run: names.index(run.run))
    source, target, labels = sim_to_sim.simulate_pair(folder / "data", 120)
    return finished, labels, source, target


def test_the_study_leaves_every_figure(study):
    drawn = {path.stem: path for path in (study[0] / "figures").iterdir()}
    assert set(drawn) == ALWAYS | {"tsne", "gradcam"}
    for path in drawn.values():
        with Image.open(path) as picture:
            assert picture.width == 1750
            assert np.std(np.asarray(picture.convert("L"), float)) > 10


def test_the_report_contains_every_figure_and_score(study):
    folder, (_, summary) = study
    page = (folder / "report.html").read_text()
    links = re.findall(r'<img src="([^"]+)"', page)
    assert sorted(links) == sorted(f"figures/{path.name}" for path in (folder / "figures").iterdir())
    for row in summary:
        for name in SCORES:
            assert f"<td>{format_score(row, name)}</td>" in page
    for part in (
        "run_sim_to_sim(n=120, epochs=1, seeds=(1,)",
        "runs=[noDA, MMD, ADA])",
        "seed101",
        "seed102",
        f"torch {version('torch')}",
    ):
        assert part in page
    assert "<dt>Looks at labels of real galaxies</dt><dd>none:" in page
    gaps = Table.read(folder / "domain_gap.ecsv")
    assert all(f"<td>{value:.3f}</td>" in page for value in gaps["mmd"])


def test_the_network_that_knows_the_labels_is_the_ceiling(study):
    folder, (scores, summary) = study
    ceiling = summary[summary["run"] == sim_to_sim.CEILING]
    assert ceiling["domain"].tolist() == ["target"] and np.isfinite(ceiling["auc"][0])
    assert scores["uses_target_labels"][scores["run"] == sim_to_sim.CEILING].all()
    closed = {row["run"]: row["gap_closed"] for row in summary if row["domain"] == "target"}
    assert closed["noDA"] == 0 and closed[sim_to_sim.CEILING] == 1 and np.isnan(closed["asymmetry"])
    expected = [row["auc"] for run in ("noDA", "MMD", sim_to_sim.CEILING) for row in summary
                if (row["run"], row["domain"]) == (run, "target")]  # fmt: skip
    assert closed["MMD"] == pytest.approx((expected[1] - expected[0]) / (expected[2] - expected[0]))
    (path,) = (folder / "runs").glob("target-labels-*")
    splits = Table.read(path / "splits.ecsv")
    assert set(splits["domain"]) >= {"source"}


def test_what_the_runs_do_not_allow_is_not_drawn(parts, tmp_path):
    finished, *rest = parts
    drawn = {
        name: {path.stem for path in draw_sim_to_sim(tmp_path / name, [finished[k] for k in chosen], *rest)}
        for name, chosen in {"alone": [0], "adapted": [1], "neither": [2]}.items()
    }
    assert drawn == {"alone": ALWAYS | {"tsne"}, "adapted": ALWAYS | {"tsne"}, "neither": ALWAYS}


def test_gaps_are_of_every_run_and_of_the_network_before_training(parts):
    finished, *rest = parts
    gaps = measure_gaps(finished, *rest)
    assert list(dict.fromkeys(gaps["run"])) == ["untrained", "noDA", "MMD", "ADA"]
    assert list(gaps["class"][:3]) == ["all", "0", "1"] and len(gaps) == 12
    held_out = [len(finished[0].trace[domain, "test"].rows) for domain in ("source", "target")]
    assert all([row["n_source"], row["n_target"]] == held_out for row in gaps if row["class"] == "all")
    assert np.isfinite(gaps["frechet"]).all()


def test_the_untrained_network_is_where_the_run_started(parts, monkeypatch):
    finished, _, source, _ = parts
    starts = []

    def remember(run, *args):
        starts.append({name: tensor.clone() for name, tensor in run.network.state_dict().items()})
        raise InterruptedError

    monkeypatch.setattr("galmerge_da.training.api._run", remember)
    with pytest.raises(InterruptedError):
        train(source, seed=1)
    untrained = study_figures.untrained_classifier(MergerClassifier.load(finished[0].model), 1).network.state_dict()
    assert all(torch.equal(tensor, untrained[name]) for name, tensor in starts[0].items())


def test_held_out_galaxies_keep_their_rows_and_classes(parts, monkeypatch):
    finished, labels, source, target = parts
    monkeypatch.setattr("galmerge_da.evaluation.frames._CHUNK", 7)
    monkeypatch.setattr(study_figures, "N_POINTS", 9)
    classifier = MergerClassifier.load(finished[0].model)
    frames, classes = study_figures._sample(finished[0], classifier, labels, (source, target), 0)
    trace = finished[0].trace["source", "test"]
    logits = trace.logits[-1]
    probs = np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1)
    found = [np.argmin(np.abs(probs - each)) for each in classifier.predict(frames["source"].data)[0][:, 1]]
    np.testing.assert_allclose(probs[found], classifier.predict(frames["source"].data)[0][:, 1], atol=1e-5)
    assert len(set(found)) == 9
    np.testing.assert_array_equal(classes["source"], labels["source"][trace.rows[found]])
