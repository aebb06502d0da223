"""Catalogues in FITS, ECSV and VOTable; units, descriptions, UCDs and flat meta survive in all three.

In FITS, descriptions are ``TCOMMn`` and UCDs ``TUCDn``, as TOPCAT has them; in
VOTable, meta are PARAM elements. What a format cannot hold by itself (long or
lower-case keys in FITS; None, lists, NaN, accents) is kept as JSON.
"""

import json
import os
import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.io.votable import from_table, parse
from astropy.io.votable.tree import Param
from astropy.table import Column, MaskedColumn, Table
from astropy.table.serialize import represent_mixins_as_columns

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io.files import quiet
from galmerge_da.io.pictures import split

__all__ = ["read_catalog", "read_fits_table", "take_header_keys", "write_catalog", "write_fits_table"]

_FITS_KEY = re.compile(r"[A-Z0-9_-]{1,8}")

#: Text that an XML attribute keeps as it is.
_PLAIN_TEXT = re.compile(r"[\w.,;:/()+*=-]+( [\w.,;:/()+*=-]+)*", re.ASCII)

#: Keys that describe the file itself.
_RESERVED = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|EXTEND|GROUPS|THEAP|END|COMMENT|COMMENTS|HISTORY|CONTINUE"
    r"|HIERARCH|EXTNAME|EXTVER|EXTLEVEL|CHECKSUM|DATASUM|BSCALE|BZERO|BLANK|BUNIT|GMETA\d+|T[A-Z]{3,5}\d+"
)


def write_catalog(table, path, overwrite=False):
    """Write a catalogue.

    Units, descriptions, UCDs (``column.info.meta["ucd"]``) and the entries of
    ``table.meta`` can be read back. In FITS a masked float becomes NaN.
    Coordinates and times become columns of their parts (``where.ra``).

    Parameters
    ----------
    table : `~astropy.table.Table`
        The catalogue. Columns with more than one number a row are kept in FITS
        and dropped, with a warning, in the other formats.
    path : str or path-like
        Ends in ``.fits``, ``.fit``, ``.ecsv``, ``.vot`` or ``.xml``.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the ending is not known, the folder is missing, the file exists, or
        a column cannot be written in that format.

    Warns
    -----
    InputWarning
        If columns or meta entries are left out, naming them.
    """
    if not isinstance(table, Table):
        raise InputError(f"a catalogue must be a Table, got {type(table).__name__}")
    writer = _WRITERS[_format(path)]
    writer(table, path, overwrite)


def read_catalog(path):
    """Read a catalogue.

    Parameters
    ----------
    path : str or path-like
        Ends in ``.fits``, ``.fit``, ``.ecsv``, ``.csv``, ``.vot`` or ``.xml``.

    Returns
    -------
    `~astropy.table.Table`
        With units, descriptions, UCDs in ``column.info.meta["ucd"]``, and meta.

    Raises
    ------
    InputError
        If the ending is not known, or the file is missing or damaged.
    """
    reader = _READERS[_format(path, {".csv": "csv", **_FORMATS})]
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with quiet():
            return reader(Path(path))
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        raise InputError(f"{path} cannot be read as a catalogue: {error}") from error


_FORMATS = {".fits": "fits", ".fit": "fits", ".ecsv": "ecsv", ".vot": "votable", ".xml": "votable"}


def _format(path, known=_FORMATS):
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        raise InputError(f"{path}: a catalogue ends in {', '.join(known)}, not {suffix!r}")
    return known[suffix]


def _check_target(path, overwrite):
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; pass overwrite=True to replace it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")


