"""Catalogues in ECSV, CSV, HDF5 and Parquet: a table of plain columns and its meta, to a file and back.

Units, descriptions, UCDs and meta are the YAML header of ECSV. HDF5 and Parquet
have the same header where astropy puts it, and Parquet also has a VOTable
without rows, as TOPCAT looks for it (IVOA's VOParquet convention).
"""

import json
import re
from pathlib import Path

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from astropy.table.meta import get_header_from_yaml, get_yaml_from_table
from astropy.table.serialize import _construct_mixins_from_columns

from galmerge_da.io.lazy import require as load
from galmerge_da.io.votables import votable_bytes, with_known_units

__all__ = [
    "read_csv",
    "read_ecsv",
    "read_hdf5",
    "read_parquet",
    "require",
    "write_csv",
    "write_ecsv",
    "write_hdf5",
    "write_parquet",
]

#: What readers take for the end of a line, also within quotes.
_BREAK = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")

#: Format -> modules that read and write it; the extra has the name of the format.
_MODULES = {"hdf5": ("h5py",), "parquet": ("pyarrow", "pyarrow.parquet", "pyarrow.compute")}


def require(kind, path):
    """The modules that ``kind``, a format, needs; InputError that says what to install where they are not there."""
    return [load(module, path, kind) for module in _MODULES.get(kind, ())]


def write_ecsv(table, meta, path):
    """Write ECSV; text that looks like a comment is quoted."""
    table = _with_header_meta(_one_line(table), meta)
    table.write(path, format="ascii.ecsv")
    first = next(table.itercols(), None)
    if first is not None and first.dtype.kind == "U" and any("#" in text for text in np.ma.getdata(first).tolist()):
        header, rest = re.fullmatch("((?:#[^\n]*\n)*)(.*)", Path(path).read_text("utf-8"), re.DOTALL).groups()
        Path(path).write_text(header + re.sub(r"^#[^ \n]*", r'"\g<0>"', rest, flags=re.MULTILINE), "utf-8")


def read_ecsv(path):
    """Read ECSV."""
    return _take_header_meta(Table.read(path, format="ascii.ecsv"))


def _with_header_meta(table, meta):
    """``table`` with the meta that a YAML header returns unchanged, and the rest as JSON; in place."""
    broken = [[key, value] for key, value in meta.items() if isinstance(value, str) and not value.isprintable()]
    table.meta.update({key: value for key, value in meta.items() if [key, value] not in broken})
    if broken:
        table.meta["GMETA"] = json.dumps(broken)
    return table


def _take_header_meta(table):
    table.meta.update(json.loads(table.meta.pop("GMETA", "[]")))
    return with_known_units(table)


def write_csv(table, meta, path):
    """Write CSV: names and values; masked values are empty."""
    _one_line(table).write(path, format="ascii.csv")


def _one_line(table):
    """``table`` with spaces for what readers take for the end of a line in text; in place."""
    for column in table.itercols():
        texts = np.ma.getdata(column)
        if column.dtype.kind == "U" and any(map(_BREAK.search, texts.tolist())):
            texts[:] = [_BREAK.sub(" ", text) for text in texts.tolist()]
    return table


def read_csv(path):
    """Read CSV; a column of nothing but True and False is bool, one of whole numbers too large for int64 is uint64."""
    table = Table.read(path, format="ascii.csv")
    for name in table.colnames:
        column = table[name]
        mask = np.ma.getmaskarray(column)
        values = np.ma.getdata(column)[~mask]
        if column.dtype.kind != "U" or not len(values):
            continue
        if np.all(np.isin(values, ("True", "False"))):
            flat = np.ma.getdata(column) == "True"
        elif all(re.fullmatch(r"\d{1,20}", text) and int(text) < 2**64 for text in values.tolist()):
            flat = np.where(mask, "0", np.ma.getdata(column)).astype(np.uint64)  # too large for int64
        else:
            continue
        table[name] = MaskedColumn(flat, mask=mask) if mask.any() else Column(flat)
    return table


def write_hdf5(table, meta, path):
    """Write HDF5: a compound dataset ``catalog`` with checksums, and astropy's header beside it."""
    (h5py,) = require("hdf5", path)
    checked = {"fletcher32": True, "chunks": True} if len(table) else {}
    with h5py.File(path, "w", libver=("v110", "v110")) as file:  # older layouts have no checksums of their own
        _with_header_meta(table, meta).write(file, format="hdf5", path="catalog", serialize_meta=True, **checked)


def read_hdf5(path):
    """Read the first table of an HDF5 file."""
    table = Table.read(path, format="hdf5")
    table.convert_bytestring_to_unicode()
    return _take_header_meta(table)


def write_parquet(table, meta, path):
    """Write Parquet; masked values are null."""
    pa, parquet, _ = require("parquet", path)
    table.remove_columns([column.name for column in table.itercols() if column.dtype.kind == "c"])  # it has no type
    arrays = [_to_arrow(column, pa) for column in table.itercols()]
    header = {
        "table_meta_yaml": "\n".join(get_yaml_from_table(_with_header_meta(table, meta))),
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": votable_bytes(table[:0], meta).decode(),
    }
    for column in table.itercols():
        if column.dtype.kind in "US":  # as astropy asks for it
            width = column.dtype.itemsize // (4 if column.dtype.kind == "U" else 1)
            header[f"table::len::{column.name}"] = str(max(width, 1))
    parquet.write_table(pa.Table.from_arrays(arrays, table.colnames, metadata=header), path, write_page_checksum=True)


def _to_arrow(column, pa):
    values = np.ma.getdata(column)
    values = np.asarray(values, values.dtype.newbyteorder("="))
    mask = np.ma.getmaskarray(column) if isinstance(column, MaskedColumn) else None
    return pa.array(values, mask=mask, type=pa.string() if values.dtype.kind == "U" else None)


def read_parquet(path):
    """Read Parquet, also such as has no header."""
    pa, parquet, compute = require("parquet", path)
    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        data = file.read()
    table = Table({name: _from_arrow(data[name], pa, compute) for name in data.column_names})
    yaml = (data.schema.metadata or {}).get(b"table_meta_yaml")
    if yaml is None:
        return table
    header = get_header_from_yaml(yaml.decode().split("\n"))
    table.meta.update(header.get("meta", {}))
    for entry in header["datatype"]:
        for key in ("unit", "description", "format", "meta"):
            if key in entry and entry["name"] in table.colnames:
                setattr(table[entry["name"]], key, entry[key])
    return _take_header_meta(_construct_mixins_from_columns(table))


def _from_arrow(values, pa, compute):
    """A column of Arrow as one of astropy: numbers, bool or text, masked where it has nulls; others as they come."""
    kinds = pa.types
    if kinds.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    mask = values.is_null().to_numpy()
    if kinds.is_string(values.type) or kinds.is_large_string(values.type):
        data = np.array(values.to_pylist(), dtype=object)
        data[mask] = ""
        data = data.astype(str)
    elif kinds.is_boolean(values.type):
        data = compute.fill_null(values, False).to_numpy()
    elif kinds.is_integer(values.type) or kinds.is_floating(values.type):
        data = compute.fill_null(values, pa.scalar(0).cast(values.type)).to_numpy()
    else:
        data = values.to_numpy()
    return MaskedColumn(data, mask=mask) if mask.any() else Column(data)
