"""Shapes as columns of a table, and classifiers of them."""

import pickle

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from sklearn.ensemble import RandomForestClassifier

from galmerge_da.evaluation import morphology_table, rotational_asymmetry_table, train_forest
from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import Cutouts
from galmerge_da.morphology import MEASURES, measure_morphology
from galmerge_da.photometry import edge_background
from galmerge_da.simulation import simulate

NAMES = list(MEASURES)


@pytest.fixture(scope="module")
def galaxies():
    return simulate(12, "sdss", seed=3, n_jobs=1)


def flux_of(table):
    flux = np.asarray(table["image"]).mean(axis=1)
    return flux - edge_background(flux[:, None])[0][..., None]


def test_the_measures_are_columns_beside_the_others(galaxies):
    table = morphology_table(galaxies, radius="radius")
    assert table.colnames == [name for name in galaxies.colnames if name != "image"] + NAMES + ["flags"]
    assert list(table["id"]) == list(galaxies["id"])
    for name, expected in measure_morphology(flux_of(galaxies), np.asarray(galaxies["radius"])).items():
        np.testing.assert_allclose(table[name], expected, rtol=1e-5, atol=1e-7)
        assert table[name].description == MEASURES[name] and table[name].meta["ucd"] == "src.morph.param"
    expected = rotational_asymmetry_table(galaxies, radius="radius")["asymmetry"]
    np.testing.assert_array_equal(table["asymmetry"], expected)


def test_a_row_that_cannot_be_measured_is_flagged_and_spoils_no_other(galaxies):
    nothing = [np.full((3, 50, 50), np.nan), np.zeros((3, 40, 44)), np.zeros((3, 0, 0))]
    images = [*np.asarray(galaxies["image"])[:3], *nothing]
    sizes = np.array([10.4, np.nan, 0.5, 10, 10, 10])
    cutouts = Cutouts(
        data=images, row=np.arange(6), table=Table({"id": np.arange(6)}), flags=np.zeros(6, np.int32), radius=sizes
    )
    table = morphology_table(cutouts)
    flagged = (table["flags"] & Flag.NO_MORPHOLOGY) > 0
    np.testing.assert_array_equal(flagged, [False, False, True, True, True, True])
    np.testing.assert_array_equal((table["flags"] & Flag.RADIUS_MEASURED) > 0, np.arange(6) == 1)
    for name in NAMES:
        np.testing.assert_array_equal(np.isnan(table[name]), flagged)
    alone = morphology_table(galaxies[:1], radius=[10.4])
    assert table["gini"][0] == alone["gini"][0]


def test_a_finer_image_of_a_galaxy_has_the_same_shape(galaxies):
    fine = galaxies[:6]
    images = np.kron(np.asarray(fine["image"]), np.ones((1, 1, 8, 8), np.float32))
    coarse = morphology_table(fine, radius=np.full(6, 10.4))
    table = morphology_table(Table({"image": images}), radius=np.full(6, 83.2))
    for name, tolerance in (("gini", 0.03), ("m20", 0.15), ("concentration", 0.15)):
        np.testing.assert_allclose(table[name], coarse[name], atol=tolerance, err_msg=name)


def test_columns_of_the_same_name_and_tables_without_rows(galaxies):
    mine = galaxies[:2]
    mine["gini"] = [1, 2]
    with pytest.warns(InputWarning, match="'gini'; it is called 'gini_in'") as caught:
        table = morphology_table(mine)
    assert caught[0].filename == __file__
    assert list(table["gini_in"]) == [1, 2] and table["gini"][0] < 1
    assert morphology_table(galaxies[:0]).colnames[-6:] == [*NAMES, "flags"]


@pytest.fixture(scope="module")
def shapes():
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=300)
    return Table({"label": label} | {name: rng.normal(0.8 * label, 1) for name in NAMES})


def test_a_forest_is_that_of_scikit_learn_on_the_five_measures(shapes):
    forest = train_forest(shapes[:200], seed=4)
    features = np.stack([shapes[name] for name in NAMES], axis=1)
    model = RandomForestClassifier(300, min_samples_leaf=5, random_state=4).fit(features[:200], shapes["label"][:200])
    probs = forest.predict_proba(shapes[200:])
    np.testing.assert_array_equal(probs, model.predict_proba(features[200:]))
    assert np.mean((probs[:, 1] > 0.5) == shapes["label"][200:]) > 0.65
    np.testing.assert_array_equal(train_forest(shapes[:200], seed=4).predict_proba(shapes[200:]), probs)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(forest)).predict_proba(shapes[200:]), probs)
    truth = np.asarray(shapes["label"])[:200]
    np.testing.assert_array_equal(train_forest(shapes[:200], truth, seed=4).predict_proba(shapes[200:]), probs)


def test_rows_without_a_measure_are_not_trained_on_and_get_no_probability(shapes):
    flawed = shapes.copy()
    flawed["gini"][:50] = np.nan
    flawed["m20"] = MaskedColumn(flawed["m20"], mask=np.arange(300) >= 290)
    whole, forest = train_forest(shapes[50:290]), train_forest(flawed)
    assert forest.prior == whole.prior == np.mean(shapes["label"][50:290])
    probs = forest.predict_proba(flawed)
    np.testing.assert_array_equal(np.isnan(probs[:, 1]), (np.arange(300) < 50) | (np.arange(300) >= 290))
    np.testing.assert_array_equal(probs[50:290], whole.predict_proba(shapes[50:290]))


def test_what_cannot_be_trained_on_is_an_error(shapes):
    with pytest.raises(InputError, match="no column 'gini'.*; see morphology_table"):
        train_forest(shapes["label", "asymmetry"])
    with pytest.raises(InputError, match="no column 'lable'; did you mean 'label'"):
        train_forest(shapes, "lable")
    with pytest.raises(InputError, match="labels must be 0 or 1"):
        train_forest(shapes, np.full(300, 2))
    with pytest.raises(InputError, match="one for each of 300 rows"):
        train_forest(shapes, [0, 1])
    with pytest.raises(InputError, match="10 measured galaxies of each class are needed, got 0 mergers of"):
        train_forest(shapes[shapes["label"] == 0])
    named = shapes.copy()
    named.replace_column("gini", ["x"] * 300)
    with pytest.raises(InputError, match="'gini' does not hold numbers"):
        train_forest(named)
