"""`open_field` gives what `extract_cutouts` gives, a chunk at a time, and closes what it opened."""

import gc
import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, Table
from astropy.wcs import WCS

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.inference import classify
from galmerge_da.io import extract_cutouts, open_cutouts, open_field, save_cutouts
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess

#: Catalogues here have rows that lie on no image, which test_io_off_image.py looks at.
pytestmark = pytest.mark.filterwarnings("ignore:.*lie on no image")

FIELD = np.random.default_rng(0).normal(10, 1, (3, 120, 160)).astype(np.float32)
X, Y = np.random.default_rng(1).uniform(0, [[160], [120]], (2, 11))
X[3], Y[5] = 500, np.nan  # one far off, one unknown


def tan(left=0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = 150.0, 2.0
    wcs.wcs.crpix = 80 - left, 60
    wcs.wcs.cdelt = -0.5 / 3600, 0.5 / 3600
    return wcs


def in_pixels(**columns):
    return Table({"id": np.arange(11) + 50, "x": X, "y": Y, "radius": np.arange(11.0) + 3, **columns})


def on_sky():
    ra, dec = tan().all_pix2world(X, Y, 0)
    return Table({"id": np.arange(11) + 50, "ra": ra, "dec": dec})


def a_file_a_band(folder):
    for number, band in enumerate("gri"):
        header = tan().to_header()
        header["MAGZERO"], header["BUNIT"] = 25.0 + number, "adu"
        fits.writeto(folder / f"{band}.fits", FIELD[number], header)
    return {band: folder / f"{band}.fits" for band in "gri"}


def tiles(folder):
    for number, part in enumerate((slice(0, 90), slice(70, 160))):
        fits.writeto(folder / f"{number}.fits", FIELD[:, :, part], tan(part.start).to_header())
    return [folder / "0.fits", folder / "1.fits"]


CASES = {
    "array": lambda f: (in_pixels(), FIELD, 15, {}),
    "two sides": lambda f: (in_pixels(), FIELD, (12, 20), {}),
    "one size a row": lambda f: (in_pixels(), FIELD, "4 radius", {}),
    "a file a band": lambda f: (on_sky(), a_file_a_band(f), 8 * u.arcsec, {}),
    "tiles": lambda f: (on_sky(), tiles(f), 15, {"bands": ("g", "r", "i")}),
    "weights": lambda f: (in_pixels(), FIELD, 15, {"weights": np.ones_like(FIELD)}),
    "masks": lambda f: (in_pixels(), FIELD, 15, {"masks": FIELD > 11}),
    "compressed": lambda f: (in_pixels(), compressed(f), 15, {}),
}


def compressed(folder):
    tiled = fits.CompImageHDU(FIELD, compression_type="GZIP_2", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), tiled]).writeto(folder / "field.fits.fz")
    return folder / "field.fits.fz"


def assert_rows(chunks, name, expected):
    rows = [row for chunk in chunks if getattr(chunk, name) is not None for row in getattr(chunk, name)]
    assert len(rows) == len(expected)
    for one, other in zip(rows, expected, strict=True):
        assert np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("case", CASES)
def test_chunks_are_what_extract_cutouts_makes(tmp_path, case):
    catalog, images, size, options = CASES[case](tmp_path)
    table = extract_cutouts(catalog, images, size, **options)
    expected = open_cutouts(table)
    whole = expected.read()
    source = open_field(catalog, images, size, chunk_size=4, **options)
    assert (len(source), source.bands, source.n_bands) == (11, expected.bands, 3)
    chunks = list(source)
    assert [len(chunk) for chunk in chunks] == [4, 4, 3]
    assert_rows(chunks, "data", whole.data)
    assert_rows(chunks, "weight", table["weight"] if "weight" in table.colnames else [])
    assert_rows([whole], "weight", table["weight"] if "weight" in table.colnames else [])
    assert source.table.colnames == expected.table.colnames
    if case == "tiles":
        assert source.table["tile"].tolist() == expected.table["tile"].tolist()
        assert chunks[1].table["tile"].tolist() == expected.table["tile"].tolist()[4:8]
    assert np.array_equal(np.concatenate([chunk.flags for chunk in chunks]), whole.flags)
    for name in ("unit", "pixel_scale", "zero_point", "bands"):
        assert np.all(getattr(chunks[0], name) == getattr(whole, name)), name
    assert chunks[1].table["id"].tolist() == [54, 55, 56, 57]
    assert source.table.meta == expected.table.meta


def test_what_the_caller_says_counts(tmp_path):
    catalog = on_sky()
    catalog["petro"] = np.full(11, 2.0) * u.arcsec
    source = open_field(
        catalog, a_file_a_band(tmp_path), 21, survey="sdss", radius="petro", zero_point=20, psf_fwhm=1 * u.arcsec
    )
    cutouts = source.read()
    np.testing.assert_allclose(cutouts.radius, 4, rtol=1e-3)
    assert source.survey == "sdss" and np.all(cutouts.zero_point == 20 * u.ABmag)
    assert cutouts.psf_fwhm == 1 * u.arcsec


def test_a_classified_field_is_classified_cutouts(tmp_path):
    images = a_file_a_band(tmp_path)
    catalogue = classify(open_field(on_sky(), images, 31, chunk_size=4))
    expected = classify(extract_cutouts(on_sky(), images, 31))
    assert catalogue.colnames == expected.colnames
    assert {k: v for k, v in catalogue.meta.items() if k != "GMDATE"} == {
        k: v for k, v in expected.meta.items() if k != "GMDATE"
    }
    assert np.array_equal(catalogue["flags"], expected["flags"])
    np.testing.assert_allclose(
        *(np.ma.filled(each["merger_prob"], np.nan) for each in (catalogue, expected)), rtol=1e-5
    )
    assert catalogue["flags"][3] & Flag.NOT_CLASSIFIED


