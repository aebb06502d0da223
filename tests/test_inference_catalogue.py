"""The catalogue that `classify` gives: its columns, its header, and what survives a file."""

from concurrent.futures import ThreadPoolExecutor

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from numpy.testing import assert_allclose
from small_classifier import BANDS, SIZE, make_classifier, make_images, make_table, spoil

from galmerge_da.exceptions import ConfigError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.inference import classify
from galmerge_da.io import open_cutouts, read_catalog, write_catalog
from galmerge_da.morphology import MEASURES, measure_morphology
from galmerge_da.plugins import get_backbone, get_loss
from galmerge_da.preprocessing import frame_radii, preprocess


def test_a_qtable_stays_one():
    table = make_table(4, QTable, flux=np.arange(4) * u.nJy)
    catalogue = classify(table, make_classifier(), bands=BANDS)
    assert type(catalogue) is QTable
    assert catalogue["flux"].unit == u.nJy


def test_columns_of_the_same_name_make_room():
    table = make_table(3, merger_prob=[0.1, 0.2, 0.3], merger_prob_in=[1, 2, 3], flags=["a", "b", "c"])
    with pytest.warns(InputWarning) as caught:
        catalogue = classify(table, make_classifier(), bands=BANDS)
    assert {"merger_prob_in_in", "flags_in"} <= set(catalogue.colnames)
    assert list(catalogue["merger_prob_in_in"]) == [0.1, 0.2, 0.3]
    assert list(catalogue["flags_in"]) == ["a", "b", "c"]
    assert ["'merger_prob'" in str(w.message) for w in caught] == [True, False]


def test_flags_of_an_earlier_catalogue_are_only_added_to():
    table = make_table(3)
    table["flags"] = classify(table, make_classifier(), bands=BANDS)["flags"]
    table["flags"][1] |= Flag.MASKED
    catalogue = classify(table, make_classifier(), bands=BANDS)
    assert "flags_in" not in catalogue.colnames
    assert list(catalogue["flags"] & Flag.MASKED) == [0, Flag.MASKED, 0]


def test_more_classes_give_a_column_each():
    catalogue = classify(make_table(), make_classifier(("isolated", "pair", "post")), bands=BANDS)
    names = ["prob_isolated", "prob_pair", "prob_post"]
    assert set(names) | {f"{name}_raw" for name in names} <= set(catalogue.colnames)
    assert "merger_prob" not in catalogue.colnames
    assert_allclose(sum(catalogue[name] for name in names), 1)


def test_the_header_is_flat_short_and_plain():
    table = make_table(2)
    table.meta = {"OBSERVER": "me", "GMVERS": "older"}
    meta = classify(table, make_classifier(), bands=BANDS, threshold=0.7).meta
    ours = {key: value for key, value in meta.items() if key.startswith("GM")}
    assert meta["OBSERVER"] == "me" and meta["GMVERS"] != "older"
    assert set(ours) == {"GMVERS", "GMDATE", "GMSHA256", "GMTRAIN", "GMBACK", "GMCLASS", "GMLOSS", "GMSRC", "GMTGT",
                         "GMADAPT", "GMPREP", "GMCALIB", "GMTHRESH", "GMCITE"}  # fmt: skip
    assert all(len(key) <= 8 and isinstance(value, str | float) and str(value).isascii() for key, value in ours.items())
    assert meta["GMSHA256"] == make_classifier().weights_sha256
    assert meta["GMLOSS"] == "mmd=1.0 fisher.weight=0.5" and meta["GMADAPT"] == "unknown"
    assert meta["GMTHRESH"] == 0.7
    papers = meta["GMCITE"].split("; ")
    assert papers == ["Ciprijanovic et al. 2021, MNRAS 506, 677", get_backbone("deepmerge").reference,
                      get_loss("mmd").reference.split("; ")[0], get_loss("fisher").reference]  # fmt: skip
    assert table.meta == {"OBSERVER": "me", "GMVERS": "older"}


