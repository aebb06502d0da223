"""Where a figure comes from when the caller has none, and how figures of a paper look."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from galmerge_da.exceptions import InputError

__all__ = [
    "COLORS",
    "DOMAIN_MARKERS",
    "FULL_WIDTH",
    "AxesGrid",
    "AxesLike",
    "get_axes",
    "get_axes_grid",
    "paper_style",
    "run_styles",
]

#: An array of Axes, and what may be given for one.
AxesGrid = NDArray[np.object_]
AxesLike = Axes | Sequence[Axes] | AxesGrid

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: Okabe & Ito's colours, told apart by colour-blind readers too; black first, for the run without adaptation. And grey.
COLORS = ("#000000", "#0072B2", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#888888")
#: Of the first domain, the second, and so on.
DOMAIN_MARKERS = ("o", "^", "s", "D")
#: Inches across both columns of a journal's page.
FULL_WIDTH = 7.0

_DASHES = ("-", "-", "--", "-", "--", "-.", (0, (1.5, 0.8)), "-")
#: Of the ninth line and those after it, which have the colours again.
_MORE_DASHES = ((0, (5, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)))
_STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7, "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
}  # fmt: skip


def get_axes(ax, figsize):
    """``ax``, or the Axes of a new figure of ``figsize`` inches (width, height)."""
    return Figure(figsize=figsize, layout="constrained").subplots() if ax is None else ax


def get_axes_grid(axes, shape, figsize, **options):
    """``axes`` as an array of ``shape`` (rows, columns), or those of a new figure; InputError if they do not fit."""
    if axes is None:
        grid = Figure(figsize=figsize, layout="constrained").subplots(*shape, squeeze=False, **options)
    else:
        grid = np.asarray(axes, dtype=object)
        if grid.size != shape[0] * shape[1]:
            raise InputError(f"the figure needs {shape[0]} x {shape[1]} axes, got {grid.size}")
        grid = grid.reshape(shape)
    for ax in grid.flat:
        ax.tick_params(which="both", labelsize=7, width=0.6, length=2.5, direction="in", top=True, right=True)
    return grid


def paper_style(function: _Function) -> _Function:
    """Draw with the fonts and lines of a journal's page."""
    return rc_context(_STYLE)(function)


def run_styles(names):
    """Name -> colour and line style as keywords of ``plot``, in the order of the names."""
    more = [(color, dash) for dash in _MORE_DASHES for color in COLORS]
    styles = itertools.cycle([*zip(COLORS, _DASHES, strict=True), *more])
    return {name: {"color": color, "linestyle": dash} for name, (color, dash) in zip(names, styles, strict=False)}
