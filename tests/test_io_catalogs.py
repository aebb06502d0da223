"""Catalogues survive FITS, ECSV, VOTable, Parquet and HDF5; of CSV, a warning says what does not."""

import io
import re
import sys

import astropy.units as u
import h5py
import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse, validate
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from galmerge_da import classify, simulate
from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io import read_catalog, save_cutouts, write_catalog

SUFFIXES = [".fits", ".fit", ".ecsv", ".vot", ".xml", ".parquet", ".hdf5", ".h5"]

META = {
    "MODEL": "default",
    "WEIGHTS": "0123456789abcdef" * 4,
    "weights_sha256": "0123456789abcdef" * 4,
    "THRESH": 0.5,
    "tiny": 1.2345678901234567e-300,
    "NLOOKS": 12345678901,
    "ADAPTED": True,
    "author": "Ćiprijanović, \"A.\" & 'others' <x>",
    "CITATION": "a very long citation, " * 20 + "end",
    "NAXIS": "a reserved keyword",
    "lines": "one\ntwo",
    "NOTHING": None,
    "LOSSES": ["mmd", "fisher"],
    "EMPTY": "",
}


def catalog():
    table = QTable()
    table["id"] = np.array([3, 2, 588017978376519846])
    table["name"] = ["a", "bb", "ccc Ć"]
    table["ra"] = [10.123456789012345, 20, 30] * u.deg
    table["flux"] = np.array([1, 2, 3], ">f4") * u.Unit("nmgy")
    table["merger_prob"] = MaskedColumn([0.1, 0.2, 0.3], mask=[False, True, False])
    table["n_votes"] = MaskedColumn(np.array([1, 2, 3], np.int16), mask=[True, False, False])
    table["flags"] = np.array([0, 1, 64], np.int32)
    table["good"] = [True, False, True]
    table["merger_prob"].info.description = "probability of a merger, calibrated"
    table["merger_prob"].info.meta = {"ucd": "stat.probability;src.morph.type"}
    table["ra"].info.description = "right ascension"
    table["ra"].info.meta = {"ucd": "pos.eq.ra"}
    table.meta.update(META)
    return table


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / f"catalog{request.param}"


def test_a_catalogue_survives(path):
    table = catalog()
    write_catalog(table, path)
    again = read_catalog(path)
    assert again.colnames == table.colnames
    for name in ("id", "name", "flags", "good"):
        assert again[name].tolist() == table[name].tolist(), name
        assert again[name].dtype.kind == table[name].dtype.kind, name
    for name in ("ra", "flux"):
        assert again[name].unit == table[name].unit
        assert np.array_equal(np.asarray(again[name]), table[name].value)
    assert again["ra"].info.description == "right ascension"
    assert again["ra"].info.meta["ucd"] == "pos.eq.ra"
    assert again["merger_prob"].info.description == "probability of a merger, calibrated"
    assert again["merger_prob"].info.meta["ucd"] == "stat.probability;src.morph.type"
    probabilities = np.ma.filled(again["merger_prob"], np.nan)
    assert np.isnan(probabilities).tolist() == [False, True, False] and probabilities[2] == 0.3
    assert np.ma.getmaskarray(again["n_votes"]).tolist() == [True, False, False]
    assert {key: again.meta[key] for key in META} == META


def test_the_table_handed_over_is_left_alone(path):
    table = catalog()
    write_catalog(table, path)
    assert table["ra"].info.description == "right ascension" and table["ra"].info.meta == {"ucd": "pos.eq.ra"}
    assert table["ra"].unit == u.deg and table.meta == META


def test_a_second_round_changes_nothing(path):
    write_catalog(catalog(), path)
    first = read_catalog(path)
    write_catalog(first, path, overwrite=True)
    second = read_catalog(path)
    assert second.meta == first.meta and second.colnames == first.colnames
    for name in first.colnames:
        assert second[name].unit == first[name].unit and second[name].info.meta == first[name].info.meta
        assert second[name].dtype == first[name].dtype


def test_an_empty_catalogue_keeps_its_columns(path):
    write_catalog(catalog()[:0], path)
    again = read_catalog(path)
    assert len(again) == 0 and again.colnames == catalog().colnames and again["ra"].unit == u.deg


def test_other_tools_find_units_and_ucds(tmp_path):
    write_catalog(catalog(), tmp_path / "a.fits")
    header = fits.getheader(tmp_path / "a.fits", 1)
    assert header["TUCD3"] == "pos.eq.ra" and header["TCOMM3"] == "right ascension" and header["TUNIT3"] == "deg"
    assert header["THRESH"] == 0.5 and header["TUNIT4"] == "nmgy"
    write_catalog(catalog(), tmp_path / "a.vot")
    element = parse(tmp_path / "a.vot").get_first_table()
    assert element.get_field_by_id_or_name("ra").ucd == "pos.eq.ra"
    assert {param.name for param in element.params} == set(META)


