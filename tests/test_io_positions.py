"""Where a catalogue says its objects are, under whatever names."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from galmerge_da.exceptions import InputError
from galmerge_da.io import extract_cutouts, read_catalog, write_catalog
from galmerge_da.io.positions import positions

X, Y = np.array([40.0, 12.5, 3.0]), np.array([30.0, 20.25, 8.0])


def tan(lon="RA--", lat="DEC-", crval=(150.0, 2.0)):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = f"{lon}-TAN", f"{lat}-TAN"
    wcs.wcs.cdelt = -0.5 / 3600, 0.5 / 3600
    wcs.wcs.crval = crval
    wcs.wcs.crpix = 40, 30
    return wcs


RA, DEC = tan().pixel_to_world_values(X, Y)


@pytest.mark.parametrize(
    "catalog",
    [
        Table({"ra": RA, "dec": DEC}),
        Table({"RA": RA, "DEC": DEC}),
        Table({"Ra": RA * u.deg, "Dec": DEC * 60 * u.arcmin}),
        Table({"ra": RA / 15 * u.hourangle, "dec": DEC * u.deg}),
        QTable({"RAJ2000": RA * u.deg, "DEJ2000": DEC * u.deg}),
        Table({"_RAJ2000": RA, "_DEJ2000": DEC, "RAJ2000": ["10 00 00"] * 3, "DEJ2000": ["+02 00 00"] * 3}),
        Table({"ALPHA_J2000": RA, "DELTA_J2000": DEC}),
        Table({"alpha_j2000": RA, "delta_j2000": DEC}),
        Table({"where": SkyCoord(RA, DEC, unit="deg"), "x": X * 0, "y": Y * 0}),
        QTable({"sky_centroid": SkyCoord(RA, DEC, unit="deg").galactic}),
    ],
    ids=lambda catalog: ",".join(catalog.colnames),
)
def test_positions_on_the_sky_are_found_by_name(catalog):
    assert_allclose(positions(catalog, tan()), (X, Y), atol=1e-5)


@pytest.mark.parametrize("wcs", [None, tan()])
@pytest.mark.parametrize(
    "names, first",
    [(("x", "y"), 0), (("X", "Y"), 0), (("xcentroid", "ycentroid"), 0), (("x_centroid", "y_centroid"), 0),
     (("X_IMAGE", "Y_IMAGE"), 1), (("x_image", "y_image"), 1)],
)  # fmt: skip
def test_positions_in_pixels_are_found_by_name_and_count_from_nought(names, first, wcs):
    catalog = Table({names[0]: X + first, names[1]: (Y + first) * u.pix})
    assert_allclose(positions(catalog, wcs), (X, Y))


def test_the_sky_comes_first_only_where_there_is_a_wcs():
    catalog = Table({"ra": RA, "dec": DEC, "x": X + 7, "y": Y})
    assert_allclose(positions(catalog, tan()), (X, Y), atol=1e-6)
    assert_allclose(positions(catalog, None), (X + 7, Y))


def test_an_image_with_galactic_axes_is_understood():
    galactic = SkyCoord(RA, DEC, unit="deg").galactic
    wcs = tan("GLON", "GLAT", (galactic.l.deg[0], galactic.b.deg[0]))
    x, y = wcs.world_to_pixel_values(galactic.l.deg, galactic.b.deg)
    assert_allclose(positions(Table({"ra": RA, "dec": DEC}), wcs), (x, y), atol=1e-5)


def test_unknown_coordinates_are_nan():
    where = SkyCoord([150, np.nan, 150], [2, 2, np.nan], unit="deg")
    x, y = positions(Table({"c": where}), tan())
    assert np.isnan(x).tolist() == np.isnan(y).tolist() == [False, True, True]


def test_a_column_of_coordinates_comes_through_to_the_catalogue(tmp_path):
    catalog = Table({"id": [1, 2, 3], "where": SkyCoord(RA, DEC, unit="deg")})
    image = np.random.default_rng(0).normal(size=(3, 60, 80))
    cutouts = extract_cutouts(catalog, (image, tan()), 9)
    assert_allclose(cutouts["where"].ra.deg, RA)
    cutouts.remove_column("image")
    write_catalog(cutouts, tmp_path / "a.ecsv")
    assert read_catalog(tmp_path / "a.ecsv")["flags"].tolist() == cutouts["flags"].tolist()


@pytest.mark.parametrize(
    "catalog, wcs, message",
    [
        (Table({"id": [1]}), tan(), r"no positions: a column of SkyCoord, or one of the pairs ra, dec; .*; it has id"),
        (Table(), None, "it has no columns"),
        (Table({"ra": [1.0], "y": [2.0]}), tan(), "no positions"),
        (Table({"where": SkyCoord([1], [2], unit="deg")}), None, "no WCS"),
        (Table({"RAJ2000": [1.0], "DEJ2000": [2.0]}), None, "no WCS"),
        (Table({"RA": ["10:00:00"], "DEC": ["2:00:00"]}), tan(), "column 'RA' must be numbers in deg"),
        (Table({"X_IMAGE": [1.0] * u.deg, "Y_IMAGE": [1.0]}), None, "column 'X_IMAGE' must be numbers in pix"),
    ],
)
def test_what_is_no_position_is_one_clear_error(catalog, wcs, message):
    with pytest.raises(InputError, match=message):
        positions(catalog, wcs)
