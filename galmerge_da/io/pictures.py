"""One image, whatever it came as, as float32 planes `(C, H, W)`.

Nothing here knows about tables, files or rows.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import astropy.units as u
import numpy as np
from astropy.nddata import Cutout2D, InverseVariance, NDData

from galmerge_da.exceptions import InputError

__all__ = [
    "Picture",
    "ShapeError",
    "as_picture",
    "check_axes",
    "cube",
    "merge",
    "numbers",
    "split",
    "to_float32",
    "untensor",
]

#: Names for the axes of one image.
AXES = ("CHW", "HWC")


class ShapeError(InputError):
    """An image has the wrong number of axes or bands."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels of one galaxy.

    Attributes
    ----------
    data : `~numpy.ndarray` of float32, shape (C, H, W)
        Pixels.
    mask : `~numpy.ndarray` of bool, shape (C, H, W), or None
        True where a pixel must not be used.
    weight : `~numpy.ndarray` of float32, shape (C, H, W), or None
        Inverse variance.
    unit : `~astropy.units.UnitBase` or None
        Unit of the pixels.
    wcs : `~astropy.wcs.WCS` or None
        World coordinates.
    stretched : bool
        True for a colour picture.
    header : mapping
        Facts that the file states.
    eight_bit : bool
        True where the pixels were stored as unsigned bytes.
    zero_points : tuple of float, or None
        AB magnitude of one unit of flux in each band, where the header states it and the unit does not.
    """

    data: np.ndarray
    mask: np.ndarray | None = None
    weight: np.ndarray | None = None
    unit: u.UnitBase | None = None
    wcs: object = None
    stretched: bool = False
    header: Mapping = field(default_factory=dict)
    eight_bit: bool = False
    zero_points: tuple | None = None


def check_axes(axes):
    """Refuse anything but the known orders of axes (InputError)."""
    if axes not in AXES:
        raise InputError(f"axes must be one of {', '.join(map(repr, AXES))}, got {axes!r}")


def to_float32(values):
    """Pixels as a contiguous, native-endian float32 array; InputError if they are not real numbers."""
    values = np.asarray(values)
    if values.dtype.kind == "O":  # numbers all the same, as pandas and columns of mixed origin keep them
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            raise InputError("pixels must be real numbers, got objects that are not") from None
    if values.dtype.kind not in "fiub":
        raise InputError(f"pixels must be real numbers, got dtype {values.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def untensor(values):
    """A numpy array where ``values`` is a tensor (of any device or precision), else ``values`` itself."""
    if not hasattr(values, "detach"):
        return values
    values = values.detach().cpu()
    try:
        return values.numpy()
    except TypeError:  # precisions that numpy lacks, such as bfloat16
        return values.float().numpy()


def split(values):
    """Take pixels, mask and unit apart.

    Parameters
    ----------
    values : array_like
        An array, masked array, Quantity, table column or tensor.

    Returns
    -------
    values : `~numpy.ndarray`
        The numbers, not copied where possible.
    mask : `~numpy.ndarray` of bool, same shape, or None
    unit : `~astropy.units.UnitBase` or None
    """
    values = untensor(values)
    unit = getattr(values, "unit", None)
    mask = getattr(values, "mask", None)
    if mask is np.ma.nomask:
        mask = None
    if mask is not None:
        mask = np.asarray(mask, dtype=bool)
        values = values.unmasked if hasattr(values, "unmasked") else np.ma.getdata(values)
    return np.asarray(values), mask, None if unit is None else u.Unit(unit)


def numbers(column):
    """A column or Quantity as float64 without unit, NaN where masked; ValueError or TypeError if it is not numeric."""
    values, mask, _ = split(column)
    values = np.asarray(values, dtype=float)
    return values if mask is None else np.where(mask, np.nan, values)


def cube(values, axes):
    """One image ``(H, W)``, ``(C, H, W)`` or ``(H, W, C)`` as a view ``(C, H, W)``; ShapeError otherwise."""
    if values.ndim == 2:
        return values[None]
    if values.ndim != 3:
        raise ShapeError(f"an image must have 2 or 3 axes, got shape {values.shape}")
    return np.moveaxis(values, -1, 0) if axes == "HWC" else values


def _plane(values, axes, shape, what, dtype):
    """A mask or weight as an array of the image's ``shape``."""
    values = np.asarray(values)
    if values.ndim in (2, 3):
        values = cube(values, axes)
    try:
        return np.ascontiguousarray(np.broadcast_to(values, shape), dtype=dtype)
    except ValueError:
        raise ShapeError(f"the {what} has shape {values.shape}, its image {shape}") from None


