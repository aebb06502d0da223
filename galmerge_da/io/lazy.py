"""Columns of pixels that stay in a file until their rows are asked for."""

import importlib

import numpy as np
from astropy.table import Column, MaskedColumn
from astropy.table.meta import get_header_from_yaml

from galmerge_da.exceptions import InputError

__all__ = ["Frame", "LazyArray", "describe", "require", "stored_description"]


def require(module, path, extra):
    """An optional library; InputError that says how to get it where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise InputError(f"{path}: this needs {library}: python -m pip install 'galmerge_da[{extra}]'") from error


class Frame:
    """A table whose columns of pixels stay on disk.

    Parameters
    ----------
    table : `~astropy.table.Table`
        The other columns.
    pixels : dict
        Columns of pixels by name: indexed by rows, with ``len``, ``shape``, ``ndim`` and ``dtype``.
    n_rows : int
    """

    def __init__(self, table, pixels, n_rows):
        self.table = table
        self.pixels = pixels
        self._n_rows = n_rows

    @property
    def colnames(self):
        """Names of all columns."""
        return [*self.table.colnames, *self.pixels]

    def __len__(self):
        return self._n_rows

    def __getitem__(self, name):
        return self.pixels[name] if name in self.pixels else self.table[name]


class LazyArray:
    """An array with a row a galaxy, read slice by slice.

    Parameters
    ----------
    read : callable
        ``read(slice)`` gives the rows as an array.
    shape : tuple of int
    dtype : `~numpy.dtype`
    unit : str, optional
    mask : LazyArray, optional
        True where a pixel must not be used.
    description : str, optional
    """

    def __init__(self, read, shape, dtype, unit=None, mask=None, description=None):
        self._read = read
        self.shape = shape
        self.ndim = len(shape)
        self.dtype = dtype
        self._unit = unit
        self.mask = mask
        self.description = description

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        if not isinstance(rows, slice):
            return self[rows : rows + 1][0]
        values = self._read(rows)
        if self.mask is not None:
            return MaskedColumn(values, mask=self.mask[rows], unit=self._unit)
        return values if self._unit is None else Column(values, unit=self._unit)


def stored_description(lines):
    """What astropy wrote beside a table in HDF5 or Parquet.

    Parameters
    ----------
    lines : iterable of str
        The YAML; none at all where astropy did not write the table.

    Returns
    -------
    columns : dict
        Of every column by name: ``unit``, ``description``, ``subtype``, ...
    meta : dict
    """
    lines = list(lines)
    try:
        header = get_header_from_yaml(lines) if lines else {}
    except Exception:  # the pixels are good without it
        header = {}
    meta = {key: value for key, value in header.get("meta", {}).items() if key != "__serialized_columns__"}
    return {column["name"]: column for column in header.get("datatype", ())}, meta


def describe(table, columns):
    """Give the columns of a table the unit, description and meta that `stored_description` found, in place.

    Masks that astropy stored as columns of their own (``x.mask``) become masks again.
    """
    for name in [name for name in table.colnames if name.endswith(".mask")]:
        values = name.removesuffix(".mask")
        if values in table.colnames and table[name].dtype == bool and table[name].shape == table[values].shape:
            table[values] = MaskedColumn(table[values], mask=np.asarray(table[name]))
            table.remove_column(name)
    for name in table.colnames:
        stored = columns.get(name, {})
        table[name].info.unit = stored.get("unit")
        table[name].info.description = stored.get("description")
        table[name].info.meta = stored.get("meta") or {}
