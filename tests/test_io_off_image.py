"""Positions that lie on no image, are none, and images that are none: said once, and plainly."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from tile_field import SKY, on_sky, tan

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import extract_cutouts, open_field

FIELD = SKY, tan()


@pytest.fixture(params=["extract_cutouts", "open_field"])
def flags_of(request):
    """Flags and warnings of a catalogue, by both ways to cut it out."""

    def cut(catalog, images=FIELD, size=9):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if request.param == "extract_cutouts":
                flags = np.asarray(extract_cutouts(catalog, images, size)["flags"])
            else:
                source = open_field(catalog, images, size, chunk_size=2)
                flags = np.concatenate([[], *(chunk.flags for chunk in source)]).astype(int)
        assert all(each.category is InputWarning and each.filename == __file__ for each in caught)
        return flags, [str(each.message) for each in caught]

    return cut


def test_a_catalogue_of_another_field_is_named_once(flags_of):
    flags, said = flags_of(Table({"ra": [10.0, 20, 30, 40, 50], "dec": [2.0] * 5}))
    assert said == [
        "5 of 5 positions lie on no image (the first is row 0): is the catalogue that of these images?",
    ]
    assert not np.any(flags & Flag.MASKED)


def test_what_is_no_position_is_named_too(flags_of):
    catalog = on_sky([50.0] * 6, [50.0] * 6)
    catalog["dec"][1], catalog["dec"][2], catalog["ra"][3], catalog["dec"][4] = 95, -100, np.nan, 40
    catalog["dec"][5] = np.inf
    _, (said,) = flags_of(catalog)
    assert said == (
        "5 of 6 positions lie on no image (the first is row 1), 2 unknown or not finite (row 3), "
        "2 with a declination beyond 90 degrees (row 1)"
    )


def test_a_declination_that_is_none_is_on_no_image_near_the_pole():
    wcs = tan()
    wcs.wcs.crval = 0.0, 90.0
    with pytest.warns(InputWarning, match="1 of 2 positions lie on no image .* 1 with a declination beyond 90"):
        table = extract_cutouts(Table({"ra": [0.0, 0.0], "dec": [90.0, 90.001]}), (SKY, wcs), 9)
    assert np.isfinite(table["image"][0]).all() and np.isnan(table["image"][1]).all()


def test_pixels_are_looked_at_too(flags_of):
    _, (said,) = flags_of(np.array([[50, 50], [500, 50], [np.nan, 3]]), SKY)
    assert said == "2 of 3 positions lie on no image (the first is row 1), 1 unknown or not finite (row 2)"


def test_nothing_is_said_where_all_are_on_an_image_or_only_their_size_is_unknown(flags_of):
    catalog = on_sky([50.0, 199.0, 100.0], [50.0, 60.0, 60.0])
    assert flags_of(catalog)[1] == [] and flags_of(catalog[:0])[1] == []
    catalog["radius"] = [1.0, 1.0, np.nan] * u.arcsec
    assert flags_of(catalog, size="4 radius")[1] == []


@pytest.mark.parametrize(
    "image", [42, None, np.zeros(7), np.zeros((2, 2, 3, 4)), {1, 2}, [42], {"g": 42}, [SKY[0], None]]
)
@pytest.mark.parametrize("cut", [extract_cutouts, open_field])
def test_what_is_no_image_is_named_with_what_would_be_one(image, cut):
    with pytest.raises(
        InputError, match=r"an image must be a path, HDU, NDData, an array .* got (int 42|NoneType|ndarray|set)"
    ):
        cut(np.array([[50, 50]]), image, 9)
