"""Kernels that bring one point-spread function to another."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galmerge_da.exceptions import InputError

__all__ = ["PROFILES", "SAME_FWHM", "convolve", "is_sampled", "matching_kernel"]

PROFILES = ("gaussian", "moffat")

#: Widths that differ by less, relatively, are the same.
SAME_FWHM = 0.01

#: From so many pixels on, any PSF is sampled well enough.
_SAMPLED = 2.0

#: A matched star may differ from the wanted one by this fraction of its peak.
_TOLERANCE = 0.01

#: Reach of a kernel in units of the wanted FWHM.
_REACH = {"gaussian": 2.0, "moffat": 4.0}


def matching_kernel(given: float, wanted: float, *, profile: str = "gaussian", beta: float = 3.0) -> NDArray[Any]:
    """Kernel that makes a broader PSF of a narrower one, by `photutils.psf_matching.make_kernel`.

    Parameters
    ----------
    given, wanted : float
        Full widths at half maximum in pixels; taken to three digits.
    profile : {"gaussian", "moffat"}, optional
        Shape of both.
    beta : float, optional
        Exponent of the Moffat profile.

    Returns
    -------
    `~numpy.ndarray`, shape (K, K), K odd
        It adds up to 1.

    Raises
    ------
    InputError
        If the wanted PSF is narrower: the kernel would have negative lobes and
        blow up noise.
    """
    if not given > 0 or not given <= wanted < np.inf:
        raise InputError(
            f"a PSF of {given:.3g} pixels cannot be matched to a narrower one of {wanted:.3g}: that would sharpen it"
        )
    return _kernel(float(f"{given:.3g}"), float(f"{wanted:.3g}"), profile, float(beta))


def convolve(image, kernel):
    """Convolve an image with a kernel; beyond the edge its outermost pixels continue.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (H, W)
    kernel : `~numpy.ndarray`, shape (K, K), K odd

    Returns
    -------
    `~numpy.ndarray`, shape (H, W)
        Same type.
    """
    from scipy.signal import oaconvolve  # slow to import, and only needed here

    padded = np.pad(image, len(kernel) // 2, mode="edge")
    return oaconvolve(padded, kernel.astype(image.dtype), mode="valid")


def is_sampled(given, wanted, *, profile="gaussian", beta=3.0):
    """Whether pixels are fine enough for a PSF to be matched: a star between them becomes the wanted one too.

    Parameters
    ----------
    given, wanted, profile, beta
        As for `matching_kernel`.

    Returns
    -------
    bool
        Of coarse pixels it depends on both widths; True from two pixels on.
    """
    return given >= _SAMPLED or _error(float(f"{given:.3g}"), float(f"{wanted:.3g}"), profile, float(beta)) < _TOLERANCE


@lru_cache(maxsize=512)
def _error(given, wanted, profile, beta):
    """Largest difference between a matched star in the corner of four pixels and the wanted one, over its peak."""
    kernel = _kernel(given, wanted, profile, beta)
    squared = np.arange(-len(kernel) + 0.5, len(kernel)) ** 2
    squared = squared[:, None] + squared
    star, expected = (_psf(squared, fwhm, profile, beta) for fwhm in (given, wanted))
    return np.abs(convolve(star, kernel) - expected).max() / expected.max()


@lru_cache(maxsize=512)
def _kernel(given, wanted, profile, beta):
    from photutils.psf_matching import make_kernel  # slow to import, and only needed here

    reach = max(5, int(np.ceil(_REACH[profile] * wanted)))
    squared = np.arange(-reach, reach + 1) ** 2
    squared = squared[:, None] + squared
    kernel = make_kernel(*(_psf(squared, fwhm, profile, beta) for fwhm in (given, wanted)))
    return kernel / kernel.sum()


def _psf(squared, fwhm, profile, beta):
    """A PSF at the squared distances from its centre; it adds up to 1."""
    if profile == "gaussian":
        psf = 0.5 ** (squared / (fwhm / 2) ** 2)
    else:
        psf = (1 + (2 ** (1 / beta) - 1) * squared / (fwhm / 2) ** 2) ** -beta
    return psf / psf.sum()
