"""From pixels as they come to frames: what is kept, what is filled, what is flagged."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import example, given, settings
from hypothesis import strategies as st

from galmerge_da.exceptions import ConfigError, InputError, InputWarning
from galmerge_da.flags import FATAL, Flag
from galmerge_da.io import Cutouts
from galmerge_da.preprocessing import PreprocessingRecipe, linearise, preprocess

SHARED = Path(__file__).parents[1].parent / "shared"
PIXELS = PreprocessingRecipe(scale="pixels", size=40)


def cutouts(data, **known):
    n = len(data)
    defaults = {"row": np.arange(n), "table": Table(), "flags": np.zeros(n, np.int32)}
    return Cutouts(data=data, **(defaults | known))


def galaxy(size=101, radius=6.0, sky=5.0, noise=0.05, seed=0, n_bands=3):
    """An exponential disc of scale length ``radius`` in every band, each twice as bright as the one before."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    rng = np.random.default_rng(seed)
    light = 10 * np.exp(-np.hypot(y, x) / radius)
    bands = [sky + 2.0**band * light + rng.normal(0, noise, light.shape) for band in range(n_bands)]
    return np.array(bands, dtype=np.float32)


def has(frames, row, flag):
    return bool(frames.flags[row] & flag)


def test_a_crop_of_native_pixels_is_the_image_less_its_background():
    image = galaxy(size=100)
    frames = preprocess(cutouts(image[None]), PreprocessingRecipe(scale="pixels", size=40, background="none"))
    np.testing.assert_array_equal(frames.data[0], image[:, 30:70, 30:70])
    odd = preprocess(cutouts(galaxy(size=101)[None]), PreprocessingRecipe(scale="pixels", size=40, background="none"))
    np.testing.assert_array_equal(odd.data[0], galaxy(size=101)[:, 30:70, 30:70])
    subtracted = preprocess(cutouts(image[None]), PIXELS)
    np.testing.assert_allclose(subtracted.data[0], image[:, 30:70, 30:70] - 5, atol=0.02)
    assert frames.flags[0] == 0


def test_frames_that_fit_already_are_left_as_they_are():
    images = np.stack([galaxy(size=75, sky=0, seed=seed) for seed in range(3)])
    recipe = PreprocessingRecipe(background="none")
    frames = preprocess(cutouts(images, radii_per_pixel=7.2 / 75), recipe)
    np.testing.assert_array_equal(frames.data, images)
    np.testing.assert_array_equal(frames.flags, 0)
    np.testing.assert_allclose(frames.radius, 75 / 7.2)


def test_galaxies_of_all_sizes_come_out_alike():
    images = [galaxy(size=size, radius=radius, noise=0) for size, radius in ((101, 5), (161, 8), (404, 20))]
    frames = preprocess(cutouts(images, radius=np.array([15.0, 24, 60])), PreprocessingRecipe(size=50))
    scale = frames.data[2].max()
    np.testing.assert_allclose(frames.data[0], frames.data[2], atol=0.05 * scale)
    np.testing.assert_allclose(frames.data[1], frames.data[2], atol=0.05 * scale)
    measured = preprocess(cutouts(images), PreprocessingRecipe(size=50))
    np.testing.assert_allclose(measured.radius / measured.radius[2], [0.25, 0.4, 1], rtol=0.04)
    assert all(has(measured, row, Flag.RADIUS_MEASURED) for row in range(3))


def test_a_stack_and_a_list_give_the_same_frames():
    images = np.stack([galaxy(seed=seed) for seed in range(4)])
    images[2, 1, 50, 50] = np.nan
    for recipe in (PIXELS, PreprocessingRecipe(), PreprocessingRecipe(scale="image")):
        stacked, listed = (preprocess(cutouts(data), recipe) for data in (images, list(images)))
        for field in dataclasses.fields(stacked):
            np.testing.assert_array_equal(getattr(stacked, field.name), getattr(listed, field.name))


