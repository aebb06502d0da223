"""The shape of a galaxy in five numbers, without a model: concentration, asymmetry, smoothness, Gini and M20.

Every function takes a stack of linear, background-subtracted images of one
size. Pixels that are NaN or infinite are ignored. Positions are (y, x) in
pixels, the centre of the first pixel at (0, 0).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from galmerge_da.photometry import Bools, Floats, edge_background, find_nucleus, rotational_asymmetry

__all__ = [
    "MEASURES",
    "concentration",
    "gini",
    "lotz_merger",
    "m20",
    "measure_morphology",
    "segment_galaxies",
    "smoothness",
]

#: Measures of shape that ``measure_morphology`` gives: name -> what it is.
MEASURES = {
    "asymmetry": "rotational asymmetry within 1.44 Petrosian radii",
    "gini": "Gini coefficient of the galaxy's pixels",
    "m20": "log10 of second moment: brightest 20 % of light over all",
    "concentration": "5 log10(r80 / r20) of light within 1.5 Petrosian radii",
    "smoothness": "share of light in structure below 0.25 Petrosian radii",
}

#: Radius of the circle of asymmetry, and how far its centre is searched, in Petrosian radii.
ASYMMETRY_RADII = 1.44
SEARCH = 0.072

#: A galaxy whose Petrosian radius has fewer pixels shows no structure.
_SMALLEST_RADIUS = 3.0

#: The nucleus lies within so many Petrosian radii of the middle.
_OFFSET = 0.25

#: The ratio that defines the Petrosian isophote, and how many Petrosian radii away it is looked for.
_ETA = 0.2
_NEAR = 2.0

#: How often neighbours are left out where they outshine the galaxy.
_ROUNDS = 3

#: Radius of the circle that all the light is in, in Petrosian radii.
_TOTAL = 1.5

#: Sides of the box that smooths, and radius of the centre that is left out, in Petrosian radii.
_FINE = 0.25

#: Steps of the curve of growth in a pixel.
_STEPS = 4


def measure_morphology(images: ArrayLike, petrosian: ArrayLike) -> dict[str, Floats]:
    """Measure all five of every image.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Linear, background-subtracted images, galaxies in their middle.
    petrosian : array_like, shape (N,)
        Petrosian radii in pixels; NaN where unknown.

    Returns
    -------
    dict of str to `~numpy.ndarray`, each of shape (N,)
        The keys of `MEASURES`; NaN where the radius is unknown or smaller than
        three pixels, the image is empty, or there is no light.
    """
    images = _floating(images)
    radii = np.broadcast_to(np.asarray(petrosian, float), len(images))
    values = {name: np.full(len(images), np.nan) for name in MEASURES}
    possible = (radii >= _SMALLEST_RADIUS) & np.isfinite(radii) & np.isfinite(images).any(axis=(1, 2))
    for radius in np.unique(radii[possible]):
        rows = np.flatnonzero(possible & (radii == radius))
        for name, measured in _measure(images[rows], radius).items():
            values[name][rows] = measured
    return values


def segment_galaxies(images: ArrayLike, centers: ArrayLike, petrosian: float) -> tuple[Bools, Bools]:
    """The pixels of each galaxy, and those of its neighbours.

    The threshold is the quasi-Petrosian isophote of Abraham et al.: of the
    pixels within two Petrosian radii, from the brightest on, the first that has
    no more than a fifth of the mean of those so far. It needs no ellipse. The
    image is then smoothed with a Gaussian of a fifth of the Petrosian radius, as
    Lotz et al. do: what is brighter and connected to the nucleus is the galaxy,
    what is not connected to it are neighbours. Neighbours that outshine all of it
    are left out, and it is looked for again.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Linear, background-subtracted images.
    centers : array_like, shape (N, 2)
        Positions (y, x) of the nuclei.
    petrosian : float
        Petrosian radius in pixels.

    Returns
    -------
    galaxy, neighbours : `~numpy.ndarray` of bool, shape (N, H, W)
        Nothing is the galaxy where its nucleus is not that bright.

    References
    ----------
    Abraham, Nair, McCarthy et al. 2007, ApJ 669, 184; Lotz, Primack & Madau 2004, AJ 128, 163.
    """
    images = _floating(images)
    centers = np.asarray(centers, float)
    galaxy, neighbours = _split(images, centers, petrosian)
    for _ in range(_ROUNDS):
        hidden = np.flatnonzero(~galaxy.any(axis=(1, 2)) & (neighbours & np.isfinite(images)).any(axis=(1, 2)))
        if not hidden.size:
            break
        others = np.where(neighbours[hidden], np.nan, images[hidden])
        galaxy[hidden], more = _split(others, centers[hidden], petrosian)
        neighbours[hidden] |= more
    return galaxy, neighbours & ~galaxy


def gini(images: ArrayLike, galaxy: ArrayLike) -> Floats:
    """How unequally the light is spread over a galaxy's pixels.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Linear, background-subtracted images.
    galaxy : array_like of bool, shape (N, H, W)
        The pixels of each galaxy.

    Returns
    -------
    `~numpy.ndarray`, shape (N,)
        0 where all pixels are equal, 1 where one has all the light; NaN with
        fewer than two pixels or no light. Absolute values are taken.

    References
    ----------
    Lotz, Primack & Madau 2004, AJ 128, 163, eq. 6.
    """
    light, inside = _light(images, galaxy)
    n_pixels = inside.sum(axis=1)
    ordered = np.sort(np.abs(light), axis=1)  # those outside come first, as zeros
    rank = np.arange(1, light.shape[1] + 1) - (light.shape[1] - n_pixels)[:, None]
    weighted = ((2 * rank - n_pixels[:, None] - 1) * ordered).sum(axis=1)
    return _ratio(weighted, ordered.sum(axis=1) * (n_pixels - 1))


def m20(images: ArrayLike, galaxy: ArrayLike) -> Floats:
    """Second moment of the brightest fifth of the light, over that of all.

    Moments are about the galaxy's centroid, where that of all is smallest.
    Pixels join from the brightest on, while those before hold less than 20 %.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Linear, background-subtracted images.
    galaxy : array_like of bool, shape (N, H, W)
        The pixels of each galaxy.

    Returns
    -------
    `~numpy.ndarray`, shape (N,)
        Negative: log10 of the ratio; NaN where there is no light or it is all at one place.

    References
    ----------
    Lotz, Primack & Madau 2004, AJ 128, 163, eq. 8.
    """
    light, _ = _light(images, galaxy)
    y, x = (axis.ravel() for axis in np.indices(np.shape(images)[1:]))
    total = light.sum(axis=1)
    middle_y, middle_x = (_ratio(light @ axis.astype(float), total)[:, None] for axis in (y, x))
    moments = light * ((y - middle_y) ** 2 + (x - middle_x) ** 2)
    order = np.argsort(-light, axis=1, kind="stable")
    ordered = np.take_along_axis(light, order, axis=1)
    bright = np.cumsum(ordered, axis=1) - ordered < 0.2 * total[:, None]
    ratio = _ratio((np.take_along_axis(moments, order, axis=1) * bright).sum(axis=1), moments.sum(axis=1))
    return np.log10(ratio, out=np.full(len(ratio), np.nan), where=ratio > 0)


def concentration(images: ArrayLike, centers: ArrayLike, radius: float) -> Floats:
    """How much of the light is near the centre: 5 log10(r80 / r20).

    r20 and r80 are the radii of circles with 20 % and 80 % of the light.
    Pixels that are not usable count as the mean of the others at their radius.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Linear, background-subtracted images.
    centers : array_like, shape (N, 2)
        Positions (y, x) of the centres.
    radius : float
        Radius in pixels of the circle that all the light is in; 1.5 Petrosian radii is usual.

    Returns
    -------
    `~numpy.ndarray`, shape (N,)
        1.5 for an even disc of light, 2.8 for an exponential one, about 5 for an
        elliptical; NaN where there is no light.

    References
    ----------
    Conselice 2003, ApJS 147, 1; Bershady, Jangren & Conselice 2000, AJ 119, 2645.
    """
    growth = _growth(_floating(images), np.asarray(centers, float), radius)
    grid = np.minimum(np.arange(growth.shape[1]) / _STEPS, radius)
    at_20, at_80 = (_crossing(growth, grid, share) for share in (0.2, 0.8))
    ratio = _ratio(at_80, at_20)
    return 5 * np.log10(ratio, out=np.full(len(ratio), np.nan), where=ratio > 0)


def smoothness(images: ArrayLike, centers: ArrayLike, petrosian: float, *, ignore: ArrayLike | None = None) -> Floats:
    """How much of the light is in structure finer than a quarter of the Petrosian radius.

    The image less itself smoothed by a box, where that is positive, over the
    image, from 0.25 to 1.5 Petrosian radii; less what normal noise as strong as
    along the frame's edge would give. Conselice (2003) multiplies it by ten.

    Parameters
    ----------
    images : array_like, shape (N, H, W)
        Linear, background-subtracted images.
    centers : array_like, shape (N, 2)
        Positions (y, x) of the nuclei.
    petrosian : float
        Petrosian radius in pixels.
    ignore : array_like of bool, shape (N, H, W), optional
        True where a pixel must not be used.

    Returns
    -------
    `~numpy.ndarray`, shape (N,)
        0 for smooth light; NaN where there is none.

    References
    ----------
    Lotz, Primack & Madau 2004, AJ 128, 163, eq. 11.
    """
    images = _floating(images)
    usable = np.isfinite(images) if ignore is None else np.isfinite(images) & ~np.asarray(ignore, bool)
    flux = np.where(usable, images, 0)
    side = max(3, 2 * round((_FINE * petrosian - 1) / 2) + 1)
    weight = ndimage.uniform_filter(usable.astype(float), (0, side, side))
    smooth = ndimage.uniform_filter(flux, (0, side, side), output=float)
    fine = flux - np.divide(smooth, weight, out=np.zeros(flux.shape), where=usable)
    noise = edge_background(fine[:, None], ~usable[:, None])[1][:, 0]
    distance = _distances(images.shape, np.asarray(centers, float))
    zone = usable & (distance > _FINE * petrosian) & (distance <= _TOTAL * petrosian)
    light = (np.maximum(fine, 0) * zone).sum(axis=(1, 2))
    light -= np.nan_to_num(noise) / np.sqrt(2 * np.pi) * zone.sum(axis=(1, 2))
    return _ratio(light, (flux * zone).sum(axis=(1, 2)))


def lotz_merger(gini: ArrayLike, m20: ArrayLike) -> Floats:
    """How far above the line of mergers in the plane of Gini and M20 a galaxy lies.

    Parameters
    ----------
    gini, m20 : array_like, shape (N,)

    Returns
    -------
    `~numpy.ndarray`, shape (N,)
        ``gini + 0.14 m20 - 0.33``: positive for a merger.

    References
    ----------
    Lotz et al. 2008, ApJ 672, 177, eq. 4.
    """
    return np.asarray(gini, float) + 0.14 * np.asarray(m20, float) - 0.33


def _measure(images, radius):
    """All measures of images whose galaxies have one Petrosian radius."""
    centers = find_nucleus(images, max_offset=_OFFSET * radius)
    galaxy, neighbours = segment_galaxies(images, centers, radius)
    inside = galaxy.any(axis=0)
    box = (slice(None), *(_extent(inside.any(axis=axis)) for axis in (1, 0)))
    alone = np.where(neighbours, np.nan, images)
    return {
        "asymmetry": rotational_asymmetry(
            images, radius=ASYMMETRY_RADII * radius, search=max(1, round(SEARCH * radius))
        ),
        "gini": gini(images[box], galaxy[box]),
        "m20": m20(images[box], galaxy[box]),
        "concentration": concentration(alone, centers, _TOTAL * radius),
        "smoothness": smoothness(images, centers, radius, ignore=neighbours),
    }


def _split(images, centers, petrosian):
    """What is brighter than the isophote, connected to the nuclei and not."""
    good = np.isfinite(images)
    near = good & (_distances(images.shape, centers) <= _NEAR * petrosian)
    box = (slice(None), *(_extent(near.any(axis=(0, axis))) for axis in (2, 1)))
    threshold = _isophote(np.where(near, images, np.nan)[box])
    smooth = ndimage.gaussian_filter(np.where(good, images, 0), (0, petrosian / 5, petrosian / 5))
    plane = np.zeros((3, 3, 3), int)
    plane[1] = 1  # images are not connected to each other
    labels, _ = ndimage.label(smooth > threshold[:, None, None], structure=plane)
    row, column = np.clip(np.rint(centers).astype(int).T, 0, np.array(images.shape[1:])[:, None] - 1)
    own = labels[np.arange(len(images)), row, column][:, None, None]
    return (labels == own) & (labels > 0) & good, (labels != own) & (labels > 0)


def _isophote(images):
    """Value of the first pixel, from the brightest on, with at most `_ETA` of the mean so far; infinite if none has."""
    ordered = -np.sort(-images.reshape(len(images), -1).astype(float), axis=1)  # NaN go last
    known = np.isfinite(ordered)
    mean = np.cumsum(np.where(known, ordered, 0), axis=1) / np.arange(1, ordered.shape[1] + 1)
    below = known & (mean > 0) & (ordered <= _ETA * mean)
    first = np.argmax(below, axis=1)
    return np.where(below.any(axis=1), ordered[np.arange(len(ordered)), first], np.inf)


def _floating(images: ArrayLike) -> Floats:
    images = np.asarray(images)
    return images if images.dtype.kind == "f" else images.astype(float)


def _light(images, galaxy):
    """Flux of a galaxy's pixels, zero elsewhere, and which they are: a line per image, in double precision."""
    images, galaxy = np.asarray(images, float), np.asarray(galaxy, bool)
    pixels = images.shape[1] * images.shape[2]
    galaxy = galaxy & np.isfinite(images)
    return np.where(galaxy, images, 0).reshape(-1, pixels), galaxy.reshape(-1, pixels)


