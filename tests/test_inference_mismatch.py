"""Cutouts that do not fit the model: a warning and a flag that name it, once, and no wrong pixel in silence."""

import re
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table, vstack

from galmerge_da import Flag, classify, simulate, train
from galmerge_da.exceptions import ConfigError, InputError, InputWarning
from galmerge_da.inference import MergerClassifier
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe

TINY = {"training": {"epochs": 1, "batch_size": 8, "patience": 1, "fractions": [0.6, 0.2, 0.2]}}


def classifier(size=40, **recipe):
    import torch

    torch.manual_seed(0)
    options = {"bands": ("g", "r", "i"), "scale": "pixels", **recipe}
    return MergerClassifier(
        build_network(in_channels=3, image_size=size).eval(), PreprocessingRecipe(size=size, **options)
    )


@pytest.fixture(scope="module")
def galaxies():
    return simulate(12, "sdss", seed=3, n_jobs=1)


def images(n=3, size=60, seed=0):
    y, x = np.indices((size, size)) - (size - 1) / 2
    light = 40 * np.exp(-np.hypot(y, x) / 5) * np.array([1, 2, 3])[:, None, None]
    return (light + np.random.default_rng(seed).normal(0, 0.1, (n, 3, size, size))).astype(np.float32)


def test_cutouts_of_another_scale_without_saying_so_are_named():
    """A model of 0.4 arcsec a pixel, cutouts of 0.06: without a word of their scale they cannot be right."""
    model = classifier(pixel_scale=0.4)
    with pytest.warns(InputWarning, match="3 of 3 cutouts do not say their pixel scale .* 0.4 arcsec") as caught:
        catalogue = classify(images(), model, bands=("g", "r", "i"))
    assert len(caught) == 1
    assert np.all(catalogue["flags"] & Flag.PIXEL_SCALE_UNKNOWN)
    assert np.all(np.isfinite(catalogue["merger_prob"]))


def test_cutouts_that_state_their_scale_are_brought_to_that_of_the_model():
    model = classifier(pixel_scale=0.4)
    fine = np.repeat(np.repeat(images(), 4, axis=2), 4, axis=3) / 16
    expected = classify(images(), model, bands=("g", "r", "i"), pixel_scale=0.4 * u.arcsec)
    got = classify(fine, model, bands=("g", "r", "i"), pixel_scale=0.1 * u.arcsec)
    np.testing.assert_allclose(got["merger_prob"], expected["merger_prob"], atol=1e-6)
    assert not np.any(got["flags"] & Flag.PIXEL_SCALE_UNKNOWN)
    with pytest.warns(InputWarning, match="pixel scale"):
        blind = classify(fine, model, bands=("g", "r", "i"))
    assert np.min(np.abs(blind["merger_prob"] - expected["merger_prob"])) > 2e-5


def test_training_notes_the_scale_of_its_source(galaxies):
    table = Table({"image": galaxies["image"], "label": galaxies["label"]}, meta={"BANDS": "g,r,i", "PIXSCALE": 0.4})
    table = Table(np.concatenate([table.as_array()] * 3))  # enough rows for three splits
    table.meta.update(BANDS="g,r,i", PIXSCALE=0.4)
    recipe = {**TINY, "preprocessing": {"scale": "pixels", "size": 40}}
    result = train(table, recipe=recipe, seed=1)
    assert result.classifier.preprocessing.pixel_scale == 0.4
    assert train(table, recipe=TINY, seed=1).classifier.preprocessing.pixel_scale is None
    other = Table(table, meta={"BANDS": "g,r,i"})
    with pytest.warns(InputWarning, match="36 of 36 cutouts do not say their pixel scale"):
        train(table, other, adapt={"mmd": 1.0}, recipe=recipe, seed=1)


@pytest.fixture(scope="module")
def of_many_scales(galaxies):
    """A classifier that took the pixels of simulated frames as they are; their scales are one a row."""
    many = vstack([galaxies] * 3, metadata_conflicts="silent")
    many.remove_columns(["id", "group"])  # enough rows of both classes for three splits
    return train(many, recipe={**TINY, "preprocessing": {"scale": "pixels", "size": 40}}, seed=1).classifier


def test_a_source_of_many_scales_leaves_their_range_in_the_model(of_many_scales, galaxies, tmp_path):
    expected = np.percentile(np.tile(galaxies["pixel_scale"], 3), (5, 50, 95))
    np.testing.assert_allclose(of_many_scales.preprocessing.trained_scales, expected)
    assert of_many_scales.preprocessing.pixel_scale is None
    of_many_scales.save(tmp_path / "m.safetensors")
    assert MergerClassifier.load(tmp_path / "m.safetensors").preprocessing == of_many_scales.preprocessing