def test_bad_calls_are_errors_at_once(tmp_path):
    with pytest.raises(InputError, match="position"):
        open_field(Table({"id": [1]}), FIELD, 9)
    with pytest.raises(InputError, match="chunk_size"):
        open_field(in_pixels(), FIELD, 9, chunk_size=0)
    with pytest.raises(InputError, match="survey"):
        open_field(in_pixels(), FIELD, 9, survey="nowhere")


def test_a_catalogue_without_rows_gives_none():
    assert list(open_field(in_pixels()[:0], FIELD, 9)) == []


def test_files_are_closed_with_the_source(tmp_path):
    source = open_field(on_sky(), a_file_a_band(tmp_path), 21)
    source.read()
    del source
    gc.collect()  # an open file would be a ResourceWarning, and so an error


def test_memory_does_not_grow_with_the_catalogue():
    peaks = []
    for n_rows in (50, 100, 800):  # the first is to warm up
        catalog = Table({"x": np.full(n_rows, 80), "y": np.full(n_rows, 60)})
        tracemalloc.start()
        for _ in open_field(catalog, FIELD, 41, chunk_size=20):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 0.05 * 700 * 3 * 41 * 41 * 4


def test_the_tile_is_that_from_which_a_row_came():
    first = np.where(np.arange(160) < 100, FIELD, np.nan)[..., :120]
    tiles = [(first, tan()), (FIELD[..., 60:], tan(60))]
    ra, dec = tan().all_pix2world([20.0, 84.0, 110.0], [50.0, 60.0, 60.0], 0)
    catalog = Table({"ra": ra, "dec": dec})
    catalog["flags"] = Column([1, 2, 3], description="of the user")
    source = open_field(catalog, tiles, 60)
    assert source.table["tile"].tolist() == [0, 0, 1]
    source.read()
    assert (
        source.table["tile"].tolist() == [0, 1, 1] == extract_cutouts(catalog["ra", "dec"], tiles, 60)["tile"].tolist()
    )
    catalog["tile"] = 7
    with pytest.warns(InputWarning, match="'tile' of the catalogue is now 'tile_1'") as caught:
        assert open_field(catalog, tiles, 60).table["tile_1"].tolist() == [7, 7, 7]
    assert caught[0].filename == __file__


def test_weights_are_read_back_and_do_not_make_an_edge_a_mask(tmp_path):
    weights = np.ones_like(FIELD)
    weights[1, 61, 81] = 0
    catalog = Table({"x": [80, 2, 30], "y": [60, 60, 60]})
    table = extract_cutouts(catalog, FIELD * u.nJy, 31, weights=weights)
    for name in ("a.fits", "a.hdf5"):
        if name == "a.hdf5":
            pytest.importorskip("h5py")
        save_cutouts(table, tmp_path / name)
        assert np.array_equal(open_cutouts(tmp_path / name).read().weight, table["weight"])
    read = open_cutouts(tmp_path / "a.fits")
    assert "weight" not in read.table.colnames
    assert np.array_equal(
        np.concatenate([chunk.weight for chunk in open_cutouts(table, chunk_size=2)]), table["weight"]
    )
    sizes = extract_cutouts(catalog, FIELD, np.array([9, 12, 31]), weights=weights)
    assert_rows([open_cutouts(sizes).read()], "weight", sizes["weight"])
    recipe = PreprocessingRecipe(scale="pixels", size=30)
    without = extract_cutouts(catalog, FIELD * u.nJy, 31)
    flags, bare = (preprocess(open_cutouts(each).read(), recipe).flags for each in (table, without))
    assert bare.tolist() == [0, Flag.OFF_EDGE, 0]
    assert flags.tolist() == [Flag.MASKED | Flag.NONFINITE, Flag.OFF_EDGE, 0]


def test_weights_of_others_and_of_another_shape_are_left_alone():
    table = extract_cutouts(Table({"x": [80], "y": [60]}), FIELD, 31, weights=np.ones_like(FIELD))
    cropped = table.copy()
    cropped["image"] = cropped["image"][..., 5:-5, 5:-5]
    with pytest.warns(
        InputWarning, match=r"'weight' has shape \(1, 3, 31, 31\), the images \(1, 3, 21, 21\): it is not"
    ):
        assert open_cutouts(cropped).read().weight is None
    other = table.copy()
    other["weight"].description = "something else"
    assert open_cutouts(other).read().weight is None


OPTIONS = {"mask": np.zeros((1, 31, 31), bool), "axes": "HWC", "image": "picture"}
FACTS = {"bands": "g,r,i", "survey": "sdss", "pixel_scale": 1 * u.arcsec, "radius": 3.0, "zero_point": 25.0}


@pytest.mark.parametrize("name, value", [*OPTIONS.items(), *FACTS.items()])
def test_what_open_cutouts_cannot_honour_is_an_error(name, value):
    catalog = Table({"x": [80], "y": [60]})
    source = open_field(catalog, FIELD, 31)
    with pytest.raises(InputError, match=f"^{name} cannot be given for CutoutSource"):
        open_cutouts(source, **{name: value})
    assert open_cutouts(source, chunk_size=3) is source
    named = open_field(catalog, FIELD, 31, bands=("g", "r", "i"))
    assert open_cutouts(named, bands="g,r,i") is named
    held = source.read()
    if name in OPTIONS:
        with pytest.raises(InputError, match=f"^{name} cannot be given for Cutouts"):
            open_cutouts(held, **{name: value})
    else:
        assert len(open_cutouts(held, **{name: value})) == 1
