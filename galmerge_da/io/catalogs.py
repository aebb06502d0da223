"""Catalogues as files; units, descriptions, UCDs and flat meta survive in all formats but CSV.

The way of a table into a file lives here; the formats in `~galmerge_da.io.fits_tables`,
`~galmerge_da.io.votables` and `~galmerge_da.io.formats`. What a format cannot hold
by itself (long or lower-case keys in FITS) is kept as JSON.
"""

import os
import warnings
from pathlib import Path
from uuid import uuid4

from astropy.table import Table

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io import formats
from galmerge_da.io._types import FilePath
from galmerge_da.io.files import quiet
from galmerge_da.io.fits_tables import read_fits_table, write_fits_table
from galmerge_da.io.plain import plain_columns, plain_meta
from galmerge_da.io.readback import lost
from galmerge_da.io.votables import read_votable, write_votable

__all__ = ["check_format", "read_catalog", "write_catalog"]


def write_catalog(table: Table, path: FilePath, overwrite: bool = False) -> None:
    """Write a catalogue.

    Units, descriptions, UCDs (``column.info.meta["ucd"]``) and the entries of
    ``table.meta`` can be read back, but not from CSV. In FITS a masked float
    becomes NaN. Coordinates and times become columns of their parts
    (``where.ra``), dates text of ISO 8601, lengths of time seconds. The file is
    read back, and compared with the table, before it takes its place.

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
        missing, the file exists, or the table cannot be written in that format
        so that all its rows can be read back.

    Warns
    -----
    InputWarning
        If anything is left out of the file or comes back otherwise (columns,
        their names, units, types, masks and values, entries of meta), naming it.

    Examples
    --------
    >>> from galmerge_da import classify, simulate, write_catalog
    >>> mergers = classify(simulate(2, "sdss-jpeg", seed=1))
    >>> write_catalog(mergers, "mergers.fits", overwrite=True)
    """
    if not isinstance(table, Table):
        raise InputError(f"a catalogue must be a Table, got {type(table).__name__}")
    kind, path = check_format(path), Path(path)
    if os.path.exists(path) and not overwrite:  # False also for a name that is too long
        raise InputError(f"{path} exists; pass overwrite=True to replace it")
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}")
    temporary = path.with_name(f".{uuid4().hex[:12]}{path.suffix}")
    try:
        meta, dropped = plain_meta(table)
        plain, changed = plain_columns(table, images=kind in ("fits", "hdf5"))
        changed = {"meta entries left out of the file, as they are neither text nor numbers": dropped, **changed}
        said = [f"{what}: {', '.join(names)}" for what, names in changed.items() if names]
        with quiet():
            _WRITERS[kind](plain.copy(copy_data=kind in ("ecsv", "csv")), dict(meta), temporary)
            missing = lost(plain, meta, _READERS[kind](temporary))
        if missing:
            said.append(f"left out of {path} or changed there, as its format has no place for it: {missing}")
        for message in said:
            warnings.warn(message, InputWarning, stacklevel=2)
        os.replace(temporary, path)
    except InputWarning:
        raise
    except Exception as error:  # every format refuses tables in its own way
        raise InputError(f"{path} cannot be written: {type(error).__name__}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_catalog(path: FilePath) -> Table:
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

    Examples
    --------
    >>> from astropy.table import Table
    >>> from galmerge_da import read_catalog, write_catalog
    >>> write_catalog(Table({"id": [1, 2], "merger_prob": [0.2, 0.9]}), "few.ecsv", overwrite=True)
    >>> read_catalog("few.ecsv")["merger_prob"].tolist()
    [0.2, 0.9]
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


_WRITERS = {
    "fits": write_fits_table,
    "ecsv": formats.write_ecsv,
    "votable": write_votable,
    "parquet": formats.write_parquet,
    "hdf5": formats.write_hdf5,
    "csv": formats.write_csv,
}
_READERS = {
    "fits": read_fits_table,
    "ecsv": formats.read_ecsv,
    "votable": read_votable,
    "parquet": formats.read_parquet,
    "hdf5": formats.read_hdf5,
    "csv": formats.read_csv,
}
