"""Scores of a catalogue, the ledger of looks, and asymmetry as a column."""

import csv
import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from galmerge_da.evaluation import append_look, check_ledger, read_ledger, rotational_asymmetry_table, score_catalog
from galmerge_da.exceptions import InputError
from galmerge_da.io import Cutouts, open_cutouts
from galmerge_da.photometry import edge_background, rotational_asymmetry
from galmerge_da.preprocessing import linearise

SHARED = Path(__file__).parents[1].parent / "shared"


def catalogue(n=400, seed=0):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(int)
    prob = np.clip(0.3 * label + rng.random(n) * 0.7, 0, 1)
    return Table({"label": label, "merger_prob": prob, "asymmetry": 2 * prob + rng.normal(0, 0.3, n)})


def test_scores_agree_with_scikit_learn():
    table = catalogue()
    scores = score_catalog(table, "label", asymmetry="asymmetry")
    assert list(scores["score"]) == ["merger_prob", "asymmetry"]
    for row in scores:
        assert row["n"] == 400 and row["n_pos"] == table["label"].sum() and row["n_excluded"] == 0
        assert row["auc"] == pytest.approx(roc_auc_score(table["label"], table[row["score"]]))
        assert row["ap"] == pytest.approx(average_precision_score(table["label"], table[row["score"]]))
    first = scores[0]
    assert first["brier"] == pytest.approx(brier_score_loss(table["label"], table["merger_prob"]))
    assert first["accuracy"] == pytest.approx(np.mean((table["merger_prob"] >= 0.5) == table["label"]))
    assert 0 < first["ece"] < 0.5
    assert np.isnan([scores["accuracy"][1], scores["brier"][1], scores["ece"][1], scores["ece_err"][1]]).all()


def test_rows_without_a_probability_or_a_label_are_counted_out():
    table = catalogue()
    kept = score_catalog(table[20:], "label")
    table["merger_prob"][:5] = np.nan
    table["merger_prob"] = MaskedColumn(table["merger_prob"], mask=(np.arange(400) >= 5) & (np.arange(400) < 10))
    table["label"][10:15] = -1
    table["label"] = MaskedColumn(table["label"], mask=(np.arange(400) >= 15) & (np.arange(400) < 20))
    scores = score_catalog(table, "label")
    assert scores["n"][0] == 380 and scores["n_excluded"][0] == 10
    for key in ("auc", "ap", "accuracy", "brier", "ece"):
        assert scores[key][0] == pytest.approx(kept[key][0])


def test_the_spread_is_that_of_a_normal_sample_mean_and_repeats_with_the_seed():
    table = catalogue(n=1000)
    scores = score_catalog(table, "label", n_bootstrap=500)
    right = np.mean((table["merger_prob"] >= 0.5) == table["label"])
    assert scores["accuracy_err"][0] == pytest.approx(np.sqrt(right * (1 - right) / 1000), rel=0.15)
    assert score_catalog(table, "label", seed=4)["auc_err"][0] == score_catalog(table, "label", seed=4)["auc_err"][0]
    assert score_catalog(table, "label", seed=4)["auc_err"][0] != score_catalog(table, "label", seed=5)["auc_err"][0]


def test_what_is_not_defined_is_nan():
    table = catalogue()
    one_class = score_catalog(table[table["label"] == 0], "label")
    assert np.isnan([one_class["auc"][0], one_class["ap"][0], one_class["auc_err"][0]]).all()
    assert one_class["n_pos"][0] == 0 and np.isfinite(one_class["brier"][0])
    table["merger_prob"] = np.nan
    nothing = score_catalog(table, "label")
    assert nothing["n"][0] == 0 and nothing["n_excluded"][0] == 400 and np.isnan(nothing["auc"][0])


