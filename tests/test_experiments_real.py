"""The sim-to-real study: folds, what is read and made, and the whole way."""

import hashlib
import re

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from galmerge_da import simulate
from galmerge_da.evaluation import append_look
from galmerge_da.exceptions import ConfigError, InputError, InputWarning
from galmerge_da.experiments import (
    RealRun,
    compare_selectors,
    real_data,
    real_inside,
    report_real,
    run_sim_to_real,
    score_real,
    train_for_survey,
)
from galmerge_da.experiments.real_data import assign_folds, read_survey, sdss_field, stand_in
from galmerge_da.experiments.real_inside import draw_inside
from galmerge_da.experiments.real_scores import mean_rank
from galmerge_da.experiments.sim_to_real import catalogue_names, without_highest
from galmerge_da.experiments.study import load_run
from galmerge_da.flags import Flag
from galmerge_da.inference import MergerClassifier
from galmerge_da.training.selection import SELECTORS


@settings(deadline=None, max_examples=50)
@given(groups=st.lists(st.integers(0, 12), min_size=20, max_size=80), n_folds=st.integers(2, 5), seed=st.integers(0, 9))
def test_no_group_is_in_two_folds_and_folds_are_alike(groups, n_folds, seed):
    if len(set(groups)) < n_folds:
        with pytest.raises(InputError, match="folds need as many groups"):
            assign_folds(groups, n_folds, seed=seed)
        return
    fold = assign_folds(groups, n_folds, seed=seed)
    assert set(fold) == set(range(n_folds))
    assert all(len(set(fold[np.array(groups) == group])) == 1 for group in groups)
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= np.bincount(groups).max()


def test_a_field_is_run_camcol_and_field():
    # bits from the top: 1 free, 4 sky version, 11 rerun, 16 run, 3 camcol, 1 first field, 12 field, 16 object
    def objid(run, camcol, field, number):
        return (2 << 59) | (40 << 48) | (run << 32) | (camcol << 29) | (field << 16) | number

    ids = [objid(752, 1, 17, 5), objid(752, 1, 17, 900), objid(752, 2, 17, 5), objid(753, 1, 17, 5)]
    fields = sdss_field(ids)
    assert fields[0] == fields[1] and len(set(fields)) == 3
    assert np.array_equal(sdss_field([str(each) for each in ids]), fields)
    for wrong in ([1, "b"], [1, 2.5], np.ma.MaskedArray([1, 2], [False, True]), [1, 10**20]):
        with pytest.raises(InputError, match="object ids of SDSS are whole numbers of 64 bits, got .* in row 1"):
            sdss_field(wrong)


@given(scores=st.lists(st.floats(-9, 9), min_size=2, max_size=60))
def test_a_second_round_sets_aside_the_tenth_that_ranks_highest(scores):
    rows = np.arange(len(scores)) * 3 + 1
    kept = without_highest(rows, np.array(scores))
    aside = np.setdiff1d(rows, kept)
    assert len(aside) == round(len(rows) / 10) and np.array_equal(kept, np.sort(kept)) and set(kept) <= set(rows)
    by_row = dict(zip(rows, scores, strict=True))
    assert not len(aside) or min(by_row[row] for row in aside) >= max(by_row[row] for row in kept)


def test_the_stand_in_has_few_mergers():
    table = stand_in(40, prevalence=0.1)
    assert len(table) == 40 and table["label"].sum() == 4 and table["image"].dtype == np.uint8


def test_the_stand_in_is_made_once_and_reads_as_it_was_made(tmp_path, monkeypatch):
    small = stand_in(12, prevalence=0.5)
    monkeypatch.setattr(real_data, "stand_in", lambda: small)
    first = read_survey(tmp_path, None, image="image", survey="sdss-jpeg", n=6)
    monkeypatch.setattr(real_data, "stand_in", lambda: pytest.fail("made again"))
    again = read_survey(tmp_path, None, image="image", survey="sdss-jpeg", n=6)
    direct, _ = real_data._frames(small, {**first.reading, "image": "image"}, ("i", "r", "g"))
    for data in (first, again):
        assert np.array_equal(data.frames["image"], direct["image"])
        assert data.table["label"].tolist() == small["label"].tolist()


def test_pictures_of_a_fixed_scale_are_framed_by_their_measured_radius(tmp_path):
    """A wider picture of the same galaxy gives the same frame if its radius is measured, and a coarse one if not."""
    made = simulate(4, "sdss-jpeg", seed=3)
    wide = np.pad(made["image"], ((0, 0), (0, 0), (100, 100), (100, 100)), mode="reflect")
    shares = []
    for table, radius in ((made, None), (Table({"image": wide}), "measure"), (Table({"image": wide}), None)):
        data = read_survey(tmp_path, table, image="image", survey="sdss-jpeg", radius=radius, n=6)
        light = np.asarray(data.frames["image"]).mean(axis=1)
        shares.append(light[:, 25:50, 25:50].sum(axis=(1, 2)) / light.sum(axis=(1, 2)))
        if radius:
            assert len(Table.read(data.labelled(1.0, np.arange(4), "all", seed=0))) == 12
    assert np.all(np.abs(shares[1] - shares[0]) < 0.15) and np.all(np.abs(shares[2] - shares[0]) > 0.4)