def test_the_input_is_never_changed():
    images = np.stack([galaxy(), galaxy()])
    images[0, :, 40:45] = np.nan
    images[1, :, 0] = 0
    before = images.copy()
    preprocess(cutouts(images, stretched=True), PreprocessingRecipe())
    preprocess(cutouts(images, mask=images > 20), PreprocessingRecipe())
    np.testing.assert_array_equal(images, before)


def test_the_radius_of_the_row_comes_before_that_of_the_survey():
    images = np.stack([galaxy()] * 5)
    given_radius = np.array([12.0, np.nan, -3, np.inf, 0])
    frames = preprocess(cutouts(images, radius=given_radius, radii_per_pixel=0.1), PreprocessingRecipe())
    np.testing.assert_allclose(frames.radius, [12, 10, 10, 10, 10])
    assert not np.any(frames.flags & (Flag.RADIUS_MEASURED | Flag.RADIUS_UNKNOWN))


def test_a_galaxy_without_a_measurable_radius_gets_its_whole_image():
    rng = np.random.default_rng(0)
    gradient = rng.normal(0, 0.01, (1, 1, 64, 64)) + np.linspace(0, 9, 64)
    frames = preprocess(cutouts(gradient.astype(np.float32)), PreprocessingRecipe(size=64, background="none"))
    assert has(frames, 0, Flag.RADIUS_UNKNOWN) and np.isnan(frames.radius[0])
    np.testing.assert_allclose(frames.data[0], gradient[0], atol=1e-6)


def test_bad_rows_are_flagged_and_good_ones_unharmed():
    good = galaxy()
    constant = np.stack([np.full((60, 60), value, np.float32) for value in (1, 2, 3)])
    rows = {
        "good": (good, 0),
        "empty": (np.zeros((3, 0, 0), np.float32), Flag.BAD_SHAPE),
        "two bands": (good[:2], Flag.BAD_SHAPE),
        "one pixel": (good[:, :1, :1], Flag.BAD_SHAPE | Flag.TOO_SMALL),
        "seven pixels": (good[:, :7, :], Flag.BAD_SHAPE | Flag.TOO_SMALL),
        "not a number": (np.full((3, 60, 60), np.nan, np.float32), Flag.BLANK),
        "infinite": (np.full((3, 60, 60), np.inf, np.float32), Flag.BLANK),
        "zero": (np.zeros((3, 60, 60), np.float32), Flag.BLANK),
        "constant": (constant, Flag.BLANK),
        "two axes": (good[0], Flag.BAD_SHAPE),
    }
    frames = preprocess(cutouts([image for image, _ in rows.values()]), PreprocessingRecipe())
    alone = preprocess(cutouts(good[None]), PreprocessingRecipe())
    np.testing.assert_array_equal(frames.data[0], alone.data[0])
    for row, (name, (_, flag)) in enumerate(rows.items()):
        assert frames.flags[row] & flag == flag, name
        assert has(frames, row, Flag.NOT_CLASSIFIED) == (row > 0), name
        assert row == 0 or not frames.data[row].any(), name


def test_a_row_that_could_not_be_read_stays_so():
    flags = np.array([Flag.UNREADABLE, 0], np.int32)
    images = np.stack([np.full((3, 50, 50), np.nan, np.float32), galaxy(50)])
    frames = preprocess(cutouts(images, flags=flags), PreprocessingRecipe())
    assert frames.flags[0] == Flag.UNREADABLE | Flag.NOT_CLASSIFIED
    assert not frames.flags[1] & FATAL


def test_few_bad_pixels_are_filled_from_around_them():
    clean = galaxy(noise=0.01)
    damaged = clean.copy()
    rng = np.random.default_rng(1)
    damaged[rng.random(clean.shape) < 0.05] = np.nan
    damaged[0, 50, 50] = np.inf
    damaged[1, 48, 52] = -1e30
    frames = preprocess(cutouts(np.stack([clean, damaged]), radius=np.array([18.0, 18])), PreprocessingRecipe())
    assert has(frames, 1, Flag.NONFINITE) and not has(frames, 0, Flag.NONFINITE)
    difference = np.abs(frames.data[1] - frames.data[0])
    assert difference.max() < 0.12 * frames.data[0].max()
    assert np.median(difference) < 0.02


