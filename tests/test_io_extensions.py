"""Paths that name extensions of a FITS file."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from galmerge_da.exceptions import InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import open_cutouts
from galmerge_da.io.files import split_extension

BANDS = ("g", "r", "i")
IMAGE = np.random.default_rng(3).normal(100, 20, (3, 12, 14)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    """An extension a band, and all of them in one."""
    hdus = [fits.ImageHDU(plane, name=band) for band, plane in zip(BANDS, IMAGE, strict=True)]
    hdus += [fits.ImageHDU(IMAGE, name="SCI"), fits.ImageHDU(IMAGE + 1, name="SCI", ver=2)]
    fits.HDUList([fits.PrimaryHDU(np.zeros((3, 3))), *hdus]).writeto(tmp_path / "a.fits")
    return tmp_path / "a.fits"


@pytest.mark.parametrize(
    "text, extension",
    [
        ("1", 1),
        ("SCI", "SCI"),
        ("SCI,2", ("SCI", 2)),
        (" SCI , 2 ", ("SCI", 2)),
        ("g,r,i", ["g", "r", "i"]),
        ("1,2", [1, 2]),
        ("3,2,1", [3, 2, 1]),
        ("g,r", ["g", "r"]),
    ],
)
def test_extensions_are_told_apart(text, extension):
    path, found = split_extension(f"nowhere/a.fits[{text}]")
    assert (str(path), found) == ("nowhere/a.fits", extension)


@pytest.mark.parametrize("names", ["g,r,i", "i,g,r", "r,i"])
def test_extensions_name_the_bands(path, names):
    for source in (f"{path}[{names}]", Table({"image": [f"{path}[{names}]"]})):
        opened = open_cutouts(source)
        assert opened.bands == tuple(names.split(","))
        assert np.array_equal(opened.read().data[0], IMAGE[[BANDS.index(band) for band in opened.bands]])


def test_numbers_name_no_bands(path):
    opened = open_cutouts(f"{path}[3,1]")
    assert opened.bands is None
    assert np.array_equal(opened.read().data[0], IMAGE[[2, 0]])


def test_a_single_cube_is_one_galaxy(path):
    assert np.array_equal(open_cutouts(f"{path}[SCI]").read().data, IMAGE[None])
    assert np.array_equal(open_cutouts(f"{path}[SCI,2]").read().data, IMAGE[None] + 1)


@pytest.mark.parametrize(
    "names, flag", [("g,z", Flag.UNREADABLE), ("0,g", Flag.BAD_SHAPE), ("SCI,r,i", Flag.BAD_SHAPE)]
)
def test_extensions_that_do_not_fit_are_flagged(path, names, flag):
    with pytest.warns(InputWarning, match="1 of 1"):
        assert open_cutouts(f"{path}[{names}]").read().flags.tolist() == [flag]
