"""Cutouts that do not fit the model: noticed here, flagged, and told of once."""

import warnings
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from numpy.typing import NDArray

from galmerge_da.exceptions import InputWarning
from galmerge_da.flags import Flag
from galmerge_da.preprocessing.bands import wavelengths

if TYPE_CHECKING:
    from galmerge_da.preprocessing.recipe import PreprocessingRecipe

__all__ = ["check_scale", "check_units", "warn_of_mismatch"]

#: Noise beyond these multiples of a survey's is not its own. Counts are at hundreds; depths vary, and resampling
#: or a galaxy at the edge of its image change noise by a factor of a few.
_NOISE_RANGE = (1e-3, 30.0)

#: A band is in another unit if both the light and the noise differ by more from those of the next bands. Galaxies
#: have colours of up to three magnitudes between them, and a band without the galaxy has noise all the same.
_BAND_RATIO = 30.0

#: Side of the box in the middle whose mean is the light of a galaxy, over the side of the image.
_MIDDLE = 0.25

_FWHM_TO_SIGMA = 1 / 2.3548

#: Pixels that are larger or smaller by more than this factor than those of the training images are of another scale.
_OTHER_SCALE = 1.5


def check_units(stack):
    """Flag images that cannot be in the unit that they should be in, as a whole or in one band.

    Parameters
    ----------
    stack : Stack
        With ``level`` and ``noise``.
    """
    _check_survey(stack)
    if not stack.stretched and stack.images.shape[1] > 1:
        _check_bands(stack)


def _check_bands(stack):
    """Flag images with a band whose light and noise are both far from those of the bands next to it in wavelength."""
    height, width = stack.images.shape[2:]
    y, x = (slice(int(n * (1 - _MIDDLE) / 2), -int(n * (1 - _MIDDLE) / 2) or None) for n in (height, width))
    light = stack.images[..., y, x].mean(axis=(2, 3), dtype=np.float64) - stack.level
    unit = np.zeros(len(stack.zero_point)) if np.isnan(stack.zero_point).any() else stack.zero_point
    known = wavelengths(stack.bands or ())
    order = np.argsort(known) if known and None not in known else np.arange(len(unit))
    measured = (stack.noise > 0).all(axis=1)
    brighter, darker = np.ones((2, *light.shape), bool)
    for values in (light, stack.noise):
        values = (values * 10 ** (-0.4 * (unit - unit[0])))[:, order]
        ends = np.full((len(values), 1), np.nan)  # the first and the last band have one neighbour
        sides = np.stack([np.hstack([ends, values[:, :-1]]), np.hstack([values[:, 1:], ends])])
        brighter &= values > _BAND_RATIO * np.fmax(*sides)
        darker &= values < np.fmin(*sides) / _BAND_RATIO
    stack.flags[measured & (brighter | darker).any(axis=1)] |= Flag.UNIT_DOUBTFUL


def _check_survey(stack):
    """Flag images whose noise is in no band that of their survey: counts, or pixels of another origin.

    Parameters
    ----------
    stack : Stack
        Nothing is said of rows whose pixel scale, PSF, zero point or depth is unknown.
    """
    flux = 10 ** (-0.4 * (stack.depth - stack.zero_point)) / 5
    sigma = stack.psf_fwhm * _FWHM_TO_SIGMA / stack.pixel_scale[:, None]
    ratio = stack.noise * np.sqrt(np.maximum(4 * np.pi * sigma**2, 1)) / flux
    low, high = _NOISE_RANGE
    off = (ratio > high).all(axis=1) | ((ratio < low) & (ratio > 0)).all(axis=1)
    stack.flags[off] |= Flag.UNIT_DOUBTFUL


def check_scale(cutouts, recipe):
    """Flags of cutouts whose pixels are taken as they are and have another scale than the training images, or none.

    Parameters
    ----------
    cutouts : `~galmerge_da.Cutouts`
    recipe : PreprocessingRecipe

    Returns
    -------
    `~numpy.ndarray` of int32, shape (N,)
        0 for frames that scale with their galaxy, and for a recipe without ``trained_scales``.
    """
    flags = np.zeros(len(cutouts), np.int32)
    if recipe.trained_scales is None or cutouts.radii_per_pixel is not None:
        return flags
    scale = np.nan if cutouts.pixel_scale is None else cutouts.pixel_scale.to_value(u.arcsec)
    scale = np.broadcast_to(scale, len(cutouts))
    low, _, high = recipe.trained_scales
    known = scale > 0
    flags[~known] |= Flag.PIXEL_SCALE_UNKNOWN
    flags[known & ((scale < low / _OTHER_SCALE) | (scale > high * _OTHER_SCALE))] |= Flag.PIXEL_SCALE_DIFFERS
    return flags


def warn_of_mismatch(flags: NDArray[Any], source: Any, recipe: "PreprocessingRecipe", *, stacklevel: int = 2) -> None:
    """Tell once what the flags of all rows say about cutouts that do not fit a recipe.

    Parameters
    ----------
    flags : `~numpy.ndarray` of int, shape (N,)
        As `preprocess` sets them.
    source : object
        With ``survey``, ``zero_point`` and ``pixel_scale`` of the cutouts.
    recipe : PreprocessingRecipe
    stacklevel : int, optional
        Of the warnings, counted from the caller.

    Warns
    -----
    InputWarning
        For each of ``PIXEL_SCALE_UNKNOWN``, ``PIXEL_SCALE_DIFFERS``, ``PSF_UNMATCHED`` and
        ``UNIT_DOUBTFUL`` that some row has.
    """
    band = "a band that cannot be in the unit of the others"
    if recipe.flux is not None and source.zero_point is None:
        unit = "do not say what a unit of flux is, and it was not converted: give zero_point"
    elif source.survey is None:
        unit = f"have {band}: is it in counts?"
    else:
        unit = (
            f"have noise that cannot be that of the survey {source.survey!r} in its unit of flux, or {band}: "
            "are they counts, or of another survey? give zero_point, or another survey"
        )
    said = {
        Flag.PIXEL_SCALE_UNKNOWN: f"do not say their pixel scale and were taken to have the {_trained(recipe)} "
        "arcsec per pixel of the training images: give pixel_scale",
        Flag.PIXEL_SCALE_DIFFERS: f"have pixels of another scale{_given(source)} than the {_trained(recipe)} "
        "arcsec of the training images, and were taken as they are: resample them, or train with frames that are "
        "scaled to the galaxy (scale = 'radius') or to one pixel_scale",
        Flag.PSF_UNMATCHED: "have a point-spread function or pixel scale that is not known, or one broader than that "
        "of the training images or too narrow for their pixels, and were not matched to it, or not well: "
        "give psf_fwhm and pixel_scale if they are not known",
        Flag.UNIT_DOUBTFUL: unit,
    }
    for flag, text in said.items():
        n = int(np.count_nonzero(np.asarray(flags) & flag))
        if n:
            warnings.warn(f"{n} of {len(flags)} cutouts {text} ({flag.name})", InputWarning, stacklevel=stacklevel + 1)


def _trained(recipe):
    """Arcsec per pixel of the training images, in words."""
    if recipe.trained_scales is None:
        return f"{recipe.pixel_scale}"
    low, median, high = recipe.trained_scales
    return f"{low:.3g} to {high:.3g} (median {median:.3g})"


def _given(source):
    """Median arcsec per pixel of the cutouts, in words; nothing where only their WCS say it."""
    if source.pixel_scale is None:
        return ""
    return f" ({np.nanmedian(source.pixel_scale.to_value(u.arcsec)):.3g} arcsec)"
