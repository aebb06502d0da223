"""Catalogues as files; units, descriptions, UCDs and flat meta survive in all formats but CSV.

The way of a table into a file lives here; the formats in `~galmerge_da.io.fits_tables`,
`~galmerge_da.io.votables` and `~galmerge_da.io.formats`. What a format cannot hold
by itself (long or lower-case keys in FITS) is kept as JSON.
"""

import json
import os
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import BaseCoordinateFrame, SkyCoord
from astropy.table import Column, MaskedColumn, Table
from astropy.table.serialize import represent_mixins_as_columns
from astropy.time import Time

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io import formats
from galmerge_da.io.files import quiet
from galmerge_da.io.fits_tables import fits_hdus, fits_names, fits_text, read_fits_table
from galmerge_da.io.pictures import split
from galmerge_da.io.votables import lost_in_votable, read_votable, votable_text, write_votable

__all__ = ["check_format", "read_catalog", "write_catalog", "write_fits_table"]


def write_catalog(table, path, overwrite=False):
    """Write a catalogue.

    Units, descriptions, UCDs (``column.info.meta["ucd"]``) and the entries of
    ``table.meta`` can be read back, but not from CSV. In FITS a masked float
    becomes NaN, and in FITS and VOTable masked text is empty. Coordinates and
    times become columns of their parts (``where.ra``).

    Parameters
    ----------
    table : `~astropy.table.Table`
        The catalogue. Columns with more than one number a row are kept in FITS
        and HDF5, and dropped, with a warning, in the other formats.
    path : str or path-like
        Ends in ``.fits``, ``.fit``, ``.ecsv``, ``.vot``, ``.xml``, ``.csv``,
        ``.parquet`` (extra ``parquet``), ``.hdf5`` or ``.h5`` (extra ``hdf5``).
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the ending is not known, its extra is not installed, the folder is
        missing, the file exists, or a column cannot be written in that format.

    Warns
    -----
    InputWarning
        If columns, meta entries, frames of coordinates, in CSV units, in FITS
        masks of bool, masks beside NaN, names and letters beyond ASCII and blanks at the
        end of text, in ECSV and CSV blanks about text, or in VOTable white
        space of descriptions are left out or changed, naming them.
    """
    if not isinstance(table, Table):
        raise InputError(f"a catalogue must be a Table, got {type(table).__name__}")
    _WRITERS[check_format(path)](table, path, overwrite)


def read_catalog(path):
    """Read a catalogue.

    Parameters
    ----------
    path : str or path-like
        Ends as those that `write_catalog` makes.

    Returns
    -------
    `~astropy.table.Table`
        With units, descriptions, UCDs in ``column.info.meta["ucd"]``, and meta.

    Raises
    ------
    InputError
        If the ending is not known, its extra is not installed, or the file is
        missing or damaged.
    """
    reader = _READERS[check_format(path)]
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with quiet():
            return reader(Path(path))
    except Exception as error:  # a damaged file fails in as many ways as there are formats
        raise InputError(f"{path} cannot be read as a catalogue: {error}") from error


_FORMATS = {
    ".fits": "fits",
    ".fit": "fits",
    ".ecsv": "ecsv",
    ".vot": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
    ".hdf5": "hdf5",
    ".h5": "hdf5",
    ".csv": "csv",
}


def check_format(path):
    """The format that the ending of a path stands for; InputError if it is unknown or its extra is not installed."""
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise InputError(f"{path}: a catalogue ends in {', '.join(_FORMATS)}, not {suffix!r}")
    formats.require(_FORMATS[suffix], path)
    return _FORMATS[suffix]


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
    plain, lost, entries, rounded = Table(), [], [], []
    frames = [name for name in table.colnames if _has_a_frame(table[name])]
    table = represent_mixins_as_columns(table, exclude_classes=(u.Quantity,))
    for name in table.colnames:
        column = table[name]
        if np.ndim(column) > 1 and not images:
            lost.append(name)
            continue
        values, mask, unit = split(column)
        if values.dtype.kind == "O":
            mask = np.ma.getmaskarray(column)
            texts = np.where(mask | np.equal(np.ma.getdata(column), None), "", np.ma.getdata(column)).tolist()
            if not all(isinstance(text, str) for text in texts):
                lost.append(name)
                continue
            values = np.array(texts, dtype=str)
        elif values.dtype == np.float16:
            values = values.astype(np.float32)
        elif values.dtype.kind in "fc" and values.dtype.itemsize > 8 * (1 + (values.dtype.kind == "c")):
            values = values.astype("c16" if values.dtype.kind == "c" else "f8")
            rounded.append(name)
        elif values.dtype.kind == "S":
            values = _decoded(values)
        masked = mask is not None and mask.any()
        kind = MaskedColumn if masked else Column
        new = kind(values, unit=unit, description=column.info.description, **({"mask": mask} if masked else {}))
        meta = dict(column.info.meta or {})
        ucd = meta.pop("ucd", None)
        new.meta.update({"ucd": ucd} if ucd else {})
        entries += [f"{name}.{key}" for key in meta if not str(key).startswith("_")]
        plain.add_column(new, name=name)
    for words, names in (
        ("columns left out of the file, as its format has no place for them", lost),
        ("columns rounded to double precision in the file", rounded),
        ("meta of columns left out of the file, all but UCDs", entries),
        ("frames and scales left out of the file, in which the parts of coordinates and times are", frames),
    ):
        if names:
            _warn(f"{words}: {', '.join(names)}")
    return plain


