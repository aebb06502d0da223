"""Clean linear pixels: stretched pictures undone, bad pixels filled, background known."""

import numpy as np
from scipy import ndimage

from galmerge_da.photometry import edge_background

__all__ = ["background_level", "fill_bad_pixels", "linearise", "missing_border", "usable_box"]

#: Softening of the asinh stretch of SDSS and Legacy Survey colour pictures.
_SOFTENING = 2.5

#: Sigma in pixels of the Gaussians that carry good pixels into bad ones, near ones first.
_FILL_SIGMA = (1.0, 3.0)

#: Zeros along the border are padding if the sky beside them lies this many of its sigma above zero.
_PADDING_SIGMA = 5.0


def linearise(images):
    """Undo the colour-preserving asinh stretch of 8-bit pictures.

    With S the sum of three bands over 255, every band is scaled by
    ``sinh(2.5 S) / (2.5 S)``. What the picture clipped stays clipped.

    Parameters
    ----------
    images : array_like, shape (..., C, H, W)
        Values from 0 to 255, clipped to that; where C is not 3, S is three
        times the mean. NaN are left out of it.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (..., C, H, W)
        Fluxes on the scale of a picture that was not stretched over 255; NaN
        where the input was.

    References
    ----------
    Lupton et al. 2004, PASP 116, 133.
    """
    images = np.clip(np.asarray(images, dtype=np.float32), 0, 255)
    total = images.sum(axis=-3, keepdims=True)
    n_bands = images.shape[-3]
    if np.isnan(total).any():
        n_bands = np.count_nonzero(np.isfinite(images), axis=-3, keepdims=True)
        total = np.nansum(images, axis=-3, keepdims=True)
    total *= np.float32(_SOFTENING * 3 / 255) / np.maximum(n_bands, 1).astype(np.float32)
    np.maximum(total, 1e-6, out=total)  # sinh(x) / x is 1 there
    images *= np.sinh(total) / (255 * total)
    return images


def missing_border(image, bad):
    """Pixels of blank margins, where a mosaic or a frame ended.

    A margin is a first or last row or column without a usable pixel: bad in
    every band, or exactly zero in every band beside a sky that lies clearly
    above zero.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (C, H, W)
        Image as it came.
    bad : `~numpy.ndarray` of bool, shape (C, H, W)
        True where a pixel is masked or not finite.

    Returns
    -------
    `~numpy.ndarray` of bool, shape (H, W), or None
        The pixels that are missing for this reason; None where there is no margin.
    """
    missing = bad.all(axis=0)
    zero = missing | ((image == 0) | bad).all(axis=0)
    if _has_margin(zero) and not zero.all() and _stands_above_zero(image, zero):
        missing = zero
    return missing if _has_margin(missing) else None


def background_level(image, bad):
    """Background of each band of an image with a blank margin.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (C, H, W)
        Image.
    bad : `~numpy.ndarray` of bool, shape (C, H, W)
        True where a pixel cannot be used.

    Returns
    -------
    `~numpy.ndarray`, shape (C,)
        Median along the edge of the smallest box with all usable pixels, zero
        for a band without any.
    """
    box = usable_box(~bad.all(axis=0))
    return np.nan_to_num(edge_background(image[(slice(None), *box)][None], bad[(slice(None), *box)][None])[0][0])


def fill_bad_pixels(image, bad, level):
    """Fill bad pixels from the good ones around them, in place.

    Parameters
    ----------
    image : `~numpy.ndarray` of float, shape (C, H, W)
        Image.
    bad : `~numpy.ndarray` of bool, shape (C, H, W)
        True where to fill.
    level : `~numpy.ndarray`, shape (C,)
        Background, for pixels too far from any good one.
    """
    for band, wrong, sky in zip(image, bad, level, strict=True):
        if not wrong.any():
            continue
        todo = wrong.copy()
        flux = np.where(wrong, 0, band)
        for sigma in _FILL_SIGMA:
            weight = ndimage.gaussian_filter((~wrong).astype(np.float32), sigma)
            near = todo & (weight > 0.05)
            band[near] = ndimage.gaussian_filter(flux, sigma)[near] / weight[near]
            todo &= ~near
        band[todo] = sky


def usable_box(usable):
    """The part of an image that its blank margins leave.

    Parameters
    ----------
    usable : `~numpy.ndarray` of bool, shape (H, W)

    Returns
    -------
    tuple of slice
        Rows and columns of the smallest box with all usable pixels; the whole
        image if there is none.
    """
    return tuple(
        slice(int(lines[0]), int(lines[-1]) + 1) if lines.size else slice(0, n)
        for n, lines in zip(usable.shape, (np.flatnonzero(usable.any(axis=axis)) for axis in (1, 0)), strict=True)
    )


def _has_margin(missing):
    return any(line.all() for line in (missing[0], missing[-1], missing[:, 0], missing[:, -1]))


def _stands_above_zero(image, zero):
    box = usable_box(~zero)
    window = image[(slice(None), *box)]
    level, sigma = edge_background(window[None], np.broadcast_to(zero[box], window.shape)[None])
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.any((level > 0) & (level > _PADDING_SIGMA * sigma)))