@pytest.mark.parametrize("layout", ["stack", "list"])
@pytest.mark.parametrize("kind", ["mask", "weight"])
def test_masked_pixels_do_not_count(kind, layout):
    clean = galaxy(noise=0.01)
    struck = clean.copy()
    struck[:, 20:24, 70:74] = 1e5
    hit = struck > 1e4
    known = {"mask": hit[None]} if kind == "mask" else {"weight": np.where(hit, 0, 1.0)[None]}
    data = struck[None]
    if layout == "list":
        data, known = list(data), {key: list(value) for key, value in known.items()}
    frames = preprocess(cutouts(data, **known), PreprocessingRecipe(scale="image", size=101))
    assert has(frames, 0, Flag.MASKED) and not has(frames, 0, Flag.NONFINITE)
    np.testing.assert_allclose(frames.data[0], clean - 5, atol=0.12)


def test_a_missing_band_becomes_the_mean_of_the_others():
    image = galaxy(noise=0.01)
    image[1] = np.nan
    frames = preprocess(cutouts(image[None]), PreprocessingRecipe(size=60))
    assert has(frames, 0, Flag.BANDS_MISSING) and not frames.flags[0] & FATAL
    np.testing.assert_allclose(frames.data[0, 1], frames.data[0, [0, 2]].mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_blank_margin_is_no_sky(value):
    image = galaxy(size=160, noise=0.3, sky=20)
    cut = image.copy()
    cut[:, :, :70] = value
    cut[:, :50] = value
    frames = preprocess(cutouts(np.stack([image, cut])), PreprocessingRecipe(scale="image", size=160))
    assert has(frames, 1, Flag.OFF_EDGE) and not has(frames, 0, Flag.OFF_EDGE)
    np.testing.assert_allclose(frames.data[1, :, 50:, 70:], frames.data[0, :, 50:, 70:], atol=0.2)
    assert np.abs(frames.data[1, :, :45, :60]).max() < 0.3


def test_dark_edges_of_a_picture_without_sky_are_sky():
    image = galaxy(size=75, sky=0, noise=0)
    image[image < 0.1] = 0
    frames = preprocess(cutouts(image[None], radii_per_pixel=7.2 / 75), PreprocessingRecipe())
    np.testing.assert_array_equal(frames.data[0], image)
    assert frames.flags[0] == 0


def test_a_frame_beyond_the_image_is_background_there_and_flagged():
    frames = preprocess(cutouts(galaxy(size=50)[None], radius=np.array([20.0])), PreprocessingRecipe(size=72))
    assert has(frames, 0, Flag.OFF_EDGE)
    assert not frames.data[0, :, :10].any() and not frames.data[0, :, :, -10:].any()
    assert frames.data[0, :, 36, 36].min() > 1


def test_a_galaxy_of_few_pixels_is_flagged():
    frames = preprocess(cutouts(galaxy(size=60)[None], radius=np.array([2.0])), PreprocessingRecipe())
    assert has(frames, 0, Flag.TOO_SMALL) and not frames.flags[0] & FATAL


def test_a_huge_image_is_no_trouble():
    image = np.zeros((1, 3001, 3001), np.float32)
    image[0, 1350:1651, 1350:1651] = galaxy(size=301, radius=20, sky=0, noise=0, n_bands=1)[0]
    image += np.float32(3)
    small = preprocess(cutouts([image[:, 1350:1651, 1350:1651]]), PreprocessingRecipe())
    large = preprocess(cutouts([image]), PreprocessingRecipe())
    np.testing.assert_allclose(large.data, small.data, atol=0.02)
    np.testing.assert_allclose(large.radius, small.radius, rtol=0.02)


def test_a_galaxy_larger_than_the_first_look_is_measured_on_binned_pixels():
    wide = galaxy(size=901, radius=50, noise=0)
    frames = preprocess(cutouts([galaxy(size=181, radius=10, noise=0), wide]), PreprocessingRecipe())
    assert frames.radius[1] == pytest.approx(5 * frames.radius[0], rel=0.02)


def lupton(flux):
    total = flux.sum(axis=0)
    return flux * np.arcsinh(2.5 * total) / (2.5 * total)


def test_linearise_undoes_the_stretch():
    flux = np.random.default_rng(0).uniform(0.01, 0.4, (3, 20, 20))
    picture = 255 * lupton(flux)
    np.testing.assert_allclose(linearise(picture), flux, rtol=1e-4)
    picture[0, 3, 3] = np.nan
    back = linearise(picture)
    assert np.isnan(back[0, 3, 3]) and np.isfinite(back[1:, 3, 3]).all()
    assert not linearise(np.zeros((3, 4, 4))).any()
    assert np.isfinite(linearise(np.full((3, 4, 4), 1e20))).all()


def test_stretched_pictures_are_linearised_and_flagged():
    flux = galaxy(sky=0.02, noise=0) / 100
    picture = np.float32(255) * lupton(flux)
    frames = preprocess(cutouts(picture[None], stretched=True), PIXELS)
    assert has(frames, 0, Flag.STRETCHED)
    np.testing.assert_allclose(frames.data, preprocess(cutouts(flux[None]), PIXELS).data, atol=1e-4)


def test_bands_are_reordered_by_name_and_pixels_follow():
    images = np.stack([galaxy(seed=seed) for seed in range(2)])
    images[1, 2, 30, 30] = np.nan
    mask = np.zeros(images.shape, bool)
    mask[0, 0, 50, 50] = True
    straight = preprocess(cutouts(images, bands=("g", "r", "i"), mask=mask), PIXELS)
    wanted = dataclasses.replace(PIXELS, bands=("i", "r", "g"))
    turned = preprocess(cutouts(images, bands=("g", "r", "i"), mask=mask), wanted)
    np.testing.assert_array_equal(turned.data, straight.data[:, ::-1])
    np.testing.assert_array_equal(turned.flags, straight.flags)


def test_rows_that_nobody_could_read_have_no_wrong_bands():
    unread = dataclasses.replace(cutouts(galaxy()[None]), flags=np.array([Flag.UNREADABLE], np.int32))
    frames = preprocess(unread, dataclasses.replace(PIXELS, bands=("i", "r", "g", "u")))
    assert frames.data.shape[:2] == (1, 4) and not frames.data.any()
    assert frames.flags[0] & Flag.NOT_CLASSIFIED


def test_a_call_with_the_wrong_bands_is_an_error():
    images = galaxy()[None]
    with pytest.raises(InputError, match="3 bands, but 2 names"):
        preprocess(cutouts(images, bands=("g", "r")), PIXELS)
    with pytest.raises(InputError, match=r"3 band\(s\) \(without names\); expected the 1 band\(s\) r"):
        preprocess(cutouts(images), dataclasses.replace(PIXELS, bands=("r",)))
    with pytest.raises(InputError, match="2 names"):
        preprocess(cutouts(list(images), bands=("g", "r")), PIXELS)
    with pytest.warns(InputWarning, match="in the order given"):
        preprocess(cutouts(images), dataclasses.replace(PIXELS, bands=("g", "r", "i")))


def test_no_rows_give_no_frames():
    for data in ([], np.zeros((0, 3, 20, 20), np.float32)):
        frames = preprocess(cutouts(data), PreprocessingRecipe(bands=None))
        assert len(frames) == 0 and frames.data.shape[2:] == (75, 75)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    radius=st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True)),
    value=st.sampled_from([0.0, 1.0, -5.0, 1e20, -1e38, np.nan, np.inf]),
    fraction=st.floats(0, 1),
    scale=st.sampled_from(["radius", "pixels", "image"]),
    stretched=st.booleans(),
    seed=st.integers(0, 10),
)
@example(height=8, width=8, radius=None, value=-1e38, fraction=1.0, scale="radius", stretched=False, seed=0)
def test_no_row_raises_and_every_frame_is_finite(height, width, radius, value, fraction, scale, stretched, seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(3, 1, (2, height, width)).astype(np.float32)
    image[rng.random(image.shape) < fraction] = value
    known = {} if radius is None else {"radius": np.array([radius])}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames = preprocess(cutouts([image], stretched=stretched, **known), PreprocessingRecipe(size=16, scale=scale))
    assert np.isfinite(frames.data).all()
    assert bool(frames.flags[0] & FATAL) == has(frames, 0, Flag.NOT_CLASSIFIED)


def test_a_recipe_survives_its_dict_and_refuses_what_is_wrong():
    recipe = PreprocessingRecipe(bands=["i", "r"], size=64, scale="image", frame_radii=5, background="none")
    assert PreprocessingRecipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.to_dict()["bands"] == ["i", "r"]
    for wrong in (
        {"bands": "gri"}, {"bands": []}, {"bands": ["g", "g"]}, {"size": 7}, {"size": 75.0}, {"size": True},
        {"scale": "kpc"}, {"frame_radii": 0}, {"frame_radii": float("nan")}, {"background": "sky"}, {"frame_radius": 7},
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"preprocessing"):
            PreprocessingRecipe.from_dict(wrong)


@pytest.mark.skipif(not (SHARED / "data" / "sdss_gz1").is_dir(), reason="shared/data/sdss_gz1 is not here")
def test_measured_radii_of_sdss_pictures_are_near_the_catalogue():
    image = pytest.importorskip("PIL.Image")
    files = sorted((SHARED / "data" / "sdss_gz1" / "images").iterdir())[::50]
    pictures = np.stack([np.asarray(image.open(file), np.float32).transpose(2, 0, 1) for file in files])
    frames = preprocess(cutouts(pictures, stretched=True), PreprocessingRecipe())
    ratio = frames.radius * 0.024
    assert not np.any(frames.flags & (FATAL | Flag.RADIUS_UNKNOWN))
    assert 0.94 < np.median(ratio) < 1.08
    assert np.mean(np.abs(ratio / np.median(ratio) - 1) < 0.2) > 0.8


def beside_an_edge(margin, size=151, radius=6):
    """A galaxy whose cutout reaches ``margin`` pixels over the left edge of its mosaic."""
    image = galaxy(size=size, radius=radius)
    image[:, :, :margin] = np.nan
    return image


def test_a_blank_margin_outside_the_frame_is_not_flagged():
    radius = np.array([15.0, 15])  # frames of 7.2 radii: 108 pixels in the middle of 151
    frames = preprocess(cutouts([beside_an_edge(15), beside_an_edge(45)], radius=radius), PreprocessingRecipe())
    assert frames.flags.tolist() == [0, Flag.OFF_EDGE]
    whole = preprocess(cutouts([galaxy(size=151)], radius=radius[:1]), PreprocessingRecipe())
    np.testing.assert_allclose(frames.data[0], whole.data[0], atol=0.05)


def test_bad_pixels_beside_a_blank_margin_are_flagged():
    image = beside_an_edge(15)
    image[1, 75, 90] = np.inf
    frames = preprocess(cutouts([image], radius=np.array([15.0])), PreprocessingRecipe())
    assert frames.flags.tolist() == [Flag.NONFINITE]


def test_a_galaxy_that_the_edge_cuts_is_flagged_however_its_radius_is_known():
    image = beside_an_edge(70)  # six pixels short of its nucleus
    for known in ({}, {"radius": np.array([15.0])}):
        frames = preprocess(cutouts([image], **known), PreprocessingRecipe())
        assert has(frames, 0, Flag.OFF_EDGE) and not has(frames, 0, Flag.NONFINITE)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_band_of_one_value_is_missing(value):
    images = np.random.default_rng(0).normal(size=(2, 3, 40, 40)).astype(np.float32)
    images[:, :, 16:24, 16:24] += 30
    expected = images.copy()
    images[0, 1], expected[0, 1] = value, np.nan
    made, meant = (
        preprocess(cutouts(each), PreprocessingRecipe(size=32, scale="image")) for each in (images, expected)
    )
    assert made.flags[0] & Flag.BANDS_MISSING and not made.flags[1] & Flag.BANDS_MISSING
    np.testing.assert_array_equal(made.data, meant.data)
