"""A bad call is one clear error; a bad row is a flag, and the others are read all the same."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import Column, QTable, Table
from PIL import Image

from galmerge_da.exceptions import GalmergeError, InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import open_cutouts, open_field, save_cutouts
from galmerge_da.io.source import FLAGS_DESCRIPTION
from galmerge_da.preprocessing import match_bands

GOOD = np.random.default_rng(0).normal(size=(4, 3, 12, 12)).astype(np.float32)
TABLE = Table({"id": [1, 2, 3, 4], "image": GOOD, "r_petro": [1.0, 2.0, 3.0, 4.0], "name": list("abcd")})


@pytest.mark.parametrize(
    "source, options, message",
    [
        (TABLE, {"image": "imag"}, "did you mean 'image'"),
        (TABLE, {"image": "IMAGE"}, "did you mean 'image'"),
        (TABLE, {"image": ["image", "nope"]}, "'nope'"),
        (TABLE, {"image": []}, "image must name"),
        (TABLE, {"image": None}, "image must name"),
        (TABLE, {"image": "r_petro"}, "not an image or a path"),
        (Table(), {}, "no column 'image'"),
        (TABLE, {"bands": ("g", "r")}, "2 band.*images have 3"),
        (TABLE, {"bands": ("g", "g", "r")}, "different names"),
        (TABLE, {"bands": 5 * ("g",)}, "different names"),
        (TABLE, {"bands": 3}, "different names"),
        (QTable({"image": GOOD * u.ABmag}), {}, "mag.*linear fluxes"),
        (QTable({"image": GOOD * u.mag / u.arcsec**2}), {}, "mag.*linear fluxes"),
        (TABLE, {"axes": "WHC"}, "axes must be"),
        (np.zeros((4, 64, 64, 3)), {}, "axes='HWC'"),
        (np.zeros((4, 3, 64, 64)), {"axes": "HWC"}, "axes='CHW'"),
        ([np.zeros((64, 64, 3))], {}, "axes='HWC'"),
        (np.zeros((64, 64)), {}, r"shape \(64, 64\)"),
        (np.zeros((2, 3, 4, 5, 6)), {}, "bare array"),
        (np.zeros((4, 3, 12, 12), complex), {}, "complex"),
        (Table({"image": np.zeros((4, 7))}), {}, r"got \(4, 7\)"),
        (Table({"a": np.zeros((2, 12, 12)), "b": np.zeros((2, 12, 13))}), {"image": ["a", "b"]}, "one shape"),
        (QTable({"a": np.zeros((2, 12, 12)) * u.Jy, "b": np.zeros((2, 12, 12)) * u.m}), {"image": ["a", "b"]}, "unit"),
        (QTable({"a": np.zeros((2, 12, 12)) * u.Jy, "b": np.zeros((2, 12, 12))}), {"image": ["a", "b"]}, "unit"),
        (TABLE, {"survey": "sds"}, "did you mean 'sdss'"),
        (np.zeros((4, 12, 12)), {"survey": "sdss"}, "names 3 band"),
        (TABLE, {"pixel_scale": 0.396}, "needs a unit"),
        (TABLE, {"pixel_scale": "r_petro"}, "needs a unit"),
        (TABLE, {"pixel_scale": 3 * u.m}, "must be an angle"),
        (TABLE, {"pixel_scale": -1 * u.arcsec}, "positive"),
        (TABLE, {"pixel_scale": [1, 2, 3, 4, 5] * u.arcsec}, "4 rows and 3 bands"),
        (TABLE, {"pixel_scale": [1, 2, 3] * u.arcsec}, "differs between bands"),
        (TABLE, {"psf_fwhm": 1.4}, "needs a unit"),
        (TABLE, {"radius": "r_petr"}, "did you mean 'r_petro'"),
        (TABLE, {"radius": "name"}, "one a row"),
        (TABLE, {"radius": [1, 2, 3]}, "one a row"),
        (TABLE, {"radius": 5 * u.arcsec}, "give pixel_scale too"),
        (TABLE, {"radius": 5 * u.Jy}, "pixels or an angle"),
        (TABLE, {"mask": "msk"}, "no column 'msk'"),
        (GOOD, {"mask": "msk"}, "did not come in a table"),
        (TABLE, {"mask": np.zeros((4, 5, 5))}, "mask has shape"),
        (list(GOOD), {"mask": np.zeros((3, 12, 12))}, "differ in length"),
        (TABLE, {"chunk_size": 0}, "chunk_size"),
        ({"image": GOOD}, {}, "must be a Table, an array"),
        (None, {}, "NoneType"),
        ("nowhere.fits", {}, "nowhere.fits: No such file"),
        ("nowhere.h5", {}, "nowhere.h5"),
    ],
)
def test_a_bad_call_is_one_clear_error(source, options, message):
    with pytest.raises(InputError, match=message):
        open_cutouts(source, **options)


def test_errors_are_value_errors():
    with pytest.raises(ValueError) as caught:
        open_cutouts(TABLE, image="x")
    assert isinstance(caught.value, GalmergeError)


def test_bad_data_set_files_are_one_error(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "half.fits").write_bytes(b"SIMPLE  =                    T")
    (tmp_path / "bad.csv").write_text('a,b\n1\n"2,3,4\n')
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    np.save(tmp_path / "X.npy", GOOD)
    np.save(tmp_path / "y.npy", np.zeros(3))
    Table({"a": [1]}).write(tmp_path / "table.fits")
    for name in ("notes.txt", "half.fits", "bad.csv", "objects.npy", "X.npy", "table.fits"):
        with pytest.raises(InputError):
            open_cutouts(tmp_path / name)
    with pytest.raises(InputError, match="4 images and 3 labels"):
        open_cutouts(tmp_path / "X.npy")
    fits.writeto(tmp_path / "good.fits", GOOD[0])
    with pytest.warns(InputWarning, match="5 of 6 images could not be used"):
        cutouts = open_cutouts(tmp_path).read()  # a folder of them: each is a row
    bad = dict(zip(cutouts.table["id"], cutouts.flags != 0, strict=True))
    assert bad == {name: name != "good" for name in ("X", "good", "half", "objects", "table", "y")}


@pytest.mark.parametrize(
    "source",
    [
        TABLE[:0],
        Table({"image": np.zeros(0, dtype=str)}),
        Table(names=["id", "image"], dtype=[int, object]),
        np.zeros((0, 3, 12, 12)),
        [],
    ],
    ids=["array column", "paths", "objects", "array", "list"],
)
def test_nothing_in_nothing_out(source):
    opened = open_cutouts(source, bands=("g", "r", "i"), radius=3.0)
    assert len(opened) == len(opened.table) == 0
    assert list(opened) == []
    assert len(opened.read()) == len(opened.read().data) == 0


def test_an_empty_data_set_is_empty(tmp_path):
    save_cutouts(TABLE[:0], tmp_path / "a.fits")
    assert list(open_cutouts(tmp_path / "a.fits")) == []


def write_bad_files(folder):
    fits.writeto(folder / "good.fits", GOOD[0])
    whole = (folder / "good.fits").read_bytes()
    (folder / "half.fits").write_bytes(whole[: 2880 + 500])
    (folder / "text.fits").write_text("<html>404</html>")
    (folder / "empty.fits").write_bytes(b"")
    (folder / "folder.fits").mkdir()
    fits.writeto(folder / "one.fits", GOOD[0, 0])
    fits.writeto(folder / "many.fits", np.zeros((2, 2, 3, 12, 12)))
    fits.PrimaryHDU().writeto(folder / "header.fits")
    np.save(folder / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    Image.new("RGB", (12, 12)).save(folder / "colour.png")
    return {
        "good.fits": 0,
        "half.fits": Flag.UNREADABLE,
        "text.fits": Flag.UNREADABLE,
        "empty.fits": Flag.UNREADABLE,
        "folder.fits": Flag.UNREADABLE,
        "missing.fits": Flag.UNREADABLE,
        "good.fits[7]": Flag.UNREADABLE,
        "good.fits[NOPE]": Flag.UNREADABLE,
        "one.fits": Flag.BAD_SHAPE,
        "many.fits": Flag.BAD_SHAPE,
        "header.fits": Flag.UNREADABLE,
        "pickle.npy": Flag.UNREADABLE,
        "colour.png": Flag.UNREADABLE,
        "": Flag.UNREADABLE,
        "null\0byte": Flag.UNREADABLE,
    }


def test_bad_files_are_flagged_and_the_others_read(tmp_path):
    expected = write_bad_files(tmp_path)
    names = [*expected, "good.fits"]
    column = np.array([str(tmp_path / name) if name else "" for name in names])
    opened = open_cutouts(Table({"image": column}), bands=("g", "r", "i"))
    with pytest.warns(InputWarning, match="14 of 16 images .* row 1: .*half.fits"):
        cutouts = opened.read()
    assert dict(zip(names, cutouts.flags.tolist(), strict=True)) == {name: int(f) for name, f in expected.items()}
    assert np.array_equal(cutouts.data[[0, -1]], GOOD[[0, 0]])
    assert np.isnan(cutouts.data[1:-1]).all()
    opened.read()  # it warns once


def test_rows_that_cannot_be_read_are_empty_beside_different_sizes():
    with pytest.warns(InputWarning, match="row 1: there is no image"):
        cutouts = open_cutouts([np.ones((2, 12, 12)), None, np.ones((2, 30, 30))]).read()
    assert [image.shape for image in cutouts.data] == [(2, 12, 12), (2, 0, 0), (2, 30, 30)]
    assert cutouts.flags.tolist() == [0, Flag.UNREADABLE, 0]


def test_a_column_of_missing_files_is_all_flags():
    table = Table({"image": [f"nowhere/{row}.fits" for row in range(300)]})
    opened = open_cutouts(table, bands=("g", "r", "i"), radius=[2.0] * 300 * u.pix)
    with pytest.warns(InputWarning, match="300 of 300") as caught:
        chunks = list(opened)
    assert len(caught) == 1
    assert [image.shape for image in chunks[0].data] == [(3, 0, 0)] * 300
    assert set(chunks[0].flags) == {Flag.UNREADABLE}


def test_a_few_good_files_among_thousands_of_missing_ones_are_found(tmp_path):
    fits.writeto(tmp_path / "a.fits", GOOD[0])
    paths = np.array([f"nowhere/{row}.fits" for row in range(400)], dtype=object)
    paths[[130, 240]] = str(tmp_path / "a.fits")
    with pytest.warns(InputWarning, match="398 of 400"):
        cutouts = open_cutouts(Table({"image": paths})).read()
    assert np.flatnonzero(cutouts.flags == 0).tolist() == [130, 240]


def test_missing_files_say_nothing_about_their_bytes():
    opened = open_cutouts(["nowhere.jpg"], survey="sdss-jpeg")
    with pytest.warns(InputWarning, match="1 of 1") as caught:
        opened.read()
    assert len(caught) == 1


def test_bytes_in_three_bands_ask_what_they_are():
    pictures = (GOOD * 20 + 100).clip(0, 255).astype(np.uint8)
    with pytest.warns(InputWarning, match="survey='sdss-jpeg'"):
        assert not open_cutouts(pictures).stretched
    assert open_cutouts(pictures, survey="sdss-jpeg").stretched
    assert not open_cutouts(pictures, survey="sdss").stretched
    assert not open_cutouts(pictures[:, :1]).stretched


def test_flags_of_an_earlier_run_do_not_condemn_an_image_that_is_there_now():
    table = TABLE.copy()
    table["flags"] = Column([0, 1 | 2 | 32, 1 | 4, 8 | 64 | 256], description=FLAGS_DESCRIPTION)
    assert open_cutouts(table).read().flags.tolist() == [0, 32, 0, 256]


def test_masked_paths_and_entries_are_flagged(tmp_path):
    fits.writeto(tmp_path / "a.fits", GOOD[0])
    paths = np.ma.array([str(tmp_path / "a.fits")] * 3, mask=[False, True, False])
    with pytest.warns(InputWarning):
        assert open_cutouts(Table({"image": paths})).read().flags.tolist() == [0, Flag.UNREADABLE, 0]


@pytest.mark.parametrize(
    "bad, flag",
    [
        (None, Flag.UNREADABLE),
        (np.zeros((3, 12, 12), complex), Flag.UNREADABLE),
        (np.full((3, 12, 12), "x"), Flag.UNREADABLE),
        (CCDData(GOOD[0], unit=u.m), Flag.UNREADABLE),
        (np.zeros(12), Flag.BAD_SHAPE),
        (np.zeros((2, 3, 12, 12)), Flag.BAD_SHAPE),
        (np.zeros((1, 12, 12)), Flag.BAD_SHAPE),
    ],
    ids=["nothing", "complex", "text", "unit", "one axis", "four axes", "one band"],
)
def test_a_bad_entry_is_flagged(bad, flag):
    entries = [CCDData(image, unit=u.Jy) for image in GOOD] + [bad]
    with pytest.warns(InputWarning, match="row 4"):
        cutouts = open_cutouts(entries).read()
    assert cutouts.flags.tolist() == [0, 0, 0, 0, flag]
    assert np.array_equal(cutouts.data[:4], GOOD)


def test_a_bad_first_row_does_not_decide_for_the_others():
    with pytest.warns(InputWarning, match="row 0: it has 1 band"):
        cutouts = open_cutouts([GOOD[0, :1], *GOOD]).read()
    assert cutouts.flags.tolist() == [Flag.BAD_SHAPE, 0, 0, 0, 0]


@pytest.mark.parametrize("shape, flag", [((3, 1, 1), Flag.TOO_SMALL), ((3, 9, 40), Flag.TOO_SMALL), ((3, 10, 10), 0)])
def test_small_images_are_flagged(shape, flag):
    for source in (np.zeros((2, *shape)), [np.zeros(shape)] * 2, Table({"image": np.zeros((2, *shape))})):
        assert open_cutouts(source).read().flags.tolist() == [flag, flag]


def test_images_without_pixels_are_flagged():
    assert open_cutouts(np.zeros((2, 3, 0, 5))).read().flags.tolist() == [Flag.BAD_SHAPE] * 2
    assert open_cutouts([np.zeros((3, 0, 0)), GOOD[0]]).read().flags.tolist() == [Flag.BAD_SHAPE, 0]


def test_nan_and_masked_images_pass_as_they_are():
    values = np.ma.array(GOOD.copy(), mask=False)
    values[1] = np.nan
    values[2] = np.ma.masked
    cutouts = open_cutouts(Table({"image": values})).read()
    assert np.isnan(cutouts.data[1]).all() and cutouts.mask[2].all() and not cutouts.mask[[0, 3]].any()


def test_bands_named_by_the_caller_must_fit_all_files(tmp_path):
    fits.writeto(tmp_path / "a.fits", GOOD[0])
    with pytest.raises(InputError, match=r"bands names 2 band\(s\) \(g, r\), but the images have 3$"):
        open_cutouts([str(tmp_path / "a.fits")], bands=("g", "r"))


PER_BAND = r"a table with a column of files per band.*image=\('g', 'r', 'z'\) or --image g,r,z$"


def test_images_of_one_band_where_a_survey_has_more_are_told_of_a_column_per_band(tmp_path):
    for band, image in zip("grz", GOOD[0], strict=True):
        fits.writeto(tmp_path / f"galaxy-{band}.fits", image)
    for source, options in ((tmp_path, {"survey": "decals"}), (GOOD[:, 0], {"bands": "g,r,z"})):
        with pytest.raises(InputError, match=f"names 3 band.*the images have 1; where every band has .*{PER_BAND}"):
            open_cutouts(source, **options)
    with pytest.raises(InputError, match=rf"1 band\(s\) \(without names\); expected the 3 .*{PER_BAND}"):
        match_bands(1, ("g", "r", "z"))
    with pytest.raises(InputError, match="the images have 1; where every band has an image.*{'g': \"g.fits\", 'r'"):
        open_field(Table({"x": [5], "y": [5]}), tmp_path / "galaxy-g.fits", 5, bands="g,r,z")
    table = Table({band: [str(tmp_path / f"galaxy-{band}.fits")] for band in "grz"})
    opened = open_cutouts(table, image=("g", "r", "z"), survey="decals")
    assert np.array_equal(opened.read().data[0], GOOD[0]) and opened.bands == ("g", "r", "z")


def test_images_of_more_bands_than_the_survey_have_those_of_their_header(tmp_path):
    four = np.stack([*GOOD[0], GOOD[0, 0]])
    fits.writeto(tmp_path / "a.fits", four, fits.Header({"BANDS": "griz"}))
    fits.writeto(tmp_path / "b.fits", four)
    columns = Table(dict.fromkeys("griz", GOOD[:, 0]))
    for source, options in (
        ([str(tmp_path / "a.fits")], {}),
        (Table({"image": [four]}, meta={"BANDS": "g,r,i,z"}), {}),
        (columns, {"image": columns.colnames}),
    ):
        opened = open_cutouts(source, survey="decals", **options)
        assert opened.bands == ("g", "r", "i", "z") and opened.survey == "decals"
        assert match_bands(opened.bands, ("i", "r", "g")) == [2, 1, 0]
        assert opened.read().pixel_scale == 0.262 * u.arcsec
    with pytest.raises(InputError, match=r"survey 'decals' names 3 band\(s\) \(g, r, z\), but the images have 4$"):
        open_cutouts([str(tmp_path / "b.fits")], survey="decals")
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(tmp_path / "c.jpeg")  # its red, green and blue are no names
    with pytest.raises(InputError, match="survey 'hsc' names 5 band.*the images have 3$"):
        open_cutouts([str(tmp_path / "c.jpeg")], survey="hsc")


def test_text_in_a_block_of_objects_is_flagged():
    block = GOOD.astype(object)
    block[1, 0, 3, 3] = "none"
    with pytest.warns(InputWarning, match="1 of 4 images"):
        cutouts = open_cutouts(Table({"image": block})).read()
    assert cutouts.flags.tolist() == [0, Flag.UNREADABLE, 0, 0]
    assert np.array_equal(cutouts.data[[0, 2, 3]], GOOD[[0, 2, 3]])


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "labels.csv").touch()
    with pytest.raises(InputError, match="has no FITS, npy, JPEG or PNG files"):
        open_cutouts(tmp_path)
