"""Bands, scale, PSF and radius: the caller first, then the data set, then the survey."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from numpy.testing import assert_allclose
from PIL import Image

from galmerge_da.exceptions import InputWarning
from galmerge_da.io import open_cutouts, save_cutouts
from galmerge_da.plugins import get_survey
from galmerge_da.preprocessing import match_bands

IMAGES = np.ones((4, 3, 12, 12), np.float32)


def read(source=IMAGES, **options):
    return open_cutouts(source, **options).read()


def test_a_survey_gives_what_the_caller_does_not():
    cutouts = read(survey="sdss")
    assert cutouts.bands == ("g", "r", "i") and open_cutouts(IMAGES, survey=get_survey("sdss")).survey == "sdss"
    assert_allclose(cutouts.pixel_scale.to_value(u.arcsec), 0.396)
    assert_allclose(cutouts.psf_fwhm.to_value(u.arcsec), [1.44, 1.32, 1.26])
    cutouts = read(survey="sdss", bands=("i", "g", "r"), pixel_scale=1 * u.arcsec)
    assert cutouts.bands == ("i", "g", "r") and cutouts.pixel_scale == 1 * u.arcsec
    assert_allclose(cutouts.psf_fwhm.to_value(u.arcsec), [1.26, 1.44, 1.32])
    assert read(survey="sdss", bands=("J", "H", "K")).psf_fwhm is None


def test_frames_that_scale_with_the_galaxy_have_no_camera_scale():
    cutouts = read(IMAGES.astype(np.uint8), survey="sdss-jpeg")
    assert cutouts.radii_per_pixel == 0.024 and cutouts.pixel_scale is None


@pytest.mark.parametrize("scale", [0.5 * u.arcsec, 0.5 * u.arcsec / u.pix, 500 * u.mas, np.full(3, 0.5) * u.arcsec])
def test_a_pixel_scale_is_an_angle(scale):
    assert read(pixel_scale=scale).pixel_scale == 0.5 * u.arcsec


def test_scales_and_fwhm_may_differ_by_row():
    table = QTable({"image": IMAGES, "scale": [1, 2, 3, 4] * u.arcmin, "seeing": [5, 6, 7, 8] * u.arcsec})
    chunks = list(open_cutouts(table, pixel_scale="scale", psf_fwhm="seeing", chunk_size=3))
    assert_allclose(chunks[0].pixel_scale.to_value(u.arcsec), [60, 120, 180])
    assert_allclose(chunks[1].pixel_scale.to_value(u.arcsec), [240])
    assert_allclose(chunks[1].psf_fwhm.to_value(u.arcsec), [[8, 8, 8]])
    assert read(psf_fwhm=[1, 2, 3] * u.arcsec).psf_fwhm.shape == (3,)


@pytest.mark.parametrize(
    "radius, expected",
    [
        (4.0, [4, 4, 4, 4]),
        ([1, 2, 3, 0], [1, 2, 3, np.nan]),
        ([1, 2, 3, -1] * u.pix, [1, 2, 3, np.nan]),
        (3 * u.arcsec, [6, 6, 6, 6]),
        ([1, 2, 3, np.nan] * u.arcsec, [2, 4, 6, np.nan]),
        ("r", [1, np.nan, 3, 4]),
        ("r_arcsec", [2, 4, 6, 8]),
    ],
)
def test_radii_end_in_pixels(radius, expected):
    r = np.ma.array([1.0, 2, 3, 4], mask=[False, True, False, False])
    table = Table({"image": IMAGES, "r": r, "r_arcsec": [1.0, 2, 3, 4] * u.arcsec})
    opened = open_cutouts(table, radius=radius, pixel_scale=0.5 * u.arcsec, chunk_size=3)
    assert_allclose(np.concatenate([chunk.radius for chunk in opened]), expected)


def test_a_data_set_says_what_it_is(tmp_path):
    table = Table({"id": range(4), "image": IMAGES, "label": [0, 1, 0, 1]})
    table.meta = {"SURVEY": "deepmerge-z2", "BANDS": "F160W,F814W,F356W", "RADPIX": 0.096, "PIXSCALE": 0.07}
    save_cutouts(table, tmp_path / "a.fits")
    opened = open_cutouts(tmp_path / "a.fits")
    cutouts = opened.read()
    assert opened.survey == "deepmerge-z2" and cutouts.bands == ("F160W", "F814W", "F356W")
    assert cutouts.radii_per_pixel == 0.096 and cutouts.pixel_scale == 0.07 * u.arcsec
    assert_allclose(cutouts.psf_fwhm.to_value(u.arcsec), [0.18, 0.10, 0.12])
    assert opened.table.colnames == ["id", "label"]
    other = open_cutouts(tmp_path / "a.fits", bands=("a", "b", "c"), pixel_scale=1 * u.arcsec, survey="decals").read()
    assert other.bands == ("a", "b", "c") and other.pixel_scale == 1 * u.arcsec and other.radii_per_pixel is None


def test_a_data_set_of_pictures_is_stretched(tmp_path):
    table = QTable({"image": IMAGES.astype(np.uint8), "pixel_scale": [1, 2, 3, 4] * u.arcsec})
    table.meta = {"SURVEY": "sdss-jpeg", "BANDS": "i,r,g", "STRETCH": True, "RADPIX": 0.096}
    save_cutouts(table, tmp_path / "a.fits")
    cutouts = read(tmp_path / "a.fits")
    assert cutouts.stretched and cutouts.radii_per_pixel == 0.096
    assert_allclose(cutouts.pixel_scale.to_value(u.arcsec), [1, 2, 3, 4])


def test_the_frames_of_a_data_set_keep_their_scale_where_the_caller_names_their_survey():
    table = Table({"image": IMAGES.astype(np.uint8)}, meta={"SURVEY": "sdss-jpeg", "RADPIX": 0.096})
    assert read(table, survey="sdss-jpeg").radii_per_pixel == 0.096
    table.meta["SURVEY"] = "another"
    assert read(table, survey="sdss-jpeg").radii_per_pixel == 0.024


def test_the_bands_of_a_colour_picture_are_red_green_and_blue(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((20, 20, 3), [90, 60, 30], np.uint8)).save(path)
    cutouts = read([str(path)])
    assert cutouts.bands == ("R", "G", "B") and cutouts.data[0, :, 0, 0].tolist() == [90, 60, 30]
    assert read([str(path)], survey="sdss-jpeg").bands == ("i", "r", "g")
    assert read([str(path)], bands=("a", "b", "c")).bands == ("a", "b", "c")
    assert read(read([str(path)], survey="sdss-jpeg")).bands == ("i", "r", "g")
    with pytest.warns(InputWarning, match="B as g, G as r, R as z"):
        assert match_bands(cutouts.bands, ("g", "r", "z")) == [2, 1, 0]


def test_radii_are_measured_where_that_is_asked_for():
    table = Table({"image": IMAGES.astype(np.uint8)}, meta={"SURVEY": "sdss-jpeg", "RADPIX": 0.096, "STRETCH": True})
    for survey in (None, "sdss-jpeg"):
        cutouts = read(table, survey=survey, radius="measure")
        assert cutouts.radii_per_pixel is None and cutouts.radius is None
    table["measure"] = [3.0, 4, 5, 6]  # a column of that name is one
    assert read(table, survey="sdss-jpeg", radius="measure").radius.tolist() == [3, 4, 5, 6]
    again = read(read(survey="sdss", radius=3.0), radius="measure")
    assert again.radii_per_pixel is None and again.radius is None


def test_foreign_headers_do_not_decide():
    table = Table({"image": IMAGES}, meta={"SURVEY": "DECaLS", "BANDS": "g,r", "PIXSCALE": "none", "RADPIX": -1})
    opened = open_cutouts(table)
    assert (opened.bands, opened.survey, opened.read().pixel_scale, opened.read().radii_per_pixel) == (None,) * 4


def test_the_wcs_of_each_file_gives_its_scale(tmp_path):
    names = [str(tmp_path / f"{row}.fits") for row in range(3)]
    for row, name in enumerate(names):
        header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "BANDS": "grz"})
        header.update({"CDELT1": -(row + 1) / 3600, "CDELT2": (row + 1) / 3600} if row < 2 else {"CTYPE1": "X"})
        fits.writeto(name, IMAGES[0], header)
    cutouts = read(names, radius=6 * u.arcsec, survey="decals")
    assert_allclose(cutouts.pixel_scale.to_value(u.arcsec), [1, 2, np.nan])
    assert_allclose(cutouts.radius, [6, 3, np.nan])
    assert read(names).bands == ("g", "r", "z")
    assert read(names, pixel_scale=4 * u.arcsec).pixel_scale == 4 * u.arcsec


def test_cutouts_keep_their_facts_unless_told_otherwise():
    first = read(survey="sdss", radius=3.0)
    again = read(first)
    assert again.bands == first.bands and again.pixel_scale == first.pixel_scale
    assert_allclose(again.radius, 3)
    other = read(first, bands=("z", "y", "x"), radius=5.0, pixel_scale=2 * u.arcsec)
    assert other.bands == ("z", "y", "x") and other.pixel_scale == 2 * u.arcsec and set(other.radius) == {5}


def in_columns(names, **meta):
    return Table({name: IMAGES[:, i] for i, name in enumerate(names)}, meta=meta)


@pytest.mark.parametrize(
    "names, bands",
    [
        (("g", "r", "i"), ("g", "r", "i")),
        (("image_g", "image_r", "image_i"), ("g", "r", "i")),
        (("g.flux", "z.flux", "r.flux"), ("g", "z", "r")),
        (("flux-F814W", "flux-F160W", "flux-F356W"), ("F814W", "F160W", "F356W")),
        (("stamp W1", "stamp W2", "stamp W3"), ("W1", "W2", "W3")),
        (("VIS_image", "NIR_Y", "NIR_J"), ("VIS_image", "NIR_Y", "NIR_J")),
        (("image_1", "image_2", "image_3"), None),
        (("image1", "image2", "image3"), None),
        (("image", "image_r", "image_i"), None),
    ],
)
def test_columns_name_the_bands(names, bands):
    assert read(in_columns(names), image=names).bands == bands


def test_columns_count_less_than_the_caller_and_more_than_a_header():
    table = in_columns(("f_i", "f_r", "f_g"), BANDS="g,r,i", SURVEY="sdss")
    assert read(table, image=table.colnames).bands == ("i", "r", "g")
    assert read(table, image=table.colnames, bands=("a", "b", "c")).bands == ("a", "b", "c")
    numbered = in_columns(("image1", "image2", "image3"), BANDS="g,r,i")
    assert read(numbered, image=numbered.colnames).bands == ("g", "r", "i")


def test_bands_in_another_order_than_the_data_state_are_taken_with_a_warning():
    table = in_columns(("f_i", "f_r", "f_g"), BANDS="g,r,i")
    with pytest.warns(InputWarning, match="the columns are called i, r, g, bands says g, r, i.*does not reorder"):
        assert read(table, image=table.colnames, bands=("g", "r", "i")).bands == ("g", "r", "i")
    with pytest.warns(InputWarning, match="the header says g, r, i, bands says r, g, i"):
        assert read(Table({"image": IMAGES}, meta={"BANDS": "gri"}), bands="r,g,i").bands == ("r", "g", "i")
    assert read(Table({"image": IMAGES}, meta={"BANDS": "gri"}), bands="g,r,i").bands == ("g", "r", "i")


def test_columns_say_in_which_order_the_bands_of_a_survey_are():
    table = in_columns(("f_i", "f_r", "f_g"))
    cutouts = read(table, image=table.colnames, survey="sdss")
    assert cutouts.bands == ("i", "r", "g")
    assert_allclose(cutouts.psf_fwhm.to_value(u.arcsec), [1.26, 1.32, 1.44])
    assert read(table, image=table.colnames, survey="decals").bands == ("g", "r", "z")
    other = in_columns(("f_a", "f_b", "f_c"))
    assert read(other, image=other.colnames, survey="sdss").bands == ("g", "r", "i")


def test_columns_of_paths_name_the_bands(tmp_path):
    table = Table()
    for i, band in enumerate("irg"):
        names = [str(tmp_path / f"{band}{row}.fits") for row in range(4)]
        for name in names:
            fits.writeto(name, IMAGES[0, i], fits.Header({"FILTER": "g", "BANDS": "u"}))
        table[f"path_{band}"] = names
    assert read(table, image=table.colnames).bands == ("i", "r", "g")