def test_pixels_beyond_the_range_of_the_training_images_are_named(of_many_scales):
    low, median, high = of_many_scales.preprocessing.trained_scales
    bands = ("g", "r", "i")
    fine = np.array([median, low / 1.4, high * 1.6, median / 10]) * u.arcsec
    with pytest.warns(
        InputWarning, match=rf"2 of 4 cutouts have pixels of another scale .* the {low:.3g} to"
    ) as caught:
        catalogue = classify(images(4), of_many_scales, bands=bands, pixel_scale=fine)
    assert len(caught) == 1
    differs = catalogue["flags"] & Flag.PIXEL_SCALE_DIFFERS
    assert (differs != 0).tolist() == [False, False, True, True]
    with pytest.warns(InputWarning, match=r"another scale \(0.01 arcsec\)"):
        classify(images(4), of_many_scales, bands=bands, pixel_scale=0.01 * u.arcsec)
    with pytest.warns(InputWarning, match=rf"4 of 4 cutouts do not say their pixel scale .* .median {median:.3g}"):
        catalogue = classify(images(4), of_many_scales, bands=bands)
    assert np.all(catalogue["flags"] & Flag.PIXEL_SCALE_UNKNOWN)


def test_frames_that_scale_with_their_galaxy_have_no_scale_to_compare(of_many_scales, galaxies):
    other = galaxies.copy()
    other["pixel_scale"] *= 20
    flags = classify(other, of_many_scales)["flags"]
    assert not np.any(flags & (Flag.PIXEL_SCALE_DIFFERS | Flag.PIXEL_SCALE_UNKNOWN))


@pytest.mark.parametrize("scales", [(1, 2), (3, 2, 1), (0, 1, 2), 1.0])
def test_scales_of_training_are_three_in_order(scales):
    with pytest.raises(ConfigError, match="trained_scales must be"):
        PreprocessingRecipe(scale="pixels", trained_scales=scales)
    with pytest.raises(ConfigError, match="trained_scales needs scale = 'pixels'"):
        PreprocessingRecipe(trained_scales=(1, 2, 3))


def test_another_number_of_bands_is_named():
    with pytest.raises(InputError, match=r"the images have 2 band\(s\) \(g, r\); expected the 3 band\(s\) g, r, i"):
        classify(images()[:, :2], classifier(), bands=("g", "r"))
    mixed = [images()[0], images()[1, :2], images()[2]]
    with pytest.warns(InputWarning, match="1 of 3 images could not be used .* row 1"):
        catalogue = classify(mixed, classifier(), bands=("g", "r", "i"))
    assert [bool(flags & Flag.BAD_SHAPE) for flags in catalogue["flags"]] == [False, True, False]


