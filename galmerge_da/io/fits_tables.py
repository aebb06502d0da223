"""Catalogues as FITS tables: descriptions are ``TCOMMn`` and UCDs ``TUCDn``, as TOPCAT has them.

Entries of meta that a card cannot hold are JSON in a ``GMETAn``.
"""

import json
import re

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table

from galmerge_da.io.files import quiet
from galmerge_da.io.votables import with_known_units

__all__ = ["read_fits_table", "take_header_keys", "write_fits_table"]

_FITS_KEY = re.compile(r"[A-Z0-9_-]{1,8}")

#: Keys that describe the file itself.
_RESERVED = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|EXTEND|GROUPS|THEAP|END|COMMENT|COMMENTS|HISTORY|CONTINUE"
    r"|HIERARCH|EXTNAME|EXTVER|EXTLEVEL|CHECKSUM|DATASUM|BSCALE|BZERO|BLANK|BUNIT|GMETA\d+|T[A-Z]{3,5}\d+"
)


def write_fits_table(plain, meta, path):
    """Write a table of plain columns and its meta as the first extension of a FITS file."""
    table, cards, units = Table(), {}, {}
    for number, (name, column) in enumerate(zip(_names(plain.colnames), plain.itercols(), strict=True), 1):
        cards[f"TCOMM{number}"], cards[f"TUCD{number}"] = column.info.description, (column.info.meta or {}).get("ucd")
        if isinstance(column, Column):
            column = _fits_column(column)
            column.info.description, column.info.meta = None, None
            if column.unit is not None:
                units[name], column.unit = _fits_unit(column.unit), None
        table[name] = column
    hdu = fits.table_to_hdu(table)
    for name, unit in units.items():
        hdu.columns[name].unit = unit
    for key, text in cards.items():
        if text:
            hdu.header[key] = _ascii(text)
    _add_meta(hdu.header, meta)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)


def _names(names):
    """Names that FITS can have, all different."""
    new = []
    for name in names:
        short = re.sub(r"[^ -~]", "_", name)[:68]
        taken = {*new, *(each for each in names if each != name)}
        new.append(
            next(each for n in range(len(names) + 1) if (each := short if not n else f"{short[:60]}_{n}") not in taken)
        )
    return new


def _fits_unit(unit):
    """A unit as the FITS standard writes it, or as astropy does where the standard does not know it."""
    if unit == u.percent and unit.to_string() == "%":
        return "%"  # the standard would have it as a factor
    try:
        return unit.to_string("fits")
    except (AttributeError, ValueError, u.UnitsError):
        return unit.to_string()


def _ascii(text):
    """What a FITS card keeps of a text: printable ASCII, with ``?`` for letters and a space for control characters."""
    return re.sub(r"[^ -~]", " ", str(text).encode("ascii", "replace").decode()).rstrip()


def _fits_column(column):
    """A column with text as bytes and masked values as FITS can express them."""
    if column.dtype.kind == "U":
        return Column(np.char.encode(np.ma.filled(column, ""), "utf-8"))
    if column.dtype == np.int8:
        column = column.astype(np.int16)  # which FITS has none of; astropy makes bool of such images
    if not isinstance(column, MaskedColumn):
        return column
    if column.dtype.kind in "fc":
        return column.filled(np.nan)
    if column.dtype.kind in "iu":
        null = _unused(column)
        if null is None:
            column = column.astype(f"i{2 * column.dtype.itemsize}")
            null = _unused(column)
        column.fill_value = null
        return column
    return column.filled(b"" if column.dtype.kind == "S" else False)


def _unused(column):
    """The first whole number, from one end of its type, that is no value of a column; None if all are."""
    limits, used = np.iinfo(column.dtype), set(column.compressed().tolist())
    numbers = range(limits.min, limits.max + 1 if column.dtype != np.uint64 else 2**63)  # astropy reads no larger null
    return next(
        (each for each in (numbers if column.dtype.kind == "i" else reversed(numbers)) if each not in used), None
    )


def _add_meta(header, meta):
    """Write entries under their own key where FITS returns them unchanged, else as JSON in a ``GMETAn``."""
    number = 0
    for key, value in meta.items():
        if _FITS_KEY.fullmatch(key) and not _RESERVED.fullmatch(key) and _survives(value):
            header[key] = value
        else:
            number += 1
            header[f"GMETA{number}"] = json.dumps([key, value])


def _survives(value):
    """Whether a FITS card keeps a value as it is."""
    try:
        back = fits.Card.fromstring(fits.Card("KEY", value).image).value
    except (TypeError, ValueError):
        return False
    return type(back) is type(value) and back == value


def read_fits_table(path, hdu=None, memmap=False):
    """Read a table of a FITS file, the first one by default, with what `write_fits_table` keeps."""
    with quiet():
        table = Table.read(path, hdu=hdu, format="fits", memmap=memmap, mask_invalid=False)
    take_header_keys(table)
    table.convert_bytestring_to_unicode()
    return with_known_units(table)


def take_header_keys(table):
    """Move what FITS headers say of columns (``TCOMMn``, ``TUCDn``) from the meta of a table to the columns, in place.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Numbers are those of its columns.
    """
    names = table.colnames
    for key in list(table.meta):
        match = re.fullmatch(r"(TCOMM|TUCD|GMETA)(\d+)", str(key))
        if match is None:
            continue
        value, position = table.meta.pop(key), int(match[2]) - 1
        if match[1] == "GMETA":
            try:
                original, value = json.loads(value)
            except (TypeError, ValueError):  # somebody else's key
                original = key
            table.meta[original] = value
        elif position < len(names) and match[1] == "TCOMM":
            table[names[position]].info.description = value
        elif position < len(names):
            table[names[position]].info.meta = {**(table[names[position]].info.meta or {}), "ucd": value}
