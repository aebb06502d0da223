"""What is kept and what is made of the things that users hold: labels, units, masks, sizes, pictures, flags."""

import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, NDData, StdDevUncertainty
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from astropy.wcs import WCS
from input_writers import hlsp, objects, published, write_each
from PIL import Image

from galmerge_da.exceptions import InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import open_cutouts

N, C, H, W = 7, 3, 12, 14
BANDS = ("g", "r", "i")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(3).normal(100, 20, (N, C, H, W)).astype(np.float32)


def table(column, **columns):
    return Table({"id": np.arange(N) + 50, "image": column, **columns})


def test_pixels_leave_the_table_and_paths_stay(tmp_path, pixels):
    assert open_cutouts(table(pixels)).table.colnames == ["id"]
    assert open_cutouts(table(objects([NDData(image) for image in pixels]))).table.colnames == ["id"]
    assert open_cutouts(table(write_each(tmp_path, pixels, fits.writeto, ".fits"))).table.colnames == ["id", "image"]
    assert open_cutouts(pixels).table["row"].tolist() == list(range(N))
    masks = np.zeros(pixels.shape, bool)
    assert open_cutouts(table(pixels, bad=masks), mask="bad").table.colnames == ["id"]


@pytest.mark.parametrize("make", [hlsp, published])
def test_published_layouts_bring_their_labels(tmp_path, pixels, make):
    labels = open_cutouts(make(tmp_path, pixels)[0]).table["label"]
    assert labels.tolist() == list(range(N)) and labels.dtype.kind == "i"


@pytest.mark.parametrize("names", [("x_sample", "y_sample"), ("X", "y"), ("A_X_Illustris2_b", "A_y_Illustris2_b")])
def test_labels_are_found_by_name(tmp_path, pixels, names):
    np.save(tmp_path / f"{names[0]}.npy", pixels)
    np.save(tmp_path / f"{names[1]}.npy", np.ones((N, 1)))
    assert open_cutouts(tmp_path / f"{names[0]}.npy").table["label"].tolist() == [1] * N


def test_hlsp_labels_may_be_a_table(tmp_path, pixels):
    column = fits.BinTableHDU(Table({"merger": np.arange(N)}))
    fits.HDUList([fits.PrimaryHDU(pixels), column]).writeto(tmp_path / "a.fits")
    assert open_cutouts(tmp_path / "a.fits").table["label"].tolist() == list(range(N))


def test_data_sets_are_read_from_disk_in_chunks(tmp_path, pixels):
    np.save(tmp_path / "X.npy", pixels)
    chunk = next(iter(open_cutouts(tmp_path / "X.npy", chunk_size=2)))
    base = chunk.data
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


@pytest.mark.filterwarnings("ignore:8-bit images")
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, ">i4", np.uint16, np.bool_, np.float16])
def test_every_number_becomes_native_float32(tmp_path, dtype):
    values = (np.arange(2 * 3 * 12 * 12).reshape(2, 3, 12, 12) % 2).astype(dtype)
    for source in (values, list(values), Table({"image": values})):
        data = open_cutouts(source).read().data
        assert data.dtype == np.dtype("=f4")
        assert np.array_equal(data, values.astype(np.float32))


def test_two_axes_are_one_band():
    for source in (np.ones((4, 12, 12)), [np.ones((12, 12))] * 4, Table({"image": np.ones((4, 12, 12))})):
        assert open_cutouts(source, bands="r").read().data.shape == (4, 1, 12, 12)


def test_units_are_kept_and_converted(pixels, tmp_path):
    assert open_cutouts(QTable({"image": pixels * u.nJy})).read().unit == u.nJy
    mixed = [CCDData(pixels[0], unit=u.nJy), CCDData(pixels[1] / 1000, unit=u.uJy)]
    cutouts = open_cutouts(mixed).read()
    assert cutouts.unit == u.nJy
    np.testing.assert_allclose(cutouts.data, pixels[:2], rtol=1e-6)
    fits.writeto(tmp_path / "a.fits", pixels[0], fits.Header({"BUNIT": "nanomaggy"}))
    assert open_cutouts([str(tmp_path / "a.fits")]).read().unit == u.Unit("nmgy")


def test_masks_of_all_kinds_are_joined(pixels):
    own = np.zeros(pixels.shape, bool)
    own[0, 1, 2, 3] = True
    given = np.zeros((N, H, W), bool)
    given[1, 4, 5] = True
    expected = own | given[:, None]
    column = MaskedColumn(pixels, mask=own)
    for source, mask in [
        (table(column), given),
        (table(column, bad=given), "bad"),
        (table(pixels), expected),
        (list(np.ma.array(pixels, mask=own)), given),
        ([NDData(image, mask=bad) for image, bad in zip(pixels, own, strict=True)], list(given)),
        (QTable({"image": Masked(pixels, mask=own) * u.nJy}), given),
        (np.moveaxis(np.ma.array(pixels, mask=own), 1, -1), given),
    ]:
        axes = "HWC" if np.shape(source)[1:] == (H, W, C) else "CHW"
        assert np.array_equal(open_cutouts(source, mask=mask, axes=axes).read().mask, expected)