def test_wrong_columns_are_errors():
    table = catalogue()
    table["name"] = "x"
    table["stage"] = 3
    with pytest.raises(InputError, match="no column 'lable'; did you mean 'label'"):
        score_catalog(table, "lable")
    with pytest.raises(InputError, match="'prob'"):
        score_catalog(table, "label", probability="prob")
    with pytest.raises(InputError, match="'name' does not hold numbers"):
        score_catalog(table, "name")
    with pytest.raises(InputError, match="must be 0 or 1"):
        score_catalog(table, "stage")


def test_a_look_is_a_line_and_reads_back(tmp_path):
    path = tmp_path / "looks.jsonl"
    before = datetime.now(UTC).replace(microsecond=0)
    append_look(path, dataset="gz1", command="galmerge evaluate", model_sha256="ab", figures={"auc": np.float32(0.5)})
    append_look(path, dataset="é", command="x", figures={"auc": np.nan, "n": np.int64(3)}, note="two\nlines")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2 and lines[1]["figures"] == {"auc": None, "n": 3}
    looks = read_ledger(path)
    assert list(looks["dataset"]) == ["gz1", "é"] and list(looks["model_sha256"]) == ["ab", ""]
    np.testing.assert_array_equal(looks["auc"], [0.5, np.nan])
    np.testing.assert_array_equal(looks["n"], [np.nan, 3])
    assert looks["note"][1] == "two\nlines"
    assert before <= datetime.fromisoformat(looks["date"][0]) <= datetime.now(UTC)


def test_a_look_never_harms_what_is_there(tmp_path):
    path = tmp_path / "looks.jsonl"
    append_look(path, dataset="a", command="x", figures={})
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])  # cut short by an editor
    append_look(path, dataset="b", command="x", figures={"auc": 1})
    assert path.read_bytes().startswith(whole)
    assert list(read_ledger(path)["dataset"]) == ["a", "b"]
    for wrong in ({"auc": "high"}, {"auc": True}, {"auc": [1]}, {"date": 1}):
        with pytest.raises(InputError, match="figure"):
            append_look(path, dataset="c", command="x", figures=wrong)
    assert len(read_ledger(path)) == 2


def test_a_ledger_is_checked_before_the_look(tmp_path):
    check_ledger(tmp_path / "looks.jsonl")
    assert not (tmp_path / "looks.jsonl").exists()
    with pytest.raises(InputError, match="cannot be written to: no such folder"):
        check_ledger(tmp_path / "nowhere" / "looks.jsonl")
    (tmp_path / "text.txt").write_text("not a ledger\n")
    with pytest.raises(InputError, match="line 1: not a look"):
        check_ledger(tmp_path / "text.txt")


