"""Clean linear pixels: stretched pictures undone, bad pixels filled, background known."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from galmerge_da.flags import Flag
from galmerge_da.photometry import edge_background

__all__ = ["fill_bad_pixels", "find_bad_pixels", "linearise", "repair"]

#: Larger values are marks of bad pixels, not fluxes.
_HUGE = 1e30

#: Softening of the asinh stretch of SDSS and Legacy Survey colour pictures.
_SOFTENING = 2.5

#: Sigma in pixels of the Gaussians that carry good pixels into bad ones, near ones first.
_FILL_SIGMA = (1.0, 3.0)

#: Zeros along the border are padding if the sky beside them lies this many of its sigma above zero.
_PADDING_SIGMA = 5.0


def linearise(images: ArrayLike) -> NDArray[np.float32]:
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


def find_bad_pixels(stack):
    """Pixels of a `Stack` that cannot be used, and flags that say why.

    Parameters
    ----------
    stack : Stack

    Returns
    -------
    dict of int to `~numpy.ndarray` of bool, shape (C, H, W)
        By position in the stack; rows without any are left out.
    """
    raw, flags = stack.raw, stack.flags
    low, high = raw.min(axis=(2, 3)), raw.max(axis=(2, 3))
    finite = ((low > -_HUGE) & (high < _HUGE)).all(axis=1)  # False where there is a NaN
    constant = low == high
    flags[finite & constant.all(axis=1)] |= Flag.BLANK
    bad = {}
    for i in np.flatnonzero(finite & constant.any(axis=1) & ~constant.all(axis=1)):  # no survey has such a band
        bad[i] = np.broadcast_to(constant[i][:, None, None], raw.shape[1:]).copy()
    for i in range(len(stack)):
        if not finite[i]:
            bad[i] = ~(np.abs(raw[i]) < _HUGE)
            inside = (slice(None), *usable_box(~bad[i].all(axis=0)))  # a blank margin has OFF_EDGE instead
            flags[i] |= Flag.NONFINITE if bad[i][inside].any() else 0
        masked = np.zeros((), bool)
        if stack.masks is not None:
            masked = masked | np.asarray(stack.masks[i], bool)[stack.order]
        if stack.weights is not None:
            masked = masked | (~(np.asarray(stack.weights[i])[stack.order] > 0) & np.isfinite(raw[i]))
        if masked.any():
            bad[i] = bad[i] | masked if i in bad else masked
            flags[i] |= Flag.MASKED
    return bad


def repair(stack, bad):
    """Fill the bad pixels of a `Stack`; find the level and noise of its sky, and its blank margins.

    Parameters
    ----------
    stack : Stack
    bad : dict
        As `find_bad_pixels` gives it.
    """
    raw = stack.raw
    edges = (raw[:, :, 0], raw[:, :, -1], raw[..., 0], raw[..., -1])
    dark = np.logical_or.reduce([(line == 0).all(axis=(1, 2)) for line in edges])
    damaged = sorted({*bad, *np.flatnonzero(dark)})
    stack.level, stack.noise = (np.nan_to_num(values) for values in edge_background(stack.images))
    for i in damaged:
        wrong = bad.get(i, np.zeros(raw.shape[1:], bool))
        margin = missing_border(raw[i], wrong)
        if margin is not None:
            stack.margins[i] = margin
            wrong = wrong | margin
        if wrong.any():
            stack.flags[i] |= _fill(stack.own_images()[i], wrong, stack.level[i])
            stack.hidden[i] = wrong


def _fill(image, wrong, level):
    """Fill the bad pixels of an image and give it its background, in place; what else to flag."""
    lost = wrong.all(axis=(1, 2))
    values = [band[~bad] for band, bad in zip(image[~lost], wrong[~lost], strict=True)]
    if all(value.min() == value.max() for value in values):
        return Flag.BLANK
    level[:] = background_level(image, wrong)
    fill_bad_pixels(image, wrong, level)
    if not lost.any():
        return Flag(0)
    image[lost] = image[~lost].mean(axis=0)
    level[lost] = level[~lost].mean()
    return Flag.BANDS_MISSING


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
