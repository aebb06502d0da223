"""Pictures of galaxies: colour composites, montages and contact sheets."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from galmerge_da.exceptions import InputError
from galmerge_da.plugins import get_survey
from galmerge_da.preprocessing import wavelengths
from galmerge_da.visualization._axes import get_axes

__all__ = ["color_composite", "plot_contact_sheet", "plot_montage", "red_first"]

_GAP = 2
_INCHES_PER_IMAGE = 1.1


def color_composite(images: ArrayLike, *, order: Iterable[int] | None = None) -> NDArray[np.float32]:
    """Turn linear images into colour pictures with an asinh stretch.

    The stretch acts on the mean of the three bands, and all three are scaled
    alike, so that a colour does not depend on brightness (Lupton et al. 2004).
    It is linear up to the noise at the frame's edge, and noise is kept dark.
    The bands are balanced over the whole set: the typical galaxy comes out
    white.

    Parameters
    ----------
    images : array_like, shape (N, C, H, W)
        Linear flux; 8-bit pictures (uint8 with three bands) are taken as they are.
    order : sequence of int, optional
        Which band is red, green and blue; by default the first, the middle and the last.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (N, H, W, 3)
        Between 0 and 1; pixels that are not finite are black.

    Raises
    ------
    InputError
        If the images do not have four axes, or there is none.
    """
    images = np.asarray(images)
    if images.ndim != 4 or 0 in images.shape:
        raise InputError(f"images must have shape (N, C, H, W), none of them 0; got {images.shape}")
    n_bands = images.shape[1]
    order = (0, n_bands // 2, n_bands - 1) if order is None else tuple(order)
    if images.dtype == np.uint8:
        return np.moveaxis(images[:, order], 1, -1).astype(np.float32) / np.float32(255)
    rgb = np.moveaxis(images[:, order].astype(np.float64), 1, -1)
    rgb = np.where(np.isfinite(rgb), rgb, 0)
    rgb = rgb - np.median(_edge(rgb), axis=1)[:, None, None]
    bright = np.maximum(np.percentile(rgb, 99, axis=(1, 2)), 1e-30)
    balance = np.median(bright.mean(axis=1, keepdims=True) / bright, axis=0)
    rgb = rgb * balance
    intensity = rgb.mean(axis=-1, keepdims=True)
    level = np.median(np.abs(_edge(intensity)), axis=1)[:, None, None]
    white = np.maximum(np.percentile(intensity, 99.7, axis=(1, 2), keepdims=True), np.maximum(25 * level, 1e-30))
    soft = np.maximum(0.02 * white, 4 * level)
    gain = np.arcsinh(np.maximum(intensity, 0) / soft) / np.arcsinh(white / soft) / np.maximum(intensity, 1e-30)
    rgb = np.maximum(rgb * gain, 0)
    return (rgb / np.maximum(rgb.max(axis=-1, keepdims=True), 1)).astype(np.float32)


def plot_montage(
    images: ArrayLike,
    titles: Sequence[str] | NDArray[np.str_] | None = None,
    ax: Axes | None = None,
    *,
    n_columns: int = 8,
    order: Iterable[int] | None = None,
) -> Axes:
    """Draw many galaxies side by side.

    Parameters
    ----------
    images : array_like, shape (N, C, H, W)
        As for `color_composite`.
    titles : sequence of str, optional
        One per image, written into its corner.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the Axes of a new figure by default.
    n_columns : int, optional
        Images in a row.
    order : sequence of int, optional
        As for `color_composite`.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    InputError
        If there is no image, or the titles are not as many as the images.
    """
    pictures = color_composite(images, order=order)
    if titles is not None and len(titles) != len(pictures):
        raise InputError(f"{len(titles)} titles for {len(pictures)} images")
    n_columns = min(n_columns, len(pictures))
    rows = [list(range(i, min(i + n_columns, len(pictures)))) for i in range(0, len(pictures), n_columns)]
    return _draw_grid(pictures, rows, n_columns, titles, ax)


def plot_contact_sheet(
    table: Table,
    ax: Axes | None = None,
    *,
    by: str = "stage",
    values: Iterable[object] | None = None,
    n: int = 8,
    image: str = "image",
    seed: int = 0,
) -> Axes:
    """Draw a few galaxies of each kind, one kind a row.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As `galmerge_da.simulate` gives it; its ``SURVEY`` decides which band is red.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the Axes of a new figure by default.
    by : str, optional
        Column of kinds.
    values : sequence, optional
        Which kinds, from top to bottom; by default all, as they first appear.
    n : int, optional
        At most so many of each kind, drawn at random.
    image : str, optional
        Column of images, (C, H, W) each.
    seed : int, optional
        Of the draw.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    InputError
        If a column is missing, or no row is of these kinds.
    """
    if not {by, image} <= set(table.colnames):
        raise InputError(f"a contact sheet needs the columns {by!r} and {image!r}, got {table.colnames}")
    kinds = np.asarray(table[by])
    values = list(dict.fromkeys(kinds.tolist())) if values is None else list(values)
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(np.flatnonzero(kinds == value))[:n] for value in values]
    if not any(map(len, chosen)):
        raise InputError(f"no row has {by!r} in {values}")
    pictures = color_composite(np.asarray(table[image])[np.concatenate(chosen)], order=_red_first(table))
    starts = np.cumsum([0, *map(len, chosen)])
    rows = [list(range(start, stop)) for start, stop in zip(starts[:-1], starts[1:], strict=True)]
    ax = _draw_grid(pictures, rows, max(map(len, rows)), None, ax)
    pitch = pictures.shape[1] + _GAP
    ax.set_yticks([(i + 0.5) * pitch for i in range(len(values))], [str(value) for value in values])
    ax.tick_params(length=0)
    return ax


def red_first(bands, n_bands):
    """Three evenly chosen bands, longest wavelength first; in the order they have where one is unknown."""
    known = wavelengths(bands or ())
    order = np.argsort(known)[::-1] if known and None not in known else np.arange(n_bands)
    return [int(order[0]), int(order[n_bands // 2]), int(order[-1])]


def _red_first(table):
    """Bands of three evenly chosen wavelengths, longest first, or None where the survey is not named."""
    name = table.meta.get("SURVEY")
    if name is None:
        return None
    survey = get_survey(name)
    order = np.argsort(-survey.wavelength.value)
    return None if survey.stretched else [order[0], order[len(order) // 2], order[-1]]


def _edge(images):
    """Pixels of the frame's outermost tenth, (N, M, ...)."""
    height, width = images.shape[1:3]
    inside = np.zeros((height, width), bool)
    margin_y, margin_x = math.ceil(height / 10), math.ceil(width / 10)
    inside[margin_y:-margin_y, margin_x:-margin_x] = True
    return images[:, ~inside]


def _draw_grid(pictures, rows, n_columns, titles, ax):
    """Draw rows of positions in ``pictures`` as one image."""
    height, width = pictures.shape[1:3]
    canvas = np.ones((len(rows) * (height + _GAP) - _GAP, n_columns * (width + _GAP) - _GAP, 3), np.float32)
    aspect = canvas.shape[0] / canvas.shape[1]
    ax = get_axes(ax, (_INCHES_PER_IMAGE * n_columns, _INCHES_PER_IMAGE * n_columns * aspect))
    for i, row in enumerate(rows):
        for j, k in enumerate(row):
            y, x = i * (height + _GAP), j * (width + _GAP)
            canvas[y : y + height, x : x + width] = pictures[k]
            if titles is not None:
                ax.text(x + 2, y + 2, titles[k], color="white", fontsize=7, va="top")
    ax.imshow(canvas, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    return ax