def _save(path, write):
    """Write to a temporary neighbour first, so that a file is there whole or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with quiet():
            write(temporary)
        os.replace(temporary, path)
    except Exception as error:  # every format refuses tables in its own way
        raise InputError(f"{path} cannot be written: {type(error).__name__}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _meta(table):
    """Entries of ``table.meta`` that JSON can hold, as plain values; the names of the rest in a warning."""
    kept, lost = {}, []
    for key, value in table.meta.items():
        if isinstance(value, (np.generic, np.ndarray)):
            value = value.tolist()
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            lost.append(str(key))
            continue
        kept[str(key)] = value
    if lost:
        _warn(f"meta entries left out of the file, as they are neither text nor numbers: {', '.join(lost)}")
    return kept


def _plain(table, images):
    """Columns that every format knows, with unit, description and UCD; others are left out with a warning."""
    plain, lost = Table(), []
    table = represent_mixins_as_columns(table, exclude_classes=(u.Quantity,))
    for name in table.colnames:
        column = table[name]
        if np.ndim(column) > 1 and not images:
            lost.append(name)
            continue
        values, mask, unit = split(column)
        if values.dtype.kind == "O":
            texts = ["" if value is None else value for value in np.ma.filled(column, None)]
            if not all(isinstance(text, str) for text in texts):
                lost.append(name)
                continue
            values, mask = np.array(texts, dtype=str), None
        elif values.dtype == np.float16:
            values = values.astype(np.float32)
        masked = mask is not None and mask.any()
        kind = MaskedColumn if masked else Column
        new = kind(values, unit=unit, description=column.info.description, **({"mask": mask} if masked else {}))
        ucd = (column.info.meta or {}).get("ucd")
        new.meta.update({"ucd": ucd} if ucd else {})
        plain.add_column(new, name=name)
    if lost:
        _warn(f"columns left out of the file, as its format has no place for them: {', '.join(lost)}")
    return plain


def _warn(message):
    warnings.warn(message, InputWarning, stacklevel=5)


def write_fits_table(table, path, overwrite=False):
    """Write a table as the first extension of a FITS file; see `write_catalog`."""
    _check_target(path, overwrite)
    meta, plain = _meta(table), _plain(table, images=True)
    _save(path, lambda name: _fits_hdus(plain, meta).writeto(name))


def _fits_hdus(plain, meta):
    table, cards = Table(), {}
    for number, name in enumerate(plain.colnames, 1):
        column = plain[name]
        cards[f"TCOMM{number}"], cards[f"TUCD{number}"] = column.info.description, (column.info.meta or {}).get("ucd")
        if isinstance(column, Column):
            column = _fits_column(column)
            column.info.description, column.info.meta = None, None
        table[name] = column
    hdu = fits.table_to_hdu(table)
    for name in table.colnames:
        unit = getattr(table[name], "unit", None)
        if unit is not None and hasattr(unit, "to_string") and not hdu.columns[name].unit:
            hdu.columns[name].unit = unit.to_string()  # astropy drops what the FITS standard does not list
    for key, text in cards.items():
        if text:
            hdu.header[key] = _ascii(text)
    _add_meta(hdu.header, meta)
    return fits.HDUList([fits.PrimaryHDU(), hdu])


def _ascii(text):
    return str(text).replace("\n", " ").encode("ascii", "replace").decode()


def _fits_column(column):
    """A column with text as bytes and masked values as FITS can express them."""
    if column.dtype.kind == "U":
        return Column(np.char.encode(np.ma.filled(column, ""), "utf-8"))
    if not isinstance(column, MaskedColumn):
        return column
    if column.dtype.kind in "fc":
        return column.filled(np.nan)
    if column.dtype.kind in "iu":
        limits = np.iinfo(column.dtype)
        column.fill_value = limits.min if column.dtype.kind == "i" else limits.max
        return column
    return column.filled(b"" if column.dtype.kind == "S" else False)


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
    return _with_known_units(table)


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


def _with_known_units(table):
    """Recognise units that astropy knows and the file format does not, such as nanomaggies."""
    for column in table.itercols():
        if getattr(column, "unit", None) is not None:
            column.unit = u.Unit(column.unit.to_string(), parse_strict="silent")
    return table


def _write_votable(table, path, overwrite):
    _check_target(path, overwrite)
    meta, plain = _meta(table), _plain(table, images=False)

    def write(name):
        votable = from_table(plain)
        element = votable.get_first_table()
        element.params.extend(_param(votable, key, value) for key, value in meta.items())
        votable.to_xml(str(name))

    _save(path, write)


def _param(votable, key, value):
    """A PARAM; JSON, marked by its ``utype``, where VOTable has no such value."""
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


def _read_votable(path):
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
    return _with_known_units(table)


def _write_ecsv(table, path, overwrite):
    _check_target(path, overwrite)
    meta, plain = _meta(table), _plain(table, images=False)
    broken = [[key, value] for key, value in meta.items() if isinstance(value, str) and not value.isprintable()]
    plain.meta.update({key: value for key, value in meta.items() if [key, value] not in broken})
    if broken:
        plain.meta["GMETA"] = json.dumps(broken)
    _save(path, lambda name: plain.write(name, format="ascii.ecsv"))


def _read_ecsv(path):
    table = Table.read(path, format="ascii.ecsv")
    table.meta.update(json.loads(table.meta.pop("GMETA", "[]")))
    return table


def _read_csv(path):
    return Table.read(path, format="ascii.csv")


_WRITERS = {"fits": write_fits_table, "ecsv": _write_ecsv, "votable": _write_votable}
_READERS = {"fits": read_fits_table, "ecsv": _read_ecsv, "votable": _read_votable, "csv": _read_csv}