def test_looks_at_the_same_time_are_all_kept(tmp_path):
    path = tmp_path / "looks.jsonl"

    def look(worker):
        for number in range(20):
            append_look(path, dataset=str(worker), command="x", figures={"n": number}, note="y" * 2000)

    threads = [threading.Thread(target=look, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_ledger(path)) == 80


def test_a_file_that_is_no_ledger_is_an_error_that_names_the_line(tmp_path):
    path = tmp_path / "looks.jsonl"
    with pytest.raises(InputError, match="cannot be read"):
        read_ledger(path)
    append_look(path, dataset="a", command="x", figures={})
    for bad in ("not json\n", '{"date": 1}\n', "3\n"):
        (tmp_path / "bad.jsonl").write_text(path.read_text() + bad)
        with pytest.raises(InputError, match="line 2"):
            read_ledger(tmp_path / "bad.jsonl")


def pictures(n=3, size=120, tails=(0, 0, 1)):
    y, x = np.indices((size, size)) - (size - 1) / 2
    rng = np.random.default_rng(0)
    images = []
    for tail in tails[:n]:
        flux = 0.3 * np.exp(-np.hypot(y, x) / 6) + tail * 0.1 * np.exp(-np.hypot(y - 15, x - 18) / 4)
        images.append(np.stack([flux + rng.normal(0.02, 0.002, flux.shape) for _ in range(3)]))
    return np.array(images, dtype=np.float32)


def cutouts(data, **known):
    n = len(data)
    return Cutouts(
        data=data, row=np.arange(n), table=Table({"id": np.arange(n) + 7}), flags=np.zeros(n, np.int32), **known
    )


def test_asymmetry_is_a_column_beside_the_others():
    images = pictures()
    table = rotational_asymmetry_table(cutouts(images, radius=np.full(3, 20.0)))
    assert list(table["id"]) == [7, 8, 9] and table.colnames == ["id", "asymmetry"]
    flux = images.mean(axis=1)
    flux = flux - edge_background(flux[:, None])[0][:, :, None]
    np.testing.assert_allclose(table["asymmetry"], rotational_asymmetry(flux, radius=28.8, search=1), rtol=1e-3)
    assert table["asymmetry"][2] > table["asymmetry"][:2].max() + 0.1


def test_asymmetry_needs_no_radius_and_survives_bad_rows():
    images = pictures()
    flawed = [*images, np.full((3, 50, 50), np.nan), np.zeros((3, 0, 0)), np.zeros((3, 40, 40)), images[2].copy()]
    flawed[-1][0] = np.nan
    table = rotational_asymmetry_table(cutouts(flawed))
    assert np.isnan(table["asymmetry"][3:6]).all()
    assert table["asymmetry"][2] > table["asymmetry"][:2].max() + 0.1
    assert table["asymmetry"][6] == pytest.approx(table["asymmetry"][2], abs=0.05)
    masked = rotational_asymmetry_table(cutouts(images, mask=images > 0.05, radius=np.full(3, 20.0)))
    assert np.isfinite(masked["asymmetry"]).all()
    with pytest.raises(InputError, match="radii"):
        rotational_asymmetry_table(cutouts(images), radii=0)


def test_asymmetry_of_a_finer_image_is_that_of_the_same_galaxy():
    images = np.kron(pictures()[1:], np.ones((1, 1, 8, 8), np.float32))
    coarse = rotational_asymmetry_table(cutouts(pictures()[1:], radius=np.full(2, 20.0)))
    fine = rotational_asymmetry_table(cutouts(images, radius=np.full(2, 160.0)))
    np.testing.assert_allclose(fine["asymmetry"], coarse["asymmetry"], atol=0.05)


def test_asymmetry_opens_what_users_hold():
    table = Table({"name": ["a", "b", "c"], "image": pictures(), "radius": [20.0, 20, 20]})
    expected = rotational_asymmetry_table(cutouts(pictures(), radius=np.full(3, 20.0)))["asymmetry"]
    got = rotational_asymmetry_table(table, radius="radius")
    assert list(got["name"]) == ["a", "b", "c"]
    np.testing.assert_array_equal(got["asymmetry"], expected)
    source = open_cutouts(table, radius="radius", chunk_size=2)
    np.testing.assert_array_equal(rotational_asymmetry_table(source)["asymmetry"], expected)
    nothing = rotational_asymmetry_table(table[:0])
    assert len(nothing) == 0 and nothing.colnames == ["name", "radius", "asymmetry"]


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "sdss_gz1").is_dir(), reason="shared/data/sdss_gz1 is not here")
def test_asymmetry_finds_sdss_mergers():
    image = pytest.importorskip("PIL.Image")
    folder = SHARED / "data" / "sdss_gz1"
    with open(folder / "labels.csv") as file:
        rows = list(csv.DictReader(file))
    values = []
    for start in range(0, len(rows), 50):
        names = [row["filename"] for row in rows[start : start + 50]]
        stack = np.stack([np.asarray(image.open(folder / name)).transpose(2, 0, 1) for name in names])
        flux = linearise(stack).sum(axis=1)
        flux -= edge_background(flux[:, None])[0][:, :, None]
        values.extend(rotational_asymmetry(flux, radius=60))
    auc = roc_auc_score([int(row["merger"]) for row in rows], values)
    assert auc == pytest.approx(0.90, abs=0.015)