def test_bands_in_another_order_are_put_right_by_name_and_named_without():
    model, turned = classifier(), images()[:, ::-1]
    expected = classify(images(), model, bands=("g", "r", "i"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_name = classify(turned, model, bands=("i", "r", "g"))
    np.testing.assert_allclose(by_name["merger_prob"], expected["merger_prob"], rtol=1e-6)
    with pytest.warns(InputWarning, match="without names were taken in the order given: 0 as g, 1 as r, 2 as i"):
        blind = classify(turned, model)
    assert np.max(np.abs(blind["merger_prob"] - expected["merger_prob"])) > 1e-4


@pytest.mark.parametrize("factor", [200, 1000, 1e-9], ids=["counts", "electrons", "maggies"])
def test_counts_instead_of_flux_are_named(galaxies, factor):
    model = classifier()
    right = classify(galaxies, model)
    assert not np.any(right["flags"] & Flag.UNIT_DOUBTFUL)
    counts = galaxies.copy()
    counts["image"] = counts["image"] * np.float32(factor)
    with pytest.warns(InputWarning, match="12 of 12 cutouts have noise that cannot be that of the survey 'sdss'"):
        catalogue = classify(counts, model)
    assert np.all(catalogue["flags"] & Flag.UNIT_DOUBTFUL)
    unnamed = Table({"image": counts["image"]})
    assert not np.any(classify(unnamed, model, bands=("g", "r", "i"))["flags"] & Flag.UNIT_DOUBTFUL)


@pytest.mark.parametrize("survey", ["sdss", "decals", "hsc", "euclid", "deepmerge-z2", "ceers"])
def test_what_a_survey_really_sees_is_never_taken_for_counts(survey):
    table = simulate(24, survey, seed=8, n_jobs=1)
    n_bands = table["image"].shape[1]
    network = build_network(in_channels=n_bands, image_size=40).eval()
    catalogue = classify(table, MergerClassifier(network, PreprocessingRecipe(size=40)))
    assert not np.any(catalogue["flags"] & Flag.UNIT_DOUBTFUL)


@pytest.mark.parametrize("band", [0, 1, 2])
@pytest.mark.parametrize("factor", [147, 1e-9], ids=["counts", "maggies"])
def test_counts_in_one_band_are_named(galaxies, band, factor):
    one = galaxies.copy()
    one["image"][:, band] *= np.float32(factor)
    with pytest.warns(InputWarning, match="12 of 12 cutouts have noise .* or a band that cannot be in the unit of the"):
        assert np.all(classify(one, classifier())["flags"] & Flag.UNIT_DOUBTFUL)
    with pytest.warns(InputWarning, match="12 of 12 cutouts have a band that cannot be in the unit of the others"):
        unnamed = classify(Table({"image": one["image"]}), classifier(), bands=("g", "r", "i"))
    assert np.all(unnamed["flags"] & Flag.UNIT_DOUBTFUL)


def test_bands_of_other_zero_points_that_are_stated_are_in_order(galaxies):
    one = Table({"image": galaxies["image"].copy()})
    one["image"][:, 1] *= np.float32(10**3.56)
    catalogue = classify(one, classifier(), bands=("g", "r", "i"), zero_point=[22.5, 31.4, 22.5])
    assert not np.any(catalogue["flags"] & Flag.UNIT_DOUBTFUL)


def test_a_galaxy_that_is_in_one_band_only_is_in_order():
    """A dropout: light in one band, noise in all."""
    sky = np.random.default_rng(0).normal(0, 0.1, (3, 3, 60, 60)).astype(np.float32)
    light = images()
    light[:, :2] = sky[:, :2]
    for case in (light, light[:, ::-1]):
        assert not np.any(classify(np.ascontiguousarray(case), classifier(), bands=("g", "r", "i"))["flags"])


def test_a_unit_that_the_model_needs_and_nobody_states_is_named():
    model = classifier(flux={"zero_point": 22.5})
    with pytest.warns(InputWarning, match="3 of 3 cutouts do not say what a unit of flux is"):
        catalogue = classify(images(), model, bands=("g", "r", "i"))
    assert np.all(catalogue["flags"] & Flag.UNIT_DOUBTFUL)
    assert not np.any(classify(images(), model, bands=("g", "r", "i"), zero_point=25)["flags"])


def test_a_psf_that_the_model_needs_and_nobody_states_is_named():
    model = classifier(psf={"fwhm": 1.4})
    with pytest.warns(InputWarning, match="3 of 3 cutouts have a point-spread function .* not known"):
        catalogue = classify(images(), model, bands=("g", "r", "i"))
    assert np.all(catalogue["flags"] & Flag.PSF_UNMATCHED)
    known = {"pixel_scale": 0.4 * u.arcsec, "psf_fwhm": 1.0 * u.arcsec}
    assert not np.any(classify(images(), model, bands=("g", "r", "i"), **known)["flags"])


def test_the_warning_does_not_depend_on_chunks():
    many = np.concatenate([images(seed=seed) for seed in range(100)])
    with pytest.warns(InputWarning, match="300 of 300 cutouts do not say their pixel scale") as caught:
        classify(many, classifier(pixel_scale=0.4), bands=("g", "r", "i"))
    assert len(caught) == 1


def test_the_header_of_a_catalogue_tells_every_step(galaxies):
    model = classifier(flux={"zero_point": 25}, psf={"fwhm": [1.5, 1.5, 2]}, background="mesh")
    catalogue = classify(galaxies, model, pixel_scale=0.4 * u.arcsec)
    words = catalogue.meta["GMPREP"]
    assert {"flux.zero_point=25.0", "psf.fwhm=1.5,1.5,2.0", "background=mesh"} <= set(words.split())
    assert not re.search(r"[{}']", words)


def test_the_catalogue_has_the_radius_that_the_frame_was_scaled_by():
    model = classifier(scale="radius")
    given = classify(images(), model, bands=("g", "r", "i"), radius=[8.0, 9.0, 10.0])["frame_radius"]
    assert given.tolist() == [8, 9, 10] and given.unit == u.pix
    measured = classify(images(), model, bands=("g", "r", "i"))["frame_radius"]
    assert np.all((measured > 8) & (measured < 30))  # of an exponential disc: two to four scale lengths
    assert np.all(np.isnan(classify(np.zeros((1, 3, 30, 30)), model, bands=("g", "r", "i"))["frame_radius"]))
