"""VOTables of catalogues: what `galmerge_da.io.catalogs` writes as a file, and Parquet as its description.

Entries of meta are PARAM elements; those that VOTable has no value for (None,
lists, NaN, accents) are JSON, marked by their ``utype``. A masked number is null
in the rows, NaN is a number: the flags of null in binary rows tell the two apart.
"""

import base64
import io
import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import astropy.units as u
import numpy as np
from astropy.io.votable import from_table, parse
from astropy.io.votable.tree import Param
from astropy.table import Column, MaskedColumn, Table
from astropy.utils.data import get_readable_fileobj

__all__ = ["read_votable", "votable_bytes", "with_known_units", "write_votable"]

#: Text that an XML attribute keeps as it is.
_PLAIN_TEXT = re.compile(r"[\w.,;:/()+*=-]+( [\w.,;:/()+*=-]+)*", re.ASCII)

#: Characters that XML 1.0 has no place for, and what it takes for white space.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SPACES = re.compile(r"[ \t\n\r]+")

#: Bytes of one value of each type of fixed length.
_BYTES = {
    "bit": 1 / 8,
    "boolean": 1,
    "unsignedByte": 1,
    "char": 1,
    "short": 2,
    "unicodeChar": 2,
    "int": 4,
    "float": 4,
    "long": 8,
    "double": 8,
    "floatComplex": 8,
    "doubleComplex": 16,
}


def _text(text):
    """What a DESCRIPTION keeps of a text: white space is one space, characters that XML forbids are spaces."""
    return _SPACES.sub(" ", _NOT_XML.sub(" ", text)).strip()


def votable_bytes(table, meta):
    """The file of a table of plain columns, with ``meta`` as its PARAM elements.

    Its rows are binary: astropy's fast writer of TABLEDATA overwrites memory that is not its own when a row
    just fills its buffer (https://github.com/astropy/astropy/issues/20419).
    """
    votable = from_table(Table([_writable(column) for column in table.itercols()]))
    element = votable.get_first_table()
    element.params.extend(_param(votable, key, value) for key, value in meta.items())
    texts = []
    for field in element.fields:  # astropy folds descriptions, also within words
        if field.description:
            texts.append(f"<DESCRIPTION>{escape(_text(field.description))}</DESCRIPTION>".encode())
            field.description = f"{len(texts) - 1}"
    file = io.BytesIO()
    votable.to_xml(file, tabledata_format="binary2")
    numbered = rb"<DESCRIPTION>\s*(\d+)\s*</DESCRIPTION>"
    return re.sub(numbered, lambda match: texts[int(match[1])], file.getvalue())


def _writable(column):
    """A column with nothing beneath the mask, whole numbers of types that there are, and text as wide as its UTF-16."""
    if column.dtype == np.int8:
        column = column.astype(np.int16)
    elif column.dtype.kind == "u" and column.dtype.itemsize > 1:
        column = _signed(column)
    if isinstance(column, MaskedColumn) and column.dtype.kind in "fcU":
        column = column.copy()
        column.data.data[column.mask] = "" if column.dtype.kind == "U" else np.nan
    if column.dtype.kind == "U":
        longest = max((len(text.encode("utf-16-be")) // 2 for text in np.ma.getdata(column).tolist()), default=0)
        column = column.astype(f"U{max(longest, 1)}")
    return column


def _signed(column):
    """Whole numbers in the next wider type with a sign; as text where there is none."""
    if column.dtype.itemsize < 8:
        return column.astype(f"i{2 * column.dtype.itemsize}")
    too_large = column.dtype == np.uint64 and np.ma.getdata(column)[~np.ma.getmaskarray(column)].max(initial=0) >= 2**63
    return column.astype("U20" if too_large else np.int64)


def write_votable(table, meta, path):
    """Write a table of plain columns and its meta as a VOTable."""
    Path(path).write_bytes(votable_bytes(table, meta))


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
    with get_readable_fileobj(path, encoding="binary") as file:
        content = file.read()
    element = parse(io.BytesIO(content), verify="ignore").get_first_table()
    table = element.to_table(use_names_over_ids=True)
    nulls = _nulls(content, element)
    for param in element.params:
        value = param.value.item() if hasattr(param.value, "item") else param.value
        table.meta[param.name] = json.loads(value) if param.utype == "json" else value
    for number, name in enumerate(table.colnames):
        column = table[name]
        if column.description:
            column.description = _SPACES.sub(" ", column.description)
        if nulls is not None and column.dtype.kind in "fcU" and column.ndim == 1:
            column.mask = nulls[:, number]
        if column.dtype.kind == "O":
            column = type(column)(
                column.astype(str), unit=column.unit, description=column.description, meta=column.meta
            )
        if isinstance(column, MaskedColumn) and not np.any(column.mask):
            column = Column(column)
        table[name] = column
    return with_known_units(table)


def _nulls(content, element):
    """Which values of the rows are flagged as null, (rows, fields); None but for BINARY2 of fixed length."""
    widths = [math.ceil(_BYTES.get(field.datatype, 0) * _count(field.arraysize)) for field in element.fields]
    nodes = (node for _, node in ElementTree.iterparse(io.BytesIO(content)) if node.tag.rpartition("}")[2] == "DATA")
    stream = next(nodes, ElementTree.Element("DATA")).find("{*}BINARY2/{*}STREAM")
    if stream is None or stream.get("href") or not all(widths):
        return None
    n_flags = (len(widths) + 7) // 8
    rows = np.frombuffer(base64.b64decode(stream.text), np.uint8).reshape(-1, n_flags + sum(widths))
    return np.unpackbits(rows[:, :n_flags], axis=1)[:, : len(widths)].astype(bool)


def _count(arraysize):
    """Values in a cell: the product of ``"3x4"``; 0 where it varies."""
    if arraysize is None:
        return 1
    return 0 if "*" in arraysize else math.prod(map(int, arraysize.split("x")))


def with_known_units(table):
    """Recognise units that astropy knows and the file format does not, such as nanomaggies; in place."""
    for column in table.itercols():
        if isinstance(column, Column) and column.unit is not None:
            column.unit = u.Unit(column.unit.to_string(), parse_strict="silent")
    return table
