"""Data sets in HDF5: tables of astropy and h5py, and groups with one array a column."""

import warnings
from functools import partial

import numpy as np
from astropy.table import Table

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io.lazy import Frame, LazyArray, describe, require, stored_description
from galmerge_da.options import suggest

__all__ = ["open_hdf5"]

#: What astropy appends to the name of a table for its description.
_DESCRIPTION = ".__table_column_meta__"


def open_hdf5(path, address, names):
    """Open a data set.

    Parameters
    ----------
    path : `~pathlib.Path`
    address : str or None
        Group or table in the file; the first one that has the columns by default.
    names : list of str
        Columns of images.

    Returns
    -------
    `~galmerge_da.io.lazy.Frame`
        Arrays with three axes or more stay on disk. Attributes are the meta;
        ``unit`` or ``units`` of an array is its unit.

    Raises
    ------
    InputError
        If h5py is not installed, the file is damaged, or there is no such group or column.
    """
    h5py = require("h5py", path, "hdf5")
    try:
        with h5py.File(path, "r") as file:
            node = _find(h5py, file, path, address, names)
            if isinstance(node, h5py.Dataset):
                frame = _of_table(h5py, file, node, path)
            else:
                frame = _of_group(h5py, node, path, names[0])
            frame.table.meta = {**_attributes(file), **_attributes(node), **frame.table.meta}
            return frame
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"{path} cannot be read as HDF5: {error}") from error


def _columns(h5py, node):
    """Names of the columns of a group or table; none if it is neither."""
    if isinstance(node, h5py.Dataset):
        return node.dtype.names or () if node.ndim == 1 else ()
    arrays = {name: node.get(name) for name in node}
    return [
        name
        for name, each in arrays.items()
        if isinstance(each, h5py.Dataset) and each.ndim and _plain(h5py, each.dtype)
    ]


def _plain(h5py, dtype):
    """Whether values are numbers or text."""
    return dtype.kind in "biufS" or h5py.check_string_dtype(dtype) is not None


def _find(h5py, file, path, address, names):
    """The group or table with the columns."""
    if address is not None:
        address = str(address)
        if address not in file:
            raise InputError(f"{path} has no group {address!r}")
        nodes = [file[address]]
    else:
        nodes = [file]
        file.visititems(lambda name, node: nodes.append(node))
    found = [node for node in nodes if set(names) <= set(_columns(h5py, node))]
    if found:
        return found[0]
    known = {name for node in nodes for name in _columns(h5py, node) if not name.endswith(_DESCRIPTION)}
    missing = next((name for name in names if name not in known), names[0])
    raise InputError(f"{path}: there is no column {missing!r} for the images{suggest(missing, sorted(known))}")


def _of_table(h5py, file, node, path):
    """A dataset of records, as ``Table.write`` and h5py make them."""
    stored = file.get(node.name + _DESCRIPTION)
    columns, meta = stored_description([] if stored is None else (line.decode() for line in stored[:]))
    kinds = {name: node.dtype[name] for name in node.dtype.names if _plain(h5py, node.dtype[name].base)}
    pixels = {
        name: _lazy(path, node.name, name, (len(node), *kind.shape), kind.base, columns.get(name, {}))
        for name, kind in kinds.items()
        if len(kind.shape) > 1
    }
    table = Table(
        {name: _whole(node.fields(name)[:], kind.base, h5py) for name, kind in kinds.items() if name not in pixels}
    )
    table.meta = meta
    describe(table, columns)
    return Frame(table, _masked(pixels), len(node))


def _of_group(h5py, group, path, image):
    """A group with one array a column, as many rows as the images have."""
    arrays = {name: group[name] for name in _columns(h5py, group)}
    n_rows = len(group[image])
    others = [name for name, array in arrays.items() if len(array) != n_rows]
    if others:
        warnings.warn(
            f"{path}: left out for a number of rows other than {n_rows}: {', '.join(others)}",
            InputWarning,
            stacklevel=2,
        )
    arrays = {name: array for name, array in arrays.items() if name not in others}
    units = {name: {"unit": _unit(array)} for name, array in arrays.items()}
    pixels = {
        name: _lazy(path, array.name, None, array.shape, array.dtype, units[name])
        for name, array in arrays.items()
        if array.ndim > 2
    }
    table = Table({name: _whole(array[:], array.dtype, h5py) for name, array in arrays.items() if name not in pixels})
    describe(table, units)
    return Frame(table, _masked(pixels), n_rows)


def _lazy(path, address, field, shape, dtype, stated):
    """A column that opens the file for every slice, so that it can be sent to another process."""
    known = {name: stated.get(name) for name in ("unit", "description")}
    return LazyArray(partial(_read, path.absolute(), address, field), shape, dtype, **known)


def _read(path, address, field, rows):
    h5py = require("h5py", path, "hdf5")
    try:
        with h5py.File(path, "r") as file:
            return (file[address] if field is None else file[address].fields(field))[rows]
    except Exception as error:
        raise InputError(f"{path}: rows {rows.start} to {rows.stop} cannot be read: {error}") from error


def _masked(pixels):
    """Columns of pixels, with those that astropy stored as masks joined to what they mask."""
    for name in [name for name in pixels if name.endswith(".mask")]:
        column = pixels.get(name.removesuffix(".mask"))
        if column is not None and column.shape == pixels[name].shape:
            column.mask = pixels.pop(name)
    return pixels


def _whole(values, dtype, h5py):
    """A column that is read at once; text as text."""
    if h5py.check_string_dtype(dtype) is not None or dtype.kind == "S":
        return np.char.decode(np.asarray(values).astype(bytes), "utf-8", "replace")
    return values


def _unit(array):
    unit = array.attrs.get("unit", array.attrs.get("units"))
    return unit.decode() if isinstance(unit, bytes) else unit if isinstance(unit, str) else None


def _attributes(node):
    """Attributes that are one value, as plain values."""
    found = {}
    for key, value in node.attrs.items():
        value = value.item() if isinstance(value, (np.generic, np.ndarray)) and np.size(value) == 1 else value
        found[key] = value.decode() if isinstance(value, bytes) else value
    return {key: value for key, value in found.items() if isinstance(value, (str, int, float, bool))}
