"""The sim-to-sim study on published data, fetched from a server here."""

import io

import numpy as np
import pytest
from astropy.table import Table

from galmerge_da.evaluation import read_ledger
from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.experiments.published import published_pair
from galmerge_da.experiments.sim_to_sim import TRANSFER, run_sim_to_sim
from galmerge_da.experiments.study import Run
from galmerge_da.inference import MergerClassifier
from galmerge_da.io import DATASETS, download, open_cutouts

NAME, REAL = "deepmerge-simsim", "deepmerge-simreal"
RUNS = (Run("noDA"), Run("MMD", {"mmd": 1.0}))
SIZE = 24


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def published(file_server, tmp_path, monkeypatch):
    """A function that downloads a pair of 60 galaxies, each with a mirror image, mergers with two nuclei."""
    monkeypatch.setattr("galmerge_da.io.downloads.get_cache_dir", lambda: str(tmp_path / "cache"))

    def publish(name, seed):
        rng = np.random.default_rng(seed)
        y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
        labels = rng.permutation(np.arange(60) % 2)
        images = np.empty((60, 3, SIZE, SIZE))
        for image, label in zip(images, labels, strict=True):
            at = rng.uniform(3, 7, 2) * rng.choice([-1, 1], 2)
            flux = np.exp(-np.hypot(x, y) / rng.uniform(2, 4)) + label * np.exp(-np.hypot(x - at[0], y - at[1]) / 2)
            lump = rng.uniform(-8, 8, 2)
            flux = flux + 0.1 * np.exp(-((x - lump[0]) ** 2 + (y - lump[1]) ** 2) / 8)
            image[:] = flux * np.array([1.0, 2.0, 3.0])[:, None, None]
        images, labels = np.concatenate([images, images[..., ::-1]]), np.tile(labels, 2)
        noisy = images + rng.normal(scale=0.05, size=images.shape)
        contents = [npy(each) for each in (images, labels, noisy, labels)]
        file_server.publish(name, dict(zip(DATASETS[name].files, contents, strict=True)))
        download(name, base_url=file_server.url)
        return images, noisy, labels

    return publish


@pytest.fixture
def pair(published):
    return published(NAME, 0)


def test_both_domains_become_data_sets_and_the_target_has_no_labels(pair, tmp_path):
    images, noisy, truth = pair
    source, target, labels = published_pair(tmp_path / "data", NAME)
    for path, pixels, domain in ((source, images, "source"), (target, noisy, "target")):
        table = Table.read(path)
        np.testing.assert_allclose(table["image"], pixels, rtol=1e-6)
        assert ("label" in table.colnames) == (domain == "source")
        assert len(set(table["group"])) == 60 and list(table["group"][:60]) == list(table["group"][60:])
        assert open_cutouts(path).bands == ("F814W", "F356W", "F160W")
        np.testing.assert_array_equal(labels[domain], truth)


def test_an_earlier_pair_is_used_again(pair, tmp_path, monkeypatch):
    first = published_pair(tmp_path / "data", NAME)
    monkeypatch.setattr("galmerge_da.experiments.published.load_published", None)
    again = published_pair(tmp_path / "data", NAME)
    assert again[:2] == first[:2]
    np.testing.assert_array_equal(again[2]["target"], first[2]["target"])


def test_a_part_is_whole_groups_and_the_same_in_both_domains(pair, tmp_path):
    tables = [Table.read(path) for path in published_pair(tmp_path / "data", NAME, n=31)[:2]]
    assert [len(table) for table in tables] == [30, 30]
    groups, counts = np.unique(tables[0]["group"], return_counts=True)
    assert set(counts) == {2} and set(tables[1]["group"]) == set(groups)
    with pytest.raises(InputError, match="has 2 images, more than n=1"):
        published_pair(tmp_path / "data", NAME, n=1)


def test_a_pair_that_was_not_downloaded_is_not_fetched(tmp_path):
    with pytest.raises(ConfigError, match="labels of deepmerge-simreal are of real galaxies: give ledger"):
        run_sim_to_sim(tmp_path, data="deepmerge-simreal")
    with pytest.raises(InputError, match="run 'galmerge download deepmerge-simreal'"):
        published_pair(tmp_path / "data", "deepmerge-simreal", downloads=tmp_path)


@pytest.mark.slow
def test_the_study_runs_on_a_downloaded_pair(pair, tmp_path, monkeypatch):
    monkeypatch.setattr("galmerge_da.training.api._COLLAPSED", 2.0)  # one epoch is not enough to learn
    scores, summary = run_sim_to_sim(tmp_path / "study", data=NAME, n=None, epochs=1, seeds=(1,), runs=RUNS)
    assert {"noDA", "MMD", "target labels"} < set(summary["run"])
    assert np.all(np.isfinite(scores["auc"]))
    splits = Table.read(next((tmp_path / "study" / "runs").glob("mmd-*")) / "splits.ecsv")
    where = {}
    for row in splits:
        where.setdefault(row["group"], set()).add(str(row["split"]))
    assert len(where) == 60 and all(len(names) == 1 for names in where.values())
    assert set(splits["domain"]) == {"source", "target"}


@pytest.mark.slow
def test_real_galaxies_need_a_ledger_and_have_a_run_that_starts_from_simulated_ones(published, tmp_path, monkeypatch):
    monkeypatch.setattr("galmerge_da.training.api._COLLAPSED", 2.0)
    ledger, study = tmp_path / "looks.jsonl", {"data": REAL, "n": None, "epochs": 1, "seeds": (1, 2)}
    published(REAL, 1)
    with pytest.raises(InputError, match=f"run 'galmerge download {NAME}'"):
        run_sim_to_sim(tmp_path / "study", **study, ledger=ledger)
    assert not (tmp_path / "study" / "runs").exists()
    published(NAME, 0)
    _, summary = run_sim_to_sim(tmp_path / "study", **study, runs=(*RUNS, TRANSFER), ledger=ledger)
    rows = {row["run"]: row for row in summary if row["domain"] == "target"}
    (look,) = read_ledger(ledger)
    assert "target labels" not in rows and "target's labels" not in look["note"]  # nobody asked for it
    assert look["dataset"] == REAL and look["TL+MMD_auc"] == pytest.approx(rows["TL+MMD"]["auc"])
    assert [rows[name]["auc_published"] for name in ("noDA", "MMD", "TL+MMD")] == [0.58, 0.60, 0.76]
    for seed in (1, 2):
        folders = {
            name: next((tmp_path / "study" / "runs").glob(f"{name}-deepmerge-seed{seed}-*"))
            for name in ("mmd", "tl-mmd", "tl-mmd-start")
        }
        bands = {name: MergerClassifier.load(folder / "model.safetensors").bands for name, folder in folders.items()}
        assert bands["tl-mmd-start"][0] == "F814W" and bands["tl-mmd"] == bands["mmd"] == ("g", "r", "i")
        plain, own = (Table.read(folders[name] / "history.ecsv") for name in ("mmd", "tl-mmd"))
        assert own["cross_entropy"][0] != plain["cross_entropy"][0]  # they differ in nothing but where they start
    page = (tmp_path / "study" / "report.html").read_text()
    assert "From simulated to real galaxies: deepmerge-simreal" in page

    def stop(*args, **options):
        raise InterruptedError

    monkeypatch.setattr("galmerge_da.experiments.sim_to_sim.draw_sim_to_sim", stop)
    with pytest.raises(InterruptedError):
        run_sim_to_sim(tmp_path / "study", **study, runs=(*RUNS, TRANSFER), ledger=ledger)
    assert len(read_ledger(ledger)) == 2  # what was seen is written down before anything else