def test_pixels_stay_in_fits_and_hdf5_and_are_left_out_elsewhere(path):
    table = catalog()
    table["image"] = np.arange(3 * 2 * 4 * 5, dtype=np.float32).reshape(3, 2, 4, 5)
    if path.suffix in (".fits", ".fit", ".hdf5", ".h5"):
        write_catalog(table, path)
        assert np.array_equal(read_catalog(path)["image"], table["image"])
    else:
        with pytest.warns(InputWarning, match="left out.*: image$"):
            write_catalog(table, path)
        assert "image" not in read_catalog(path).colnames


def test_what_no_format_holds_is_named(path):
    table = Table({"id": [1], "thing": np.array([{1, 2}], dtype=object), "text": np.array(["x"], dtype=object)})
    table.meta["unsaved"] = object()
    with pytest.warns(InputWarning) as caught:
        write_catalog(table, path)
    assert [str(warning.message).split(": ")[-1] for warning in caught] == ["unsaved", "thing"]
    assert read_catalog(path)["text"].tolist() == ["x"]


def test_an_existing_file_is_safe(path):
    write_catalog(catalog(), path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists"):
        write_catalog(catalog()[:1], path)
    assert path.read_bytes() == before
    write_catalog(catalog()[:1], path, overwrite=True)
    assert len(read_catalog(path)) == 1


def test_a_failed_write_leaves_the_old_file_and_no_other(path, monkeypatch):
    write_catalog(catalog(), path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match="disk full"):
        write_catalog(catalog()[:1], path, overwrite=True)
    assert path.read_bytes() == before and [file.name for file in path.parent.iterdir()] == [path.name]


def test_sky_coordinates_become_their_parts(path):
    where = SkyCoord([1, 2] * u.deg, [3, 4] * u.deg)
    write_catalog(QTable({"where": where, "z": [0.1, 0.2]}), path)
    again = read_catalog(path)
    assert again.colnames == ["where.ra", "where.dec", "z"] and again["where.ra"].unit == u.deg
    assert again["where.dec"].tolist() == [3, 4]


UNITS = [
    "nJy", "nmgy", "mag", "mag(AB)", "mag(ST)", "dex(cm / s2)", "erg / (Angstrom s cm2)", "%", "10 km", "electron / s",
    "beam", "hourangle", "MJy / sr", "pix", "mag / arcsec2", "1e-17 erg / (s cm2)", "um", "arcsec / pix", "adu",
    "ct / s", "km / (Mpc s)",
]  # fmt: skip


def test_every_unit_of_the_field_survives(path):
    units = [*map(u.Unit, UNITS), u.Unit("furlongs", parse_strict="silent")]
    write_catalog(Table({f"c{number}": Column([1.5], unit=unit) for number, unit in enumerate(units)}), path)
    again = read_catalog(path)
    assert [again[name].unit for name in again.colnames] == units


def test_what_is_lost_of_a_column_is_named(path):
    table = QTable({"old": SkyCoord([1] * u.deg, [3] * u.deg, frame="fk5"), "when": Time([50000], format="mjd")})
    table["z"] = Column([0.1], description="Schätzung", meta={"ucd": "src.redshift", "utype": "x"})
    table["good"] = MaskedColumn([True], mask=[True])
    expected = ["frames .*: old, when", "meta of columns .*: z.utype"]
    if path.suffix in (".fits", ".fit"):
        expected += [r"left out of .*: descriptions \(z\); masked values \(good\)"]
    with pytest.warns(InputWarning) as caught:
        write_catalog(table, path)
    assert len(caught) == len(expected)
    for warning, pattern in zip(caught, expected, strict=True):
        assert re.match(f"{pattern}$", str(warning.message))
    again = read_catalog(path)
    if path.suffix not in (".fits", ".fit"):
        assert again["z"].description == "Schätzung" and np.ma.getmaskarray(again["good"]).all()


@pytest.mark.parametrize("name", ["a.txt", "a", "a.npy"])
def test_an_unknown_ending_is_an_error(tmp_path, name):
    with pytest.raises(InputError, match="ends in .fits"):
        write_catalog(catalog(), tmp_path / name)


def test_bad_files_and_folders_are_errors(path):
    with pytest.raises(InputError, match="no such file"):
        read_catalog(path)
    with pytest.raises(InputError, match="no folder"):
        write_catalog(catalog(), path.parent / "nowhere" / path.name)
    with pytest.raises(InputError, match="must be a Table"):
        write_catalog([1, 2], path)
    path.write_text("not a table")
    with pytest.raises(InputError, match="cannot be read"):
        read_catalog(path)


def test_save_cutouts_wants_pixels_and_fits(tmp_path):
    with pytest.raises(InputError, match="column of images"):
        save_cutouts(Table({"id": [1]}), tmp_path / "a.fits")
    table = Table({"image": np.zeros((2, 3, 4, 5), np.uint8)})
    with pytest.raises(InputError, match=".fits, .fit, .hdf5 or .h5 file"):
        save_cutouts(table, tmp_path / "a.ecsv")
    save_cutouts(table, tmp_path / "a.fits")
    assert fits.getdata(tmp_path / "a.fits")["image"].dtype == np.uint8
    with pytest.raises(InputError, match="exists"):
        save_cutouts(table, tmp_path / "a.fits")


values = st.one_of(st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False), st.text(), st.none())


