"""Rows of pixels, read a block at a time: from arrays, from one entry a row, or from `Cutouts`.

Every class has `n_rows`, `n_bands`, `unit`, `stretched`, `eight_bit` (None
where no image can be read), `n_pixels` (of a typical image), `has_wcs`,
`facts` and `zero_points` (what files state) and `read`.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column

from galmerge_da.exceptions import InputError
from galmerge_da.flags import Flag
from galmerge_da.io.cutouts import Cutouts
from galmerge_da.io.files import read_picture
from galmerge_da.io.pictures import (
    Picture,
    ShapeError,
    as_picture,
    convert,
    cube,
    join_masks,
    merge,
    split,
    to_float32,
    untensor,
)

__all__ = ["ArrayPixels", "Block", "HeldPixels", "RowPixels", "is_path", "size_flag"]

#: An image with fewer pixels than this on a side is flagged.
SMALLEST = 10

#: More bands than this, on an image that is narrower, means that the axes are in another order.
MOST_BANDS = 12


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive rows; the attributes are those of `Cutouts`, `problems` says why rows are unreadable."""

    data: np.ndarray | list
    flags: np.ndarray
    mask: np.ndarray | list | None = None
    weight: np.ndarray | list | None = None
    wcs: list | None = None
    problems: list = field(default_factory=list)


def is_path(entry):
    """Whether an entry of a column names a file."""
    return isinstance(entry, (str, bytes, PathLike))


def size_flag(shape):
    """The flag of an image of a shape ``(C, H, W)``, or 0."""
    height, width = shape[-2:]
    if not (shape[0] and height and width):
        return Flag.BAD_SHAPE
    return Flag.TOO_SMALL if min(height, width) < SMALLEST else 0


def _check_order(shape, axes):
    """Refuse images whose bands are clearly on another axis."""
    n_bands, *sides = shape
    if n_bands > MOST_BANDS and 0 < min(sides) <= MOST_BANDS:
        other = "CHW" if axes == "HWC" else "HWC"
        raise InputError(f"with axes={axes!r} the images have {n_bands} bands of {sides} pixels; is it axes={other!r}?")


class ArrayPixels:
    """One array with a row a galaxy, or one array a band.

    Parameters
    ----------
    columns : list of array_like
        One ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``, or several
        ``(N, H, W)``; masked arrays and Quantities too.
    axes : {"CHW", "HWC"}
    mask : list of array_like of bool, or None
        One for all columns, or one each.
    weight : array_like, or None
        Inverse variance, of the shape of a single column.

    Raises
    ------
    InputError
        If the shapes or units do not fit each other.
    """

    stretched = False
    has_wcs = False
    zero_points = None

    def __init__(self, columns, axes, mask=None, weight=None):
        self._columns = [untensor(column) for column in columns]
        self._axes = axes
        shapes = [np.shape(column) for column in self._columns]
        first = shapes[0]
        if len(first) not in (3, 4) or (len(shapes) > 1 and len(first) != 3):
            wanted = "(N, H, W) or with bands (N, C, H, W)" if len(shapes) == 1 else "(N, H, W) in every band"
            raise InputError(f"images must have shape {wanted}, got {first}")
        if any(shape != first for shape in shapes):
            raise InputError(f"the images of all bands must have one shape, got {shapes}")
        probe = [split(column[:1]) for column in self._columns]
        for values, _, _ in probe:
            to_float32(values[:0])
        self.unit = probe[0][2]
        self.eight_bit = all(values.dtype == np.uint8 for values, _, _ in probe)
        self._factors = [_factor(unit, self.unit) for _, _, unit in probe]
        self.n_rows = first[0]
        if len(first) == 3:
            self._shape = (len(shapes), *first[1:])
        else:
            self._shape = (first[3], *first[1:3]) if axes == "HWC" else first[1:]
        _check_order(self._shape, axes)
        self.n_bands = self._shape[0]
        self.n_pixels = int(np.prod(self._shape))
        self.facts = {}
        self._weight = weight
        self._masks = [untensor(each) for each in mask or []]
        for each in self._masks:
            if np.shape(each) not in (first, (first[0], *self._shape[1:])):
                raise InputError(f"the mask has shape {np.shape(each)}, the images {first}")

    def read(self, start, stop):
        """Rows ``start`` to ``stop`` as a `Block`."""
        data, masks = [], []
        for column, factor in zip(self._columns, self._factors, strict=True):
            values, mask, _ = split(column[start:stop])
            values = to_float32(self._cubes(values))
            data.append(values if factor == 1 else values * np.float32(factor))
            masks.append(None if mask is None else self._cubes(mask))
        mask = None
        if any(each is not None for each in masks):
            masks = [np.zeros(values.shape, bool) if each is None else each for each in masks]
            mask = np.concatenate(masks, axis=1)
        data = data[0] if len(data) == 1 else np.concatenate(data, axis=1)
        given = [self._cubes(np.asarray(each[start:stop], dtype=bool)) for each in self._masks]
        mask = join_masks(mask, np.concatenate(given, axis=1) if given else None)
        if mask is not None:
            mask = np.ascontiguousarray(np.broadcast_to(mask, data.shape))
        weight = None if self._weight is None else to_float32(self._cubes(split(self._weight[start:stop])[0]))
        return Block(data, np.full(len(data), int(size_flag(self._shape)), dtype=np.int32), mask, weight)

    def _cubes(self, values):
        """Rows of images as ``(n, C, H, W)``."""
        if values.ndim == 3:
            return values[:, None]
        return np.moveaxis(values, -1, 1) if self._axes == "HWC" else values


