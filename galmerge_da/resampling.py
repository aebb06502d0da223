"""Resampling by one small matrix per axis.

Surface brightness is kept: an output pixel is the mean of what it covers.
Beyond the image there is nothing, and the frame stays zero there.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["covered", "resample"]


def resample(
    image: NDArray[Any],
    size: int,
    *,
    width: float | None = None,
    center: Sequence[float] | NDArray[Any] | None = None,
    background: ArrayLike = 0.0,
) -> NDArray[Any]:
    """Bring a square window of an image to ``size`` x ``size`` pixels.

    Shrinking averages over the area of an output pixel, enlarging
    interpolates linearly; a window that lies on the input's own grid is copied.

    Parameters
    ----------
    image : `~numpy.ndarray`, shape (..., H, W)
        Image or stack of them, finite, floating.
    size : int
        Pixels along each side of the output.
    width : float, optional
        Side of the window in input pixels; the longer side of the image by default.
    center : tuple of float, optional
        Position (y, x) of its middle; the middle of the image by default.
    background : float or array_like, broadcastable to the image, optional
        Subtracted first.

    Returns
    -------
    `~numpy.ndarray`, shape (..., size, size)
        Same floating type; zero beyond the image.
    """
    height, length = image.shape[-2:]
    width = float(max(height, length) if width is None else width)
    center = ((height - 1) / 2, (length - 1) / 2) if center is None else center
    rows, top, bottom = _matrix(height, float(center[0]), width, size, image.dtype)
    columns, left, right = _matrix(length, float(center[1]), width, size, image.dtype)
    window = image[..., top:bottom, left:right] - np.asarray(background, image.dtype)
    return np.matmul(np.matmul(rows, window), columns.T)


@overload
def covered(shape: Sequence[int], width: float) -> float: ...
@overload
def covered(shape: Sequence[int], width: NDArray[Any]) -> NDArray[Any]: ...
def covered(shape: Sequence[int], width: float | NDArray[Any]) -> float | NDArray[Any]:
    """Fraction of a centred square window that lies on an image.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image in pixels.
    width : float or `~numpy.ndarray`
        Side of the window in pixels.

    Returns
    -------
    float or `~numpy.ndarray`
    """
    return np.minimum(1, shape[0] / width) * np.minimum(1, shape[1] / width)


@lru_cache(maxsize=512)
def _matrix(n, center, width, size, dtype):
    """Weights (size, high - low) of input pixels low to high for each output pixel."""
    step = width / size
    edges = center - width / 2 + step * np.arange(size + 1) + 0.5  # in units where pixel i spans i to i + 1
    low = int(np.clip(np.floor(edges[0] - 0.5), 0, n - 1))
    high = int(np.clip(np.ceil(edges[-1] + 0.5), low + 1, n))
    pixels = np.arange(low, high)
    if step >= 1:
        overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        weights = np.clip(overlap, 0, None) / step
    else:
        middle = (edges[1:] + edges[:-1]) / 2
        inside = (middle >= 0) & (middle <= n)
        nearest = np.clip(middle - 0.5, 0, n - 1)
        weights = np.clip(1 - np.abs(nearest[:, None] - pixels), 0, None) * inside[:, None]
    return weights.astype(dtype), low, high
