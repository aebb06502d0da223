"""Simple photometry of a cutout: background, nucleus, Petrosian radius, asymmetry.

Every function takes a stack of images of one size and gives one number (or
one position) for each. Pixels that are NaN or infinite are ignored. Positions
are (y, x) in pixels, the centre of the first pixel at (0, 0).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

__all__ = [
    "CATALOGUE_RADIUS",
    "edge_background",
    "find_nucleus",
    "mirror_template",
    "petrosian_radius",
    "rotational_asymmetry",
]

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

#: A Petrosian radius of the SDSS catalogue over the one that `petrosian_radius` gives with
#: deblending: the median of 300 SDSS galaxies whose pictures scale with the catalogue's.
CATALOGUE_RADIUS = 1.136

#: Pixels of an edge that are looked at, at most: the median of more is no better.
_EDGE_SAMPLES = 4096

#: Sigma of a normal distribution over its median absolute deviation.
_MAD_TO_SIGMA = 1.4826

#: A mirrored pixel replaces a brighter one if they differ by this many sigma of such differences.
_DEBLEND_SIGMA = 3.0

#: Pixels this near a nucleus are never replaced: a small error of its position would dim it.
_CORE = 3.0

#: A neighbour is what stands out of the smoothed background by this many of its sigma.
_DETECT_SIGMA = 3.0


def edge_background(
    images: ArrayLike, mask: ArrayLike | None = None, width: int | None = None
) -> tuple[Floats, Floats]:
    """Level and noise of the background, from the pixels along the frame's edge.

    Parameters
    ----------
    images : array_like, shape (N, C, H, W)
        Images; NaN and infinite pixels are ignored.
    mask : array_like of bool, shape (N, C, H, W) or broadcastable to it, optional
        True where a pixel must not be used.
    width : int, optional
        Width of the edge in pixels; a twentieth of the shorter side by default.

    Returns
    -------
    level, sigma : `~numpy.ndarray`, shape (N, C)
        Median, and 1.4826 times the median absolute deviation from it; NaN
        where the edge has no usable pixel.
    """
    images = _floating(images)
    height, width_px = images.shape[-2:]
    if width is None:
        width = max(1, round(0.05 * min(height, width_px)))
    inside = np.ones((height, width_px), bool)
    inside[width : height - width, width : width_px - width] = False
    rows, columns = np.nonzero(inside)
    step = max(1, -(-rows.size // _EDGE_SAMPLES))
    rows, columns = rows[::step], columns[::step]
    values = images[..., rows, columns]
    values[~np.isfinite(values)] = np.nan
    if mask is not None:
        values[np.broadcast_to(mask, images.shape)[..., rows, columns]] = np.nan
    level = _nanmedian(values)
    return level, _MAD_TO_SIGMA * _nanmedian(np.abs(values - level[..., None]))


def find_nucleus(images: ArrayLike, *, max_offset: float, fwhm: float = 2.0) -> Floats:
    """The brightest peak near the centre of each image.

    A peak is a pixel of the smoothed image that none of its eight neighbours
    outshines, so that the wing of a neighbour beyond ``max_offset`` is not
    taken for one. Where there is none, the brightest pixel is taken.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Images; NaN and infinite pixels are ignored.
    max_offset : float
        Largest distance of the peak's pixel from the centre of the image, in pixels.
    fwhm : float, optional
        Full width at half maximum of the Gaussian that smooths, in pixels.

    Returns
    -------
    `~numpy.ndarray`, shape (N, 2)
        Position (y, x), to a fraction of a pixel; the centre of the image
        where it has no usable pixel near it.
    """
    images = np.asarray(images)
    shape = np.array(images.shape[1:])
    middle = (shape - 1) / 2
    reach = max_offset + 3 * fwhm + 2
    low = np.maximum(0, np.floor(middle - reach)).astype(int)
    high = np.minimum(shape, np.ceil(middle + reach).astype(int) + 1)
    smooth = _smooth(images[:, low[0] : high[0], low[1] : high[1]], fwhm / 2.3548)
    y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
    distance = np.hypot(y - middle[0], x - middle[1])
    allowed = (distance <= max(max_offset, distance.min())) & np.isfinite(smooth)
    filled = np.where(np.isfinite(smooth), smooth, -np.inf)
    peak = allowed & (filled >= ndimage.maximum_filter(filled, size=(1, 3, 3), mode="nearest"))
    candidates = np.where(peak.any(axis=(1, 2))[:, None, None], peak, allowed)
    n = len(images)
    best = np.argmax(np.where(candidates, filled, -np.inf).reshape(n, -1), axis=1)
    row, column = np.unravel_index(best, filled.shape[1:])
    padded = np.pad(filled, ((0, 0), (1, 1), (1, 1)), mode="edge")
    index = np.arange(n)
    cross_y = [padded[index, row + step, column + 1] for step in range(3)]
    cross_x = [padded[index, row + 1, column + step] for step in range(3)]
    centers = np.stack([row + low[0] + _vertex(*cross_y), column + low[1] + _vertex(*cross_x)], axis=1)
    centers[~candidates.any(axis=(1, 2))] = middle
    return centers


def mirror_template(images: ArrayLike, centers: ArrayLike, *, threshold: ArrayLike = 0.0) -> Floats:
    """What each image has on both sides of its centre.

    Each pixel becomes the smaller of itself and the pixel opposite to it, as
    in the SDSS deblender (Lupton et al. 2001): companions disappear, a
    symmetric galaxy stays.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Images.
    centers : array_like, shape (N, 2)
        Positions (y, x) about which to rotate by 180 degrees.
    threshold : float or array_like, shape (N,), optional
        A pixel is replaced only where it exceeds the opposite one by more.
        Noise alone makes the smaller of two pixels too faint; a few sigma
        here prevent it.

    Returns
    -------
    `~numpy.ndarray`, shape (N, H, W)
        A pixel whose opposite lies outside the image or is not finite is kept,
        one that is itself not finite takes the value opposite.

    References
    ----------
    Lupton et al. 2001, ASP Conf. Ser. 238, 269.
    """
    images = _floating(images)
    threshold = np.broadcast_to(np.asarray(threshold, images.dtype), len(images))
    return np.stack(
        [
            _fainter(image, _rotate(image, center), limit)
            for image, center, limit in zip(images, np.asarray(centers), threshold, strict=True)
        ]
    ).reshape(images.shape)


def petrosian_radius(images: ArrayLike, centers: ArrayLike, *, eta: float = 0.2, deblend: bool = True) -> Floats:
    """Radius where the local surface brightness is ``eta`` of the mean within.

    The local surface brightness is the mean in the annulus from 0.8 to 1.25
    radii, as SDSS defines it, in circular apertures. The first crossing counts.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Background-subtracted images; NaN and infinite pixels are ignored.
    centers : array_like, shape (N, 2)
        Positions (y, x) of the nuclei.
    eta : float, optional
        The ratio that defines the radius.
    deblend : bool, optional
        Measure on the mirror template, where companions are gone.

    Returns
    -------
    `~numpy.ndarray`, shape (N,)
        Radius in pixels; NaN where ``eta`` is not reached inside the frame.

    References
    ----------
    Blanton et al. 2001, AJ 121, 2358; Strauss et al. 2002, AJ 124, 1810.
    """
    images = _floating(images)
    centers = np.asarray(centers, float)
    n, height, width = images.shape
    radii = np.full(n, np.nan)
    for i, (image, center) in enumerate(zip(images, centers, strict=True)):
        distance = np.hypot(np.arange(height)[:, None] - center[0], np.arange(width) - center[1])
        if deblend:
            opposite = _rotate(image, center)
            limit = _DEBLEND_SIGMA * _difference_noise(image - opposite)
            image = np.where(distance > _CORE, _fainter(image, opposite, limit), image)
        reach = min(center[0], height - 1 - center[0], center[1], width - 1 - center[1]) + 0.5
        flux, area = _aperture_sums(image, distance)
        radii[i] = _petrosian_crossing(flux, area, reach, eta)
    return radii


def rotational_asymmetry(
    images: ArrayLike, *, radius: ArrayLike, centers: ArrayLike | None = None, search: int = 3,
    mask_neighbours: bool = True,
) -> Floats:  # fmt: skip
    """How far each image differs from itself turned by 180 degrees.

    The sum of ``|I - I_180|`` over the sum of ``|I|`` within a circle, the
    smallest over a square of centres. Centres are whole or half pixels, so
    that nothing is interpolated. It is neither halved nor corrected for noise.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Linear, background-subtracted images (see `edge_background`).
    radius : float or array_like, shape (N,)
        Radius of the circle in pixels; 1.5 Petrosian radii is a good one.
    centers : array_like, shape (N, 2), optional
        Positions (y, x) to start from, rounded to half pixels; the centre of
        the image by default.
    search : int, optional
        Centres up to this many pixels away in y and x are tried.
    mask_neighbours : bool, optional
        Leave out sources that are not connected to the one in the centre, and
        the pixels opposite to them.

    Returns
    -------
    `~numpy.ndarray`, shape (N,)
        0 for a symmetric image, towards 2 where nothing has a counterpart; NaN
        where there is no flux or no pixel to compare.

    References
    ----------
    Conselice, Bershady & Jangren 2000, ApJ 529, 886.
    """
    images = _floating(images)
    n = len(images)
    if centers is None:
        centers = np.broadcast_to((np.array(images.shape[1:]) - 1) / 2, (n, 2))
    radius = np.broadcast_to(np.asarray(radius, float), n)
    values = np.full(n, np.nan)
    for i, (image, center) in enumerate(zip(images, np.asarray(centers, float), strict=True)):
        if not (np.isfinite(center).all() and radius[i] > 0):
            continue
        usable = np.isfinite(image)
        if mask_neighbours:
            usable &= ~_neighbours(image, center)
        values[i] = _smallest_asymmetry(np.where(usable, image, 0), usable, center, radius[i], int(search))
    return values


def _floating(images: ArrayLike) -> Floats:
    images = np.asarray(images)
    return images if images.dtype.kind == "f" else images.astype(float)


def _nanmedian(values):
    """Median along the last axis without NaN; NaN where nothing else is there."""
    values = np.sort(values, axis=-1)  # NaN go last
    n = np.count_nonzero(~np.isnan(values), axis=-1)[..., None]
    lower = np.take_along_axis(values, np.maximum(n - 1, 0) // 2, axis=-1)
    upper = np.take_along_axis(values, np.minimum(n // 2, values.shape[-1] - 1), axis=-1)
    return np.where(n > 0, (lower + upper) / 2, np.nan)[..., 0]


def _smooth(images, sigma):
    """Gaussian smoothing of each image; pixels that are not finite have no weight."""
    good = np.isfinite(images)
    if good.all():
        return ndimage.gaussian_filter(images, (0, sigma, sigma), output=float)
    weight = ndimage.gaussian_filter(good.astype(float), (0, sigma, sigma))
    flux = ndimage.gaussian_filter(np.where(good, images, 0), (0, sigma, sigma), output=float)
    return np.divide(flux, weight, out=np.full(images.shape, np.nan), where=weight > 0.05)


def _vertex(before, here, after):
    """Where the Gaussian (if all are positive) or parabola through three equidistant values peaks."""
    with np.errstate(all="ignore"):
        positive = (before > 0) & (here > 0) & (after > 0)
        before, here, after = (np.where(positive, np.log(value), value) for value in (before, here, after))
        shift = (before - after) / (2 * (before - 2 * here + after))
    return np.clip(np.where(np.isfinite(shift), shift, 0), -0.5, 0.5)


def _rotate(image, center):
    """The image turned by 180 degrees about ``center``; NaN where it comes from outside."""
    for axis in (0, 1):
        n = image.shape[axis]
        position = 2 * center[axis] - np.arange(n)
        first = np.floor(position[0])
        fraction = image.dtype.type(position[0] - first)
        lower = first.astype(int) - np.arange(n)
        turned = np.take(image, np.clip(lower, 0, n - 1), axis=axis)
        if fraction:
            turned *= 1 - fraction
            turned += fraction * np.take(image, np.clip(lower + 1, 0, n - 1), axis=axis)
        outside = (position < 0) | (position > n - 1)
        turned[(slice(None),) * axis + (outside,)] = np.nan
        image = turned
    return image


def _fainter(image, opposite, limit):
    """The opposite pixel where it is fainter by more than ``limit``, or where the image has none."""
    take = (image - opposite > limit) | (~np.isfinite(image) & np.isfinite(opposite))
    return np.where(take, opposite, image)


def _difference_noise(difference):
    """Sigma of the differences of opposite pixels along the edge, where there is little but sky."""
    return np.nan_to_num(edge_background(difference[None, None], width=max(1, len(difference) // 8))[1][0, 0])


def _aperture_sums(image, distance):
    """Flux and number of usable pixels within each whole radius.

    A pixel enters gradually, while the radius grows from half a pixel inside
    its centre to half a pixel outside.
    """
    enters = distance.ravel() + 0.5
    step = enters.astype(int)
    late = enters - step
    flux = image.ravel()
    good = np.isfinite(flux)
    if not good.all():
        step, late, flux = step[good], late[good], flux[good]
    n = step.max(initial=0) + 2
    sums = []
    for total, delayed in ((flux, flux * late), (None, late)):
        postponed = np.bincount(step, delayed, minlength=n)
        sums.append(np.cumsum(np.bincount(step, total, minlength=n) - postponed + np.r_[0, postponed[:-1]]))
    return sums


def _petrosian_crossing(flux, area, reach, eta):
    grid = np.arange(len(flux))
    radii = np.arange(2, reach, 0.25)

    def mean(inner, outer):
        with np.errstate(all="ignore"):
            return (np.interp(outer, grid, flux) - np.interp(inner, grid, flux)) / (
                np.interp(outer, grid, area) - np.interp(inner, grid, area)
            )

    within = mean(0 * radii, radii)
    excess = mean(0.8 * radii, 1.25 * radii) - eta * within
    below = np.flatnonzero((excess <= 0) & (within > 0))
    if not below.size or below[0] == 0:
        return np.nan
    after = below[0]
    before = after - 1
    return radii[before] + 0.25 * excess[before] / (excess[before] - excess[after])


def _neighbours(image, center):
    """True where a source lies that is not connected to the one nearest to ``center``."""
    smooth = _smooth(image[None], 2.0)[0]
    level, sigma = (value[0, 0] for value in edge_background(smooth[None, None]))
    labels, n = ndimage.label(smooth > level + _DETECT_SIGMA * sigma)
    if n < 1 or not sigma > 0:
        return np.zeros(image.shape, bool)
    y, x = np.nonzero(labels)
    nearest = np.argmin(np.hypot(y - center[0], x - center[1]))
    own = labels[y[nearest], x[nearest]]
    return (labels > 0) & (labels != own)


def _smallest_asymmetry(image, usable, center, radius, search):
    twice = np.round(2 * center).astype(int)
    smallest = np.nan
    for offset_y in range(-search, search + 1):
        for offset_x in range(-search, search + 1):
            here, there, inside = _opposite_windows(image.shape, twice + 2 * np.array([offset_y, offset_x]), radius)
            if not inside.size:
                continue
            both = (inside & usable[here] & usable[there]).astype(image.dtype)
            flux = np.vdot(np.abs(image[here]), both)
            if flux > 0:
                difference = np.vdot(np.abs(image[here] - image[there]), both)
                smallest = np.fmin(smallest, difference / flux)
    return smallest


def _opposite_windows(shape, twice, radius):
    """Slices of a window and of the same window turned about ``twice / 2``, and the circle in it."""
    here, there, distances = [], [], []
    for n, double in zip(shape, twice, strict=True):
        low = max(0, double - n + 1, int(np.ceil(double / 2 - radius)))
        high = double - low
        here.append(slice(low, high + 1))
        there.append(slice(high, low - 1 if low else None, -1))
        distances.append(np.arange(low, high + 1) - double / 2)
    return tuple(here), tuple(there), np.hypot(distances[0][:, None], distances[1]) <= radius
