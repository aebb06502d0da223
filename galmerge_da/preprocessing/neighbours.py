"""Sources beside the galaxy that do not touch it, and which of them are stars."""

import numpy as np
from scipy import ndimage

from galmerge_da.photometry import edge_background, find_nucleus

__all__ = ["detached_sources", "point_sources"]

#: Sigma in pixels of the Gaussian that smooths before sources are looked for.
_SMOOTH = 1.5

#: The nucleus lies within this fraction of the image from its middle.
_OFFSET = 0.1

#: A star is at most so many times as wide as the PSF, and a little wider by its pixels.
_STAR = 1.3
_PIXEL = 0.5

#: Least share of a star's light within one FWHM of its peak.
_CONCENTRATION = 0.6

_TOUCHING = np.ones((3, 3))


def detached_sources(image, threshold):
    """Label the sources that are not connected to the one nearest to the middle.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (H, W)
        Sky-subtracted image, finite.
    threshold : float
        Standard deviations of the smoothed sky above which pixels belong to a source.

    Returns
    -------
    `~numpy.ndarray` of int, shape (H, W)
        0 for the sky and the galaxy itself, one number for each other source.
    """
    smooth = ndimage.gaussian_filter(image, _SMOOTH)
    level, sigma = (value[0, 0] for value in edge_background(smooth[None, None]))
    labels, n = ndimage.label(smooth > level + threshold * sigma, structure=_TOUCHING)
    if n < 1 or not sigma > 0:
        return np.zeros(image.shape, int)
    nucleus = find_nucleus(image[None], max_offset=_OFFSET * min(image.shape))[0]
    y, x = np.nonzero(labels)
    nearest = np.argmin(np.hypot(y - nucleus[0], x - nucleus[1]))
    labels[labels == labels[y[nearest], x[nearest]]] = 0
    return labels


def point_sources(image, labels, fwhm):
    """Keep the labels of sources that are about as narrow as the PSF, wings and all.

    A galaxy with a bright nucleus has its width, but not its concentration. What
    is not surely a star is not kept.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (H, W)
        Sky-subtracted image.
    labels : `~numpy.ndarray` of int, shape (H, W)
        As `detached_sources` gives them.
    fwhm : float
        Full width at half maximum of the PSF in pixels; NaN keeps nothing.

    Returns
    -------
    `~numpy.ndarray` of int, shape (H, W)
        0 where there is no such source. The width of a source is that of the
        circle with the area in which it exceeds half its peak, and at least 0.6
        of its light lies within one FWHM of the peak (of a Gaussian, 0.94).
    """
    stars = np.zeros_like(labels)
    for number, window in enumerate(ndimage.find_objects(labels), 1):
        if window is None:
            continue
        own = labels[window] == number
        light = np.where(own, image[window], -np.inf)
        peak = np.unravel_index(np.argmax(light), light.shape)
        core, _ = ndimage.label(light > light[peak] / 2, structure=_TOUCHING)
        width = 2 * np.sqrt(np.count_nonzero(core == core[peak]) / np.pi)
        y, x = np.ogrid[: own.shape[0], : own.shape[1]]
        near = own & (np.hypot(y - peak[0], x - peak[1]) <= fwhm + _PIXEL)
        concentrated = image[window][near].sum() >= _CONCENTRATION * image[window][own].sum()
        if core[peak] and width <= _STAR * fwhm + _PIXEL and concentrated:
            stars[window][own] = number
    return stars
