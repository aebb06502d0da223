"""Cutouts and sources from images of a field."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, Cutout2D, NoOverlapError
from astropy.table import Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import extract_cutouts, find_sources, open_cutouts, save_cutouts
from galmerge_da.preprocessing import measure_radii

#: The catalogue has rows that lie on no image, which test_io_off_image.py looks at.
pytestmark = pytest.mark.filterwarnings("ignore:.*lie on no image")

rng = np.random.default_rng(5)
FIELD = rng.normal(size=(3, 60, 80)).astype(np.float32)
WHERE = Table(
    {"name": list("abcdefg"), "x": [40, 40.4, 40.5, 3, 79, -30, 40.0], "y": [30, 30.6, 29.5, 30, 59, 10, 90.0]}
)


def tan(scale=0.5, shift=0.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -scale / 3600, scale / 3600
    wcs.wcs.crval = 150.0, 2.0
    wcs.wcs.crpix = 40 + shift, 30
    return wcs


@pytest.mark.parametrize("size", [9, 10, (5, 8), (1, 1), (70, 91)])
def test_frames_agree_with_cutout2d(size):
    result = extract_cutouts(WHERE, FIELD, size)
    for row, (x, y) in enumerate(zip(WHERE["x"], WHERE["y"], strict=True)):
        for band in range(3):
            try:
                expected = Cutout2D(FIELD[band], (x, y), size, mode="partial", fill_value=np.nan).data
            except NoOverlapError:
                expected = np.full(result["image"].shape[-2:], np.nan)
            assert np.array_equal(result["image"][row, band], expected, equal_nan=True), (row, band)


def test_rows_off_the_edge_are_flagged_and_kept():
    result = extract_cutouts(WHERE, FIELD, 9)
    assert result["name"].tolist() == list("abcdefg")
    assert result["flags"].tolist() == [0, 0, 0, Flag.OFF_EDGE, Flag.OFF_EDGE, *[Flag.OFF_EDGE | Flag.BLANK] * 2]
    assert result["flags"].dtype == np.int32 and result["image"].dtype == np.float32
    cutouts = open_cutouts(result).read()
    assert set(cutouts.flags) == {Flag.TOO_SMALL}  # what a frame lacks is found anew
    assert "flags" not in cutouts.table.colnames


@pytest.mark.parametrize("size", ["2.5 radius", np.array([4, 7.2, 8, 9, 10.0]) * u.pix, np.full(5, 4.0) * u.arcsec])
def test_measured_sizes_leave_the_object_on_the_middle_pixel(tmp_path, size):
    """Also where smaller images get a margin: a classifier scales frames about their middle."""
    catalog = WHERE[:5]
    catalog["radius"] = [2, 3.0, 3.3, 4, 1]
    catalog["x"], catalog["y"] = [40, 41, 20, 30, 50], [30, 31, 20, 12, 44]
    cutouts = extract_cutouts(catalog, (FIELD, tan()), size)
    save_cutouts(cutouts, tmp_path / "a.fits")
    for images in (cutouts["image"], Table.read(tmp_path / "a.fits")["image"]):
        for image, x, y in zip(images, catalog["x"], catalog["y"], strict=True):
            height, width = image.shape[-2:]
            assert height == width and height % 2 == 1
            assert np.array_equal(image[:, height // 2, width // 2], FIELD[:, y, x])


def test_the_result_is_a_data_set(tmp_path):
    result = extract_cutouts(WHERE, (FIELD * u.nJy, tan()), 12, bands=("i", "r", "g"))
    save_cutouts(result, tmp_path / "a.fits")
    cutouts = open_cutouts(tmp_path / "a.fits").read()
    assert cutouts.bands == ("i", "r", "g") and cutouts.unit == u.nJy
    assert_allclose(cutouts.pixel_scale.to_value(u.arcsec), 0.5)
    assert not cutouts.flags.any()
    assert np.array_equal(cutouts.data, result["image"], equal_nan=True)


@pytest.mark.parametrize(
    "kind", ["cube", "hdu", "array and wcs", "dict", "list", "bz2", "extension", "nddata", "tuple"]
)
def test_every_kind_of_field_gives_the_same(tmp_path, kind):
    header = tan().to_header()
    header["BUNIT"] = "nJy"
    suffix = ".fits.bz2" if kind == "bz2" else ".fits"
    names = {band: tmp_path / f"{band}{suffix}" for band in "gri"}
    for image, name in zip(FIELD, names.values(), strict=True):
        fits.writeto(name, image, header)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(FIELD, header, "SCI")]).writeto(tmp_path / "cube.fits")
    images = {
        "cube": tmp_path / "cube.fits",
        "hdu": fits.PrimaryHDU(FIELD, header),
        "array and wcs": (FIELD * u.nJy, tan()),
        "dict": names,
        "list": list(names.values()),
        "bz2": names,
        "extension": f"{tmp_path}/cube.fits[SCI]",
        "nddata": [CCDData(image, unit=u.nJy, wcs=tan()) for image in FIELD],
        "tuple": tuple(names.values()),
    }[kind]
    ra, dec = tan().pixel_to_world_values(WHERE["x"], WHERE["y"])
    catalog = Table({"RA": ra, "Dec": dec, "x": np.zeros(7), "y": np.zeros(7)})
    result = extract_cutouts(
        catalog, images, 4.6 * u.arcsec, bands=None if kind in ("dict", "bz2") else ("g", "r", "i")
    )
    expected = extract_cutouts(WHERE, FIELD, 10)
    assert_allclose(result["image"].data[[0, 1, 3, 4]], expected["image"][[0, 1, 3, 4]], rtol=1e-6)
    assert result["image"].unit == u.nJy
    assert result.meta["BANDS"] == "g,r,i" and result.meta["PIXSCALE"] == pytest.approx(0.5)


def test_bands_choose_and_order_the_images_of_a_mapping():
    images = dict(zip("gri", FIELD, strict=True))
    result = extract_cutouts(WHERE, images, 9, bands=("i", "g"))
    assert result.meta["BANDS"] == "i,g"
    assert np.array_equal(result["image"][0], FIELD[[2, 0], 26:35, 36:45])


def test_masked_pixels_become_nan():
    mask = np.zeros(FIELD[0].shape, bool)
    mask[30, 40] = True
    result = extract_cutouts(WHERE, CCDData(FIELD[0], mask=mask, unit=u.nJy), 9)
    assert np.argwhere(np.isnan(result["image"][0])).tolist() == [[0, 4, 4]]


def test_positions_may_have_units_and_be_unknown():
    catalog = Table({"ra": [150.0, np.nan, 150.0] * u.deg, "dec": np.ma.array([120.0, 120, 120], mask=[0, 0, 1])})
    catalog["dec"].unit = u.arcmin
    assert_allclose(extract_cutouts(catalog, (FIELD, tan()), 3)["flags"], [0, 72, 72])
    assert np.array_equal(extract_cutouts(catalog, (FIELD, tan()), 3)["image"][0], FIELD[:, 28:31, 38:41])


@pytest.mark.parametrize(
    "catalog, images, size, message",
    [
        (
            WHERE[["name", "x"]],
            FIELD,
            9,
            "no positions: .*; it has name, x",
        ),
        (Table({"ra": [1.0], "dec": [1.0]}), FIELD, 9, "no WCS"),
        (Table({"x": ["a"], "y": [1.0]}), FIELD, 9, "'x' must be numbers"),
        (Table({"x": [1.0] * u.deg, "y": [1.0]}), FIELD, 9, "'x' must be numbers in pix"),
        (WHERE, FIELD, 0, "at least one"),
        (WHERE, FIELD, 7.5, "whole number"),
        (WHERE, FIELD, (1, 2, 3), "whole number"),
        (WHERE, FIELD, "big", "no number of pixels"),
        (WHERE, FIELD, 10**7, "GB: give a smaller size"),
        (WHERE, FIELD, 10**12, "GB: give a smaller size"),
        (WHERE, FIELD, 9 * u.arcsec, "no WCS"),
        (WHERE, FIELD, 9 * u.Jy, "pixels or an angle"),
        (WHERE, [], 9, "no images"),
        (WHERE, {}, 9, "bands must be"),
        (WHERE, [FIELD[0], FIELD[1, 1:]], 9, r"image 1 has \(59, 80\) pixels, the first \(60, 80\)"),
        (WHERE, [FIELD, FIELD[0]], 9, "single bands"),
        (WHERE, [FIELD, FIELD], 9, "several tiles: the catalogue needs positions on the sky"),
        (WHERE, "nowhere.fits", 9, "nowhere.fits"),
        (WHERE, FIELD[0, 0], 9, "2 or 3 axes"),
        ([1, 2], FIELD, 9, "must be a Table"),
        (WHERE, FIELD, np.arange(6), r"one a row \(7\)"),
        (WHERE, FIELD, ("a", 3), "whole number"),
    ],
)
def test_a_bad_call_is_one_clear_error(catalog, images, size, message):
    with pytest.raises(InputError, match=message):
        extract_cutouts(catalog, images, size)


def test_the_number_of_bands_must_be_right():
    with pytest.raises(InputError, match="2 band.*images have 3"):
        extract_cutouts(WHERE, FIELD, 9, bands=("g", "r"))


def test_an_empty_catalogue_gives_no_cutouts():
    assert extract_cutouts(WHERE[:0], FIELD, 9)["image"].shape == (0, 3, 9, 9)


def test_columns_in_the_way_are_renamed():
    catalog = WHERE.copy()
    catalog["flags"] = 2
    with pytest.warns(InputWarning, match="'flags' of the catalogue is now 'flags_1'"):
        result = extract_cutouts(catalog, FIELD, 9)
    assert set(result["flags_1"]) == {2} and result["flags"][0] == 0


def test_cutting_again_keeps_our_flags():
    first = extract_cutouts(WHERE, FIELD, 9)
    first.remove_column("image")
    again = extract_cutouts(first, np.pad(FIELD, [(0, 0), (200, 200), (200, 200)], mode="wrap"), 3)
    assert again["flags"].tolist() == (np.asarray(first["flags"])).tolist()


def blobs(positions, widths, fluxes, shape=(150, 200)):
    y, x = np.indices(shape)
    image = np.random.default_rng(2).normal(10, 0.1, shape)
    for (x0, y0), (a, b), flux in zip(positions, widths, fluxes, strict=True):
        image += flux / (2 * np.pi * a * b) * np.exp(-0.5 * (((x - x0) / a) ** 2 + ((y - y0) / b) ** 2))
    return image


def test_sources_are_found_where_they_are():
    positions = [(40.3, 60.7), (120, 30.5), (150.5, 110)]
    image = blobs(positions, [(4, 4), (6, 3), (3, 5)], [900, 600, 300])
    found = find_sources((np.stack([image, image]) * u.nJy, tan()))
    assert len(found) == 3
    assert_allclose(np.transpose([found["x"], found["y"]]), positions, atol=0.15)
    assert_allclose(found["flux"], [1800, 1200, 600], rtol=0.12)
    assert_allclose(found["a"], [4, 6, 5], rtol=0.15)
    assert_allclose(found["b"], [4, 3, 3], rtol=0.15)
    assert_allclose(np.abs(np.cos(np.radians(found["theta"][1:]))), [1, 0], atol=0.1)
    assert found["flux"].unit == u.nJy and found["radius"].unit == u.pix
    assert np.all((found["radius"] > found["a"]) & (found["radius"] < 6 * found["a"]))
    ra, dec = tan().pixel_to_world_values(found["x"], found["y"])
    assert_allclose([found["ra"], found["dec"]], [ra, dec])
    assert found["x"].info.meta["ucd"] == "pos.cartesian.x;instr.det"


def test_touching_sources_are_separated_on_demand():
    image = blobs([(60, 70), (72, 70)], [(4, 4), (4, 4)], [900, 900])
    assert [len(find_sources(image, deblend=deblend)) for deblend in (True, False)] == [2, 1]


def test_radii_of_sources_are_those_that_preprocessing_measures():
    image = blobs([(100, 75)], [(6, 6)], [5000], shape=(151, 201))
    (radius,) = find_sources(image)["radius"]
    centred = (image - 10)[None, None, :, 25:176]
    assert measure_radii(centred, np.zeros((1, 1)))[0] == pytest.approx(radius, rel=0.02)


@pytest.mark.parametrize("image", [np.zeros((50, 50)), np.full((50, 50), np.nan), np.ones((5, 5))])
def test_an_empty_field_has_no_sources(image):
    found = find_sources(image)
    assert len(found) == 0 and found.colnames == ["x", "y", "flux", "a", "b", "theta", "radius", "segment"]


def test_bad_pixels_are_no_sources():
    image = blobs([(60, 70)], [(4, 4)], [900])
    image[20:40, 100:120] = np.nan
    assert len(find_sources(image)) == 1


@pytest.mark.parametrize("options", [{"n_sigma": 0}, {"n_pixels": 0}, {"n_sigma": np.nan}])
def test_options_must_be_positive(options):
    with pytest.raises(InputError, match="positive"):
        find_sources(FIELD, **options)
