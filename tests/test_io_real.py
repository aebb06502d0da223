"""Real fields and pictures, where they are at hand."""

import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from galmerge_da.flags import Flag
from galmerge_da.io import extract_cutouts, find_sources, open_cutouts, read_catalog

DATA = Path(__file__).parents[1].parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside the checkout")


def ngc6976():
    return {band: DATA / "sdss_ngc6976_field" / f"reprojected_sdss_{band}.fits.bz2" for band in "gri"}


def test_arp_178_is_cut_out_of_its_cube():
    catalog = read_catalog(DATA / "decals_field" / "catalog_sep.csv")
    cube = DATA / "decals_field" / "temp_extended.fits"
    result = extract_cutouts(catalog, cube, 75)
    assert len(result) == 88 and result.meta["BANDS"] == "g,r,z"
    assert result.meta["PIXSCALE"] == pytest.approx(1.0)
    reach = np.minimum.reduce([catalog["x"], catalog["y"], 423 - catalog["x"], 423 - catalog["y"]])
    assert np.all(
        ((result["flags"] & Flag.OFF_EDGE) != 0)[np.abs(reach - 37) > 1] == (reach < 37)[np.abs(reach - 37) > 1]
    )
    pixels = fits.getdata(cube)
    assert np.array_equal(result["image"][0], pixels[:, 210 - 37 : 210 + 38, 211 - 37 : 211 + 38])
    by_pixel = extract_cutouts(catalog[["x", "y"]], cube, 75)
    assert np.array_equal(by_pixel["image"], result["image"], equal_nan=True)
    cutouts = open_cutouts(result, survey="decals").read()
    assert cutouts.bands == ("g", "r", "z") and cutouts.pixel_scale.to_value(u.arcsec) == pytest.approx(1.0)


def test_ngc_6976_trusts_the_caller_about_bands():
    files = ngc6976()
    assert {fits.getheader(name)["FILTER"] for name in files.values()} == {"g"}
    catalog = read_catalog(DATA / "sdss_ngc6976_field" / "catalog_sep.csv")
    result = extract_cutouts(catalog, files, 60 * u.arcsec)
    assert len(result) == 493 and result.meta["BANDS"] == "g,r,i" and result["image"].unit == u.Unit("nmgy")
    brightest = result["image"][0].sum(axis=(1, 2))
    assert brightest[0] < brightest[1] < brightest[2]
    other = extract_cutouts(catalog, list(files.values()), 60 * u.arcsec, bands=("g", "r", "i"))
    assert np.array_equal(other["image"], result["image"], equal_nan=True)


def test_halves_of_a_real_field_give_what_the_whole_gives():
    files = ngc6976()
    catalog = read_catalog(DATA / "sdss_ngc6976_field" / "catalog_sep.csv")[["ra", "dec"]]
    halves = {band: [] for band in files}
    for band, name in files.items():
        with warnings.catch_warnings(action="ignore"):
            image, wcs = fits.getdata(name), WCS(fits.getheader(name))
        halves[band] += [(image[:, :400], wcs[:, :400]), (image[:, 300:], wcs[:, 300:])]
    whole = extract_cutouts(catalog, files, 75)
    result = extract_cutouts(catalog, halves, 75)
    assert set(result["tile"]) == {0, 1}
    assert np.array_equal(result["image"], whole["image"], equal_nan=True)
    assert np.array_equal(result["flags"], whole["flags"])


def test_one_galaxy_at_two_pixel_scales_is_one_galaxy():
    pytest.importorskip("reproject", exc_type=ImportError)
    fields = []
    for name in ("decals_field/temp_small.fits", "decals_cutouts/example_a.fits"):
        with warnings.catch_warnings(action="ignore"):
            header = fits.getheader(DATA / name)
            fields.append((fits.getdata(DATA / name)[1], WCS(header).celestial))
    middle = SkyCoord(146.7141949, -1.04126768, unit="deg")
    native, fine = extract_cutouts(middle, fields, 101, bands=("r", "other"))["image"][0]
    assert np.corrcoef(native.ravel(), fine.ravel())[0, 1] > 0.998
    # the server resampled without conserving flux: its values are per pixel of 0.262 arcsec in both files
    assert fine.sum() / native.sum() == pytest.approx(2.62**2, rel=0.01)


def test_every_source_of_a_real_field_goes_from_finding_into_cutting():
    images = DATA / "decals_field" / "temp_extended.fits"
    found, segments = find_sources(images, return_segments=True)
    result = extract_cutouts(found, images, "6 radius", segments=segments)
    assert len(result) == len(found) > 50
    unknown = np.isnan(found["radius"])
    assert np.array_equal((result["flags"] & Flag.BAD_SHAPE) != 0, unknown)
    for row in np.flatnonzero(~unknown)[:40]:
        image, mark = result["image"][row], result["neighbours"][row]
        assert image.shape[1:] == mark.shape
        center = mark.shape[0] // 2
        assert (
            not mark[center, center]
            or segments[round(found["y"][row]), round(found["x"][row])] != found["segment"][row]
        )


@pytest.mark.parametrize("field", ["arp178", "ngc6976"])
def test_bright_known_sources_are_found(field):
    if field == "arp178":
        folder, images = "decals_field", DATA / "decals_field" / "temp_extended.fits"
    else:
        folder, images = "sdss_ngc6976_field", ngc6976()
    known = read_catalog(DATA / folder / "catalog_sep.csv")
    known = known[np.argsort(known["flux"])[::-1][:40]]
    found = find_sources(images)
    distance = np.hypot(known["x"][:, None] - found["x"].data, known["y"][:, None] - found["y"].data).min(axis=1)
    assert np.mean(distance < 5) > 0.9
    near = np.argmin(np.hypot(found["ra"] - known["ra"][0], found["dec"] - known["dec"][0]))
    assert abs(found["y"][near] - known["y"][0]) < 5


def test_galaxy_zoo_pictures_are_read_from_their_table():
    labels = DATA / "sdss_gz1" / "labels.csv"
    opened = open_cutouts(labels, image="filename", survey="sdss-jpeg", chunk_size=16)
    assert len(opened) == 2000 and opened.stretched and opened.bands == ("i", "r", "g")
    chunk = next(iter(opened))
    assert chunk.data.shape == (16, 3, 423, 423) and not chunk.flags.any()
    assert 0 <= chunk.data.min() and chunk.data.max() <= 255
    assert chunk.table["sdss_dr7_objid"].dtype.kind == "i" and chunk.radii_per_pixel == 0.024


def test_pictures_in_a_table_start_from_the_working_directory(monkeypatch):
    monkeypatch.chdir(DATA / "sdss_gz1")
    table = Table.read("labels.csv")[:3]
    assert not open_cutouts(table, image="filename", survey="sdss-jpeg").read().flags.any()


def test_the_published_sample_is_read_with_its_labels():
    folder = DATA / "deepmerge_sample"
    opened = open_cutouts(folder / "x_sample.npy", survey="deepmerge-z2")
    assert_allclose(opened.read().data, np.load(folder / "x_sample.npy"), rtol=1e-6)
    assert opened.table["label"].tolist() == [1] * 10


def test_a_cube_of_one_galaxy_is_one_row():
    cutouts = open_cutouts(DATA / "decals_cutouts" / "example_a.fits").read()
    assert cutouts.data.shape == (1, 3, 424, 424) and cutouts.bands == ("g", "r", "z")
    assert cutouts.pixel_scale.to_value(u.arcsec)[0] == pytest.approx(0.1, abs=0.002)
