"""The demonstration: what is trained on, what is scored, what is written."""

from dataclasses import dataclass

import matplotlib.image
import numpy as np
import pytest
from astropy.table import Table
from sklearn.metrics import roc_auc_score

from galmerge_da.experiments import demo, format_scores, run_demo
from galmerge_da.inference import MergerClassifier
from galmerge_da.io import read_catalog

N = 100


def fake_simulate(n, survey="deepmerge-z2", *, seed=0, progress=False):
    """Galaxies whose central pixel tells a number that the fake classifier knows them by."""
    generator = np.random.default_rng(seed)
    image = generator.normal(size=(n, 3, 16, 16)).astype(np.float32)
    image[:, 0, 0, 0] = np.arange(n)
    return Table(
        {
            "id": [f"s{seed}-{i}" for i in range(n)],
            "group": [f"s{seed}-{i}" for i in range(n)],
            "image": image,
            "label": np.arange(n) % 2,
            "stage": np.where(np.arange(n) % 2, "approach", "isolated"),
        },
        meta={"SURVEY": survey, "BANDS": "F814W,F356W,F160W"},
    )


@dataclass
class FakeClassifier:
    """Right about every fifth galaxy (the test split), wrong about the others."""

    method: str
    broken_row: int | None = None

    def classify(self, table):
        number = np.asarray(table["image"])[:, 0, 0, 0].astype(int)
        is_merger = (number % 2).astype(float)
        probability = np.where(number % 5 == 0, 0.1 + 0.8 * is_merger, 0.9 - 0.8 * is_merger)
        if self.method == "noDA":  # and half blind
            probability = np.where(number % 20 < 10, 0.5, probability)
        if self.broken_row is not None:
            probability[number == self.broken_row] = np.nan
        out = table.copy()
        out.remove_column("image")
        out["merger_prob"] = np.ma.masked_invalid(probability)
        out["flags"] = np.isnan(probability).astype(np.int32)
        return out

    def save(self, path):
        path.write_bytes(b"model")


@dataclass
class FakeResult:
    classifier: FakeClassifier
    splits: Table


@pytest.fixture
def calls(monkeypatch):
    """The keywords of every call of `train`."""
    calls = []

    def fake_train(source, target=None, *, adapt=None, recipe=None, seed=0, progress=False):
        calls.append({"source": source, "target": target, "adapt": adapt, "recipe": recipe, "seed": seed})
        rows = []
        for domain, table in {"source": source, "target": target}.items():
            if table is not None:
                splits = ["test" if i % 5 == 0 else "train" for i in range(len(table))]
                rows += list(zip(table["id"], table["group"], [domain] * len(table), splits, strict=True))
        splits = Table(rows=rows, names=("id", "group", "domain", "split"))
        return FakeResult(FakeClassifier("noDA" if adapt is None else "MMD"), splits)

    monkeypatch.setattr(demo, "simulate", fake_simulate)
    monkeypatch.setattr(demo, "train", fake_train)
    return calls


def test_no_target_label_reaches_the_training(calls, tmp_path):
    run_demo(tmp_path, n=N, epochs=3, seed=4)
    plain, adapted = calls
    assert plain["target"] is None
    assert plain["adapt"] is None
    assert adapted["adapt"] == {"mmd": 1.0}
    assert not {"label", "stage"} & set(adapted["target"].colnames)
    assert "label" in adapted["source"].colnames
    assert all(call["recipe"] == {"training": {"epochs": 3}} for call in calls)


def test_no_galaxy_is_in_both_domains(calls, tmp_path):
    for seed in range(3):
        run_demo(tmp_path, n=N, seed=seed)
        assert not set(calls[-1]["source"]["group"]) & set(calls[-1]["target"]["group"])