def check_that_nothing_of_the_fold_was_seen(folder, catalogue):
    """Target data sets are the other folds' frames, without a label; composites are of the other folds' galaxies."""
    frames = np.asarray(Table.read(folder / "data" / "frames.fits")["image"])
    for fold in (0, 1):
        seen = np.flatnonzero(catalogue["fold"] != fold)
        (target,) = (folder / "data").glob(f"target-without-fold{fold}-*.fits")
        target = Table.read(target)
        assert np.array_equal(target["image"], frames[seen]) and "label" not in target.colnames
        (composites,) = (folder / "data").glob(f"*composites*-fold{fold}-*.fits")
        made = Table.read(composites)["group"]
        assert {int(group[3:]) for group in made if group.startswith("row")} <= set(seen)


def check_the_second_round(folder, galaxies, first, settings):
    """It begins with the first round's models, which are there, and composes nine tenths of what they saw."""
    models, data = set((folder / "runs").iterdir()), set((folder / "data").iterdir())
    second = RealRun("second", composites=first.composites, after=first)
    catalogue = run_sim_to_real(folder, galaxies, **{**settings, "runs": [second]})
    assert np.all(np.isfinite(catalogue["second"])) and catalogue.meta["RUNS"] == "second,second+asymmetry"
    made = [path.name for path in set((folder / "runs").iterdir()) - models]
    assert len(made) == 4 and all(name.startswith("second") for name in made)
    composites = set((folder / "data").iterdir()) - data
    assert len(composites) == 2
    for path in composites:
        fold = int(re.search(r"-fold(\d)-", path.name)[1])
        seen = np.flatnonzero(catalogue["fold"] != fold)
        used = {int(group[3:]) for group in Table.read(path)["group"] if group.startswith("row")}
        assert used <= set(seen) and len(used) <= 0.9 * len(seen)


def check_the_selectors(folder, catalogue, selectors):
    """Each fold's runs are compared on galaxies that they were given and held out, by an AUC that is scikit-learn's."""
    runs = Table.read(folder / "runs.ecsv")
    assert sorted(set(zip(runs["run"], runs["seed"], runs["fold"], strict=True))) == sorted(
        (run, seed, fold) for run, folds in (("noDA", (0,)), ("TL+coral", (0, 1)), ("pairs", (0, 1)))
        for fold in folds for seed in (1, 2)
    )  # fmt: skip
    check_the_aucs_of_selectors(folder, catalogue, np.arange(len(catalogue)))
    assert set(selectors["selector"]) == {*SELECTORS, "oracle"} and np.all(selectors["auc_lost"] == 0)  # one epoch


def check_the_aucs_of_selectors(folder, catalogue, known):
    """AUC of each run by what it held out of the galaxies that it was given, where a label is known."""
    picked, runs = Table.read(folder / "picked.ecsv"), Table.read(folder / "runs.ecsv")
    usable, n_compared = np.flatnonzero(np.isfinite(catalogue["noDA"])), 0
    for row in runs:
        trace = load_run(folder / "runs" / row["folder"]).trace["target", "test"]
        held_out = usable[catalogue["fold"][usable] != row["fold"]][trace.rows]
        some = np.isin(held_out, known)
        labels = catalogue["label"][held_out[some]]
        own = picked[(picked["run"] == row["run"]) & (picked["seed"] == row["seed"]) & (picked["fold"] == row["fold"])]
        own = own[own["selector"] == "last"]
        assert len(own) == (len(set(labels)) == 2)
        for each in own:
            logits = np.diff(trace.logits[-1][some])[:, 0]
            assert each["target_auc"] == pytest.approx(roc_auc_score(labels, logits))
            n_compared += 1
    assert n_compared


def first_run(folder):
    return load_run(folder / "runs" / Table.read(folder / "runs.ecsv")["folder"][0])