@settings(deadline=None, max_examples=10)
@given(st.dictionaries(st.text(st.characters(categories=["L", "N"], codec="ascii"), min_size=1), values, max_size=4))
def test_any_flat_meta_survives(tmp_path_factory, meta):
    folder = tmp_path_factory.mktemp("meta")
    for suffix in (".fits", ".vot", ".parquet", ".hdf5"):
        write_catalog(Table({"id": [1]}, meta=meta), folder / f"a{suffix}")
        assert read_catalog(folder / f"a{suffix}").meta == meta


def test_descriptions_of_a_table_that_astropy_read_are_not_left_in_its_meta(tmp_path):
    galaxies = simulate(6, "sdss", seed=1, n_jobs=1)
    galaxies["label"].info.meta = {"ucd": "meta.code.class"}
    save_cutouts(galaxies, tmp_path / "galaxies.fits")
    read = QTable.read(tmp_path / "galaxies.fits")
    assert any(key.startswith("TCOMM") for key in read.meta)
    before = dict(read.meta)
    catalogue = classify(read)
    assert not [key for key in catalogue.meta if key.startswith(("TCOMM", "TUCD", "GMETA"))]
    for name in set(galaxies.colnames) - {"image"}:
        assert catalogue[name].info.description == galaxies[name].info.description
    assert catalogue["label"].info.meta["ucd"] == "meta.code.class"
    assert dict(read.meta) == before and read["label"].info.description is None


@pytest.mark.parametrize("name", ["a.vot", "a.xml"])
def test_the_validator_of_votables_finds_nothing(tmp_path, name):
    write_catalog(catalog(), tmp_path / name)
    assert len(parse(tmp_path / name, verify="exception").get_first_table().array) == 3
    assert "found no violations" in validate(str(tmp_path / name), output=None)


def test_the_validator_finds_nothing_in_a_catalogue_of_probabilities(tmp_path):
    galaxies = simulate(6, "sdss", seed=1, n_jobs=1)
    write_catalog(classify(galaxies, progress=False), tmp_path / "a.vot")
    element = parse(tmp_path / "a.vot", verify="exception").get_first_table()
    assert len(element.array) == 6 and element.get_field_by_id_or_name("merger_prob") is not None
    assert "found no violations" in validate(str(tmp_path / "a.vot"), output=None)


def test_astropy_finds_the_header_of_hdf5_and_a_votable_describes_parquet(tmp_path):
    write_catalog(catalog(), tmp_path / "a.hdf5")
    table = Table.read(tmp_path / "a.hdf5", path="catalog")
    assert table["ra"].unit == u.deg and table["ra"].description == "right ascension"
    assert table["ra"].meta["ucd"] == "pos.eq.ra" and table.meta["THRESH"] == 0.5
    write_catalog(catalog(), tmp_path / "a.parquet")
    metadata = parquet.read_schema(tmp_path / "a.parquet").metadata
    assert metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    element = parse(io.BytesIO(metadata[b"IVOA.VOTable-Parquet.content"]), verify="exception").get_first_table()
    field = element.get_field_by_id_or_name("ra")
    assert (field.ucd, field.unit, field.description) == ("pos.eq.ra", u.deg, "right ascension")
    assert [field.name for field in element.fields] == parquet.read_schema(tmp_path / "a.parquet").names
    assert {param.name for param in element.params} == set(META)


def test_masked_values_are_null_in_parquet_and_nan_is_not(tmp_path):
    table = Table({"p": MaskedColumn([0.1, np.nan, 0.3], mask=[True, False, False])})
    write_catalog(table, tmp_path / "a.parquet")
    assert parquet.read_table(tmp_path / "a.parquet")["p"].is_null().to_pylist() == [True, False, False]
    again = read_catalog(tmp_path / "a.parquet")["p"]
    assert again.mask.tolist() == [True, False, False] and np.isnan(again.data.data[1])