def test_one_mask_a_band(pixels):
    masks = np.random.default_rng(1).random(pixels.shape) > 0.5
    columns = {f"i{b}": pixels[:, b] for b in range(C)} | {f"m{b}": masks[:, b] for b in range(C)}
    opened = open_cutouts(Table(columns), image=["i0", "i1", "i2"], mask=["m0", "m1", "m2"])
    assert np.array_equal(opened.read().mask, masks)


def test_uncertainty_becomes_weight_and_wcs_is_kept(pixels):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -0.5 / 3600, 0.5 / 3600
    sigma = np.full((C, H, W), 2.0)
    sigma[0, 0, 0] = 0
    cutouts = open_cutouts(
        [
            NDData(pixels[0], uncertainty=StdDevUncertainty(sigma), wcs=wcs),
            NDData(pixels[1], uncertainty=InverseVariance(np.full((C, H, W), 0.25)), wcs=wcs),
        ]
    ).read()
    assert cutouts.weight[0, 0, 0, 0] == 0 and np.all(cutouts.weight.reshape(-1)[1:] == 0.25)
    assert len(cutouts.wcs) == 2
    np.testing.assert_allclose(cutouts.pixel_scale.to_value(u.arcsec), [0.5, 0.5])


def test_different_sizes_stay_a_list():
    sizes = [(20, 30), (12, 12), (45, 11)]
    images = [np.full((2, *size), size[0], dtype=">i2") for size in sizes]
    cutouts = open_cutouts(images, mask=[image[0] > 20 for image in images]).read()
    assert [image.shape for image in cutouts.data] == [(2, *size) for size in sizes]
    assert all(image.dtype == np.dtype("=f4") and np.all(image == len(image[0])) for image in cutouts.data)
    assert [bool(mask.all()) for mask in cutouts.mask] == [False, False, True]
    again = open_cutouts(cutouts).read()
    assert all(np.array_equal(a, b) for a, b in zip(again.data, cutouts.data, strict=True))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_colour_pictures_are_stretched_and_grey_ones_are_not(tmp_path, suffix):
    colour = np.zeros((3, 20, 30, 3), np.uint8) + np.array([200, 100, 50], np.uint8)
    names = write_each(tmp_path, colour, lambda name, image: Image.fromarray(image).save(name), suffix)
    opened = open_cutouts(names, survey="sdss-jpeg")
    cutouts = opened.read()
    assert opened.stretched and cutouts.stretched and opened.bands == ("i", "r", "g")
    assert cutouts.data.shape == (3, 3, 20, 30)
    np.testing.assert_allclose(cutouts.data.mean((0, 2, 3)), [200, 100, 50], atol=2)
    Image.fromarray(colour[0, ..., 0]).save(tmp_path / f"grey{suffix}")
    grey = open_cutouts(tmp_path / f"grey{suffix}").read()
    assert grey.data.shape == (1, 1, 20, 30) and not grey.stretched


@pytest.mark.parametrize("mode, n_bands", [("RGBA", 3), ("P", 3), ("L", 1), ("LA", 1), ("1", 1), ("I;16", 1)])
def test_every_picture_mode_is_read(tmp_path, mode, n_bands):
    if mode == "I;16":
        picture = Image.fromarray(np.full((20, 20), 60000, np.uint16))
    else:
        picture = Image.new("RGB", (20, 20), (255, 255, 255)).convert(mode)
    picture.save(tmp_path / "a.png")
    cutouts = open_cutouts(tmp_path / "a.png").read()
    assert cutouts.data.shape == (1, n_bands, 20, 20)
    assert np.all(cutouts.data == (60000 if mode == "I;16" else 255))


def test_bytes_of_a_picture_survey_are_stretched():
    values = np.zeros((2, 3, 20, 20), np.uint8)
    assert open_cutouts(values, survey="sdss-jpeg").stretched
    with pytest.warns(InputWarning, match="survey='sdss-jpeg'"):
        assert not open_cutouts(values).stretched
    with pytest.warns(InputWarning, match="8-bit"):
        assert not open_cutouts(values.astype(float), survey="sdss-jpeg").stretched


def test_relative_paths_start_from_the_working_directory(tmp_path, monkeypatch, pixels):
    write_each(tmp_path, pixels, fits.writeto, ".fits")
    monkeypatch.chdir(tmp_path)
    names = [f"galaxy{row}.fits" for row in range(N)]
    assert not open_cutouts(Table({"image": names})).read().flags.any()


def test_large_images_pass():
    image = np.zeros((1, 5000, 5000), np.float32)
    chunk = next(iter(open_cutouts([image, image[:, :12, :12]])))
    assert [each.shape for each in chunk.data] == [(1, 5000, 5000), (1, 12, 12)]
    assert len(next(iter(open_cutouts(np.broadcast_to(np.uint8(0), (999, 2**16, 2**11)))))) == 1


def test_flags_of_our_own_are_taken_up_and_others_are_left(pixels):
    ours = table(pixels, flags=np.full(N, 32, np.int32))
    ours["flags"].info.description = "quality flags, see galmerge_da.decode_flags"
    opened = open_cutouts(ours)
    assert opened.table.colnames == ["id"]
    assert set(opened.read().flags) == {Flag.MASKED}
    theirs = open_cutouts(table(pixels, flags=np.full(N, 2)))
    assert theirs.table.colnames == ["id", "flags"] and not theirs.read().flags.any()


def test_reading_needs_no_torch():
    assert "torch" not in {name.split(".")[0] for name in sys.modules if name.startswith("galmerge_da.io")}
