"""`classify`: same rows, same order, a probability or a flag for each."""

import warnings

import numpy as np
import pytest
import torch
from astropy.table import MaskedColumn, Table
from numpy.testing import assert_allclose
from small_classifier import BANDS, SIZE, make_classifier, make_table, missing, spoil

from galmerge_da.exceptions import InputError, InputWarning, ModelFileError
from galmerge_da.flags import Flag
from galmerge_da.inference import api, classify
from galmerge_da.io import open_cutouts
from galmerge_da.preprocessing import preprocess


def test_rows_order_and_columns_are_the_users():
    table = make_table()
    catalogue = classify(table, make_classifier(), bands=BANDS)
    assert catalogue.colnames == ["name", "z", "merger_prob", "merger_prob_raw", "frame_radius", "flags"]
    assert list(catalogue["name"]) == list(table["name"])
    assert catalogue["z"].description == "redshift"
    assert catalogue["flags"].dtype == np.int32
    assert table.colnames == ["name", "image", "z"]


def test_probabilities_are_those_of_the_preprocessed_frames(monkeypatch):
    monkeypatch.setattr(api, "_CHUNK", 4)
    classifier, table = make_classifier(), make_table(11)
    frames = preprocess(open_cutouts(table, bands=BANDS).read(), classifier.preprocessing)
    raw, calibrated = classifier.predict(frames.data)
    catalogue = classify(table, classifier, bands=BANDS)
    assert_allclose(catalogue["merger_prob"], calibrated[:, 1], rtol=1e-5)
    assert_allclose(catalogue["merger_prob_raw"], raw[:, 1], rtol=1e-5)
    reverse = classify(table[::-1], classifier, bands=BANDS)
    assert_allclose(reverse["merger_prob"][::-1], catalogue["merger_prob"], rtol=1e-5)


def test_turned_frames_are_those_of_predict():
    classifier, table = make_classifier(), make_table(5)
    frames = preprocess(open_cutouts(table, bands=BANDS).read(), classifier.preprocessing)
    catalogue = classify(table, classifier, bands=BANDS, turns=True)
    assert_allclose(catalogue["merger_prob"], classifier.predict(frames.data, turns=True)[1][:, 1], rtol=1e-5)
    plain = classify(table, classifier, bands=BANDS)
    assert np.any(np.abs(catalogue["merger_prob"] - plain["merger_prob"]) > 1e-4)


def test_merger_prob_is_of_mergers_in_whatever_order_the_classes_are():
    table, usual, swapped = make_table(3), make_classifier(), make_classifier(("merger", "nonmerger"))
    assert_allclose(
        classify(table, swapped, bands=BANDS)["merger_prob"], 1 - classify(table, usual, bands=BANDS)["merger_prob"],
        rtol=1e-5,
    )  # fmt: skip


def test_the_method_is_the_function():
    table, classifier = make_table(3), make_classifier()
    assert_allclose(
        classifier.classify(table, bands=BANDS)["merger_prob"], classify(table, classifier, bands=BANDS)["merger_prob"]
    )


def test_a_path_is_a_model(tmp_path):
    classifier = make_classifier()
    classifier.save(tmp_path / "m.safetensors")
    ours = classify(make_table(), tmp_path / "m.safetensors", bands=BANDS)
    assert_allclose(ours["merger_prob"], classify(make_table(), classifier, bands=BANDS)["merger_prob"])


def test_something_else_is_no_model(tmp_path):
    with pytest.raises(FileNotFoundError):
        classify(make_table(), tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="path of its file, got int"):
        classify(make_table(), 3)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ModelFileError):
        classify(make_table(), str(tmp_path / "text"))


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_bad_row_is_masked_and_flagged_and_the_others_do_not_notice(value):
    classifier = make_classifier()
    clean = classify(make_table(), classifier, bands=BANDS)
    spoilt = classify(spoil(make_table(), 4, value), classifier, bands=BANDS)
    bad = np.arange(10) == 4
    for name in ("merger_prob", "merger_prob_raw"):
        assert np.array_equal(missing(spoilt[name]), bad)
        assert np.isnan(np.ma.getdata(spoilt[name])[4])
        assert_allclose(np.ma.getdata(spoilt[name])[~bad], clean[name][~bad], rtol=1e-6)
    flags = spoilt["flags"]
    assert flags[4] & Flag.NOT_CLASSIFIED and flags[4] & Flag.BLANK
    assert not np.any(flags[~bad] & Flag.NOT_CLASSIFIED)
    assert not isinstance(clean["merger_prob"], MaskedColumn)


