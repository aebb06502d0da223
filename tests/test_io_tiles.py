"""Cutouts from tiles, files on disk, weights, masks, sizes a row and zero points."""

import mmap

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, Cutout2D, InverseVariance, NoOverlapError
from astropy.table import QTable, Table
from astropy.wcs import Sip
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from tile_field import NAMES, SKY, brute_force, on_sky, tan, tile

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import extract_cutouts, open_cutouts, save_cutouts
from galmerge_da.io.files import header_zero_point
from galmerge_da.io.layers import open_layers


@pytest.mark.filterwarnings("ignore:.*lie on no image")
@settings(max_examples=150, deadline=None)
@given(
    x=st.floats(-30, 230),
    y=st.floats(-30, 150),
    size=st.integers(1, 40),
    per_row=st.booleans(),
)
def test_frames_anywhere_near_the_edge_agree_with_cutout2d_and_with_a_loop(x, y, size, per_row):
    x, y = round(x, 6), round(y, 6)  # closer to half a pixel, round-off decides
    result = extract_cutouts(np.array([[x, y]]), SKY, np.array([size]) if per_row else size)
    image = result["image"][0]
    expected = brute_force(SKY, x, y, size)
    assert np.array_equal(image, expected, equal_nan=True)
    try:
        peer = Cutout2D(SKY[1], (x, y), size, mode="partial", fill_value=np.nan).data
    except NoOverlapError:
        peer = np.full((size, size), np.nan)
    assert np.array_equal(image[1], peer, equal_nan=True)
    off, blank = np.isnan(expected).any(), all(len(np.unique(band[np.isfinite(band)])) < 2 for band in expected)
    assert result["flags"][0] == (Flag.OFF_EDGE if off else 0) | (Flag.BLANK if blank else 0)


@pytest.mark.filterwarnings("ignore:.*lie on no image")
@settings(max_examples=60, deadline=None)
@given(
    positions=st.lists(st.tuples(st.floats(-20, 220), st.floats(-20, 140)), min_size=1, max_size=8),
    edges=st.tuples(st.integers(20, 110), st.integers(0, 60), st.integers(130, 200)),
)
def test_of_overlapping_tiles_the_one_with_most_pixels_is_taken(positions, edges):
    stop, start, end = edges
    tiles = [tile(0, stop), tile(start, end)]
    x, y = np.round(np.transpose(positions), 3)
    result = extract_cutouts(on_sky(x, y), tiles, 9)
    for row in range(len(x)):
        frames = [brute_force(SKY[:, :, a:b], x[row] - a, y[row], 9) for a, b in ((0, stop), (start, end))]
        counts = [np.count_nonzero(np.isfinite(frame)) for frame in frames]
        number = result["tile"][row]
        if max(counts) == 0:
            assert number == -1 and result["flags"][row] & Flag.BLANK
            continue
        assert counts[number] == max(counts)
        assert np.array_equal(result["image"][row], frames[number], equal_nan=True)
    alone = [extract_cutouts(on_sky(x, y)[[row]], tiles, 9) for row in range(len(x))]  # rows do not depend on others
    assert [each["tile"][0] for each in alone] == result["tile"].tolist()


def test_of_tiles_with_all_pixels_the_one_with_the_object_farthest_from_the_edge_is_taken():
    result = extract_cutouts(on_sky([90.0, 110.0], [60.0, 60.0]), [tile(0, 130), tile(60, 200)], 9)
    assert result["tile"].tolist() == [0, 1]
    assert not result["flags"].any()


def test_a_blank_margin_of_a_tile_does_not_hide_what_another_has():
    first, second = tile(0, 200), tile(60, 200)
    first[0][:, :, 80:] = np.nan
    zeros = (np.nan_to_num(first[0]), first[1])
    for blank in (first, zeros):
        result = extract_cutouts(on_sky([130.0, 78.0, 20.0], [60.0, 60.0, 60.0]), [blank, second], 9)
        assert result["tile"].tolist() == [1, 1, 0] and not result["flags"].any()
        assert np.array_equal(result["image"][0], SKY[:, 56:65, 126:135])


