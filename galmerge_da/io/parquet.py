"""Data sets in Parquet: which columns are images, and the table beside them."""

import json
import re

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from galmerge_da.exceptions import InputError
from galmerge_da.io.arrow import ParquetRows, bands_of_rows, is_flat, numbers_of_leaf
from galmerge_da.io.lazy import Frame, describe, require, stored_description

__all__ = ["open_parquet"]

#: Lists of one size with more numbers than this are taken for pixels.
MOST_NUMBERS = 100

#: Entries of the metadata of a file that are no header.
_TECHNICAL = ("ARROW:schema", "pandas", "huggingface", "table_meta_yaml")


def open_parquet(path, address, names):
    """Open a data set.

    Parameters
    ----------
    path : `~pathlib.Path`
    address : None
        A Parquet file has one table.
    names : list of str
        Columns of images.

    Returns
    -------
    `~galmerge_da.io.lazy.Frame`
        Nested and binary columns stay on disk. Entries of the file's metadata
        are the meta; ``unit``, ``description``, ``shape`` and ``dtype`` in the
        metadata of a column describe it. Rows of the Multimodal Universe
        bring a column ``pixel_scale``.

    Raises
    ------
    InputError
        If pyarrow is not installed, the file is damaged, or the shape of flat pixels is not stated.
    """
    parquet = require("pyarrow.parquet", path, "parquet")
    if address is not None:
        raise InputError(f"{path} has one table and no part {address!r}")
    try:
        with parquet.ParquetFile(path) as file:
            return _frame(file, path.absolute(), names)
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"{path} cannot be read as Parquet: {error}") from error


def _frame(file, path, names):
    schema = file.schema_arrow
    stored = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items() if key != b"ARROW:schema"}
    columns, meta = stored_description(stored.get("table_meta_yaml", "").splitlines())
    columns = {field.name: {**columns.get(field.name, {}), **_metadata(field)} for field in schema}
    kept = {field.name: field for field in schema if _in_table(field.type) and "shape" not in _metadata(field)}
    kept = {name: field for name, field in kept.items() if len(_shape(columns[name]) or ()) < 2}
    n_rows = file.metadata.num_rows
    data = file.read(columns=list(kept))
    table = Table({name: column for name in kept if (column := _column(data.column(name))) is not None})
    table.meta = {**{key: value for key, value in stored.items() if key not in _TECHNICAL}, **meta}
    describe(table, columns)
    pixels = {field.name: _rows(file, path, field, columns) for field in schema if field.name not in kept}
    for name in set(names) & set(pixels):
        if is_flat(schema.field(name).type) and _shape(columns[name]) is None:
            raise InputError(
                f"{path}: column {name!r} is flat; its metadata must state the shape, as shape = '[3, 64, 64]'"
            )
        scale = numbers_of_leaf(file, name, "scale")
        if scale is not None and "pixel_scale" not in table.colnames and "pixel_scale" not in pixels:
            table["pixel_scale"] = Column(scale, unit="arcsec", description="angle per pixel, as the images state it")
    for name in [name for name in pixels if name.endswith(".mask")]:
        if name.removesuffix(".mask") in pixels:
            pixels[name.removesuffix(".mask")].mask = pixels.pop(name)
    return Frame(table, pixels, n_rows)


def _metadata(field):
    """What is written beside a column, as text by name."""
    return {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}


def _shape(stated):
    """Shape of one row, from ``shape`` or from how astropy states it; None if nothing does."""
    text = stated.get("shape")
    if text is None:
        match = re.search(r"\[[\d, ]+\]$", stated.get("subtype") or "")
        return tuple(json.loads(match[0])) if match else None
    sides = [side.strip() for side in text.strip("[]() ").split(",") if side.strip()]
    if not sides or not all(side.isdigit() for side in sides):
        raise InputError(f"shape = {text!r} in the metadata of a column is no shape, such as '[3, 64, 64]'")
    return tuple(map(int, sides))


def _rows(file, path, field, columns):
    stated = columns[field.name]
    try:
        dtype = np.dtype(stated["dtype"]) if "dtype" in stated else np.dtype("<f4")
    except TypeError:
        raise InputError(f"{path}: dtype = {stated['dtype']!r} in the metadata of {field.name!r} is none") from None
    bands = bands_of_rows(file, field.name)
    return ParquetRows(path, field.name, file.metadata, _shape(stated), dtype, stated.get("unit"), bands)


def _in_table(kind):
    """Whether a column is one value a row, or a few numbers."""
    types = require("pyarrow.types", "Parquet", "parquet")
    if types.is_fixed_size_list(kind):
        return kind.list_size <= MOST_NUMBERS and types.is_primitive(kind.value_type)
    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind)
                or types.is_fixed_size_binary(kind) or hasattr(kind, "storage_type"))  # fmt: skip


def _column(values):
    """A column of Arrow as one of astropy; None where it has no values that a table can hold."""
    pa = require("pyarrow", "Parquet", "parquet")
    values = values.combine_chunks()
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if pa.types.is_fixed_size_list(kind):
        if values.null_count:
            return None
        return Column(values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), kind.list_size))
    if pa.types.is_decimal(kind):
        kind = pa.float64()
        values = values.cast(kind)
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        try:
            texts = values.cast(pa.string())
        except pa.ArrowInvalid:
            return None
        return _masked(np.array(texts.fill_null("").to_pylist(), dtype=str), values)
    return _masked(values.fill_null(pa.scalar(0).cast(kind)).to_numpy(zero_copy_only=False), values)


def _masked(filled, values):
    if not values.null_count:
        return Column(filled)
    return MaskedColumn(filled, mask=values.is_null().to_numpy(zero_copy_only=False))
