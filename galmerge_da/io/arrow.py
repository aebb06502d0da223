"""Images in columns of Arrow, decoded row by row from a Parquet file that is read in batches."""

from io import BytesIO

import numpy as np
from astropy.table import Column, MaskedColumn

from galmerge_da.exceptions import InputError
from galmerge_da.io.bands import bands_of_columns
from galmerge_da.io.lazy import require
from galmerge_da.io.pictures import Picture, ShapeError, cube, to_float32

__all__ = ["ParquetRows", "bands_of_rows", "is_flat", "numbers_of_leaf"]

#: Size of a batch in memory.
BATCH_BYTES = 2**23
MOST_ROWS = 1024

#: Attributes of a column whose file is not open.
_CLOSED = {"_file": None, "_batches": None, "_batch": None, "_group": -1, "_first": 0, "_next": 0}


class ParquetRows:
    """Images of one column of a Parquet file, a sequence of what `~galmerge_da.io.pixels.RowPixels` takes.

    Rows are meant to be asked for in order; going back costs a seek to the
    row group.

    Parameters
    ----------
    path : `~pathlib.Path`
    name : str
        Column.
    metadata : `~pyarrow.parquet.FileMetaData`
    shape : tuple of int or None
        Shape of one image, where pixels are stored flat.
    dtype : `~numpy.dtype`
        Of pixels in binary columns.
    unit : str or None
    bands : tuple of str or None
        Order of the bands, where rows name them.
    """

    dtype = np.dtype(object)
    ndim = 1

    def __init__(self, path, name, metadata, shape=None, dtype=None, unit=None, bands=None):
        self._path = path
        self._name = name
        self._form = shape, dtype, unit, bands
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        self._starts = np.cumsum([0, *(group.num_rows for group in groups)])
        n_bytes = sum(group.total_byte_size for group in groups)
        self._batch_rows = int(np.clip(BATCH_BYTES * metadata.num_rows // max(n_bytes, 1), 1, MOST_ROWS))
        self._damaged = {}
        self.mask = None
        self.__dict__.update(_CLOSED)

    def __getstate__(self):
        return {**self.__dict__, **_CLOSED}

    @property
    def shape(self):
        """As that of an array of objects."""
        return (len(self),)

    @property
    def entrances(self):
        """Rows that are read without reading those before them."""
        return self._starts[:-1][np.diff(self._starts) > 0].tolist()

    def __len__(self):
        return int(self._starts[-1])

    def __getitem__(self, row):
        if not self._first <= row < self._next:
            self._advance(row)
        entry = _entry(self._batch, row - self._first, *self._form)
        if self.mask is None or entry is None:
            return entry
        return MaskedColumn(entry, mask=self.mask[row], unit=getattr(entry, "unit", None))

    def _advance(self, row):
        """Go to the batch that holds a row."""
        group = int(np.searchsorted(self._starts, row, "right")) - 1
        if group in self._damaged:
            raise InputError(self._damaged[group])
        try:
            if self._batches is None or group != self._group or row < self._first:
                self._enter(group)
            while row >= self._next:
                batch = next(self._batches)
                self._first, self._next = self._next, self._next + len(batch)
                self._batch = batch.column(self._name)
        except Exception as error:
            self.__dict__.update(_CLOSED)
            self._damaged[group] = f"{self._path.name}: row group {group} cannot be read: {error}"
            raise InputError(self._damaged[group]) from error

    def _enter(self, group):
        if self._file is None:
            parquet = require("pyarrow.parquet", self._path, "parquet")
            self._file = parquet.ParquetFile(self._path, buffer_size=2**20, pre_buffer=False)
        self._batches = self._file.iter_batches(
            batch_size=self._batch_rows, row_groups=[group], columns=[self._name], use_threads=False
        )
        self._group = group
        self._first = self._next = int(self._starts[group])


def _entry(array, index, shape, dtype, unit, bands):
    """What one row holds: an array, a `Picture`, an open file, or None."""
    scalar = array[index]
    if not scalar.is_valid:
        return None
    kind, order = array.type, None
    if hasattr(kind, "storage_type"):
        shape, order = getattr(kind, "shape", shape), getattr(kind, "permutation", None)
        scalar = array.storage[index]
    if hasattr(scalar.type, "value_type"):
        if hasattr(scalar.values, "field"):
            return _picture(scalar.values.field, _names(scalar.values.type), unit, bands)
        values = _dense(scalar.values)
    elif hasattr(scalar, "as_buffer"):
        if shape is None:
            return BytesIO(scalar.as_py())
        values = np.frombuffer(scalar.as_buffer(), dtype)
    elif "bytes" in _names(scalar.type):
        return BytesIO(scalar["bytes"].as_py()) if scalar["bytes"].is_valid else None
    else:
        return _picture(lambda name: _values(scalar[name]), _names(scalar.type), unit, bands)
    if shape is not None:
        if values.size != np.prod(shape):
            raise ShapeError(f"there are {values.size} numbers, not {' x '.join(map(str, shape))}")
        values = values.reshape(shape)
    values = values if order is None else values.transpose(order)
    return values if unit is None else Column(values, unit=unit)


def _names(kind):
    return [field.name for field in kind]


def _values(scalar):
    """The list in a field of a row; its value where it is no list; None where there is nothing."""
    if not scalar.is_valid:
        return None
    return scalar.values if hasattr(scalar, "values") else scalar.as_py()


def _dense(values):
    """Nested lists as one array; ShapeError if they are ragged."""
    shape = [len(values)]
    while hasattr(values, "value_lengths"):
        lengths = np.unique(values.value_lengths().to_numpy(zero_copy_only=False))
        if values.null_count or len(lengths) > 1:
            raise ShapeError("the rows of pixels differ in length")
        shape.append(int(lengths[0]) if len(lengths) else 0)
        values = values.flatten()
    try:
        return values.to_numpy(zero_copy_only=False).reshape(shape)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(f"pixels must be numbers, got {values.type}") from error


def _picture(get, names, unit, bands):
    """An image in the fields of the Multimodal Universe, whose masks are True where a pixel is good."""
    if "flux" not in names:
        raise InputError(f"there is neither flux nor bytes in the fields {', '.join(names)}")

    def planes(name):
        values = get(name) if name in names else None
        return None if values is None else cube(_dense(values), "CHW")

    flux, good, weight = planes("flux"), planes("mask"), planes("ivar")
    if flux is None:
        raise InputError("there is no image")
    if any(each is not None and each.shape != flux.shape for each in (good, weight)):
        raise ShapeError("flux, mask and ivar differ in shape")
    order = slice(None)
    if bands is not None:
        own = _texts(get("band"))
        if sorted(own) != sorted(bands) or len(flux) != len(bands):
            raise ShapeError(f"its bands are {','.join(own)}, not {','.join(bands)}")
        order = [own.index(band) for band in bands]
    return Picture(
        data=to_float32(flux[order]),
        mask=None if good is None else ~np.ascontiguousarray(good[order], dtype=bool),
        weight=None if weight is None else to_float32(np.where(np.isfinite(weight) & (weight > 0), weight, 0)[order]),
        unit=unit and Column(unit=unit).unit,
        header={} if bands is None else {"BANDS": ",".join(bands_of_columns(bands) or bands)},
        eight_bit=flux.dtype == np.uint8,
    )


def _texts(values):
    """Names of bands in a row."""
    values = values.to_pylist() if hasattr(values, "to_pylist") else values
    return [values] if isinstance(values, str) else [str(value) for value in values or ()]


def is_flat(kind):
    """Whether a type is lists of numbers without rows of pixels."""
    value = getattr(kind, "value_type", None)
    return not hasattr(kind, "storage_type") and value is not None and not value.num_fields


def _leaf(file, name, field):
    """Path of a field inside a column of records; None if there is none."""
    paths = [file.schema.column(number).path for number in range(len(file.schema))]
    return next((path for path in paths if path.startswith(f"{name}.") and field in path.split(".")[1:]), None)


def _rows_of_leaf(file, path, groups=None):
    """What each row holds in a field, as lists."""
    for batch in file.iter_batches(columns=[path], row_groups=groups, use_threads=False):
        for value in batch.column(0).to_pylist():
            while isinstance(value, dict):
                (value,) = value.values()
            value = [value] if not isinstance(value, list) else value
            yield [next(iter(each.values())) if isinstance(each, dict) else each for each in value]


def bands_of_rows(file, name):
    """Bands of the first row that names them; None if no row does."""
    path = _leaf(file, name, "band")
    rows = () if path is None else _rows_of_leaf(file, path)
    return next((tuple(row) for row in rows if row and all(isinstance(band, str) for band in row)), None)


def numbers_of_leaf(file, name, field):
    """The one number that each row has in a field, NaN where it has none or several; None if there is no such field."""
    path = _leaf(file, name, field)
    if path is None:
        return None
    values = [{number for number in row if number is not None} for row in _rows_of_leaf(file, path)]
    return np.array([each.pop() if len(each) == 1 else np.nan for each in values], dtype=float)