def join_masks(*masks):
    """The logical or of all masks that are not None, which broadcast; None if all are."""
    masks = [mask for mask in masks if mask is not None]
    return reduce(np.logical_or, masks) if masks else None


def as_picture(entry, axes="CHW", mask=None):
    """Make a `Picture` of an array, masked array, Quantity, tensor, NDData or Cutout2D.

    Parameters
    ----------
    entry : object
        What a user holds for one galaxy.
    axes : {"CHW", "HWC"}
        Order of the axes of a three-dimensional image.
    mask : array_like of bool, shape (H, W) or that of the image, optional
        True where a pixel must not be used, added to the entry's own mask.

    Returns
    -------
    Picture

    Raises
    ------
    InputError
        If there is no image, or its pixels are not numbers.
    ShapeError
        If the number of axes, or the shape of a mask or weight, is wrong.
    """
    if entry is None or entry is np.ma.masked:
        raise InputError("there is no image")
    unit = uncertainty = own_mask = None
    wcs = entry.wcs if isinstance(entry, (NDData, Cutout2D)) else None
    if isinstance(entry, NDData):
        unit, uncertainty, own_mask = entry.unit, entry.uncertainty, entry.mask
    values, inner_mask, inner_unit = split(entry.data if isinstance(entry, (NDData, Cutout2D)) else entry)
    data = to_float32(cube(values, axes))
    masks = [_plane(each, axes, data.shape, "mask", bool) for each in (own_mask, inner_mask, mask) if each is not None]
    return Picture(
        data=data,
        mask=join_masks(*masks),
        weight=_weight(uncertainty, axes, data.shape),
        unit=unit or inner_unit,
        wcs=wcs,
        eight_bit=values.dtype == np.uint8,
    )


def _weight(uncertainty, axes, shape):
    """Inverse variance of an NDData uncertainty; None where its kind has none."""
    try:
        with np.errstate(divide="ignore"):
            weight = uncertainty.represent_as(InverseVariance).array
    except (AttributeError, TypeError):  # none, or a kind without a variance
        return None
    weight = _plane(weight, axes, shape, "uncertainty", np.float32)
    return np.where(np.isfinite(weight), weight, np.float32(0))


def convert(picture, unit):
    """The factor that brings a picture to ``unit``; InputError where there is none."""
    if unit is None or picture.unit is None or picture.unit == unit:
        return 1.0
    try:
        return picture.unit.to(unit)
    except u.UnitConversionError:
        raise InputError(f"its unit is {picture.unit}, that of the others {unit}") from None


def merge(pictures):
    """Stack pictures of one galaxy in single bands to one `Picture`.

    Parameters
    ----------
    pictures : list of Picture
        One a band, or one that has them all.

    Returns
    -------
    Picture
        WCS, unit and header are those of the first.

    Raises
    ------
    ShapeError
        If one of several has more than one band, or another size.
    InputError
        If the units cannot be converted to that of the first.
    """
    first = pictures[0]
    if len(pictures) == 1:
        return first
    shapes = [picture.data.shape for picture in pictures]
    if any(shape != (1, *shapes[0][1:]) for shape in shapes):
        raise ShapeError(f"images in single bands must have two axes and one size, got shapes {shapes}")
    factors = [convert(picture, first.unit) for picture in pictures]
    data = np.concatenate(
        [p.data if f == 1 else p.data * np.float32(f) for p, f in zip(pictures, factors, strict=True)]
    )
    mask = weight = None
    if any(p.mask is not None for p in pictures):
        mask = np.concatenate([np.zeros(p.data.shape, bool) if p.mask is None else p.mask for p in pictures])
    if all(p.weight is not None for p in pictures):
        weight = np.concatenate([p.weight / np.float32(f) ** 2 for p, f in zip(pictures, factors, strict=True)])
    zero_points = None
    if all(p.zero_points is not None for p in pictures):
        zero_points = tuple(p.zero_points[0] + 2.5 * math.log10(f) for p, f in zip(pictures, factors, strict=True))
    eight_bit = all(p.eight_bit for p in pictures)
    return Picture(data, mask, weight, first.unit, first.wcs, False, first.header, eight_bit, zero_points)