@pytest.mark.parametrize("kind", ["list of cubes", "list of mappings", "mapping of lists", "list of lists"])
def test_tiles_may_be_arranged_as_one_likes(tmp_path, kind):
    for number, (left, right) in enumerate([(0, 110), (70, 200)]):
        cube, wcs = tile(left, right)
        fits.writeto(tmp_path / f"{number}.fits", cube, wcs.to_header())
        for band, image in zip(NAMES, cube, strict=True):
            fits.writeto(tmp_path / f"{number}{band}.fits", image, wcs.to_header())
    files = [{band: tmp_path / f"{number}{band}.fits" for band in NAMES} for number in (0, 1)]
    images = {
        "list of cubes": [tmp_path / "0.fits", tmp_path / "1.fits"],
        "list of mappings": files,
        "mapping of lists": {band: [each[band] for each in files] for band in NAMES},
        "list of lists": [list(each.values()) for each in files],
    }[kind]
    catalog = on_sky([30.0, 100.0, 160.0], [40.0, 50.0, 60.0])
    result = extract_cutouts(catalog, images, 11, bands=NAMES)
    assert result["tile"].tolist() == [0, 1, 1] and result.meta["BANDS"] == "g,r,i"
    whole = extract_cutouts(catalog, (SKY, tan()), 11)
    assert np.array_equal(result["image"], whole["image"])


@pytest.mark.parametrize("value", [0, 7, np.nan])
@pytest.mark.parametrize("size", [9, np.array([9, 8])])
def test_a_frame_of_one_value_is_blank(value, size):
    image = SKY.copy()
    image[0, 20:80, 20:80] = np.nan  # one band has nothing, the others one value
    image[1:, 20:80, 20:80] = value
    result = extract_cutouts(np.array([[50, 50], [120, 50]]), image, size)
    assert result["flags"].tolist() == [Flag.BLANK, 0]


def test_positions_far_from_a_distorted_image_lie_outside():
    wcs = tan()
    wcs.wcs.ctype = "RA---TAN-SIP", "DEC--TAN-SIP"
    terms = np.zeros((4, 4))
    terms[3, 0] = terms[0, 3] = -3e-5
    wcs.sip = Sip(terms, terms.T, None, None, wcs.wcs.crpix)
    ra, dec = wcs.all_pix2world([60.0, 140.0], [50.0, 60.0], 0)
    catalog = Table({"ra": [*ra, 150.2, 151.0, 152.0, 180.0, 330.0], "dec": [*dec, 2.1, 3.0, 2.0, 60.0, -2.0]})
    with pytest.warns(InputWarning, match="5 of 7 positions lie on no image"):
        result = extract_cutouts(catalog, (SKY, wcs), 9)
    assert np.array_equal(result["image"][:2], extract_cutouts(np.array([[60, 50], [140, 60]]), SKY, 9)["image"])
    assert set(result["flags"][2:]) == {Flag.OFF_EDGE | Flag.BLANK}


def test_hdus_and_their_list_are_images():
    hdus = fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(image, tan().to_header(), "x") for image in SKY)])
    expected = extract_cutouts(np.array([[60, 50]]), SKY, 9)["image"]
    assert np.array_equal(extract_cutouts(np.array([[60, 50]]), hdus, 9)["image"], expected)
    whole = fits.CompImageHDU(np.round(SKY).astype(np.int16))
    assert np.array_equal(
        extract_cutouts(np.array([[60, 50]]), whole, 9)["image"], np.round(SKY)[None, :, 46:55, 56:65]
    )


@pytest.mark.parametrize("size, kind", [(9, QTable), (np.array([9]), Table)])
def test_a_qtable_keeps_its_units(size, kind):
    catalog = QTable({"ra": [150.0] * u.deg, "dec": [2.0] * u.deg})
    result = extract_cutouts(catalog, (SKY * u.nJy, tan()), size)
    assert type(result) is kind and result["ra"].unit == u.deg
    assert open_cutouts(result).read().unit == u.nJy and np.asarray(result["image"][0]).dtype == np.float32


def test_pixels_on_several_tiles_need_the_number_of_the_tile():
    tiles = [SKY[:, :, :100], SKY[:, :, 100:]]
    catalog = Table({"x": [50.0, 50.0], "y": [60.0, 60.0], "tile": [1, 0]})
    with pytest.warns(InputWarning, match="'tile' of the catalogue is now 'tile_1'"):
        result = extract_cutouts(catalog, tiles, 9)
    assert result["tile"].tolist() == [1, 0]
    assert np.array_equal(result["image"][0], SKY[:, 56:65, 146:155])


def test_tiles_must_fit_each_other():
    with pytest.raises(InputError, match="every tile needs an image in every band; there are g: 2, r: 1"):
        extract_cutouts(on_sky(1, 1), {"g": [SKY[0], SKY[1]], "r": SKY[2]}, 9)
    with pytest.raises(InputError, match=r"tile 1 has pixels of 1.000 arcsec, the first of 0.500 arcsec"):
        extract_cutouts(on_sky(1, 1), [(SKY, tan()), (SKY, tan(scale=1.0))], 9)
    with pytest.raises(InputError, match="tile 1 has bands 2"):
        extract_cutouts(on_sky(1, 1), [(SKY, tan()), (SKY[:2], tan())], 9)
    with pytest.raises(InputError, match="others none"):
        extract_cutouts(on_sky(1, 1), [(SKY, tan()), SKY], 9)


