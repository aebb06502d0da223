"""Where a figure comes from when the caller has none."""

from matplotlib.figure import Figure

__all__ = ["get_axes"]


def get_axes(ax, figsize):
    """``ax``, or the Axes of a new figure of ``figsize`` inches (width, height)."""
    return Figure(figsize=figsize, layout="constrained").subplots() if ax is None else ax
