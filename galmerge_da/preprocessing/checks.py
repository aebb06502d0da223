"""Cutouts that do not fit the model: noticed here, flagged, and told of once."""

import warnings

import numpy as np

from galmerge_da.exceptions import InputWarning
from galmerge_da.flags import Flag

__all__ = ["check_noise", "warn_of_mismatch"]

#: Noise beyond these multiples of a survey's is not its own. Counts are at hundreds; depths vary, and resampling
#: or a galaxy at the edge of its image change noise by a factor of a few.
_NOISE_RANGE = (1e-3, 30.0)

_FWHM_TO_SIGMA = 1 / 2.3548


def check_noise(stack):
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


def warn_of_mismatch(flags, source, recipe, *, stacklevel=2):
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
        For each of ``PIXEL_SCALE_UNKNOWN``, ``PSF_UNMATCHED`` and
        ``UNIT_DOUBTFUL`` that some row has.
    """
    if recipe.flux is not None and source.zero_point is None:
        unit = "do not say what a unit of flux is, and it was not converted: give zero_point"
    else:
        unit = (
            f"have noise that cannot be that of the survey {source.survey!r} in its unit of flux: "
            "are they counts, or of another survey? give zero_point, or another survey"
        )
    said = {
        Flag.PIXEL_SCALE_UNKNOWN: f"do not say their pixel scale and were taken to have the {recipe.pixel_scale} "
        "arcsec per pixel of the training images: give pixel_scale",
        Flag.PSF_UNMATCHED: "have a point-spread function or pixel scale that is not known, or one broader than that "
        "of the training images or of fewer than two pixels, and were not matched to it, or not well: "
        "give psf_fwhm and pixel_scale if they are not known",
        Flag.UNIT_DOUBTFUL: unit,
    }
    for flag, text in said.items():
        n = int(np.count_nonzero(np.asarray(flags) & flag))
        if n:
            warnings.warn(f"{n} of {len(flags)} cutouts {text} ({flag.name})", InputWarning, stacklevel=stacklevel + 1)
