"""The zero points that headers state reach the flux that preprocessing converts."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from numpy.testing import assert_allclose

from galmerge_da.io import extract_cutouts, open_cutouts, save_cutouts
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess

BANDS = ("g", "r", "i")
ZERO_POINTS = np.array([22.5, 24.0, 26.25])
SIZE = 25
POSITIONS = np.array([[30, 30], [60, 40], [35, 70]])
RECIPE = PreprocessingRecipe(BANDS, size=SIZE, scale="pixels", flux={"zero_point": 23.0})


def field():
    """Fluxes of galaxies and noise in nanojansky, (C, H, W)."""
    y, x = np.indices((100, 100))
    galaxies = sum(3 * np.exp(-np.hypot(x - left, y - bottom) / 3) for left, bottom in POSITIONS)
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 100, 100))
    return 1000 * (galaxies * np.array([1.0, 2.0, 3.0])[:, None, None] + noise)


def counts(flux, zero_points):
    """Flux in units of which one has the AB magnitude ``zero_points``, one a band."""
    one = (np.asarray(zero_points) * u.ABmag).to_value(u.nJy)
    return flux / one[:, None, None]


def expected():
    """Frames of the same galaxies whose unit says everything."""
    flux = field()
    images = [flux[:, y - 12 : y + 13, x - 12 : x + 13] for x, y in POSITIONS]
    return preprocess(open_cutouts(QTable({"image": np.stack(images) * u.nJy}), bands=BANDS).read(), RECIPE).data


def assert_expected(source, rtol=2e-5, **options):
    cutouts = open_cutouts(source, **options).read()
    frames = preprocess(cutouts, RECIPE)
    wanted = expected()
    assert not frames.flags.any()
    assert_allclose(frames.data, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())
    return cutouts


def test_a_frame_in_the_wanted_unit_has_the_flux_of_the_field():
    one = (23.0 * u.ABmag).to_value(u.nJy)
    middle = field()[:, 30, 30] / one
    assert_allclose(expected()[0, :, 12, 12], middle, rtol=0.1)  # but for the sky that is taken away


@pytest.mark.parametrize("zero_points", [ZERO_POINTS, [25.0, 25.0, 25.0]], ids=["one a band", "one"])
@pytest.mark.parametrize("unit", [None, "adu", "electron/s"])
def test_those_of_a_mosaic_reach_the_frame(tmp_path, zero_points, unit):
    files = {}
    for band, image, zero in zip(BANDS, counts(field(), zero_points), zero_points, strict=True):
        header = fits.Header({"MAGZERO": zero} | ({} if unit is None else {"BUNIT": unit}))
        files[band] = tmp_path / f"{band}.fits"
        fits.writeto(files[band], image.astype(np.float32), header)
    table = extract_cutouts(POSITIONS, files, SIZE)
    assert_allclose(assert_expected(table).zero_point.value, zero_points)
    save_cutouts(table, tmp_path / "set.fits")
    assert_expected(tmp_path / "set.fits")


def test_what_the_catalogue_says_of_other_images_does_not_count(tmp_path):
    fits.writeto(tmp_path / "cube.fits", counts(field(), [25.0] * 3).astype(np.float32), fits.Header({"ZP": 25.0}))
    catalog = Table({"x": POSITIONS[:, 0], "y": POSITIONS[:, 1]}, meta={"ZEROPNT": "31.4"})
    assert_expected(extract_cutouts(catalog, tmp_path / "cube.fits", SIZE, bands=BANDS))


def write_rows(folder, zero_points, separate=False):
    """A file a galaxy, or a file a galaxy and band, each with zero points of its own."""
    columns = {band: [] for band in (BANDS if separate else ("image",))}
    for row, (x, y) in enumerate(POSITIONS):
        cutout = field()[:, y - 12 : y + 13, x - 12 : x + 13]
        cutout = counts(cutout, zero_points[row]).astype(np.float32)
        for band, column in columns.items():
            name = folder / f"{row}{band}.fits"
            number = BANDS.index(band) if separate else slice(None)
            fits.writeto(name, cutout[number], fits.Header({"MAGZERO": np.atleast_1d(zero_points[row][number])[0]}))
            column.append(str(name))
    return Table(columns)


def test_those_of_image_files_reach_the_frame_though_they_differ(tmp_path):
    table = write_rows(tmp_path, np.array([[25.0], [26.0], [23.5]]).repeat(3, axis=1))
    assert_allclose(assert_expected(table, bands=BANDS).zero_point.value, 25.0)


def test_those_of_a_file_a_band_reach_the_frame_though_they_differ(tmp_path):
    table = write_rows(tmp_path, np.array([ZERO_POINTS, ZERO_POINTS + 1, ZERO_POINTS[::-1]]), separate=True)
    assert_allclose(assert_expected(table, image=list(BANDS)).zero_point.value, ZERO_POINTS)


def test_the_caller_counts_more_than_headers_and_a_unit_too(tmp_path):
    table = write_rows(tmp_path, np.array([[25.0], [26.0], [23.5]]).repeat(3, axis=1))
    read = open_cutouts(table, bands=BANDS, zero_point=20.0).read()
    assert_allclose(read.zero_point.value, 20.0)
    assert np.array_equal(read.data[1], fits.getdata(table["image"][1]))
    fits.writeto(tmp_path / "nJy.fits", np.ones((3, SIZE, SIZE)), fits.Header({"BUNIT": "nJy", "MAGZERO": 20.0}))
    assert_allclose(open_cutouts([str(tmp_path / "nJy.fits")], bands=BANDS).zero_point.value, 31.4, atol=1e-3)


def test_counts_do_not_have_the_zero_point_of_a_survey():
    images = np.ones((2, 3, SIZE, SIZE))
    assert open_cutouts(QTable({"image": images * u.adu}), survey="sdss").zero_point is None
    assert open_cutouts(images, survey="sdss").zero_point is not None
