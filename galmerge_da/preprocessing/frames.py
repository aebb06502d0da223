"""`preprocess`: cutouts in, frames of one size out, a flag for whatever was wrong."""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass

import astropy.units as u
import numpy as np
from numpy.typing import NDArray

from galmerge_da.exceptions import InputError
from galmerge_da.flags import FATAL, Flag
from galmerge_da.io import Cutouts
from galmerge_da.preprocessing.bands import match_bands
from galmerge_da.preprocessing.checks import check_scale
from galmerge_da.preprocessing.radii import given_radii, measure_radii
from galmerge_da.preprocessing.recipe import PreprocessingRecipe
from galmerge_da.preprocessing.stack import Stack

__all__ = ["Frames", "frame_radii", "preprocess"]

#: An image with fewer pixels across cannot be used.
_SMALLEST = 8

#: Values that are worked on at once.
_CHUNK = 2**22


@dataclass(frozen=True, eq=False)
class Frames:
    """What a network is trained on and classifies.

    Attributes
    ----------
    data : `~numpy.ndarray` of float32, shape (N, C, size, size)
        Linear and without sky: surface brightness, or flux where the recipe
        has a pixel scale; zeros where there is nothing to classify.
    flags : `~numpy.ndarray` of int32, shape (N,)
        Bits of `~galmerge_da.Flag`: those of the cutouts and more.
    radius : `~numpy.ndarray` of float64, shape (N,)
        Petrosian radius in pixels of the input image; NaN where unknown.
    """

    data: NDArray[np.float32]
    flags: NDArray[np.int32]
    radius: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.flags)


def preprocess(cutouts: Cutouts, recipe: PreprocessingRecipe) -> Frames:
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
        do not fit the images; if an optional step of the recipe needs what is
        not known of any row, or the PSF of all is broader than the recipe's.

    Warns
    -----
    InputWarning
        If bands of other names stand for the recipe's.
    """
    frames, order, n_bands = begin(cutouts, recipe)
    for rows in stacks(cutouts, n_bands, frames.flags):
        process(cutouts, rows, order, recipe, frames)
    fatal = (frames.flags & FATAL) != 0
    frames.flags[fatal] |= Flag.NOT_CLASSIFIED
    frames.data[fatal] = 0
    return frames


def begin(cutouts, recipe):
    """Empty frames of all rows, the position of each band of a frame in the images, and their number of bands."""
    n_bands = _count_bands(cutouts)
    n = len(cutouts)
    if n and np.all(np.asarray(cutouts.flags) & FATAL):  # nothing is known about bands that nobody could read
        order = list(range(len(recipe.bands or range(n_bands))))
    else:
        order = match_bands(n_bands if cutouts.bands is None else cutouts.bands, recipe.bands)
        for step in recipe.steps:
            if hasattr(step, "check"):
                step.check(cutouts, order)
    frames = Frames(
        np.zeros((n, len(order), recipe.size, recipe.size), np.float32),
        np.asarray(cutouts.flags, dtype=np.int32) | check_scale(cutouts, recipe),
        given_radii(cutouts),
    )
    if cutouts.stretched:
        frames.flags[:] |= Flag.STRETCHED
    return frames, order, n_bands


def frame_radii(frames: Frames, recipe: PreprocessingRecipe) -> NDArray[np.float64]:
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


def stacks(cutouts, n_bands, flags):
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


def process(cutouts, rows, order, recipe, frames, watch=None):
    """Make the frames of a stack of images of one shape.

    ``watch(step, before, after)`` is called with the stack before and after each step.
    """
    stack = _make_stack(cutouts, rows, order, frames)
    for step in recipe.steps:
        before = watch and deepcopy(stack)
        step.apply(stack)
        if watch:
            watch(step, before, stack)
    frames.data[rows] = stack.frames
    frames.flags[rows] = stack.flags
    frames.radius[rows] = stack.radius


def _make_stack(cutouts, rows, order, frames):
    """Images of some rows, with what is known about them."""
    raw = _take(cutouts.data, rows)
    n, n_bands = len(cutouts), raw.shape[1]
    scale = _known(cutouts.pixel_scale, u.arcsec, (n,))[rows]
    return Stack(
        raw=raw,
        images=np.asarray(raw, np.float32),
        flags=frames.flags[rows],
        radius=frames.radius[rows],
        order=order,
        masks=None if cutouts.mask is None else [cutouts.mask[row] for row in rows],
        weights=None if cutouts.weight is None else [cutouts.weight[row] for row in rows],
        stretched=cutouts.stretched,
        pixel_scale=np.where(scale > 0, scale, np.nan),
        psf_fwhm=_known(cutouts.psf_fwhm, u.arcsec, (n, n_bands))[rows],
        zero_point=_known(cutouts.zero_point, u.ABmag, (n_bands,)),
        depth=_known(cutouts.depth, u.ABmag, (n_bands,)),
        bands=cutouts.bands,
    )


def _known(quantity, unit, shape):
    """Values of a Quantity in a unit and of a shape; NaN where there is none."""
    return np.broadcast_to(np.nan if quantity is None else quantity.to_value(unit), shape)
