"""`preprocess`: cutouts in, frames of one size out, a flag for whatever was wrong."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from galmerge_da.exceptions import InputError
from galmerge_da.flags import FATAL, Flag
from galmerge_da.photometry import edge_background
from galmerge_da.preprocessing.bands import match_bands
from galmerge_da.preprocessing.pixels import (
    background_level,
    fill_bad_pixels,
    linearise,
    missing_border,
    usable_box,
)
from galmerge_da.preprocessing.radii import given_radii, measure_radii
from galmerge_da.resampling import covered, resample

__all__ = ["Frames", "frame_radii", "preprocess"]

#: An image with fewer pixels across cannot be used.
_SMALLEST = 8

#: A frame that covers fewer pixels of the image across shows no detail.
_DETAIL = 24

#: A frame may lack this fraction of its area before it is flagged.
_MISSING = 0.03

#: Larger values are marks of bad pixels, not fluxes.
_HUGE = 1e30

#: Values that are worked on at once.
_CHUNK = 2**22


@dataclass(frozen=True, eq=False)
class Frames:
    """What a network is trained on and classifies.

    Attributes
    ----------
    data : `~numpy.ndarray` of float32, shape (N, C, size, size)
        Linear, background-subtracted surface brightness; zeros where there is
        nothing to classify.
    flags : `~numpy.ndarray` of int32, shape (N,)
        Bits of `~galmerge_da.Flag`: those of the cutouts and more.
    radius : `~numpy.ndarray` of float64, shape (N,)
        Petrosian radius in pixels of the input image; NaN where unknown.
    """

    data: np.ndarray
    flags: np.ndarray
    radius: np.ndarray

    def __len__(self):
        return len(self.flags)


def preprocess(cutouts, recipe):
    """Make clean linear frames of one size.

    Parameters
    ----------
    cutouts : `~galmerge_da.Cutouts`
        Images of any sizes, galaxies in their middle.
    recipe : PreprocessingRecipe
        What a frame is.

    Returns
    -------
    Frames
        Same rows. A row that cannot be used is flagged, never an error.

    Raises
    ------
    InputError
        If the bands cannot be matched to those of the recipe, or their names
        do not fit the images.

    Warns
    -----
    InputWarning
        If bands of other names stand for the recipe's.
    """
    n_bands = _count_bands(cutouts)
    n = len(cutouts)
    if n and np.all(np.asarray(cutouts.flags) & FATAL):  # nothing is known about bands that nobody could read
        order = list(range(len(recipe.bands or range(n_bands))))
    else:
        order = match_bands(n_bands if cutouts.bands is None else cutouts.bands, recipe.bands)
    frames = Frames(
        np.zeros((n, len(order), recipe.size, recipe.size), np.float32),
        np.array(cutouts.flags, dtype=np.int32),
        given_radii(cutouts),
    )
    if cutouts.stretched:
        frames.flags[:] |= Flag.STRETCHED
    for rows in _stacks(cutouts, n_bands, frames.flags):
        _process(cutouts, rows, order, recipe, frames)
    fatal = (frames.flags & FATAL) != 0
    frames.flags[fatal] |= Flag.NOT_CLASSIFIED
    frames.data[fatal] = 0
    return frames


def frame_radii(frames, recipe):
    """Petrosian radii in pixels of the frames, no longer of the images.

    Parameters
    ----------
    frames : Frames
        As `preprocess` made them.
    recipe : PreprocessingRecipe
        By this.

    Returns
    -------
    `~numpy.ndarray` of float64, shape (N,)
        One and the same where frames are scaled to the galaxy, measured where
        they are not; NaN where unknown.
    """
    if recipe.scale == "radius":
        return np.where(np.isnan(frames.radius), np.nan, recipe.size / recipe.frame_radii)
    usable = np.flatnonzero((frames.flags & FATAL) == 0)
    radii = np.full(len(frames), np.nan)
    radii[usable] = measure_radii(frames.data[usable], np.zeros((len(usable), frames.data.shape[1])))
    return radii


def _count_bands(cutouts):
    """Number of bands of the images, which their names must fit."""
    if isinstance(cutouts.data, list):
        counts = Counter(image.shape[0] for image in cutouts.data if image.ndim == 3 and image.size)
        n_named = None if cutouts.bands is None else len(cutouts.bands)
        n_bands = n_named if n_named in counts or not counts else counts.most_common(1)[0][0]
    else:
        n_bands = cutouts.data.shape[1]
    if n_bands is None:
        return next((image.shape[0] for image in cutouts.data if image.ndim == 3), 1)
    if cutouts.bands is not None and len(cutouts.bands) != n_bands:
        raise InputError(f"the images have {n_bands} bands, but {len(cutouts.bands)} names: {cutouts.bands}")
    return n_bands


def _stacks(cutouts, n_bands, flags):
    """Rows, a few at a time, whose images have one usable shape; others are flagged."""
    by_shape = {}
    for row in range(len(cutouts)):
        if flags[row] & FATAL:
            continue
        shape = cutouts.data[row].shape
        if len(shape) != 3 or shape[0] != n_bands or 0 in shape:
            flags[row] |= Flag.BAD_SHAPE
        elif min(shape[1:]) < _SMALLEST:
            flags[row] |= Flag.BAD_SHAPE | Flag.TOO_SMALL
        else:
            by_shape.setdefault(shape, []).append(row)
    for shape, rows in by_shape.items():
        step = max(1, _CHUNK // int(np.prod(shape)))
        for start in range(0, len(rows), step):
            yield np.array(rows[start : start + step])


def _take(layout, rows):
    """Images of some rows as one array, a view where that is possible."""
    if not isinstance(layout, list):
        contiguous = rows[-1] - rows[0] == len(rows) - 1
        return layout[rows[0] : rows[-1] + 1] if contiguous else layout[rows]
    return layout[rows[0]][None] if len(rows) == 1 else np.stack([layout[row] for row in rows])


def _process(cutouts, rows, order, recipe, frames):
    """Make the frames of a stack of images of one shape."""
    raw = _take(cutouts.data, rows)
    images = linearise(raw) if cutouts.stretched else np.asarray(raw, np.float32)
    if order != list(range(raw.shape[1])):
        raw, images = raw[:, order], images[:, order]
    flags = frames.flags[rows]
    bad = _bad_pixels(cutouts, rows, order, raw, flags)
    images, level, margins = _repair(images, raw, bad, flags)
    usable = np.flatnonzero((flags & FATAL) == 0)
    radius = frames.radius[rows]
    if recipe.scale == "radius":
        unknown = usable[np.isnan(radius[usable])]
        radius[unknown] = measure_radii(images[unknown], level[unknown])
        flags[unknown] |= np.where(np.isnan(radius[unknown]), Flag.RADIUS_UNKNOWN, Flag.RADIUS_MEASURED)
    width, center = _windows(images.shape[2:], radius, recipe)
    missing = 1 - covered(images.shape[2:], width)
    for i, margin in margins.items():
        missing[i] += _share(margin, center, width[i])
    flags[missing > _MISSING] |= Flag.OFF_EDGE
    flags[np.minimum(width, max(images.shape[2:])) < _DETAIL] |= Flag.TOO_SMALL
    if recipe.background == "none":
        level = np.zeros_like(level)
    same = usable.size == len(rows) and np.all(width == width[0])
    for some in [slice(None)] if same else usable[:, None]:
        each = width[some][0]
        sky = level[some][..., None, None]
        frames.data[rows[some]] = resample(images[some], recipe.size, width=each, center=center, background=sky)
    frames.flags[rows] = flags
    frames.radius[rows] = radius


def _bad_pixels(cutouts, rows, order, raw, flags):
    """Position in the stack -> pixels that cannot be used; rows without any are left out."""
    low, high = raw.min(axis=(2, 3)), raw.max(axis=(2, 3))
    finite = ((low > -_HUGE) & (high < _HUGE)).all(axis=1)  # False where there is a NaN
    constant = low == high
    flags[finite & constant.all(axis=1)] |= Flag.BLANK
    bad = {}
    for i in np.flatnonzero(finite & constant.any(axis=1) & ~constant.all(axis=1)):  # no survey has such a band
        bad[i] = np.broadcast_to(constant[i][:, None, None], raw.shape[1:]).copy()
    for i, row in enumerate(rows):
        if not finite[i]:
            bad[i] = ~(np.abs(raw[i]) < _HUGE)
            inside = (slice(None), *usable_box(~bad[i].all(axis=0)))  # a blank margin has OFF_EDGE instead
            flags[i] |= Flag.NONFINITE if bad[i][inside].any() else 0
        masked = np.zeros((), bool)
        if cutouts.mask is not None:
            masked = masked | np.asarray(cutouts.mask[row], bool)[order]
        if cutouts.weight is not None:
            masked = masked | ~(np.asarray(cutouts.weight[row])[order] > 0)
        if masked.any():
            bad[i] = bad[i] | masked if i in bad else masked
            flags[i] |= Flag.MASKED
    return bad


def _repair(images, raw, bad, flags):
    """Fill bad pixels; give the images, their background, and the blank margins of some."""
    edges = (raw[:, :, 0], raw[:, :, -1], raw[..., 0], raw[..., -1])
    dark = np.logical_or.reduce([(line == 0).all(axis=(1, 2)) for line in edges])
    damaged = sorted({*bad, *np.flatnonzero(dark)})
    if damaged:
        images = images.copy()
    level = np.nan_to_num(edge_background(images)[0])
    margins = {}
    for i in damaged:
        wrong = bad.get(i, np.zeros(images.shape[1:], bool))
        margin = missing_border(raw[i], wrong)
        if margin is not None:
            margins[i] = margin
            wrong = wrong | margin
        if wrong.any():
            flags[i] |= _fill(images[i], wrong, level[i])
    return images, level, margins


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


def _windows(shape, radius, recipe):
    """Side of each frame in pixels of the image, and the position of the middle of all of them."""
    whole = float(max(shape))
    if recipe.scale == "pixels":  # on the grid of the image
        center = tuple((n - recipe.size) // 2 + (recipe.size - 1) / 2 for n in shape)
        return np.full(len(radius), float(recipe.size)), center
    width = np.full(len(radius), whole)
    if recipe.scale == "radius":
        width = np.where(np.isnan(radius), whole, recipe.frame_radii * radius)
    return width, tuple((n - 1) / 2 for n in shape)


def _share(margin, center, width):
    """Fraction of a window that a blank margin takes."""
    window = tuple(
        slice(max(0, round(middle + 0.5 - width / 2)), max(0, round(middle + 0.5 + width / 2))) for middle in center
    )
    return np.count_nonzero(margin[window]) / width**2
