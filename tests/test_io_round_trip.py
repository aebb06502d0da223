"""What a file gives back of a table: the same, or a warning named it."""

import io
import math
import warnings

import astropy.units as u
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
    with pytest.warns(InputWarning, match=r"masked values \(both\)$"):
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


letters = st.one_of(st.characters(), st.sampled_from(" \t\n\r\x0b\x00\xa0\u2028\x85Ćé😀-<&#,\"'\\\udc80"))
words = st.text(letters)
whole = st.text(st.characters(exclude_categories=["Cs"]))
descriptions = st.one_of(st.none(), whole, st.lists(whole, min_size=20, max_size=40).map(" ".join), st.just(LONG))
values = {
    "f8": st.one_of(st.floats(), st.just(np.nan)),
    "f4": st.floats(width=32),
    "i8": st.integers(-(2**63), 2**63 - 1),
    "u8": st.integers(0, 2**64 - 1),
    "i1": st.integers(-128, 127),
    "u2": st.integers(0, 2**16 - 1),
    "?": st.booleans(),
    "U": st.one_of(words, st.sampled_from(["#1", "x", "True", "False", "007", "nan", "", "--", "  a  "])),
    "O": st.one_of(st.none(), words),
    "S": st.binary(max_size=4),
    "M8[ms]": st.integers(-(2**40), 2**40),
    "c16": st.complex_numbers(),
}
names = st.one_of(
    st.sampled_from("abcde"), st.sampled_from(["#f", "g h", " i", "Ć", "k\n", "l\u2028l", "m" * 70, "n,n", 'o"'])
)


@st.composite
def tables(draw):
    n_rows = draw(st.integers(1, 4))
    table = Table()
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(sorted(values)))
        data = np.array(draw(st.lists(values[kind], min_size=n_rows, max_size=n_rows)), kind)
        mask = draw(st.one_of(st.none(), st.lists(st.booleans(), min_size=n_rows, max_size=n_rows)))
        column = Column(data) if mask is None else MaskedColumn(data, mask=mask)
        if kind[0] in "fiu":
            column.unit = draw(st.sampled_from([None, "deg", "nmgy", "mag", "km / s"]))
        column.description = draw(descriptions)
        ucd = draw(st.sampled_from([None, "pos.eq.ra", "stat.probability;src.morph.type"]))
        column.meta.update({"ucd": ucd} if ucd else {})
        table[name] = column
    return table


def as_list(column):
    """Values as Python has them, None where masked or without a value."""
    mask, data = np.ma.getmaskarray(column), np.asarray(np.ma.getdata(column))
    if data.dtype.kind == "S":
        try:
            data = [each.decode() for each in data.tolist()]
        except UnicodeDecodeError:
            data = [each.decode("latin-1") for each in data.tolist()]
    elif data.dtype.kind == "M":
        data = [None if np.isnat(each) else str(each) for each in data]
    else:
        data = data.tolist()
    return [None if masked else value for masked, value in zip(mask, data, strict=True)]


def differences(old, new, suffix):
    """What of a column came back otherwise."""
    found = set()
    if (old.description or None) != (new.info.description or None):
        found.add("descriptions")
    if old.unit != new.unit:
        found.add("units")
    if old.meta.get("ucd") != (new.info.meta or {}).get("ucd"):
        found.add("UCDs")
    left, right = as_list(old), as_list(new)
    if suffix == ".fits" and old.dtype.kind in "fc":  # documented: a masked float is NaN there
        if None in left and any(value is not None and value != value for value in left):
            found.add("masked values")
        left = [old.dtype.type(math.nan).item() if value is None else value for value in left]
    both = [(a, b) for a, b in zip(left, right, strict=True) if a is not None and b is not None]
    if any(type(a) is not type(b) for a, b in both):
        return found | {"types"}
    if [value is None for value in left] != [value is None for value in right]:
        found.add("masked values")
    if any(a != b and (a == a or b == b) for a, b in both):
        found.add("values")
    return found


#: Sentences that excuse what they name, beside the one that names each aspect.
OTHERWISE = {
    "descriptions": ["characters that no file holds are ? in the file: "],
    "masked values": ["types ("],  # where the column has no value that is not masked, its type is what is lost
    "values": ["characters that no file holds are ? in the file: "],
}


def is_named(names, aspect, said):
    """Whether one of the names of a column stands in the part of the warnings that tells of an aspect."""
    starts = [f"{aspect} (", *OTHERWISE.get(aspect, [])]
    return any(name in text.partition(start)[2] for text in said for start in starts for name in names)


@settings(deadline=None, max_examples=25)
@given(tables())
def test_what_comes_back_is_equal_or_was_named(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("table")
    for suffix in FORMATS:
        path = folder / f"a{suffix}"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            write_catalog(table, path)
        said = [str(warning.message) for warning in caught]
        again = read_catalog(path)
        assert len(again) == len(table) or not again.colnames
        plain = [name.replace("\n", "_").replace("\u2028", "_") for name in table.colnames]
        new_names = again.colnames if len(again.colnames) == len(plain) else plain
        for old_name, name in zip(table.colnames, new_names, strict=True):
            if name not in again.colnames:
                assert is_named([old_name, name], "columns", said), (suffix, old_name, said)
                continue
            assert name == old_name or any(repr(old_name) in text for text in said)
            found = differences(table[old_name], again[name], suffix)
            assert table[old_name].dtype.kind not in "biuf" or "values" not in found, "nothing excuses changed numbers"
            for aspect in found:
                assert is_named([old_name, name], aspect, said), (suffix, old_name, aspect, said)
        if suffix == ".vot":
            assert "found no violations" in validate(str(path), output=None)
            parse(io.BytesIO(path.read_bytes()), verify="exception")


def test_nothing_is_said_of_what_comes_back(tmp_path):
    """The usual columns of a catalogue of galaxies; the file as a whole says nothing of them."""
    table = Table({"id": ["a", "b"], "ra": [1.5, 2] * u.deg, "n": MaskedColumn([1, 2], mask=[True, False])})
    table["p"] = MaskedColumn(np.array([0.25, 0.5], np.float32), mask=[False, True])
    for suffix in FORMATS[:-1]:
        write_catalog(table, tmp_path / f"a{suffix}")  # warnings are errors