def test_parquet_of_other_makers_is_read(tmp_path):
    columns = {
        "id": pa.array([1, None, 3], pa.int32()),
        "name": pa.array(["a", None, "ccc"]).dictionary_encode(),
        "large": pa.array(["x", "y", "z"], pa.large_string()),
        "good": pa.array([True, None, False]),
        "p": pa.array([0.5, 0.25, None], pa.float32()),
        "seen": pa.array([0, 1, 2], pa.timestamp("s")),
    }
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = read_catalog(tmp_path / "a.parquet")
    for name, column in columns.items():
        if name != "seen":
            assert table[name].tolist() == column.to_pylist(), name
    assert table["id"].dtype == np.int32 and table["p"].dtype == np.float32 and table["large"].dtype.kind == "U"
    assert table["seen"][2] == np.datetime64("1970-01-01T00:00:02")


def test_tables_that_astropy_wrote_to_parquet_and_hdf5_keep_masks_and_units(tmp_path):
    table = QTable({"n": MaskedColumn([1, 2, 3], mask=[True, False, False]), "ra": [1, 2, 3] * u.deg})
    table["ra"].info.description = "right ascension"
    table.meta["NOTE"] = "x"
    table.write(tmp_path / "a.parquet")
    table.write(tmp_path / "a.h5", path="any/name", serialize_meta=True)
    for name in ("a.parquet", "a.h5"):
        again = read_catalog(tmp_path / name)
        assert again["n"].mask.tolist() == [True, False, False] and again["ra"].unit == u.deg, name
        assert again["ra"].info.description == "right ascension" and again.meta["NOTE"] == "x"


def test_a_flipped_bit_among_the_values_is_noticed(tmp_path):
    for name in ("a.parquet", "a.hdf5"):
        path = tmp_path / name
        write_catalog(catalog(), path)
        if name == "a.hdf5":
            with h5py.File(path) as file:
                chunk = file["catalog"].id.get_chunk_info(0)
            positions = [chunk.byte_offset, chunk.byte_offset + chunk.size // 2]
        else:
            group = parquet.read_metadata(path).row_group(0)
            columns = [group.column(k) for k in range(group.num_columns)]
            positions = [column.data_page_offset + 3 for column in columns[:3]]
            start = columns[2].dictionary_page_offset or columns[2].data_page_offset
            positions.append(start + columns[2].total_compressed_size - 1)
        good = path.read_bytes()
        for position in positions:
            path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
            with pytest.raises(InputError, match="cannot be read"):
                read_catalog(path)


@pytest.mark.parametrize(("name", "module"), [("a.parquet", "pyarrow"), ("a.hdf5", "h5py"), ("a.h5", "h5py")])
def test_a_missing_extra_is_named_with_what_to_install(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    for attempt in (lambda path: write_catalog(catalog(), path), read_catalog):
        with pytest.raises(InputError, match=rf"needs {module}.*galmerge_da\[(hdf5|parquet)\]"):
            attempt(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_csv_says_what_it_loses(tmp_path):
    table = catalog()
    table["code"] = ["007", "008", "009"]
    with pytest.warns(InputWarning, match="left out of") as caught:
        write_catalog(table, tmp_path / "a.csv")
    (warning,) = caught
    message = str(warning.message)
    assert "units (ra, flux)" in message and "descriptions (ra, merger_prob)" in message
    assert "UCDs (ra, merger_prob)" in message and "types (code: text is whole numbers)" in message
    assert "meta (MODEL," in message
    assert warning.filename == __file__


def test_csv_keeps_names_values_and_masks(tmp_path):
    table = catalog()
    plain = Table({name: np.ma.array(np.ma.getdata(table[name]), mask=np.ma.getmask(table[name]))
                   for name in ("id", "name", "merger_prob", "n_votes", "good")})  # fmt: skip
    path = tmp_path / "a.csv"
    write_catalog(plain, path)  # nothing to lose, no warning
    again = read_catalog(path)
    assert again.colnames == plain.colnames
    for name in plain.colnames:
        assert again[name].tolist() == plain[name].tolist(), name
        assert again[name].dtype.kind == plain[name].dtype.kind, name
    with pytest.raises(InputError, match="exists"):
        write_catalog(plain, path)
    with pytest.warns(InputWarning, match="image$"):
        write_catalog(Table({"id": [1], "image": np.zeros((1, 4, 4))}), path, overwrite=True)
    assert read_catalog(path)["id"].tolist() == [1]
