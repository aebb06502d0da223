"""A window of one image on the pixel grid of another."""

import re

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs import Sip
from astropy.wcs.utils import proj_plane_pixel_area

from galmerge_da.exceptions import InputError
from galmerge_da.io.files import quiet
from galmerge_da.io.layers import pixel_size
from galmerge_da.io.lazy import require
from galmerge_da.io.positions import sky_of

__all__ = ["regrid", "same_grid"]

#: Two images are on one grid where their corners are closer than this, in pixels.
_SAME = 0.1

#: Ratio of the areas of new and old pixels from which interpolation would leave flux out.
_COARSER = 1.1

#: Pixels around the window that resampling may need.
_MARGIN = 3


def same_grid(wcs, other, shape):
    """Whether the corners of two images of one shape lie together, as far as that is known.

    Parameters
    ----------
    wcs, other : `~astropy.wcs.WCS` or None
    shape : (int, int)
        Height and width.

    Returns
    -------
    bool
        True where one has no WCS.
    """
    if wcs is other or wcs is None or other is None:
        return True
    height, width = shape
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], dtype=float)
    first, second = (SkyCoord(*sky_of(*corners.T, each), unit=u.deg) for each in (wcs, other))
    return bool(np.all(first.separation(second).arcsec < _SAME * pixel_size(wcs)))


def regrid(layer, wcs, corner, shape):
    """A window of a layer on another grid, flux conserved.

    Where the new pixels are larger than the old ones, each is the mean of those it covers,
    weighted by area (``reproject_exact``); else bilinear interpolation. Values per solid
    angle stay what they are, others are multiplied by the ratio of the areas of the pixels.

    Parameters
    ----------
    layer : Layer
    wcs : celestial `~astropy.wcs.WCS`
        The other grid.
    corner : (int, int)
        Row and column of the first pixel of the window on it.
    shape : (int, int)
        Of the window.

    Returns
    -------
    data : `~numpy.ndarray` of float32, shape (C, ny, nx)
        NaN where there is nothing, or something masked.
    weight : like it, or None
        Inverse variance, as if the errors of pixels stayed independent.
    whole : bool
        Whether the layer covers all of the window.
    masked : bool
        Whether a pixel of the layer there is masked or without weight.

    Raises
    ------
    InputError
        If reproject is not installed, or a WCS has distortions in tables.
    """
    reproject = require("reproject", layer.origin or "images on different pixel grids", "reproject")
    target = shifted(wcs, *corner)
    n_bands, height, width = layer.shape
    y, x = np.mgrid[-0.5 : shape[0], -0.5 : shape[1]]
    with quiet():
        x, y = layer.wcs.world_to_pixel_values(*target.pixel_to_world_values(x, y))
    data = np.full((n_bands, *shape), np.nan, dtype=np.float32)
    weight = None if layer.weight is None else np.zeros_like(data)
    if not (np.isfinite(x).any() and np.isfinite(y).any()):
        return data, weight, False, False
    y1, y2 = _range(y, height)
    x1, x2 = _range(x, width)
    if y1 >= y2 or x1 >= x2:
        return data, weight, False, False
    values, own_weight, bad = layer.window(y1, y2, x1, x2)
    source = shifted(layer.wcs, y1, x1)
    ratio = proj_plane_pixel_area(target) / proj_plane_pixel_area(source)
    factor = 1.0 if _is_per_angle(layer.unit) else ratio
    resample = reproject.reproject_exact if ratio > _COARSER else reproject.reproject_interp
    for band in range(n_bands):
        with quiet(), np.errstate(all="ignore"):
            data[band] = factor * resample(
                (values[band].astype(np.float64), source), target, shape_out=shape, return_footprint=False
            )
            if weight is not None:
                found = resample(
                    (own_weight[band].astype(np.float64), source), target, shape_out=shape, return_footprint=False
                )
                weight[band] = np.nan_to_num(found) * max(ratio, 1.0) / factor**2
    if weight is not None:
        weight[np.isnan(data)] = 0
    slack = _SAME + 0.5
    whole = x.min() >= -slack and y.min() >= -slack and x.max() <= width - 1 + slack and y.max() <= height - 1 + slack
    return data, weight, bool(whole), bad is not None and bool(bad.any())


def shifted(wcs, row, column):
    """A WCS whose first pixel is another one; InputError if that cannot be said."""
    if any(getattr(wcs, name) is not None for name in ("cpdis1", "cpdis2", "det2im1", "det2im2")):
        raise InputError("an image has distortions in tables: resample (drizzle) it first")
    moved = wcs.deepcopy()
    moved.wcs.crpix = moved.wcs.crpix - [column, row]
    if wcs.sip is not None:
        sip = wcs.sip
        moved.sip = Sip(sip.a, sip.b, sip.ap, sip.bp, np.asarray(sip.crpix) - [column, row])
    moved.pixel_shape = None
    return moved


def _range(coordinates, length):
    """First pixel, and the one after the last, that a window needs."""
    low, high = np.nanmin(coordinates), np.nanmax(coordinates)
    return (
        int(np.clip(np.floor(low) - _MARGIN, 0, length)),
        int(np.clip(np.ceil(high) + _MARGIN + 1, 0, length)),
    )


def _is_per_angle(unit):
    """Whether a unit is one of surface brightness."""
    if isinstance(unit, u.UnrecognizedUnit):
        return re.search(r"arcsec|sr\b|deg", unit.name) is not None
    return unit is not None and any(base.physical_type == "angle" for base in unit.decompose().bases)
