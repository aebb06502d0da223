"""The classifier that ships with the package: small, made by the recipe beside it, and better than chance."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from galmerge_da import MergerClassifier, classify, simulate
from galmerge_da.inference import default_model_path
from galmerge_da.training import read_recipe, read_tables


@pytest.fixture
def tables():
    return read_tables(default_model_path().with_name("default.toml"))


def test_it_is_small():
    assert default_model_path().stat().st_size < 2_000_000


def test_it_was_made_by_its_recipe(tables):
    provenance = MergerClassifier.load(default_model_path()).provenance
    simulated = tables["data"].pop("simulate")
    assert provenance["recipe"] == read_recipe(tables).to_dict()
    assert provenance["source"] == f"{simulated['survey']} ({simulated['n']} galaxies)"


def test_it_finds_mergers_among_galaxies_it_has_not_seen():
    galaxies = simulate(120, "sdss-jpeg", seed=5)
    catalogue = classify(galaxies)
    assert np.all(np.isfinite(catalogue["merger_prob"]))
    assert roc_auc_score(galaxies["label"], catalogue["merger_prob"]) > 0.8
    assert catalogue.meta["GMSHA256"] == MergerClassifier.load(default_model_path()).weights_sha256
