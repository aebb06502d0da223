"""Images in one list whose bands nobody names: bands of one image, tiles, or an error that says what decides."""

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_array_equal
from tile_field import SKY, on_sky, tan

from galmerge_da.exceptions import InputError
from galmerge_da.io import extract_cutouts, find_sources, open_field
from galmerge_da.io.tiles import open_tiles

SPOTS = on_sky([30.0, 100.0, 160.0], [40.0, 50.0, 60.0])


def plane(left, right, band=0, bottom=0, top=120):
    return SKY[band, bottom:top, left:right].copy(), tan(bottom, left)


def bands_of_tiles(images, bands=None):
    return [tile.n_bands for tile in open_tiles(images, bands)]


def test_images_side_by_side_are_tiles_of_one_band():
    result = extract_cutouts(SPOTS, [plane(0, 110), plane(90, 200)], 9)
    assert result["tile"].tolist() == [0, 1, 1] and not result["flags"].any()
    assert_array_equal(result["image"], extract_cutouts(SPOTS, (SKY[:1], tan()), 9)["image"])
    source = open_field(SPOTS, [plane(0, 110), plane(90, 200)], 9)
    assert source.n_bands == 1
    assert_array_equal(source.read().data, result["image"])
    assert "tile" in find_sources([plane(0, 110), plane(90, 200)]).colnames


def test_tiles_that_do_not_touch_are_tiles():
    far = SKY[0].copy(), tan()
    far[1].wcs.crval = 330.0, -40.0
    assert extract_cutouts(SPOTS, [far, plane(0, 200)], 9)["tile"].tolist() == [1, 1, 1]


def test_images_of_one_piece_of_the_sky_are_bands():
    result = extract_cutouts(SPOTS, [plane(0, 190), plane(0, 190, band=1)], 9)
    assert "tile" not in result.colnames
    assert_array_equal(result["image"], extract_cutouts(SPOTS, (SKY[:2], tan()), 9)["image"])


@pytest.mark.parametrize("second", [(3, 193), (60, 140)], ids=["shifted", "small"])
def test_bands_may_be_shifted_or_one_within_the_other(second):
    assert bands_of_tiles([plane(0, 190), plane(*second, band=1)]) == [2]


def test_what_could_be_either_is_an_error_that_says_what_decides():
    images = [plane(0, 150), plane(40, 190)]
    with pytest.raises(
        InputError, match=r"images 0 and 1 share 7\d % .* bands of one image, or tiles of one band.*--bands"
    ):
        extract_cutouts(SPOTS, images, 9)
    assert bands_of_tiles(images, ("g", "r")) == [2]
    tiles = extract_cutouts(SPOTS, images, 9, bands=("g",))
    assert tiles["image"].shape[1] == 1 and tiles.meta["BANDS"] == "g" and set(tiles["tile"]) == {0, 1}
    assert extract_cutouts(SPOTS, {"g": images}, 9)["tile"].tolist() == tiles["tile"].tolist()


def test_bands_and_tiles_in_one_list_are_an_error():
    with pytest.raises(InputError, match="images 0 and 1 share 100 %, images 0 and 2 share .* with its band"):
        extract_cutouts(SPOTS, [plane(0, 110), plane(0, 110, band=1), plane(90, 200)], 9)


def test_names_win_over_what_images_cover():
    images = [plane(0, 110), plane(90, 200, band=1)]
    assert bands_of_tiles(images, ("g", "r")) == [2]
    headers = [fits.PrimaryHDU(image, wcs.to_header()) for image, wcs in images]
    headers[0].header["BANDS"] = "g,r"
    assert bands_of_tiles(headers) == [2]


def test_extensions_of_one_file_are_told_apart_too(tmp_path):
    images = [plane(0, 110), plane(90, 200)]
    hdus = [fits.ImageHDU(image, wcs.to_header(), name) for (image, wcs), name in zip(images, "gr", strict=True)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "field.fits")
    for images in (f"{tmp_path}/field.fits[1,2]", fits.HDUList([fits.PrimaryHDU(), *hdus])):
        assert extract_cutouts(SPOTS, images, 9)["tile"].tolist() == [0, 1, 1]
    assert bands_of_tiles(f"{tmp_path}/field.fits[g,r]") == [2]


def test_without_a_wcs_a_list_is_one_of_bands():
    assert extract_cutouts(np.array([[50, 50]]), list(SKY), 9)["image"].shape == (1, 3, 9, 9)