def test_tiles_are_brought_to_the_zero_point_and_unit_of_the_first(tmp_path):
    for name, zero, unit, factor in (("a", 22.5, "nJy", 1.0), ("b", 25.0, "uJy", 10.0)):
        header = tan(0, 0 if name == "a" else 100).to_header()
        header["MAGZERO"], header["BUNIT"] = zero, unit
        part = SKY[:, :, :110] if name == "a" else SKY[:, :, 100:]
        fits.writeto(tmp_path / f"{name}.fits", part * factor / 1000 ** (name == "b"), header)
    catalog = on_sky([50.0, 150.0], [60.0, 60.0])
    result = extract_cutouts(catalog, [tmp_path / "a.fits", tmp_path / "b.fits"], 9)
    assert result.meta["MAGZERO"] == 22.5 and result["image"].unit == u.nJy
    assert_allclose(result["image"], extract_cutouts(catalog, (SKY, tan()), 9)["image"], rtol=1e-5)


@pytest.mark.parametrize(
    "header, expected",
    [({"MAGZERO": 25.1}, 25.1), ({"ZP": "27"}, 27.0), ({"FLUXMAG0": 1e10}, 25.0), ({"ZP": "none"}, None), ({}, None)],
)
def test_zero_points_are_read_from_headers(header, expected):
    assert header_zero_point(header) == expected


def test_zero_points_of_bands_may_differ(tmp_path):
    for band, image, zero in zip(NAMES, SKY, (22.5, 24.0, 26.25), strict=True):
        fits.writeto(tmp_path / f"{band}.fits", image, fits.Header({"MAGZERO": zero}))
    result = extract_cutouts(np.array([[50, 50]]), {band: tmp_path / f"{band}.fits" for band in NAMES}, 9)
    assert result.meta["MAGZERO"] == "22.5,24,26.25"


def test_weights_and_masks_are_carried_and_make_bad_pixels(tmp_path):
    weight, mask = np.full(SKY.shape, 4, np.float32), np.zeros(SKY.shape[1:], np.int16)
    weight[1, 50, 60], weight[2, 51, 61] = 0, np.nan
    mask[52, 62] = 8
    fits.writeto(tmp_path / "w.fits", weight)
    fits.writeto(tmp_path / "m.fits", mask)
    result = extract_cutouts(
        np.array([[60, 50], [20, 20], [199, 20]]), SKY, 9, weights=tmp_path / "w.fits", masks=tmp_path / "m.fits"
    )
    assert np.argwhere(np.isnan(result["image"][0])).tolist() == [
        [0, 6, 6], [1, 4, 4], [1, 6, 6], [2, 5, 5], [2, 6, 6],
    ]  # fmt: skip
    assert result["flags"].tolist() == [Flag.MASKED, 0, Flag.OFF_EDGE]
    assert np.array_equal(result["weight"] == 0, np.isnan(result["image"]))
    assert set(np.unique(result["weight"])) == {0, 4}
    assert open_cutouts(result).table.colnames == ["x", "y"]  # weights are no column of a catalogue


def test_the_uncertainty_of_nddata_is_a_weight():
    field = CCDData(SKY[0], unit=u.nJy, uncertainty=InverseVariance(np.full(SKY[0].shape, 9.0)))
    result = extract_cutouts(np.array([[60, 50]]), field, 9)
    assert np.all(result["weight"] == 9) and result["weight"].unit == u.nJy**-2


def test_a_weight_must_fit_its_image():
    with pytest.raises(InputError, match="a weight has shape"):
        extract_cutouts(np.array([[60, 50]]), SKY, 9, weights=SKY[:, 1:])
    with pytest.raises(InputError, match=r"there are 3 image\(s\) and 1 mask\(s\)"):
        extract_cutouts(np.array([[60, 50]]), list(SKY), 9, masks=SKY[0])


