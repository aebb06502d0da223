"""`Cutouts`: what every reader gives, whatever the user held."""

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from numpy.typing import NDArray

__all__ = ["Cutouts"]


@dataclass(frozen=True, eq=False)
class Cutouts:
    """Images of galaxies, one row each, with what is known about them.

    Attributes
    ----------
    data : `~numpy.ndarray` of float32, shape (N, C, H, W), or list of (C, H_i, W_i)
        Pixels, native-endian. They may share memory with the input: do not
        write to them. A list where sizes differ. An image that could not be
        read is an array of shape (C, 0, 0) in a list, or NaN in an array.
    mask : same layout of bool, or None
        True where a pixel must not be used.
    weight : same layout of float32, or None
        Inverse variance.
    bands : tuple of str, or None
        Names of the bands, in the order of the first axis; None if unknown.
    unit : `~astropy.units.UnitBase` or None
        Unit of the pixels.
    pixel_scale : `~astropy.units.Quantity` or None
        Angle per pixel: scalar, or (N,) with NaN where unknown.
    psf_fwhm : `~astropy.units.Quantity` or None
        Angle: scalar, (C,) or (N, C).
    zero_point : `~astropy.units.Quantity`, shape (C,), or None
        AB magnitude of one unit of flux; None for pictures, and where unknown.
    depth : `~astropy.units.Quantity`, shape (C,), or None
        AB magnitude of a point source at five times the noise of the survey
        that they are stated to be of.
    radius : `~numpy.ndarray` of float64, shape (N,), or None
        Petrosian radius in pixels; NaN where unknown.
    radii_per_pixel : float or None
        Petrosian radii per pixel, where frames scale with the galaxy.
    stretched : bool
        True for 8-bit pictures.
    wcs : list of `~astropy.wcs.WCS` or None, or None
        World coordinates of each image.
    row : `~numpy.ndarray` of int64, shape (N,)
        Position of each image in the input.
    table : `~astropy.table.Table`
        The user's columns without pixels, N rows.
    flags : `~numpy.ndarray` of int32, shape (N,)
        Bits of `~galmerge_da.Flag`.
    """

    data: NDArray[Any] | list[NDArray[Any]]
    row: NDArray[np.int64]
    table: Table
    flags: NDArray[np.int32]
    bands: tuple[str, ...] | None = None
    mask: NDArray[np.bool_] | list[NDArray[np.bool_]] | None = None
    weight: NDArray[Any] | list[NDArray[Any]] | None = None
    unit: u.UnitBase | None = None
    pixel_scale: u.Quantity | None = None
    psf_fwhm: u.Quantity | None = None
    zero_point: u.Quantity | None = None
    depth: u.Quantity | None = None
    radius: NDArray[np.float64] | None = None
    radii_per_pixel: float | None = None
    stretched: bool = False
    wcs: list[WCS | None] | None = None

    def __len__(self) -> int:
        return len(self.row)