def _decoded(values):
    """Bytes as text; those that are not UTF-8, letter by letter."""
    try:
        return np.char.decode(values, "utf-8")
    except UnicodeDecodeError:
        return np.char.decode(values, "latin-1")


def _has_a_frame(column):
    """Whether the parts of a column do not say by themselves what they are, as those of ICRS coordinates do."""
    return isinstance(column, Time | BaseCoordinateFrame) or (isinstance(column, SkyCoord) and column.name != "icrs")


def _warn(message):
    warnings.warn(message, InputWarning, stacklevel=5)


def write_fits_table(table, path, overwrite=False):
    """Write a table as the first extension of a FITS file; see `write_catalog`."""
    _check_target(path, overwrite)
    meta, plain = _meta(table), _plain(table, images=True)
    changed = _changed_descriptions(plain, fits_text)
    if changed:
        _warn(f"descriptions changed in the file, which holds lines of ASCII only: {', '.join(changed)}")
    both = [each.name for each in plain.itercols() if each.dtype.kind in "fc" and _masks_and_nan(each)]
    if both:
        _warn(f"masked values become NaN in the file, as others are: {', '.join(both)}")
    masked = [each.name for each in plain.itercols() if isinstance(each, MaskedColumn) and each.dtype.kind == "b"]
    if masked:
        _warn(f"masked values become False in the file: {', '.join(masked)}")
    blank = [each.name for each in plain.itercols() if formats.has_text(each, lambda text: text != text.rstrip(" \0"))]
    if blank:
        _warn(f"blanks at the end of text are cut off in the file: {', '.join(blank)}")
    names = fits_names(plain.colnames)
    if renamed := [f"{old!r} is {new!r}" for old, new in zip(plain.colnames, names, strict=True) if new != old]:
        _warn(f"columns have other names in the file, which takes up to 68 letters of ASCII: {', '.join(renamed)}")
        plain.rename_columns(plain.colnames, names)
    _save(path, lambda name: fits_hdus(plain, meta).writeto(name))


def _changed_descriptions(table, kept):
    """Names of columns whose description a format changes to ``kept(description)``."""
    return [each.name for each in table.itercols() if each.description and kept(each.description) != each.description]


def _masks_and_nan(column):
    """Whether a column of numbers has masked values and others that are NaN."""
    mask = np.ma.getmaskarray(column)
    return mask.any() and bool(np.isnan(np.ma.getdata(column)[~mask]).any())


def _writer(write, *, images=False, lost=None, text=str):
    """Writer of tables from one of plain columns and meta.

    ``lost`` says what the format has no place for, ``text`` what it keeps of a description.
    """

    def write_table(table, path, overwrite):
        _check_target(path, overwrite)
        meta, plain = _meta(table), _plain(table, images=images)
        missing = lost(plain, meta) if lost else ""
        if missing:
            warnings.warn(f"left out of {path}, as its format has no place for them: {missing}", InputWarning, 3)
        changed = _changed_descriptions(plain, text)
        if changed:
            warnings.warn(f"white space of descriptions changed in {path}: {', '.join(changed)}", InputWarning, 3)
        _save(path, lambda name: write(plain, meta, name))

    return write_table


_WRITERS = {
    "fits": write_fits_table,
    "ecsv": _writer(formats.write_ecsv, lost=formats.lost_in_ecsv),
    "votable": _writer(write_votable, lost=lost_in_votable, text=votable_text),
    "parquet": _writer(formats.write_parquet, lost=formats.lost_in_parquet),
    "hdf5": _writer(formats.write_hdf5, images=True),
    "csv": _writer(formats.write_csv, lost=formats.lost_in_csv),
}
_READERS = {
    "fits": read_fits_table,
    "ecsv": formats.read_ecsv,
    "votable": read_votable,
    "parquet": formats.read_parquet,
    "hdf5": formats.read_hdf5,
    "csv": formats.read_csv,
}
