"""Augmented copies of one galaxy, recognised by their pixels, so that they stay on one side of a split.

Copies made by flips and quarter turns have the same pixels in another order.
Copies that were rotated by any angle or zoomed about a centre have, on a grid
of angle and logarithmic radius, the same pattern at another place. The
pattern that counts is the fine and lopsided one, each radius with the same
weight: noise, neighbours and substructure, which no two galaxies share.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from galmerge_da.exceptions import InputError
from galmerge_da.io._types import Array

__all__ = ["find_twins", "join_groups"]

_CHUNK = 256
#: Smallest side of an image with a pattern to compare.
_SMALLEST = 32
_N_RADII, _N_ANGLES = 32, 96
#: Harmonics of the angle that make the pattern: odd ones, since what galaxies have in common, discs and
#: pairs of arms, looks the same after half a turn.
_HARMONICS = slice(3, 40, 2)
#: Steps of the radius, 6 % each, by which a copy may be larger or smaller.
_ZOOMS = range(-3, 4)
#: Rows that each row is compared with in full, the most similar ones, and how similar they have to be at least.
_N_CANDIDATES, _SIMILAR = 8, 0.85
#: Copies have patterns with a correlation that exceeds the median of so many random pairs by so many standard
#: deviations, within these limits; where the median itself is so high, images are too smooth to be told apart.
#: Fewer rows than that may well be copies of one another, and say nothing about chance.
_N_FOR_CHANCE = 10
_N_DRAWN, _SIGMAS, _CORRELATED, _TOO_SMOOTH = 1000, 4.0, (0.85, 0.97), 0.75
#: Share of the variance of their maps in which copies may differ.
_UNEXPLAINED = 0.15


def find_twins(images: Array, *, similar: bool = True) -> NDArray[np.integer]:
    """Group images that are copies of each other.

    Parameters
    ----------
    images : `~numpy.ndarray`, shape (N, C, H, W)
        May be memory-mapped: it is read in chunks.
    similar : bool, optional
        Look also for copies that were rotated by any angle or zoomed by up to
        20 %, about the middle of the frame or the brightest spot near it. Without it, only
        exact copies, flips and quarter turns are found.

    Returns
    -------
    `~numpy.ndarray` of int, shape (N,)
        For each row the first row of its group.

    Raises
    ------
    InputError
        If the images are not ``(N, C, H, W)``.

    Notes
    -----
    Time grows with the square of N where ``similar`` is true. Images smaller than 32
    pixels, or so smooth that different galaxies have the same pattern, are
    compared exactly only. A galaxy that was simulated again from another
    direction is not a copy.
    """
    if np.ndim(images) != 4:
        raise InputError(f"images must be (N, C, H, W), got shape {np.shape(images)}")
    n = len(images)
    _, first, group = np.unique(_fingerprints(images), return_index=True, return_inverse=True)
    if similar and len(first) > 1 and min(images.shape[2:]) >= _SMALLEST:
        pairs = np.concatenate([_similar_pairs(images, first, centre) for centre in (_middle, _brightest)])
        return join_groups(n, np.column_stack([np.arange(n), first[group]]), pairs)
    return join_groups(n, np.column_stack([np.arange(n), first[group]]))


def join_groups(n, *pairs):
    """Groups of rows that are connected by pairs.

    Parameters
    ----------
    n : int
        Number of rows.
    *pairs : `~numpy.ndarray` of int, shape (M, 2)

    Returns
    -------
    `~numpy.ndarray` of int, shape (n,)
        For each row the first row of its group.
    """
    pairs = np.concatenate([np.zeros((0, 2), int), *pairs])
    graph = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(n, n))
    _, first, group = np.unique(connected_components(graph, directed=False)[1], return_index=True, return_inverse=True)
    return first[group]


def _fingerprints(images):
    """One per image, the same for images whose bands have the same values in any order."""
    prints = []
    for start in range(0, len(images), _CHUNK):
        chunk = np.array(images[start : start + _CHUNK])
        chunk = chunk.astype(chunk.dtype.newbyteorder("="), copy=False)
        chunk = np.sort(chunk.reshape(*chunk.shape[:2], -1), axis=-1) + 0  # -0 becomes 0
        if chunk.dtype.kind == "f":
            chunk[np.isnan(chunk)] = np.nan
        prints += [hashlib.sha256(image.tobytes()).digest() for image in chunk]
    return np.array(prints, dtype="S32") if prints else np.zeros(0, "S32")


def _similar_pairs(images, rows, centre):
    """Pairs of rows that are copies, rotated or zoomed about a centre; shape (M, 2)."""
    patterns = np.concatenate(
        [_patterns(images, rows[start : start + _CHUNK], centre) for start in range(0, len(rows), _CHUNK)]
    )
    chance = _by_chance(patterns) if len(rows) >= _N_FOR_CHANCE else np.zeros(1)
    typical = np.median(chance)
    if typical > _TOO_SMOOTH:
        return np.zeros((0, 2), int)
    least = np.clip(typical + _SIGMAS * 1.4826 * np.median(np.abs(chance - typical)), *_CORRELATED)
    scale, candidates = _scales(images, rows), _candidates(np.abs(patterns))
    found = [
        _check(images, rows, part, patterns, centre, scale, least)
        for part in np.array_split(candidates, max(1, len(candidates) // _CHUNK))
    ]
    return rows[np.concatenate(found)]


def _candidates(strengths):
    """Pairs of similar spectra, which know nothing of rotation and flips; shape (M, 2)."""
    n, pairs = len(strengths), []
    for start in range(0, n, _CHUNK):
        best = np.zeros((min(_CHUNK, n - start), n), np.float32)
        for zoom in _ZOOMS:
            own, other = _overlap(zoom)
            one, two = _unit(strengths[start : start + _CHUNK, own]), _unit(strengths[:, other])
            np.maximum(best, one @ two.T, out=best)
        best[np.arange(len(best)), np.arange(start, start + len(best))] = 0
        count = min(_N_CANDIDATES, n - 1)
        near = np.argpartition(-best, count - 1, axis=1)[:, :count]
        own, column = np.nonzero(np.take_along_axis(best, near, axis=1) > _SIMILAR)
        pairs.append(np.column_stack([own + start, near[own, column]]))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def _check(images, rows, pairs, patterns, centre, scale, least):
    """Those of the pairs that are copies."""
    if not len(pairs):
        return pairs
    correlation, turn = _align(patterns, pairs)
    close = np.flatnonzero(correlation > least)
    if not len(close):
        return pairs[:0]
    one, two = (_maps(images, rows[pairs[close, side]], centre, scale) for side in (0, 1))
    common = [_unexplained(*each) < _UNEXPLAINED for each in zip(one, two, turn[close], strict=True)]
    return pairs[close[np.array(common)]]


def _align(patterns, pairs):
    """Best correlation of each pair, and with which zoom, flip and angle; shapes (M,) and (M, 3)."""
    best, turn = np.zeros(len(pairs)), np.zeros((len(pairs), 3), int)
    for zoom in _ZOOMS:
        own, other = _overlap(zoom)
        one, two = patterns[pairs[:, 0], own], patterns[pairs[:, 1], other]
        norm = np.sqrt(_power(one) * _power(two))
        for flip in (False, True):
            spectrum = np.zeros((len(pairs), _N_ANGLES // 2 + 1), np.complex64)
            spectrum[:, _HARMONICS] = np.sum(one * (two if flip else np.conj(two)), axis=1)
            along = np.fft.irfft(spectrum, _N_ANGLES, axis=1)
            correlation = along.max(axis=1) * _N_ANGLES / 2 / np.maximum(norm, 1e-30)
            better = np.flatnonzero(correlation > best)
            best[better] = correlation[better]
            turn[better, 0], turn[better, 1], turn[better, 2] = zoom, flip, along[better].argmax(axis=1)
    return best, turn


def _by_chance(patterns):
    """Best correlations of pairs of rows drawn at random."""
    pairs = np.random.default_rng(0).integers(len(patterns), size=(_N_DRAWN, 2))
    return _align(patterns, pairs[pairs[:, 0] != pairs[:, 1]])[0]


def _unexplained(one, two, turn):
    """Share of the variance of two maps (C, R, A) that differs when one is turned, in the worst band."""
    zoom, flip, angle = turn
    own, other = _overlap(zoom)
    one, two = one[:, own], two[:, other]
    if flip:
        two = np.roll(two[..., ::-1], 1, axis=-1)
    two = np.roll(two, angle, axis=-1)
    norm = np.sqrt(one.var(axis=(1, 2)) * two.var(axis=(1, 2)))
    return np.max(np.mean((one - two) ** 2, axis=(1, 2)) / np.maximum(norm, 1e-30))


def _overlap(zoom):
    """The radii that two maps share when one is zoomed."""
    return slice(max(0, zoom), _N_RADII + min(0, zoom)), slice(max(0, -zoom), _N_RADII + min(0, -zoom))


def _power(patterns):
    return np.sum(np.abs(patterns) ** 2, axis=(1, 2))


def _unit(strengths):
    flat = strengths.reshape(len(strengths), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-30)


def _patterns(images, rows, centre):
    """Harmonics of the angle at each radius, scaled to the same strength; shape (N, R, K)."""
    gray = _read(images, rows).mean(axis=1)
    edge = np.concatenate([gray[:, 0], gray[:, -1], gray[:, :, 0], gray[:, :, -1]], axis=1)
    gray = gray - np.median(edge, axis=1)[:, None, None]
    level = np.percentile(np.abs(gray), 90, axis=(1, 2))
    gray = np.arcsinh(gray / np.where(level > 0, level, 1)[:, None, None])
    harmonics = np.fft.rfft(_polar(gray[:, None], centre(gray), 0.7)[:, 0], axis=2)[:, :, _HARMONICS]
    strength = np.sqrt(np.sum(np.abs(harmonics) ** 2, axis=2, keepdims=True))
    least = 1e-6 * strength.max(axis=1, keepdims=True)
    return (harmonics / np.maximum(np.maximum(strength, least), 1e-30)).astype(np.complex64)


def _maps(images, rows, centre, scale):
    """All bands on a grid of radius and angle, on one asinh scale for all images; shape (N, C, R, A)."""
    pixels = _read(images, rows)
    return _polar(np.arcsinh(pixels / scale[:, None, None]), centre(pixels.mean(axis=1)), 1.0)


def _scales(images, rows):
    """A flux of each band that is typical of galaxies."""
    some = _read(images, rows[np.linspace(0, len(rows) - 1, min(len(rows), _CHUNK)).astype(int)])
    some = np.abs(some - np.median(some, axis=(2, 3), keepdims=True))
    level = np.median(np.percentile(some, 90, axis=(2, 3)), axis=0)
    return np.where(level > 0, level, 1)


def _read(images, rows):
    return np.nan_to_num(np.asarray(images[rows], np.float32), posinf=0, neginf=0)


def _polar(images, centres, smooth):
    """Images (N, C, H, W) smoothed and sampled at (N, C, R, A)."""
    half = (min(images.shape[2:]) - 1) / 2
    radius = np.geomspace(half * 0.135, half * 0.95, _N_RADII)[:, None]
    angle = np.arange(_N_ANGLES) * (2 * np.pi / _N_ANGLES)
    out = np.empty((*images.shape[:2], _N_RADII, _N_ANGLES), np.float32)
    for number, (image, (y, x)) in enumerate(zip(images, centres, strict=True)):
        where = [y + radius * np.sin(angle), x + radius * np.cos(angle)]
        for band, plane in enumerate(image):
            smoothed = ndimage.gaussian_filter(plane, smooth)
            out[number, band] = ndimage.map_coordinates(smoothed, where, order=1, mode="nearest")
    return out


def _middle(gray):
    """The middle of each frame."""
    return np.tile((np.array(gray.shape[1:]) - 1) / 2, (len(gray), 1))


def _brightest(gray):
    """The brightest spot within a third of the frame's side from its middle."""
    middle = (np.array(gray.shape[1:]) - 1) / 2
    y, x = np.indices(gray.shape[1:])
    near = np.hypot(y - middle[0], x - middle[1]) < min(gray.shape[1:]) / 3
    out = np.empty((len(gray), 2))
    for number, image in enumerate(gray):
        smoothed = np.where(near, ndimage.gaussian_filter(image, 1.5), -np.inf)
        top = np.array(np.unravel_index(smoothed.argmax(), smoothed.shape))
        box = tuple(slice(max(0, at - 2), at + 3) for at in top)
        weight = np.maximum(image[box] - image[box].min(), 0) + 1e-30
        out[number] = [np.average(grid[box], weights=weight) for grid in (y, x)]
    return out
