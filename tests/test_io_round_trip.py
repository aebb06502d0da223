"""What a file gives back of a table: the same, or a warning named it."""

import io
import warnings

import numpy as np
import pytest
from astropy.io.votable import parse, validate
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from galmerge_da.exceptions import InputWarning
from galmerge_da.io import read_catalog, write_catalog

FORMATS = [".fits", ".ecsv", ".vot", ".parquet", ".hdf5", ".csv"]

LONG = (
    "asymmetry of the galaxy under a turn by half a circle, sky-subtracted, as in "
    "https://ui.adsabs.harvard.edu/abs/2003ApJS..147....1C/abstract-of-a-paper-with-a-name-that-is-longer-than-a-line, "
    "within one-and-a-half Petrosian radii"
)


@pytest.mark.parametrize("suffix", FORMATS[:-1])
def test_a_long_description_comes_back_as_it_was(tmp_path, suffix):
    table = Table({"asymmetry": Column([0.1], description=LONG), "n": Column([1], description="a < b & c > d")})
    write_catalog(table, tmp_path / f"a{suffix}")
    again = read_catalog(tmp_path / f"a{suffix}")
    assert [column.description for column in again.itercols()] == [LONG, "a < b & c > d"]


@pytest.mark.parametrize("suffix", [".ecsv", ".vot", ".parquet", ".hdf5", ".csv"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_comes_back_beside_masked_values(tmp_path, suffix, dtype):
    table = Table({"id": ["😀", "b", "Ć"], "flag": [True, False, True], "nan": np.array([np.nan, 1, 2], dtype)})
    table["both"] = MaskedColumn(np.array([1, np.nan, 3], dtype), mask=[False, False, True])
    table["n"] = MaskedColumn([1, 2, 3], mask=[True, False, False])
    write_catalog(table, tmp_path / f"a{suffix}")
    again = read_catalog(tmp_path / f"a{suffix}")
    assert not isinstance(again["nan"], MaskedColumn) and np.isnan(again["nan"]).tolist() == [True, False, False]
    assert again["both"].mask.tolist() == [False, False, True] and np.isnan(again["both"][1]) and again["both"][0] == 1
    assert again["n"].mask.tolist() == [True, False, False] and again["id"].tolist() == ["😀", "b", "Ć"]


def test_other_readers_find_nan_and_not_the_number_beneath_a_mask(tmp_path):
    write_catalog(Table({"p": MaskedColumn([0.25, 0.75], mask=[True, False])}), tmp_path / "a.vot")
    assert np.isnan(parse(tmp_path / "a.vot").get_first_table().array.data["p"]).tolist() == [True, False]


def test_fits_says_that_it_cannot_tell_nan_from_masked_values(tmp_path):
    table = Table({"both": MaskedColumn([1, np.nan, 3], mask=[False, False, True]), "nan": [np.nan, 1, 2]})
    with pytest.warns(InputWarning, match="masked values become NaN .*: both$"):
        write_catalog(table, tmp_path / "a.fits")
    assert np.isnan(read_catalog(tmp_path / "a.fits")["both"]).tolist() == [False, True, True]


def test_votables_of_others_keep_their_nulls(tmp_path):
    """Rows as text, and rows of varying length, as other programs write them."""
    from astropy.io.votable import from_table

    for form, dtype in (("tabledata", "U2"), ("binary", "U2"), ("binary2", object)):
        table = Table({"p": MaskedColumn([0.25, 0.75], mask=[True, False]), "name": np.array(["a", "bc"], dtype)})
        votable = from_table(table)
        votable.get_first_table().get_field_by_id_or_name("p").description = LONG
        votable.to_xml(str(tmp_path / "a.vot"), tabledata_format=form)
        again = read_catalog(tmp_path / "a.vot")
        assert again["p"].mask.tolist() == [True, False] and again["name"].tolist() == ["a", "bc"], form
        assert "\n" not in again["p"].description


words = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" \t\n\r\x0b\x00\xa0\u2028Ćé😀-<&"))
)
descriptions = st.one_of(st.none(), words, st.lists(words, min_size=20, max_size=40).map(" ".join), st.just(LONG))
numbers = st.one_of(st.floats(), st.just(np.nan))


@st.composite
def tables(draw):
    n_rows = draw(st.integers(1, 4))
    table = Table()
    for name in draw(st.lists(st.sampled_from("abcde"), min_size=1, unique=True)):
        values = draw(st.lists(numbers, min_size=n_rows, max_size=n_rows))
        mask = draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
        kind = draw(st.sampled_from(["float", "masked", "int", "text"]))
        if kind == "int":
            column = MaskedColumn(np.arange(n_rows), mask=mask)
        elif kind == "text":
            column = Column(draw(st.lists(st.sampled_from(["x", "Ć", "😀"]), min_size=n_rows, max_size=n_rows)))
        else:
            column = MaskedColumn(values, mask=mask) if kind == "masked" else Column(values)
        if kind != "text":
            column.unit = draw(st.sampled_from([None, "deg", "nmgy", "mag", "km / s"]))
        column.description = draw(descriptions)
        ucd = draw(st.sampled_from([None, "pos.eq.ra", "stat.probability;src.morph.type"]))
        column.meta.update({"ucd": ucd} if ucd else {})
        table[name] = column
    return table


def differences(table, again, suffix):
    """Names of columns that came back otherwise, by what differs."""
    found = {"description": [], "unit": [], "ucd": [], "mask": [], "values": []}
    for name in table.colnames:
        old, new = table[name], again[name]
        if (old.description or None) != (new.description or None):
            found["description"].append(name)
        if old.unit != new.unit:
            found["unit"].append(name)
        if old.meta.get("ucd") != (new.info.meta or {}).get("ucd"):
            found["ucd"].append(name)
        masks, values = np.ma.getmaskarray(old), np.ma.getdata(old)
        if suffix == ".fits" and old.dtype.kind == "f":  # documented: a masked float is NaN there
            values = np.ma.filled(old, np.nan)
            lost = bool(masks.any() and np.isnan(np.ma.getdata(old)[~masks]).any())
            masks = np.zeros_like(masks)
        else:
            lost = False
        if lost or not np.array_equal(masks, np.ma.getmaskarray(new)):
            found["mask"].append(name)
        left, right = np.asarray(values)[~masks], np.ma.getdata(new)[~masks]
        if not np.array_equal(left, right, equal_nan=left.dtype.kind == "f"):
            found["values"].append(name)
    return {what: names for what, names in found.items() if names}


WARNED = {"description": "description", "unit": "units", "ucd": "UCDs", "mask": "masked values become NaN"}


@settings(deadline=None, max_examples=20)
@given(tables())
def test_what_comes_back_is_equal_or_was_named(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("table")
    for suffix in FORMATS:
        path = folder / f"a{suffix}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            write_catalog(table, path)
        texts = [str(warning.message) for warning in caught]
        for what, names in differences(table, read_catalog(path), suffix).items():
            said = [text for text in texts if WARNED.get(what, "nothing excuses changed values") in text]
            assert said, (suffix, what, names, texts)
            for name in names:
                assert any(f" {name}," in f"{text}," or f"({name}" in text or f" {name})" in text for text in said)
        if suffix == ".vot":
            assert "found no violations" in validate(str(path), output=None)
            parse(io.BytesIO(path.read_bytes()), verify="exception")