def test_every_row_may_have_its_own_size():
    radius = np.ma.array([1.0, 2.6, 5.0, 3.0], mask=[0, 0, 0, 1])
    catalog = on_sky([60.0, 80.0, 3.0, 100.0], [50.0, 60.0, 60.0, 60.0])
    catalog["radius"] = radius
    catalog["radius"].unit = u.arcsec
    result = extract_cutouts(catalog, (SKY * u.nJy, tan()), "4 radius")
    assert [image.shape for image in result["image"]] == [(3, 9, 9), (3, 21, 21), (3, 41, 41), (3, 0, 0)]
    assert result["flags"].tolist() == [0, 0, Flag.OFF_EDGE, Flag.BAD_SHAPE]
    for row in range(3):
        x, y = tan().world_to_pixel_values(catalog["ra"][row], catalog["dec"][row])
        expected = brute_force(SKY, np.round(x, 6), np.round(y, 6), result["image"][row].shape[1])
        assert np.array_equal(result["image"][row], expected, equal_nan=True)
    cutouts = open_cutouts(result).read()
    assert [image.shape for image in cutouts.data[:3]] == [(3, 9, 9), (3, 21, 21), (3, 41, 41)]
    assert cutouts.unit == u.nJy and cutouts.pixel_scale.to_value(u.arcsec) == pytest.approx(0.5)
    assert cutouts.flags[3] & Flag.BAD_SHAPE


@pytest.mark.parametrize("size", ["4 radius", [8, 16], np.array([7.5, 15.2]), [4.0, 8.0] * u.arcsec])
def test_sizes_of_rows_come_in_several_forms(size):
    catalog = on_sky([60.0, 80.0], [50.0, 60.0])
    catalog["radius"] = [2, 4] * u.pix
    size = np.array(size) if isinstance(size, list) else size
    image = extract_cutouts(catalog, (SKY, tan()), size)["image"]
    whole = np.asarray(size).dtype.kind == "i"
    assert [each.shape for each in image] == ([(3, 8, 8), (3, 16, 16)] if whole else [(3, 9, 9), (3, 17, 17)])


@pytest.mark.parametrize("size, shape", [("9", (9, 9)), ("6 arcsec", (12, 12)), ("0.1 arcmin", (12, 12))])
def test_a_size_may_be_text(size, shape):
    assert extract_cutouts(on_sky(60.0, 50.0), (SKY, tan()), size)["image"].shape[2:] == shape


@pytest.mark.parametrize("size", ["9 rdius", "nine", "9.5", "", "x arcsec"])
def test_text_that_is_no_size_is_one_clear_error(size):
    catalog = on_sky(60.0, 50.0)
    catalog["radius"] = 3.0
    with pytest.raises(InputError, match="such as '30 arcsec'"):
        extract_cutouts(catalog, (SKY, tan()), size)


def test_sides_may_be_two_angles():
    result = extract_cutouts(on_sky(60.0, 50.0), (SKY, tan()), (5 * u.arcsec, 8 * u.arcsec))
    assert result["image"].shape == (1, 3, 10, 16)


def test_positions_may_be_bare():
    x, y = np.array([60.0, 80.0]), np.array([50.0, 60.0])
    table = on_sky(x, y)
    sky = extract_cutouts(SkyCoord(table["ra"], table["dec"], unit="deg"), (SKY, tan()), 9)
    pixels = extract_cutouts(np.stack([x, y], axis=1), SKY, 9)
    assert np.array_equal(sky["image"], pixels["image"])
    assert sky.colnames == ["position", "image", "flags"] and pixels.colnames == ["x", "y", "image", "flags"]
    one = extract_cutouts(SkyCoord(table["ra"][0], table["dec"][0], unit="deg"), (SKY, tan()), 9)
    assert np.array_equal(one["image"][0], pixels["image"][0])


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u2", "blank", "tiles", "gz", "npy", "4 axes"])
def test_files_of_any_storage_give_the_same_pixels(tmp_path, dtype):
    field = np.round(SKY * 8)
    path = tmp_path / ("a.npy" if dtype == "npy" else "a.fits.gz" if dtype == "gz" else "a.fits")
    if dtype == "npy":
        np.save(path, field)
    elif dtype == "blank":
        hdu = fits.PrimaryHDU(field.astype("i2"))
        hdu.header["BLANK"] = int(field[0, 50, 60])
        hdu.writeto(path)
    elif dtype == "tiles":
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(field.astype("i2"))]).writeto(path)
    elif dtype == "4 axes":
        fits.writeto(path, field[None])
    else:
        fits.writeto(path, field.astype("f4" if dtype == "gz" else dtype))
    image = extract_cutouts(np.array([[60, 50], [0, 3]]), path, 9)["image"]
    expected = np.stack([brute_force(field, 60, 50, 9), brute_force(field, 0, 3, 9)])
    if dtype == "blank":
        expected[expected == field[0, 50, 60]] = np.nan
        assert np.isnan(image[0, 0, 4, 4])
    assert np.array_equal(image, expected, equal_nan=True)


