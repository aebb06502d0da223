"""VOTables of catalogues: what `galmerge_da.io.catalogs` writes as a file, and Parquet as its description.

Entries of meta are PARAM elements; those that VOTable has no value for (None,
lists, NaN, accents) are JSON, marked by their ``utype``.
"""

import json
import re

import astropy.units as u
import numpy as np
from astropy.io.votable import from_table, parse
from astropy.io.votable.tree import Param
from astropy.table import Column, MaskedColumn

__all__ = ["make_votable", "read_votable", "with_known_units", "write_votable"]

#: Text that an XML attribute keeps as it is.
_PLAIN_TEXT = re.compile(r"[\w.,;:/()+*=-]+( [\w.,;:/()+*=-]+)*", re.ASCII)


def make_votable(table, meta):
    """A VOTable of a table of plain columns, with ``meta`` as its PARAM elements."""
    votable = from_table(table)
    votable.get_first_table().params.extend(_param(votable, key, value) for key, value in meta.items())
    return votable


def write_votable(table, meta, path):
    """Write a table of plain columns and its meta as a VOTable.

    Its rows are binary: astropy's fast writer of TABLEDATA overwrites memory that is not its own when a row
    just fills its buffer (https://github.com/astropy/astropy/issues/20419).
    """
    make_votable(table, meta).to_xml(str(path), tabledata_format="binary2")


def _param(votable, key, value):
    common = dict(ID=None, name=key)
    if isinstance(value, bool):
        return Param(votable, datatype="boolean", value=value, **common)
    if isinstance(value, int) and abs(value) < 2**63:
        return Param(votable, datatype="long", value=value, **common)
    if isinstance(value, float) and np.isfinite(value):
        return Param(votable, datatype="double", value=value, **common)
    text = dict(datatype="unicodeChar", arraysize="*", **common)
    if isinstance(value, str) and _PLAIN_TEXT.fullmatch(value):
        return Param(votable, value=value, **text)
    escaped = json.dumps(value).translate({ord(letter): f"\\u{ord(letter):04x}" for letter in "&<>"})
    return Param(votable, value=escaped, utype="json", **text)


def read_votable(path):
    """The first table of a VOTable, with its PARAM elements as meta."""
    element = parse(path, verify="ignore").get_first_table()
    table = element.to_table(use_names_over_ids=True)
    for param in element.params:
        value = param.value.item() if hasattr(param.value, "item") else param.value
        table.meta[param.name] = json.loads(value) if param.utype == "json" else value
    for name in table.colnames:
        column = table[name]
        if column.dtype.kind == "O":
            column = type(column)(
                column.astype(str), unit=column.unit, description=column.description, meta=column.meta
            )
        if isinstance(column, MaskedColumn) and not np.any(column.mask):
            column = Column(column)
        table[name] = column
    return with_known_units(table)


def with_known_units(table):
    """Recognise units that astropy knows and the file format does not, such as nanomaggies; in place."""
    for column in table.itercols():
        if isinstance(column, Column) and column.unit is not None:
            column.unit = u.Unit(column.unit.to_string(), parse_strict="silent")
    return table