def test_only_galaxies_held_out_from_every_method_are_scored(calls, tmp_path):
    scores = run_demo(tmp_path, n=N)
    assert list(zip(scores["method"], scores["domain"], strict=True)) == [
        ("noDA", "source"), ("noDA", "target"), ("MMD", "source"), ("MMD", "target"),
    ]  # fmt: skip
    assert set(scores["n"]) == {N // 5}
    np.testing.assert_allclose(scores["auc"][2:], 1)  # the fake is right on the test split alone
    assert set(scores["survey"]) == {"deepmerge-z2-pristine", "deepmerge-z2"}


def test_the_scores_are_those_of_scikit_learn(calls, tmp_path):
    scores = run_demo(tmp_path, n=N)
    galaxies = fake_simulate(N)[::5]
    probability = np.asarray(FakeClassifier("noDA").classify(galaxies)["merger_prob"])
    assert scores["auc"][0] == pytest.approx(roc_auc_score(galaxies["label"], probability))
    assert scores["brier"][0] == pytest.approx(np.mean((probability - galaxies["label"]) ** 2))
    assert scores["accuracy"][0] == pytest.approx(np.mean((probability >= 0.5) == galaxies["label"]))


def test_the_outcome_is_told_whichever_way_it_went(calls, tmp_path, monkeypatch):
    assert "MMD raised the AUC on the target: +0.1" in run_demo(tmp_path, n=N).meta["OUTCOME"]
    honest = FakeClassifier.classify
    swap = {"noDA": "MMD", "MMD": "noDA"}
    monkeypatch.setattr(FakeClassifier, "classify", lambda self, t: honest(FakeClassifier(swap[self.method]), t))
    assert "MMD lowered the AUC on the target: -0.1" in run_demo(tmp_path, n=N).meta["OUTCOME"]
    monkeypatch.setattr(FakeClassifier, "classify", lambda self, t: honest(FakeClassifier("MMD"), t))
    assert "did not clearly change" in run_demo(tmp_path, n=N).meta["OUTCOME"]


def test_everything_is_written_and_a_second_run_replaces_it(calls, tmp_path):
    folder = tmp_path / "new" / "demo"
    first = run_demo(folder, n=N)
    assert sorted(path.name for path in folder.iterdir()) == [
        "mergers.fits", "mmd.safetensors", "montage.png", "noda.safetensors", "roc.png", "scores.ecsv",
    ]  # fmt: skip
    (folder / "scores.ecsv").write_text("old")
    run_demo(folder, n=N)
    scores = Table.read(folder / "scores.ecsv")
    np.testing.assert_allclose(scores["auc"], first["auc"])
    assert scores.meta["OUTCOME"] == first.meta["OUTCOME"]
    assert matplotlib.image.imread(folder / "roc.png").std() > 0
    catalogue = read_catalog(folder / "mergers.fits")
    assert len(catalogue) == N
    assert {"id", "merger_prob", "flags"} <= set(catalogue.colnames)
    assert "label" not in catalogue.colnames


def test_a_galaxy_that_one_method_cannot_classify_is_left_out_of_all_scores(calls, tmp_path, monkeypatch):
    honest = FakeClassifier.classify

    def broken(self, table):
        return honest(FakeClassifier(self.method, 5 if self.method == "MMD" else None), table)

    monkeypatch.setattr(FakeClassifier, "classify", broken)
    assert set(run_demo(tmp_path, n=N)["n"]) == {N // 5 - 1}


def test_the_report_is_a_table_and_a_sentence(calls, tmp_path):
    text = format_scores(run_demo(tmp_path, n=N))
    assert "1.000" in text
    assert text.splitlines()[0].split() == ["method", "domain", "survey", "n", "auc", "accuracy", "brier"]
    assert text.splitlines()[-1].startswith("MMD raised")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the classifier puts:galmerge_da.exceptions.GalmergeWarning")
def test_the_real_demo_runs(tmp_path):
    scores = run_demo(tmp_path, n=180, epochs=2)
    assert len(scores) == 4
    assert np.all((scores["auc"] > 0) & (scores["auc"] <= 1))
    model = MergerClassifier.load(tmp_path / "mmd.safetensors")
    assert model.bands == ("F814W", "F356W", "F160W")
