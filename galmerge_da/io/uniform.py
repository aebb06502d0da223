"""Images of different sizes as images of one size, with a blank margin."""

import numpy as np
from astropy.table import Column

from galmerge_da.exceptions import InputError

__all__ = ["one_size"]


def one_size(table):
    """Columns of images of different sizes as arrays, each image in the middle of the largest.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As `extract_cutouts` makes it where every row has its own size.

    Returns
    -------
    `~astropy.table.Table`
        The same one where there is no such column. The margin is NaN, False in a column of
        bool, and 0 in ``weight``. The pixel ``size // 2``, on which the object is, stays that.

    Raises
    ------
    InputError
        If the images do not fit into memory.
    """
    ragged = [name for name in table.colnames if _is_ragged(table[name])]
    if not ragged:
        return table
    table = table.copy(copy_data=False)
    for name in ragged:
        old = table[name]
        values = _padded(list(old), 0 if name == "weight" else np.nan)
        table[name] = Column(values, unit=old.unit, description=old.description, meta=old.meta, copy=False)
    return table


def _is_ragged(column):
    """Whether a column holds images, one array a row, that can be stacked when they are of one size."""
    if getattr(column, "dtype", np.dtype(float)).kind != "O" or np.ndim(column) != 1 or not len(column):
        return False
    images = [image for image in column if isinstance(image, np.ndarray) and image.ndim in (2, 3)]
    same = {(image.shape[:-2], image.dtype) for image in images}
    return len(images) == len(column) and len(same) == 1 and images[0].dtype.kind in "fb"


def _padded(images, blank):
    ny, nx = np.max([image.shape[-2:] for image in images], axis=0)
    shape = (len(images), *images[0].shape[:-2], ny, nx)
    dtype = images[0].dtype
    try:
        values = np.full(shape, False if dtype.kind == "b" else blank, dtype)
    except MemoryError:
        need = 1e-9 * dtype.itemsize * np.prod(np.array(shape, float))
        raise InputError(f"{len(images)} images as large as the largest, {ny} x {nx}, need {need:.3g} GB") from None
    for row, image in enumerate(images):
        height, width = image.shape[-2:]
        bottom, left = ny // 2 - height // 2, nx // 2 - width // 2
        values[row, ..., bottom : bottom + height, left : left + width] = image
    return values
