"""`classify`: same rows, same order, a probability or a flag for each, and a header that tells where it came from."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import MaskedColumn, QTable, Table
from numpy.testing import assert_allclose

from galmerge_da.exceptions import ConfigError, InputError, InputWarning, ModelFileError
from galmerge_da.flags import Flag
from galmerge_da.inference import MergerClassifier, api, classify
from galmerge_da.io import open_cutouts, read_catalog, write_catalog
from galmerge_da.metrics import TemperatureCalibrator
from galmerge_da.models import build_network
from galmerge_da.morphology import MEASURES, measure_morphology
from galmerge_da.preprocessing import PreprocessingRecipe, frame_radii, preprocess

SIZE = 25
BANDS = ("g", "r", "i")


def make_classifier(classes=("nonmerger", "merger")):
    torch.manual_seed(0)
    network = build_network("deepmerge", in_channels=3, image_size=SIZE, n_classes=len(classes))
    network.entrance.fit(make_images(50, seed=99))
    calibrator = TemperatureCalibrator(1.5, (0.0, -0.4) if len(classes) == 2 else (0.0,) * len(classes))
    provenance = {
        "losses": {"mmd": 1.0, "fisher": {"weight": 0.5}},
        "source": "simulated " * 9,
        "target": "Söderberg survey",
    }
    recipe = PreprocessingRecipe(BANDS, size=SIZE, scale="pixels")
    return MergerClassifier(network, recipe, classes=classes, calibrator=calibrator, provenance=provenance)


def make_images(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3, SIZE, SIZE)).astype(np.float32)


def make_table(n=10, cls=Table, **columns):
    table = cls({"name": [f"galaxy {i}" for i in range(n)], "image": make_images(n), **columns})
    table["z"] = np.linspace(0, 1, n)
    table["z"].description = "redshift"
    return table


def spoil(table, row, value):
    table["image"][row] = value
    return table


def missing(column):
    return np.ma.getmaskarray(np.ma.asarray(column))


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
    from galmerge_da.io import open_cutouts

    frames = preprocess(open_cutouts(table, bands=BANDS).read(), classifier.preprocessing)
    raw, calibrated = classifier.predict(frames.data)
    catalogue = classify(table, classifier, bands=BANDS)
    assert_allclose(catalogue["merger_prob"], calibrated[:, 1], rtol=1e-5)
    assert_allclose(catalogue["merger_prob_raw"], raw[:, 1], rtol=1e-5)
    reverse = classify(table[::-1], classifier, bands=BANDS)
    assert_allclose(reverse["merger_prob"][::-1], catalogue["merger_prob"], rtol=1e-5)


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
                         "GMPREP", "GMCALIB", "GMTHRESH", "GMCITE"}  # fmt: skip
    assert all(len(key) <= 8 and isinstance(value, str | float) and str(value).isascii() for key, value in ours.items())
    assert meta["GMSHA256"] == make_classifier().weights_sha256
    assert meta["GMLOSS"] == "mmd=1.0 fisher.weight=0.5"
    assert meta["GMTHRESH"] == 0.7
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


class GatheringClient:
    """Gives futures that only `gather` opens, as dask's client does."""

    def __init__(self):
        self.n_mapped = 0

    def map(self, function, items):
        self.n_mapped += len(items)
        return [lambda item=item: function(item) for item in items]

    def gather(self, futures):
        return [future() for future in futures]


def test_a_client_gives_the_same_catalogue(monkeypatch):
    monkeypatch.setattr(api, "_CHUNK", 3)
    monkeypatch.setattr(api, "_WINDOW", 2)
    classifier, table = make_classifier(), spoil(make_table(17), 5, np.nan)
    alone = classify(table, classifier, bands=BANDS)
    gathering = GatheringClient()
    with ThreadPoolExecutor(2) as pool:
        for client in (pool, gathering):
            catalogue = classify(table, classifier, bands=BANDS, client=client)
            assert_allclose(np.ma.getdata(catalogue["merger_prob"]), np.ma.getdata(alone["merger_prob"]), rtol=1e-6)
            assert list(catalogue["flags"]) == list(alone["flags"])
    assert gathering.n_mapped == 6


def test_threads_are_limited_during_the_call_only(monkeypatch):
    seen = []
    original = MergerClassifier.predict
    monkeypatch.setattr(
        MergerClassifier, "predict", lambda *args, **kw: seen.append(torch.get_num_threads()) or original(*args, **kw)
    )
    before = torch.get_num_threads()
    classify(make_table(2), make_classifier(), bands=BANDS, n_threads=before + 1)
    assert seen == [before + 1] and torch.get_num_threads() == before


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "two", True])
def test_an_impossible_number_of_threads_is_refused(n_threads):
    with pytest.raises(ConfigError, match="n_threads"):
        classify(make_table(2), make_classifier(), bands=BANDS, n_threads=n_threads)


def test_something_else_is_no_client():
    with pytest.raises(ConfigError, match="client must have a method map"):
        classify(make_table(2), make_classifier(), bands=BANDS, client=3)


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="device"):
        classify(make_table(2), make_classifier(), bands=BANDS, device="abacus")


def test_progress_is_shown_when_asked_for(capsys):
    classify(make_table(2), make_classifier(), bands=BANDS)
    assert capsys.readouterr().err == ""
    classify(make_table(2), make_classifier(), bands=BANDS, progress=True)
    assert "2/2" in capsys.readouterr().err


def test_an_interrupt_leaves_threads_and_network_as_they_were(monkeypatch):
    classifier, before = make_classifier(), torch.get_num_threads()

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "preprocess", interrupt)
    with pytest.raises(KeyboardInterrupt):
        classify(make_table(2), classifier, bands=BANDS, n_threads=before + 1)
    assert torch.get_num_threads() == before
    assert not classifier.network.training


def test_columns_of_bands_in_another_order_than_the_model_are_put_right():
    table, classifier = make_table(5), make_classifier()
    apart = Table({f"sky_{band}": table["image"][:, BANDS.index(band)] for band in "irg"})
    catalogue = classify(apart, classifier, image=apart.colnames)
    assert_allclose(catalogue["merger_prob"], classify(table, classifier, bands=BANDS)["merger_prob"], rtol=1e-5)


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