def test_files_are_mapped_and_not_read(tmp_path):
    fits.writeto(tmp_path / "a.fits", SKY)
    (layer,) = open_layers(tmp_path / "a.fits")
    assert layer._pixels is None
    base = layer.pixels
    while getattr(base, "base", None) is not None:
        base = base.base
    assert isinstance(base, mmap.mmap)
    layer.release()
    held = np.lib.stride_tricks.as_strided(SKY[:, :1, :1], (3, 10**6, 10**6), (SKY.strides[0], 0, 0))
    assert extract_cutouts(np.array([[5e5, 5e5]]), held, 9)["image"].shape == (1, 3, 9, 9)  # 12 TB if it were copied


def test_a_file_that_breaks_off_is_one_clear_error(tmp_path):
    fits.writeto(tmp_path / "a.fits", SKY)
    content = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="a.fits"):
        extract_cutouts(np.array([[60, 100]]), tmp_path / "a.fits", 9)


@pytest.mark.parametrize("layout", ["mapping", "list", "tiles"])
def test_a_mask_of_one_band_is_one_of_that_band(layout):
    mask = np.zeros(SKY.shape[1:], bool)
    mask[52, 62] = True
    images, masks = dict(zip(NAMES, SKY, strict=True)), {"r": mask}
    if layout == "list":
        images, masks = list(SKY), [None, mask, None]
    elif layout == "tiles":
        images = {band: [(image, tan())] for band, image in images.items()}
        masks = {"r": [mask]}
    result = extract_cutouts(np.array([[60, 50]]), images, 9, masks=masks)
    assert np.argwhere(np.isnan(result["image"][0])).tolist() == [[1, 6, 6]]
    assert result["flags"].tolist() == [Flag.MASKED]


def test_weights_of_some_bands_tell_bad_pixels_and_are_not_kept():
    weight = np.ones(SKY.shape[1:], np.float32)
    weight[50, 60] = 0
    images = dict(zip(NAMES, SKY, strict=True))
    with pytest.warns(InputWarning, match="2 of 3 images have no weight"):
        result = extract_cutouts(np.array([[60, 50]]), images, 9, weights={"i": weight})
    assert np.argwhere(np.isnan(result["image"][0])).tolist() == [[2, 4, 4]] and "weight" not in result.colnames


def test_a_mask_of_a_band_that_has_no_image_is_an_error():
    images = dict(zip(NAMES, SKY, strict=True))
    with pytest.raises(InputError, match="there is no band 'z' among g, r, i, but a mask of it"):
        extract_cutouts(np.array([[60, 50]]), images, 9, masks={"z": SKY[0]})
    chosen = extract_cutouts(np.array([[60, 50]]), images, 9, bands=("r",), masks={"g": SKY[0] > 0})
    assert np.isfinite(chosen["image"]).all()


def test_height_and_width_may_be_text():
    catalog = on_sky(60.0, 50.0)
    for size, shape in (("11x7", (11, 7)), ("11 x 7", (11, 7)), ("5.5x3.5 arcsec", (11, 7))):
        assert extract_cutouts(catalog, (SKY, tan()), size)["image"].shape[2:] == shape
    catalog["radius"] = 3.0
    for size in ("11x", "4x3 radius", "x7", "0x7", "4x3 kg"):
        with pytest.raises(InputError, match="size"):
            extract_cutouts(catalog, (SKY, tan()), size)


@pytest.mark.parametrize("suffix", [".fits", ".hdf5"])
def test_frames_of_different_sizes_can_be_saved(tmp_path, suffix):
    if suffix == ".hdf5":
        pytest.importorskip("h5py")
    catalog = Table({"x": [60, 100, 20], "y": [50, 60, 40], "side": [9, 15, np.nan]})
    weights = np.full_like(SKY, 4)
    own = extract_cutouts(catalog, SKY * u.nJy, "1 side", weights=weights)
    save_cutouts(own, tmp_path / f"a{suffix}")
    cutouts = open_cutouts(tmp_path / f"a{suffix}").read()
    whole = extract_cutouts(catalog, SKY, 15)["image"]
    assert cutouts.unit == u.nJy and cutouts.data.shape == (3, 3, 15, 15)
    assert np.array_equal(cutouts.data[1], whole[1])
    assert np.array_equal(cutouts.data[0, :, 3:12, 3:12], whole[0, :, 3:12, 3:12])
    assert np.isnan(cutouts.data[0]).sum() == 3 * (15**2 - 9**2) and np.isnan(cutouts.data[2]).all()
    assert own["image"].dtype == object  # the table itself stays as it is