def test_images_of_any_size_get_a_probability_or_a_flag():
    rng = np.random.default_rng(0)
    shapes = [(3, 1, 1), (3, 40, 30), (3, SIZE, SIZE), (3, 700, 700), (2, SIZE, SIZE)]
    images = np.empty(len(shapes), dtype=object)
    for row, shape in enumerate(shapes):
        images[row] = rng.normal(size=shape)
    with pytest.warns(InputWarning, match="row 4"):
        catalogue = classify(Table({"image": images}), make_classifier(), bands=BANDS)
    assert list(missing(catalogue["merger_prob"])) == [True, False, False, False, True]
    assert catalogue["flags"][0] & Flag.BAD_SHAPE and catalogue["flags"][4] & Flag.BAD_SHAPE


def test_a_table_of_bad_rows_only():
    catalogue = classify(make_table(3, image=np.full((3, 3, SIZE, SIZE), np.nan)), make_classifier(), bands=BANDS)
    assert missing(catalogue["merger_prob"]).all()


def test_a_table_of_missing_files_only():
    table = Table({"image": ["nowhere.fits", "no.jpg"]})
    with pytest.warns(InputWarning, match="2 of 2") as caught:
        catalogue = classify(table, make_classifier())
    assert len(caught) == 1
    assert missing(catalogue["merger_prob"]).all()
    assert np.all(catalogue["flags"] == Flag.UNREADABLE | Flag.NOT_CLASSIFIED)


def test_bands_of_other_names_are_one_warning_for_all_chunks(monkeypatch):
    monkeypatch.setattr(api, "_CHUNK", 3)
    classifier = make_classifier()
    straight = classify(make_table(), classifier, bands=BANDS)["merger_prob"]
    for bands, match in ((("u", "g", "z"), "by wavelength"), (None, "without names")):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            catalogue = classify(make_table(), classifier, bands=bands)
        assert [match in str(warning.message) for warning in caught] == [True]
        assert_allclose(catalogue["merger_prob"], straight)
    swapped = make_table()
    swapped["image"] = swapped["image"][:, ::-1]
    with pytest.warns(InputWarning, match="by wavelength"):
        assert_allclose(classify(swapped, classifier, bands=("z", "g", "u"))["merger_prob"], straight)


def test_more_bands_than_wanted_are_chosen_by_name():
    table, classifier = make_table(), make_classifier()
    straight = classify(table, classifier, bands=BANDS)["merger_prob"]
    images = table["image"]
    table["image"] = np.concatenate([images[:, 2:], images, images[:, :1]], axis=1)[:, [0, 3, 1, 2]]
    table["image"][:, 0] = 7
    assert_allclose(classify(table, classifier, bands=("z", "i", "g", "r"))["merger_prob"], straight)


def test_pixels_that_overflow_the_network_are_flagged():
    classifier = make_classifier()
    with torch.no_grad():
        classifier.network.entrance.std.zero_()
    catalogue = classify(make_table(2), classifier, bands=BANDS)
    assert missing(catalogue["merger_prob"]).all()
    assert np.all(catalogue["flags"] & Flag.NOT_CLASSIFIED)


def test_an_empty_table_gives_an_empty_catalogue():
    catalogue = classify(make_table(10)[:0], make_classifier(), bands=BANDS)
    assert len(catalogue) == 0
    assert catalogue.colnames == ["name", "z", "merger_prob", "merger_prob_raw", "frame_radius", "flags"]


def test_the_wrong_number_of_bands_is_one_clear_error():
    table = Table({"image": np.ones((2, 4, SIZE, SIZE))})
    with pytest.raises(InputError, match=r"4 band\(s\) \(u, g, x, z\); expected the 3 band\(s\) g, r, i"):
        classify(table, make_classifier(), bands=("u", "g", "x", "z"))


def test_a_missing_column_is_one_clear_error():
    with pytest.raises(InputError, match="stamp"):
        classify(make_table(), make_classifier(), image="stamp")


def test_columns_of_bands_in_another_order_than_the_model_are_put_right():
    table, classifier = make_table(5), make_classifier()
    apart = Table({f"sky_{band}": table["image"][:, BANDS.index(band)] for band in "irg"})
    catalogue = classify(apart, classifier, image=apart.colnames)
    assert_allclose(catalogue["merger_prob"], classify(table, classifier, bands=BANDS)["merger_prob"], rtol=1e-5)
