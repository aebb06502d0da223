"""Petrosian radii of the galaxies: given, or measured on as few pixels as will do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from galmerge_da.io import Cutouts
from galmerge_da.photometry import CATALOGUE_RADIUS, find_nucleus, petrosian_radius

__all__ = ["given_radii", "measure_radii"]

#: A given radius, in pixels, outside this range is no radius.
_RANGE = (1e-3, 1e6)

#: Pixels across at which a galaxy is looked at.
_ACROSS = 256

#: The nucleus lies within this fraction of the frame from its middle.
_OFFSET = 0.1


def given_radii(cutouts: Cutouts) -> NDArray[np.float64]:
    """Petrosian radii as the user says, or else the survey.

    Parameters
    ----------
    cutouts : `~galmerge_da.Cutouts`
        ``radius`` is asked first, then ``radii_per_pixel``.

    Returns
    -------
    `~numpy.ndarray` of float64, shape (N,)
        Radius in pixels; NaN where neither says.
    """
    radii = np.full(len(cutouts), np.nan)
    if cutouts.radius is not None:
        given = np.asarray(cutouts.radius, float)
        radii = np.where((given > _RANGE[0]) & (given < _RANGE[1]), given, np.nan)
    if cutouts.radii_per_pixel is not None:
        radii[np.isnan(radii)] = 1 / cutouts.radii_per_pixel
    return radii


def measure_radii(images: NDArray[Any], level: NDArray[Any]) -> NDArray[np.float64]:
    """Measure the Petrosian radius on the sum of the bands.

    The middle of the image is looked at first. Where the radius is not reached
    there, a field twice as large is binned to as many pixels, and so on: a
    large image costs no more than a small one.

    Parameters
    ----------
    images : `~numpy.ndarray` of float, shape (N, C, H, W)
        Finite images, galaxies near their middle.
    level : `~numpy.ndarray`, shape (N, C)
        Background of each band.

    Returns
    -------
    `~numpy.ndarray` of float64, shape (N,)
        Radius in pixels, on the scale of a catalogue (`~galmerge_da.photometry.CATALOGUE_RADIUS`); NaN
        where it is not reached inside the image.
    """
    radii = np.full(len(images), np.nan)
    whole = max(images.shape[2:])
    binning = 1
    while (todo := np.flatnonzero(np.isnan(radii))).size:
        fields = np.stack([_field(images[i], level[i], binning) for i in todo])
        if min(fields.shape[1:]) < 3:
            break
        nuclei = find_nucleus(fields, max_offset=_OFFSET * min(fields.shape[1:]))
        radii[todo] = CATALOGUE_RADIUS * binning * petrosian_radius(fields, nuclei)
        if binning * _ACROSS >= whole:
            break
        binning *= 2
    return radii


def _field(image, level, binning):
    """Sum of the bands of the middle of an image, binned to at most `_ACROSS` pixels across."""
    shape = [min(n // binning, _ACROSS) for n in image.shape[1:]]
    low = [(n - binning * m) // 2 for n, m in zip(image.shape[1:], shape, strict=True)]
    window = tuple(slice(start, start + binning * m) for start, m in zip(low, shape, strict=True))
    total = image[(slice(None), *window)].sum(axis=0) - level.sum()
    return total.reshape(shape[0], binning, shape[1], binning).mean(axis=(1, 3)) if binning > 1 else total
