"""The classifier that ships with the package: small, made by the recipe beside it, and better than chance."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image
from sklearn.metrics import roc_auc_score

from galmerge_da import Flag, MergerClassifier, classify, simulate
from galmerge_da.inference import default_model_path
from galmerge_da.training import read_recipe, read_tables

DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture
def tables():
    return read_tables(default_model_path().with_name("default.toml"))


def test_it_is_small():
    assert default_model_path().stat().st_size < 2_000_000


def test_it_was_made_by_its_recipe_with_composites(tables):
    provenance = MergerClassifier.load(default_model_path()).provenance
    simulated = tables["data"].pop("simulate")
    made, written = read_recipe(provenance["recipe"]), read_recipe(tables)
    training = replace(made.training, trace=written.training.trace, watch=written.training.watch)
    assert replace(made, training=training) == written
    total, composites = simulated["n"] * 5 // 3, simulated["n"] * 2 // 3
    made = f"{total} galaxies, simulated with seed {simulated['seed']}, {composites} of them composites"
    assert provenance["source"] == f"{simulated['survey']} ({made})"
    assert provenance["adapted"] and provenance["adapted_by"] == [f"{composites} composites"]


def test_the_galaxies_it_has_seen_are_listed():
    seen = Table.read(default_model_path().with_name("default_galaxies.ecsv"))
    assert len(seen) == len(set(seen["sdss_dr7_objid"])) == len(set(seen["sha256"])) == 2000
    assert {len(each) for each in seen["sha256"]} == {64}


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside the checkout")
def test_the_pictures_it_has_seen_are_those_of_the_list():
    seen = Table.read(default_model_path().with_name("default_galaxies.ecsv"))
    path = DATA / "sdss_gz1" / "images" / f"{seen['sdss_dr7_objid'][5]}.jpeg"
    pixels = np.ascontiguousarray(np.asarray(Image.open(path)).transpose(2, 0, 1))
    assert hashlib.sha256(pixels).hexdigest() == seen["sha256"][5]


def test_it_finds_mergers_among_galaxies_it_has_not_seen():
    galaxies = simulate(120, "sdss-jpeg", seed=5)
    catalogue = classify(galaxies)
    assert np.all(np.isfinite(catalogue["merger_prob"]))
    assert catalogue.meta["GMADAPT"] == "6000 composites"
    assert roc_auc_score(galaxies["label"], catalogue["merger_prob"]) > 0.8
    assert catalogue.meta["GMSHA256"] == MergerClassifier.load(default_model_path()).weights_sha256


@pytest.mark.slow
def test_an_image_of_twenty_five_million_pixels_stands_among_others():
    galaxies = simulate(4, "sdss", seed=5, n_jobs=1)["image"]
    noise = np.random.default_rng(0).normal(scale=galaxies[2][:, :10].std(), size=(3, 500, 500)).astype(np.float32)
    large = np.tile(noise + np.median(galaxies[2][:, :10]), (1, 10, 10))
    large[:, 2462:2537, 2462:2537] = galaxies[2]
    catalogue = classify([*galaxies[:2], large, galaxies[3]], bands=("g", "r", "i"))
    expected = classify(galaxies, bands=("g", "r", "i"))
    np.testing.assert_allclose(catalogue["merger_prob"][[0, 1, 3]], expected["merger_prob"][[0, 1, 3]], rtol=1e-5)
    assert abs(catalogue["merger_prob"][2] - expected["merger_prob"][2]) < 0.2
    assert not np.any(catalogue["flags"] & Flag.NOT_CLASSIFIED)