def test_the_threshold_is_the_models_unless_given():
    classifier = make_classifier()
    classifier.threshold = 0.3
    assert classify(make_table(2), classifier, bands=BANDS).meta["GMTHRESH"] == 0.3
    with pytest.raises(ConfigError, match="threshold"):
        classify(make_table(2), classifier, bands=BANDS, threshold=2)


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".vot"])
def test_a_written_catalogue_keeps_values_descriptions_and_ucds(tmp_path, suffix):
    table = spoil(make_table(5), 3, np.nan)
    table["z"].unit = "mag"
    catalogue = classify(table, make_classifier(), bands=BANDS)
    write_catalog(catalogue, tmp_path / f"out{suffix}")
    again = read_catalog(tmp_path / f"out{suffix}")
    assert again.colnames == catalogue.colnames
    assert_allclose(np.ma.filled(np.ma.asarray(again["merger_prob"]), np.nan), np.ma.getdata(catalogue["merger_prob"]))
    assert list(again["flags"]) == list(catalogue["flags"])
    assert again["z"].unit == u.mag
    assert again["merger_prob"].description == catalogue["merger_prob"].description
    assert again["merger_prob"].meta["ucd"] == "stat.probability;src.morph.type"
    assert again["flags"].meta["ucd"] == "meta.code.qual"
    for key, value in catalogue.meta.items():
        assert again.meta[key] == value, key


def make_galaxies(n=6):
    """Discs, the last with a companion, on frames as they are."""
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    disc = np.exp(-np.hypot(y, x) / 1.5)
    images = np.stack([np.broadcast_to(disc * (1 + row), (3, SIZE, SIZE)) for row in range(n)]).astype(np.float32)
    images[-1] += np.exp(-np.hypot(y - 4, x - 3)).astype(np.float32)
    return Table({"name": [f"galaxy {row}" for row in range(n)], "image": images})


def test_morphology_is_measured_on_the_frames_and_changes_no_probability():
    table = make_galaxies()
    classifier = make_classifier()
    plain = classify(table, classifier, bands=BANDS)
    catalogue = classify(table, classifier, bands=BANDS, morphology=True)
    assert catalogue.colnames == ["name", "merger_prob", "merger_prob_raw", "frame_radius", *MEASURES, "flags"]
    assert_allclose(catalogue["merger_prob"], plain["merger_prob"])
    frames = preprocess(open_cutouts(table, bands=BANDS).read(), classifier.preprocessing)
    radius = frame_radii(frames, classifier.preprocessing)
    assert np.isfinite(radius).all()
    for name, expected in measure_morphology(frames.data.mean(axis=1), radius).items():
        assert_allclose(catalogue[name], expected, rtol=1e-6)
        assert catalogue[name].description and catalogue[name].meta["ucd"] == "src.morph.param"
    assert catalogue["asymmetry"][-1] > catalogue["asymmetry"][:-1].max() + 0.1
    assert not np.any(catalogue["flags"] & Flag.NO_MORPHOLOGY)


def test_morphology_that_cannot_be_measured_is_flagged_and_survives_a_file(tmp_path):
    table = make_galaxies()
    table["image"][1] = np.nan
    table["image"][2] = make_images(1)[0]
    with ThreadPoolExecutor(2) as pool:
        catalogue = classify(table, make_classifier(), bands=BANDS, morphology=True, client=pool)
    flagged = (np.asarray(catalogue["flags"]) & Flag.NO_MORPHOLOGY) > 0
    assert_allclose(flagged, [False, True, True, False, False, False])
    assert np.isnan(catalogue["gini"][flagged]).all() and np.isfinite(catalogue["gini"][~flagged]).all()
    for suffix in ("fits", "ecsv", "vot"):
        path = tmp_path / f"catalogue.{suffix}"
        write_catalog(catalogue, path)
        again = read_catalog(path)
        assert_allclose(np.ma.filled(np.ma.asarray(again["m20"], float), np.nan), catalogue["m20"])
        assert {name: again[name].description for name in MEASURES} == MEASURES
