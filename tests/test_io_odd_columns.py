"""Columns that some format has no type, value or name for: kept, or changed with a warning that names them."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from galmerge_da import read_catalog, write_catalog
from galmerge_da.exceptions import InputError, InputWarning

ENDINGS = ["fits", "ecsv", "vot", "parquet", "hdf5", "csv"]


def trip(tmp_path, table, ending):
    """What comes back, and the warnings of writing."""
    if ending in ("parquet", "hdf5"):
        pytest.importorskip({"parquet": "pyarrow", "hdf5": "h5py"}[ending])
    path = tmp_path / f"catalogue.{ending}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        write_catalog(table, path)
    return read_catalog(path), " ".join(str(each.message) for each in caught)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8"])
def test_whole_numbers_without_a_sign(tmp_path, ending, kind):
    values = np.array([0, 1, np.iinfo(kind).max], kind)
    back, said = trip(tmp_path, Table({"n": values}), ending)
    assert [int(each) for each in back["n"].tolist()] == values.tolist()
    assert ("n: whole numbers is text" in said) == (kind == "u8" and ending == "vot") == (back["n"].dtype.kind == "U")


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_value_of_a_type_beside_masked_ones(tmp_path, ending):
    every = np.append(np.arange(-128, 128), 7).astype("i1")
    column = MaskedColumn(every, mask=np.arange(257) == 256)
    ends = MaskedColumn(np.array([-(2**15), 2**15 - 1, 5], "i2"), mask=[False, False, True])
    for values in (column, ends, MaskedColumn(np.array([0, 2**16 - 1, 5], "u2"), mask=[0, 0, 1])):
        (tmp_path / f"catalogue.{ending}").unlink(missing_ok=True)
        back, _ = trip(tmp_path, Table({"n": values}), ending)
        assert back["n"].tolist() == values.tolist()


@pytest.mark.parametrize("ending", ENDINGS)
def test_text_beneath_a_mask_is_not_told(tmp_path, ending):
    table = Table({"s": MaskedColumn(["a", "b", "secret"], mask=[False, False, True])})
    back, _ = trip(tmp_path, table, ending)
    assert back["s"].tolist()[:2] == ["a", "b"] and back["s"].tolist()[2] in (None, "")


@pytest.mark.parametrize("ending", ENDINGS)
def test_text_that_is_all_masked(tmp_path, ending):
    table = Table({"id": [1, 2], "s": MaskedColumn(["a", "b"], mask=[True, True])})
    back, _ = trip(tmp_path, table, ending)
    assert [text or "" for text in back["s"].tolist()] == ["", ""]
    assert back["s"].dtype.kind == ("i" if ending == "csv" else "U")  # CSV says nothing of types


@pytest.mark.parametrize("ending", ENDINGS)
def test_text_with_blanks_or_without_letters_comes_back_or_is_named(tmp_path, ending):
    table = Table({"id": ["a", "b", "c"], "odd": ["", " lead", "trail  "]})
    back, said = trip(tmp_path, table, ending)
    assert (back["odd"].tolist() == table["odd"].tolist()) != ("odd" in said)
    assert back["id"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_bytes_are_text_also_those_that_are_not_utf_8(tmp_path, ending):
    back, _ = trip(tmp_path, Table({"s": np.array([b"ab", b"\xff\xfe"]), "id": np.array([b"s3", b"s4"])}), ending)
    assert back["s"].tolist() == ["ab", "\xff\xfe"] and back["id"].tolist() == ["s3", "s4"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_numbers_that_a_format_has_no_type_for(tmp_path, ending):
    table = Table({"long": np.array([1.5, 2], np.longdouble), "complex": np.array([1 + 2j, 3]), "id": [1, 2]})
    back, said = trip(tmp_path, table, ending)
    assert "rounded to double precision in the file: long" in said and back["long"].tolist() == [1.5, 2.0]
    assert ("complex" in said) == (ending in ("parquet", "csv"))
    if ending != "parquet":
        assert [complex(each) for each in back["complex"].tolist()] == table["complex"].tolist()


@pytest.mark.parametrize("ending", ENDINGS)
def test_masked_bool_and_per_cent(tmp_path, ending):
    table = Table({"b": MaskedColumn([True, False, True], mask=[False, False, True]), "p": [1.0, 2.0, 3.0] * u.percent})
    back, said = trip(tmp_path, table, ending)
    assert back["b"].dtype == bool and (back["b"].tolist() == [True, False, None]) != ("b" in said.split(": ")[-1])
    assert back["p"].unit == (None if ending == "csv" else u.percent)


def test_names_that_fits_has_no_letters_for(tmp_path):
    table = Table({"α δ": [1], "β δ": [2], "x" * 80: [3], "_ _": [4]})
    back, said = trip(tmp_path, table, "fits")
    assert [back[name][0] for name in back.colnames] == [1, 2, 3, 4] and len(set(back.colnames)) == 4
    assert "'α δ' is" in said and "_ _" in back.colnames


@pytest.mark.parametrize("ending", ENDINGS)
def test_masked_text_of_objects_has_no_letters(tmp_path, ending):
    column = MaskedColumn(np.array(["a", "long", None], object), mask=[False, True, False])
    back, _ = trip(tmp_path, Table({"s": column, "id": [1, 2, 3]}), ending)
    assert [text or "" for text in back["s"].tolist()] == ["a", "", ""]


@pytest.mark.parametrize("names", [["#12", "b", "#"], ["a", "# 12", 'x"'], ["\n#a", "#\r", "#b\n\n"]])
@pytest.mark.parametrize("ending", ENDINGS)
def test_no_row_is_taken_for_a_comment(tmp_path, ending, names):
    back, said = trip(tmp_path, Table({"#name": names, "n": [1, 2, 3]}), ending)
    assert back["n"].tolist() == [1, 2, 3] and back.colnames == ["#name", "n"]
    assert back["#name"].tolist() == names or "values (#name: " in said


@pytest.mark.parametrize("ending", ENDINGS)
def test_masked_text_comes_back_masked_or_is_named(tmp_path, ending):
    table = Table({"s": MaskedColumn(["a", "b", "c"], mask=[False, False, True]), "id": [1, 2, 3]})
    back, said = trip(tmp_path, table, ending)
    assert ("masked values (s)" in said) == (ending == "fits") == (back["s"].tolist() == ["a", "b", ""])
    assert back["s"].tolist() == ["a", "b", None] or said


@pytest.mark.parametrize("ending", ENDINGS)
def test_dates_and_lengths_of_time(tmp_path, ending):
    dates = np.array(["2026-01-02T03:04:05", "NaT"], "M8[s]")
    table = Table({"when": dates, "dt": np.array([1500, 1], "m8[ms]"), "id": [1, 2]})
    back, said = trip(tmp_path, table, ending)
    assert back["when"].tolist()[0] == "2026-01-02T03:04:05" and not back["when"].tolist()[1]
    assert back["dt"].tolist() == [1.5, 0.001] and back["dt"].unit == (None if ending == "csv" else u.s)
    assert "ISO 8601 in the file: when" in said and "seconds in the file: dt" in said


def test_lengths_of_time_of_centuries_are_right(tmp_path):
    """In nanoseconds they would not fit into 64 bits."""
    back, _ = trip(tmp_path, Table({"dt": np.array([200_000, -200_000], "m8[D]"), "id": [1, 2]}), "fits")
    assert back["dt"].tolist() == [200_000 * 86400.0, -200_000 * 86400.0]


@pytest.mark.parametrize("ending", ENDINGS)
def test_halves_of_characters_and_names_with_line_breaks(tmp_path, ending):
    table = Table({"bad\n": ["a\udc80b", "a\0b"], "bad_": [1, 2]}, meta={"half": "\udc80"})
    table["bad_"].description = "half a \udc80"
    back, said = trip(tmp_path, table, ending)
    assert back.colnames == ["bad__", "bad_"] and back["bad__"].tolist() == ["a?b", "a?b"]
    assert "'bad\\n' is 'bad__'" in said and "no file holds are ? in the file: bad\n, bad_" in said
    assert "neither text nor numbers: half" in said


def test_text_that_csv_takes_for_something_else_is_named(tmp_path):
    table = Table({"b": ["True", "False"], "n": ["007", "008"], "id": ["x", "y"]})
    back, said = trip(tmp_path, table, "csv")
    assert back["b"].dtype.kind == "b" and "types (b: text is bool, n: text is whole numbers)" in said


@pytest.mark.parametrize("ending", ["fits", "hdf5"])
def test_images_alone_and_of_every_type(tmp_path, ending):
    for kind in ("f4", "f8", "i1", "u1", "i2", "u2", "i4", "?", "c8"):
        images = np.arange(24).reshape(2, 3, 2, 2).astype(kind)
        (tmp_path / f"catalogue.{ending}").unlink(missing_ok=True)
        back, said = trip(tmp_path, Table({"g": images, "r": images}, meta={"BANDS": "g,r,i"}), ending)
        assert np.array_equal(back["g"], images) and np.array_equal(back["r"], images), kind
        assert (back["g"].dtype.kind == "b") == (kind == "?") and back.meta["BANDS"] == "g,r,i" and not said


@pytest.mark.parametrize("ending", ["fits", "hdf5"])
def test_what_is_lost_of_images_is_named(tmp_path, ending):
    mask = np.zeros((2, 3, 3), bool)
    mask[1, 2, 2] = True
    table = Table({"id": [1, 2], "bad": MaskedColumn(np.ones((2, 3, 3), bool), mask=mask), "αβ": np.ones((2, 3, 3))})
    table["pair"] = np.array([["a", "b "], ["c", "d"]])
    table["αβ"].description = "Größe"
    back, said = trip(tmp_path, table, ending)
    assert ("masked values (bad)" in said) == (not np.array_equal(np.ma.getmaskarray(back["bad"]), mask))
    assert ("αβ" in back.colnames) != ("'αβ' is" in said) and ("descriptions (αβ)" in said) == (ending == "fits")
    assert (back["pair"].tolist() == table["pair"].tolist()) != ("values (pair: 'b ' is 'b')" in said)


def test_a_value_that_changes_far_down_is_found(tmp_path, monkeypatch):
    from galmerge_da.io import catalogs

    read = catalogs._READERS["fits"]

    def wrong(path):
        table = read(path)
        table["image"][1999, 30, 20] += 1
        return table

    monkeypatch.setitem(catalogs._READERS, "fits", wrong)
    with pytest.warns(InputWarning, match=r"values \(image: 0.0 is 1.0\)"):
        write_catalog(Table({"image": np.zeros((2000, 40, 40), np.float32)}), tmp_path / "a.fits")


def test_a_file_that_loses_rows_is_not_written(tmp_path, monkeypatch):
    from galmerge_da.io import catalogs

    path, table = tmp_path / "a.ecsv", Table({"n": [1, 2, 3]})
    write_catalog(table, path)
    before = path.read_bytes()
    read = catalogs._READERS["ecsv"]
    monkeypatch.setitem(catalogs._READERS, "ecsv", lambda file: read(file)[1:])
    with pytest.raises(InputError, match="2 rows would come back of 3"):
        write_catalog(table, path, overwrite=True)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["a.ecsv"]


@pytest.mark.parametrize("values", [[1, 2**64 - 1, 5], [0, 2**63 - 1, 5], [0, 1, 2]])
def test_masked_whole_numbers_of_eight_bytes_without_a_sign(tmp_path, values):
    column = MaskedColumn(np.array(values, "u8"), mask=[False, False, True])
    back, _ = trip(tmp_path, Table({"n": column}), "fits")
    assert back["n"].tolist() == [*values[:2], None]


@pytest.mark.parametrize("ending", ENDINGS)
def test_odd_meta_comes_back_or_is_named(tmp_path, ending):
    meta = {"nested": {1: 2, "b": 3}, "a\x01": 1, "GMETA": "mine", "__serialized_columns__": {"q": 1}, "none": None}
    table = Table({"id": [1]}, meta={**meta, 1: "one", "1": "other"})
    back, said = trip(tmp_path, table, ending)
    assert "neither text nor numbers: a\x01, GMETA, __serialized_columns__, 1" in said
    if ending == "csv":
        assert "meta (nested, none, 1)" in said
    else:
        assert back.meta["none"] is None and back.meta["1"] == "one" and set(back.meta["nested"].values()) == {2, 3}


def test_names_that_parts_of_coordinates_would_have_twice(tmp_path):
    from astropy.coordinates import SkyCoord
    from astropy.table import QTable

    table = QTable({"where": SkyCoord([1] * u.deg, [2] * u.deg), "where.ra": [9]})
    with pytest.raises(InputError, match="cannot be written"):
        write_catalog(table, tmp_path / "a.fits")


def test_names_that_are_too_long_for_a_file(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_catalog(Table({"id": [1]}), tmp_path / f"{'x' * 300}.fits")
    assert not list(tmp_path.iterdir())


def test_threads_that_write_one_file(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        tables = [Table({"id": [number] * 3}) for number in range(12)]
        list(pool.map(lambda table: write_catalog(table, tmp_path / "a.hdf5", overwrite=True), tables))
    assert len(set(read_catalog(tmp_path / "a.hdf5")["id"].tolist())) == 1 and len(list(tmp_path.iterdir())) == 1


def test_a_number_without_a_unit_is_no_loss(tmp_path):
    back, said = trip(tmp_path, Table({"n": [1.5] * u.dimensionless_unscaled}), "fits")
    assert back["n"].tolist() == [1.5] and not said
