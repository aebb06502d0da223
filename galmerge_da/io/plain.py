"""Columns and meta that every format of catalogues knows, of those that a table has."""

import json
import re

import astropy.units as u
import numpy as np
from astropy.coordinates import BaseCoordinateFrame, SkyCoord
from astropy.table import Column, MaskedColumn, Table
from astropy.table.serialize import represent_mixins_as_columns
from astropy.time import Time

from galmerge_da.io.pictures import split

__all__ = ["plain_columns", "plain_meta"]

#: What no file holds: in text, the end of text in C and halves of characters; in names, also what controls a printer.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

#: Keys under which the headers of files keep other things.
_TAKEN = ("GMETA", "__serialized_columns__")


def plain_meta(table):
    """Entries of ``table.meta`` that JSON can hold, as plain values, and the names of the rest."""
    kept, left = {}, []
    for key, value in table.meta.items():
        if isinstance(value, (np.generic, np.ndarray)):
            value = value.tolist()
        try:
            json.dumps(value, ensure_ascii=False).encode()
            possible = not _NO_NAME.search(str(key)) and str(key) not in (*kept, *_TAKEN)
        except (TypeError, ValueError):
            possible = False
        if possible:
            kept[str(key)] = value
        else:
            left.append(str(key))
    return kept, left


def plain_columns(table, images):
    """Columns that every format knows.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Columns of any kind.
    images : bool
        Whether columns may have more than one value a row.

    Returns
    -------
    table : `~astropy.table.Table`
        Bool, numbers and text, with units, descriptions and UCDs.
    changed : dict
        What is left out or changed -> names of columns.
    """
    plain, changed = Table(), {}
    if frames := [name for name in table.colnames if _has_a_frame(table[name])]:
        changed["frames and scales left out of the file, in which the parts of coordinates and times are"] = frames
    table = represent_mixins_as_columns(table, exclude_classes=(u.Quantity,))
    for name, new_name in zip(table.colnames, _names(table.colnames), strict=True):
        column = table[name]
        new, what = (None, _LEFT) if np.ndim(column) > 1 and not images else _plain_column(column)
        if what:
            changed.setdefault(what, []).append(name)
        if new is None:
            continue
        meta = dict(column.info.meta or {})
        ucd = meta.pop("ucd", None)
        new.description = column.info.description
        if new.description and _NO_TEXT.search(new.description):
            new.description = _NO_TEXT.sub("?", new.description)
            changed.setdefault(_LETTERS, []).append(name)
        new.meta.update({"ucd": ucd} if ucd else {})
        if lost := [f"{name}.{key}" for key in meta if not str(key).startswith("_")]:
            changed.setdefault("meta of columns left out of the file, all but UCDs", []).extend(lost)
        if new_name != name:
            changed.setdefault("names of columns changed in the file", []).append(f"{name!r} is {new_name!r}")
        plain.add_column(new, name=new_name)
    return plain, changed


_LEFT = "columns left out of the file, as its format has no place for them"
_LETTERS = "characters that no file holds are ? in the file"


def _plain_column(column):
    """A column of a type that every format has, and what that changed, or None."""
    values, mask, unit = split(column)
    what, kind = None, values.dtype.kind
    if kind == "O":
        values = np.ma.getdata(column)
        mask = np.ma.getmaskarray(column) | np.equal(values, None)
        values = np.where(mask, "", values)
        if values.ndim > 1 or not all(isinstance(text, str) for text in values.tolist()):
            return None, _LEFT
        values = values.astype(str)
    elif kind == "M":
        what = "dates are text of ISO 8601 in the file"
        mask = np.isnat(values) | (False if mask is None else mask)
        values = np.where(mask, "", np.datetime_as_string(values))
    elif kind == "m":
        what, unit = "lengths of time are seconds in the file", u.s
        values = values / np.timedelta64(1, "s")
    elif kind == "S":
        values = _decoded(values)
    elif values.dtype == np.float16:
        values = values.astype(np.float32)
    elif kind in "fc" and values.dtype.itemsize > 8 * (1 + (kind == "c")):
        what, values = "columns rounded to double precision in the file", values.astype("c16" if kind == "c" else "f8")
    elif kind not in "biufcU":
        return None, _LEFT
    if values.dtype.kind == "U" and any(map(_NO_TEXT.search, values.ravel().tolist())):
        what = _LETTERS
        values = np.array([_NO_TEXT.sub("?", text) for text in values.ravel().tolist()]).reshape(values.shape)
    masked = mask is not None and mask.any()
    return (MaskedColumn(values, mask=mask, unit=unit) if masked else Column(values, unit=unit)), what


def _decoded(values):
    """Bytes as text; those that are not UTF-8, letter by letter."""
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError:
        return np.char.decode(values, "latin-1")


def _has_a_frame(column):
    """Whether the parts of a column do not say by themselves what they are, as those of ICRS coordinates do."""
    return isinstance(column, Time | BaseCoordinateFrame) or (isinstance(column, SkyCoord) and column.name != "icrs")


def _names(names):
    """Names without what no file holds, all different."""
    new = []
    for name in names:
        short = _NO_NAME.sub("_", name)
        while short != name and short in (*names, *new):
            short += "_"
        new.append(short)
    return new