def check_what_is_drawn(folder, catalogue):
    """Galaxies of the first fold, as they are in the data, with their own labels, or none."""
    runs = Table.read(folder / "runs.ecsv")
    run = load_run(folder / "runs" / runs["folder"][0])
    for label in ("label", None):
        frames, classes, rows = real_inside._sample(folder, catalogue, run, label, seed=0)
        assert np.all(catalogue["fold"][rows] == 0) and len(rows) == np.sum(catalogue["fold"] == 0)
        given = np.asarray(Table.read(folder / "data" / "frames.fits")["image"])[rows]
        np.testing.assert_allclose(frames["target"].data, given, atol=0.01 * np.abs(given).max())
        assert classes["target"].tolist() == (catalogue["label"][rows].tolist() if label else [2] * len(rows))
        held_out = run.trace["source", "test"].rows
        truth = Table.read(folder / "data" / catalogue.meta["SOURCE"])["label"]
        assert sorted(classes["source"]) == sorted(truth[held_out[held_out < len(truth)]])
        scores = np.asarray(catalogue["pairs"])[rows]
        for (name, domain), row in real_inside._pick(classes, scores, 0).items():
            if "rank" in name:
                place = int(np.sum(scores > scores[row]))
                assert label is None and place == (0 if "first" in name else len(rows) // 2)
            else:
                assert classes[domain][row] == (0 if "non-merger" in name else 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the classifier puts")  # so few galaxies, one epoch
def test_the_study_classifies_every_galaxy_by_models_that_have_not_seen_it(tmp_path):
    galaxies = simulate(50, "sdss-jpeg", seed=77)
    runs = [RealRun("noDA"), RealRun("TL+coral", {"coral": 1.0}, transfer=True), RealRun("pairs", composites=0.2)]
    settings = dict(runs=runs, n=200, epochs=1, seeds=(1, 2), n_folds=2)
    catalogue = run_sim_to_real(tmp_path, galaxies, **settings)
    assert catalogue["id"].tolist() == galaxies["id"].tolist()
    assert {*catalogue.colnames} == {*galaxies.colnames, *catalogue_names(runs, (1, 2))} - {"image"}
    for run in runs:
        both = np.stack([catalogue[f"{run.name}_seed{seed}"] for seed in (1, 2)])
        assert np.all(np.isfinite(both)) and np.allclose(both.mean(0), catalogue[run.name])
    assert catalogue.meta["RUNS"] == "noDA,TL+coral,pairs,pairs+asymmetry"
    assert catalogue.meta["OTHERS"] == "pairs unturned,Gini-M20,random forest"
    assert np.all(np.isfinite(catalogue["pairs unturned_seed1"]))
    assert not np.allclose(catalogue["pairs unturned_seed1"], catalogue["pairs_seed1"])
    assert np.allclose(
        (catalogue["random forest_seed1"] + catalogue["random forest_seed2"]) / 2, catalogue["random forest"]
    )
    check_that_nothing_of_the_fold_was_seen(tmp_path, catalogue)
    ranks = mean_rank(catalogue["pairs_seed1"], catalogue["asymmetry"], groups=catalogue["fold"])
    assert np.array_equal(catalogue["pairs+asymmetry_seed1"], ranks)
    scored = [*catalogue.meta["RUNS"].split(","), *catalogue.meta["OTHERS"].split(",")]
    scores = score_real(catalogue, "label", scored, n_bootstrap=20)
    timed = scores["run"][np.isfinite(scores["seconds_per_image"])].tolist()
    assert timed == ["Gini-M20", "random forest", "asymmetry"]
    selectors = compare_selectors(tmp_path, catalogue, "label")
    check_the_selectors(tmp_path, catalogue, selectors)
    labelled = {"scores": scores, "selectors": selectors, "label": "label"}
    page = report_real(tmp_path, catalogue, call="a call", **labelled).read_text()
    assert "pairs+asymmetry" in page and page.count("<img") == 7 and "AUC lost by who chooses" in page
    check_what_is_drawn(tmp_path, catalogue)
    captions = {name: caption for name, (_, caption) in draw_inside(tmp_path, catalogue, "pairs").items()}
    assert list(captions) == ["histories", "tsne", "gradcam"]
    unlabelled = report_real(tmp_path, catalogue, call="a call").read_text()
    assert unlabelled.count("<img") == 5 and "AUC lost" not in unlabelled
    made = [path.name for path in (tmp_path / "runs").iterdir()]
    for start, n in (("noda", 2), ("tl-coral-deepmerge", 4), ("tl-coral-start", 2), ("pairs", 4)):
        assert sum(name.startswith(start) for name in made) == n
    final = train_for_survey(tmp_path, galaxies, run=runs[2], n=200, epochs=1)
    assert MergerClassifier.load(tmp_path / "model.safetensors").weights_sha256 == final.weights_sha256
    assert final.provenance["source"].endswith("240 galaxies, simulated with seed 301, 40 of them composites)")
    adapted = Table.read(tmp_path / "galaxies.ecsv")
    assert adapted["id"].tolist() == galaxies["id"].tolist() and len(set(adapted["sha256"])) == 50
    assert adapted["sha256"][7] == hashlib.sha256(galaxies["image"][7].tobytes()).hexdigest()
    check_the_second_round(tmp_path, galaxies, runs[2], settings)
    others = run_sim_to_real(tmp_path, galaxies[:40], **{**settings, "runs": runs[:1], "seeds": (1,)})
    assert len(others) == 40 and len(list((tmp_path / "data").glob("target-without-fold*"))) == 3
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    again = run_sim_to_real(tmp_path, galaxies, **settings)
    assert np.array_equal(again["pairs"], catalogue["pairs"])
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the classifier puts")
def test_a_picture_that_cannot_be_used_takes_part_in_nothing_and_columns_are_kept(tmp_path):
    galaxies = simulate(48, "sdss-jpeg", seed=78)
    galaxies["image"][5] = 0
    galaxies["fold"], galaxies["noDA"], galaxies["flags"] = "mine", 7, 9
    galaxies["noDA_seed1"] = galaxies["noDA_seed2"] = np.arange(48.0)  # of an earlier study, say
    galaxies["label"][:4] = -1
    runs = [RealRun("noDA"), RealRun("pairs", composites=0.2)]
    for name in ("scores.ecsv", "scores.csv"):
        (tmp_path / name).write_text("of an earlier catalogue, or of the user")
    settings = dict(runs=runs, n=200, epochs=1, seeds=(1,), n_folds=2)
    with pytest.warns(InputWarning) as warned:
        catalogue = run_sim_to_real(tmp_path, galaxies, **settings)
    said = [str(each.message) for each in warned]
    for name, value in (("fold", "mine"), ("noDA", 7), ("flags", 9)):
        assert np.all(catalogue[f"{name}_in"] == value) and any(f"it is called '{name}_in'" in each for each in said)
    assert catalogue["flags"][5] & Flag.BLANK and not np.any(catalogue["flags"][np.arange(48) != 5] & Flag.BLANK)
    for name in ("noDA", "pairs", "pairs+asymmetry", "pairs unturned", "asymmetry", "Gini-M20", "random forest"):
        assert np.flatnonzero(~np.isfinite(catalogue[name])).tolist() == [5]
    (path,) = (tmp_path / "data").glob(f"target-without-fold{1 - catalogue['fold'][5]}-*.fits")
    assert len(Table.read(path)) == np.sum(catalogue["fold"] == catalogue["fold"][5]) - 1
    assert not (tmp_path / "scores.ecsv").exists() and (tmp_path / "scores.csv").exists()
    scores = score_real(catalogue, "label", ["noDA", "pairs"], n_bootstrap=5)
    assert set(scores["n_left_out"]) == {5} and set(scores["n_seeds"]) == {1}
    known = np.setdiff1d(np.arange(4, 48), 5)
    expected = roc_auc_score(catalogue["label"][known], catalogue["noDA_seed1"][known])
    assert scores["auc"][0] == pytest.approx(expected)
    selectors = compare_selectors(tmp_path, catalogue, "label")
    check_the_aucs_of_selectors(tmp_path, catalogue, known)
    _, classes, rows = real_inside._sample(tmp_path, catalogue, first_run(tmp_path), "label", 0)
    assert rows.tolist() == [row for row in range(48) if catalogue["fold"][row] == 0 and row != 5]
    assert classes["target"].tolist() == [2 if row < 4 else galaxies["label"][row] for row in rows]
    labelled = {"scores": scores, "selectors": selectors, "label": "label"}
    page = report_real(tmp_path, catalogue, call="a call", **labelled).read_text()
    assert "48, 1 of them without a usable picture" in page and "this report; no ledger was given" in page
    stand_in_too = report_real(
        tmp_path, Table(catalogue, meta={**catalogue.meta, "STANDIN": True}), call="", **labelled
    )
    assert "none: the galaxies are a simulated stand-in" in stand_in_too.read_text()
    with pytest.raises(InputError, match="give label"):
        report_real(tmp_path, catalogue, call="a call", scores=scores)
    append_look(tmp_path / "looks.jsonl", dataset="mine", command="", figures={})
    seen = report_real(tmp_path, catalogue, call="a call", **labelled, ledger=tmp_path / "looks.jsonl", dataset="mine")
    assert "1 line of the ledger on mine" in seen.read_text()
    for wrong, words in (({"objid": "objid"}, "no column 'objid'"), ({"n_folds": 49}, "49 folds need as many groups")):
        with pytest.raises(InputError, match=words):
            run_sim_to_real(tmp_path / "other", galaxies, **{**settings, **wrong})
    assert not (tmp_path / "other").exists()
    galaxies["image"] = 0
    with pytest.raises(InputError, match="none of the 48 pictures can be used: .*BLANK"):
        read_survey(tmp_path, galaxies["image",], image="image", survey="sdss-jpeg", n=6)


def test_the_name_of_a_run_has_no_comma():
    with pytest.raises(ConfigError, match="no comma, got 'MMD, weighted'"):
        RealRun("MMD, weighted", {"mmd": 1.0})