def _factor(unit, wanted):
    """What brings ``unit`` to ``wanted``; InputError if nothing does."""
    if unit is None and wanted is None:
        return 1.0
    try:
        return unit.to(wanted)
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"the bands have units {wanted} and {unit}, which do not convert") from None


class RowPixels:
    """One entry a row, or one a row and band: a path, an array, an NDData, a Cutout2D.

    Parameters
    ----------
    columns : list of sequence
        One with whole images, or several with single bands.
    axes : {"CHW", "HWC"}
    folder : path-like, optional
        What relative paths start from; the working directory by default.
    mask : list of sequence, or None
        One array of bool a row: one for all columns, or one each.
    n_bands : int, optional
        Number of bands that every image must have, if any of a sample has it; otherwise what most of a sample have.
    zero_points : bool, optional
        Whether images are brought to the zero points of the first that states some.
    weight : sequence, or None
        Inverse variance of each row of a single column.

    Raises
    ------
    InputError
        If columns differ in length, or the bands of images are clearly on another axis.
    """

    def __init__(self, columns, axes, folder=None, mask=None, n_bands=None, zero_points=True, weight=None):
        self._columns = columns
        self._axes = axes
        self._folder = Path(folder or "")
        self._masks = mask or []
        self._weight = weight
        self.n_rows = len(columns[0])
        if any(len(each) != self.n_rows for each in (*columns, *self._masks)):
            raise InputError(f"columns differ in length: {[len(each) for each in (*columns, *self._masks)]}")
        sample = self._sample()
        for picture in sample:
            _check_order(picture.data.shape, axes)
        votes = Counter(len(picture.data) for picture in sample)
        if votes and n_bands not in votes:
            n_bands = votes.most_common(1)[0][0]
        elif n_bands is None:
            n_bands = len(columns)
        sample = [picture for picture in sample if len(picture.data) == n_bands]
        self.n_bands = n_bands
        self.stretched = bool(sample) and Counter(p.stretched for p in sample).most_common(1)[0][0]
        self.eight_bit = all(p.eight_bit for p in sample) if sample else None
        stated = (p.unit for p in sample if p.unit is not None)
        self.unit = next(stated, columns[0].unit if isinstance(columns[0], Column) else None)
        self.facts = sample[0].header if sample else {}
        stated = (self._zero_points_of(p) for p in sample if zero_points and p.zero_points is not None)
        self.zero_points = next(stated, None)
        self.has_wcs = any(p.wcs is not None for p in sample)
        self.n_pixels = max((p.data.size for p in sample), default=1)

    def _sample(self, wanted=5, tries=100):
        """A few pictures that can be read, from all over the column; none only if no row can be read."""
        spread = np.linspace(0, self.n_rows - 1, wanted).astype(int) if self.n_rows else []
        entrances = getattr(self._columns[0], "entrances", spread)
        if len(entrances):
            spread = [entrances[index] for index in np.linspace(0, len(entrances) - 1, wanted).astype(int)]
        found = []
        for tried, index in enumerate(dict.fromkeys([*spread, *range(self.n_rows)])):
            if found and tried >= tries:
                break
            try:
                found.append(self._picture(int(index)))
            except Exception:  # read() will flag this row and say why
                continue
            if len(found) == wanted:
                break
        return found

    def _picture(self, index):
        """The `Picture` of one row; an error if there is none."""
        pictures = []
        masks = self._masks if len(self._masks) == len(self._columns) else self._masks * len(self._columns)
        for position, column in enumerate(self._columns):
            entry = column[index]
            mask = masks[position][index] if masks else None
            if not is_path(entry) and not isinstance(entry, (BytesIO, Picture)):
                pictures.append(as_picture(entry, self._axes, mask))
                continue
            picture = entry if isinstance(entry, Picture) else self._file(entry)
            if mask is not None:
                given = as_picture(picture.data, mask=mask).mask
                picture = replace(picture, mask=join_masks(picture.mask, given))
            pictures.append(picture)
        picture = merge(pictures)
        if self._weight is None:
            return picture
        weight = to_float32(cube(split(self._weight[index])[0], self._axes))
        if weight.shape != picture.data.shape:
            raise ShapeError(f"its weight has shape {weight.shape}, the image {picture.data.shape}")
        return replace(picture, weight=weight)

    def _file(self, entry):
        """The `Picture` in a file, or in the bytes of one."""
        if isinstance(entry, BytesIO):
            return read_picture(entry, self._axes)
        name = entry.decode() if isinstance(entry, bytes) else fspath(entry)
        if not name.strip():
            raise InputError("the path is empty")
        return read_picture(self._folder / name, self._axes)

    def _checked(self, index):
        """The `Picture` of one row, fit to stand beside the others."""
        picture = self._picture(index)
        if len(picture.data) != self.n_bands:
            raise ShapeError(f"it has {len(picture.data)} band(s), not {self.n_bands}")
        if picture.stretched != self.stretched:
            raise InputError("colour pictures and linear images are mixed")
        factor = convert(picture, self.unit)
        if self.zero_points is not None and picture.zero_points is not None:
            factor = factor * 10 ** (0.4 * (self.zero_points - self._zero_points_of(picture)))[:, None, None]
        factor = np.float32(factor)
        if np.all(factor == 1):
            return picture
        weight = None if picture.weight is None else picture.weight / factor**2
        return replace(picture, data=picture.data * factor, weight=weight)

    def _zero_points_of(self, picture):
        """AB magnitude of one of our units of flux on a picture, one a band."""
        return np.array(picture.zero_points) + 2.5 * np.log10(convert(picture, self.unit))

    def read(self, start, stop):
        """Rows ``start`` to ``stop`` as a `Block`."""
        pictures, problems = [], []
        flags = np.zeros(stop - start, dtype=np.int32)
        for index in range(start, stop):
            try:
                picture = self._checked(index)
                flags[index - start] = size_flag(picture.data.shape)
            except Exception as error:
                picture = None
                flags[index - start] = Flag.BAD_SHAPE if isinstance(error, ShapeError) else Flag.UNREADABLE
                problems.append((index, error))
            pictures.append(picture)
        return self._block(pictures, flags, problems)

    def _block(self, pictures, flags, problems):
        good = [picture for picture in pictures if picture is not None]
        shapes = {picture.data.shape for picture in good}
        missing = (self.n_bands, 0, 0)
        if len(shapes) == 1:
            missing = shapes.pop()
            collect = np.stack
        else:
            collect = list

        def gather(name, dtype, absent):
            """One attribute of all pictures; ``absent`` where a picture is missing or lacks it."""
            values = []
            for picture in pictures:
                value = None if picture is None else getattr(picture, name)
                shape = missing if picture is None else picture.data.shape
                values.append(np.full(shape, absent, dtype) if value is None else value)
            return collect(values)

        return Block(
            data=gather("data", np.float32, np.nan),
            mask=gather("mask", bool, False) if any(p.mask is not None for p in good) else None,
            weight=gather("weight", np.float32, 0) if good and all(p.weight is not None for p in good) else None,
            wcs=[p and p.wcs for p in pictures] if any(p.wcs is not None for p in good) else None,
            flags=flags,
            problems=problems,
        )


class HeldPixels:
    """Rows of a `Cutouts` that is already there."""

    def __init__(self, cutouts: Cutouts):
        self._cutouts = cutouts
        self.n_rows = len(cutouts)
        self.unit = cutouts.unit
        self.stretched = cutouts.stretched
        self.eight_bit = False
        self.facts: dict[str, Any] = {}
        self.zero_points = None
        self.has_wcs = cutouts.wcs is not None
        shapes = {np.shape(image) for image in cutouts.data}
        votes = Counter(np.shape(image)[0] for image in cutouts.data if np.size(image))
        self.n_bands = votes.most_common(1)[0][0] if votes else len(cutouts.bands or ())
        self.n_pixels = max((int(np.prod(shape)) for shape in shapes), default=1)

    def read(self, start, stop):
        """Rows ``start`` to ``stop`` as a `Block`."""
        held = self._cutouts

        def rows(values):
            return values[start:stop] if isinstance(values, (list, np.ndarray)) else values

        return Block(rows(held.data), rows(held.flags), rows(held.mask), rows(held.weight), rows(held.wcs))
