"""The sky of one image: in an annulus, or as a smooth surface."""

import numpy as np
from astropy.stats import sigma_clipped_stats
from scipy import ndimage

from galmerge_da.io.files import quiet
from galmerge_da.photometry import edge_background

__all__ = ["annulus_level", "mesh_background"]

#: Sigma in pixels of the Gaussian that smooths before sources are looked for, and their threshold in sigma.
_SMOOTH = 1.5
_THRESHOLD = 3.0

#: Pixels by which sources are enlarged before the sky is measured around them.
_GROWTH = 5

#: Fraction of an annulus that must lie on the image.
_LEAST = 0.1

#: A box of the mesh has at least so many pixels across.
_SMALLEST_BOX = 8

#: A box counts if sources cover at most this percentage of it.
_COVERED = 50.0


def annulus_level(image, inner, outer):
    """Median of each band in an annulus about the middle, pixels beyond three sigma left out.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (C, H, W)
    inner, outer : float
        Radii in pixels.

    Returns
    -------
    `~numpy.ndarray`, shape (C,), or None
        None where the radii are not finite, or less than a tenth of the
        annulus lies on the image.
    """
    if not np.isfinite(outer):
        return None
    height, width = image.shape[1:]
    distance = np.hypot(np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2)
    sky = (distance >= inner) & (distance < outer)
    if np.count_nonzero(sky) < max(1, _LEAST * np.pi * (outer**2 - inner**2)):
        return None
    return np.array([sigma_clipped_stats(band[sky], sigma=3)[1] for band in image])


def mesh_background(image, level, boxes):
    """Sky of each band as a smooth surface: a plane, and on it a mesh by `photutils.background.Background2D`.

    The plane goes through the pixels near the edge, so that a gradient neither
    hides sources nor bends where the mesh ends.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (C, H, W)
        Finite image.
    level : `~numpy.ndarray`, shape (C,)
        Sky along the edge, which is taken where no box is free of sources.
    boxes : int
        Boxes across the shorter side.

    Returns
    -------
    `~numpy.ndarray`, shape (C, H, W)
    """
    from photutils.background import Background2D, MedianBackground  # slow to import, and only needed here

    options = {"filter_size": 3, "exclude_percentile": _COVERED, "bkg_estimator": MedianBackground()}
    surface = np.stack([_edge_plane(band) for band in image])
    rest = image - surface
    sources = _sources(rest)
    box = max(_SMALLEST_BOX, min(image.shape[1:]) // boxes)
    for band, sky, known in zip(rest, surface, level, strict=True):
        try:
            with quiet():  # boxes that are left out
                sky += Background2D(band, box, mask=sources, **options).background
        except ValueError:  # sources are everywhere
            sky[:] = known
    return surface


def _sources(image):
    """True where the sum of the bands of a sky-subtracted image stands out, and a little around it."""
    smooth = ndimage.gaussian_filter(image.sum(axis=0), _SMOOTH)
    level, sigma = (value[0, 0] for value in edge_background(smooth[None, None]))
    found = smooth > level + _THRESHOLD * sigma
    return ndimage.binary_dilation(found, iterations=_GROWTH) if found.any() else found


def _edge_plane(band):
    """The plane through the pixels near the edge, outliers left out three times."""
    height, width = band.shape
    y, x = np.mgrid[-1 : 1 : 1j * height, -1 : 1 : 1j * width]
    ring = np.maximum(np.abs(y), np.abs(x)) > 0.8
    terms, values = np.stack([np.ones(ring.sum()), y[ring], x[ring]], axis=1), band[ring].astype(float)
    keep = np.ones(len(values), bool)
    for _ in range(3):
        fit = np.linalg.lstsq(terms[keep], values[keep], rcond=None)[0]
        off = np.abs(values - terms @ fit)
        keep = off <= 3 * 1.4826 * np.median(off[keep])
    return (fit[0] + fit[1] * y + fit[2] * x).astype(band.dtype)