def _ratio(above, below):
    """``above / below`` where both are known and ``below`` is positive; NaN elsewhere."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 0)


def _extent(lines):
    """Slice from the first to the last line that is True; everything if none is."""
    found = np.flatnonzero(lines)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(None)


def _distances(shape, centers):
    """Distance of every pixel from the centre of its image, shape (N, H, W)."""
    y = np.arange(shape[1])[:, None] - centers[:, 0, None, None]
    x = np.arange(shape[2]) - centers[:, 1, None, None]
    return np.hypot(y, x)


def _growth(images, centers, radius):
    """Light within circles of 0, 1/4, 2/4, ... pixels, the last of ``radius``; shape (N, K).

    A pixel enters gradually, while a circle grows from half a pixel inside its
    centre to half a pixel outside. The mean of what enters in a step stands
    for the whole ring, so that pixels that are missing do no harm.
    """
    n = len(images)
    n_steps = int(np.ceil(_STEPS * radius))
    half = _STEPS // 2
    n_bins = n_steps + half + 1
    distance = _distances(images.shape, centers)
    used = np.isfinite(images) & (distance * _STEPS < n_bins - 1)
    image, *_ = np.nonzero(used)
    distance, flux = distance[used], images[used].astype(float)
    place = image * n_bins + (distance * _STEPS).astype(int) + 1
    at = np.arange(n_bins) / _STEPS

    def within(weights):
        sums, moments = (
            np.bincount(place, each, minlength=n * n_bins).reshape(n, n_bins).cumsum(axis=1)
            for each in (weights, weights * distance)
        )
        swept = at * sums - moments  # integral of what lies within x, from 0 to x
        return swept[:, half:] - np.pad(swept, ((0, 0), (half, 0)))[:, : n_bins - half]

    entering, area = (np.diff(within(weights), axis=1) for weights in (flux, np.ones(len(flux))))
    brightness = np.divide(entering, area, out=np.zeros(area.shape), where=area > 1e-9)
    edges = np.minimum(np.arange(n_steps + 1) / _STEPS, radius)
    return np.pad(np.cumsum(brightness * np.pi * np.diff(edges**2), axis=1), ((0, 0), (1, 0)))


def _crossing(growth, grid, share):
    """Radius where the curve of growth first reaches a share of its end."""
    rows = np.arange(len(growth))
    goal = share * growth[:, -1]
    after = np.maximum(np.argmax(growth >= goal[:, None], axis=1), 1)
    low, high = growth[rows, after - 1], growth[rows, after]
    step = _ratio(goal - low, high - low)
    radius = grid[after - 1] + step * (grid[after] - grid[after - 1])
    return np.where(goal > 0, radius, np.nan)
