"""The strip of one galaxy: what each step of preprocessing made of it, and what the network sees."""

import re
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Circle, Rectangle

from galmerge_da.exceptions import InputError
from galmerge_da.flags import decode_flags
from galmerge_da.visualization._axes import AxesGrid, AxesLike, get_axes_grid, paper_style
from galmerge_da.visualization.images import color_composite, red_first

if TYPE_CHECKING:
    from galmerge_da.evaluation import Explanation

__all__ = ["plot_steps"]

_SIDE = 1.6
#: Height of the row of changes where there is nothing to draw, over that of a picture.
_WORDS_ALONE = 0.45
#: A change is uniform if it differs by less than this fraction of the brightest pixel.
_ROUNDING = 1e-6
#: Percentiles of a channel between which it is shown.
_RANGE = (0.5, 99.5)


@paper_style
def plot_steps(explanation: "Explanation", axes: AxesLike | None = None) -> AxesGrid:
    """Draw one galaxy through each step.

    In the first row stands the image after each step: as a colour picture whose
    brightness is stretched anew each time, with the frame (dashed), the Petrosian radius
    (circle) and the edges of what was filled (red). The second row shows what
    the step changed, as the mean over the bands on an asinh scale, blue for
    less. The third one has the channels that the network sees.

    Parameters
    ----------
    explanation : `~galmerge_da.evaluation.Explanation`
        As `~galmerge_da.evaluation.explain_galaxy` gives it.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        Row by row; those of a new figure by default.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (2 or 3, number of columns)
        Two rows where there is no network.

    Raises
    ------
    InputError
        If there is no step, or the axes are not as many as needed.
    """
    steps, channels = explanation.steps, explanation.channels
    if not steps:
        raise InputError("plot_steps needs at least one step")
    shape = (3 if channels else 2, max(len(steps), len(channels)))
    changes = [_change(before, after) for before, after in zip(steps[:-1], steps[1:], strict=True)]
    heights = [1.0] * shape[0]
    if all(isinstance(change, str) for change in changes):
        heights[1] = _WORDS_ALONE
    size = (_SIDE * shape[1], (_SIDE + 0.3) * sum(heights) + 0.2)
    grid = get_axes_grid(axes, shape, size, gridspec_kw={"height_ratios": heights})
    origin = "upper" if steps[0].picture else "lower"
    for ax in grid.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, step, picture in zip(grid[0], steps, _pictures(steps), strict=False):
        ax.imshow(picture, origin=origin, interpolation="nearest")
        _outline(ax, step, is_frame=step is steps[-1])
        ax.set_title(_words(step.name))
        ax.set_xlabel(_fold(step.note), fontsize=7)
    for ax, change in zip(grid[1, 1:], changes, strict=False):
        if isinstance(change, str):
            ax.text(0.5, 0.5, change, fontsize=7, color="0.4", ha="center", va="center", transform=ax.transAxes)
        else:
            _draw_change(ax, change, origin)
    grid[1, 0].text(0, 0.5, _story(explanation), fontsize=7, va="center", transform=grid[1, 0].transAxes)
    for ax, (name, values) in zip(grid[-1], channels.items(), strict=False):
        low, high = np.percentile(values, _RANGE)
        ax.imshow(values, origin=origin, cmap="gray", vmin=low, vmax=max(high, low + 1e-12), interpolation="nearest")
        ax.set_title(f"network: {name}")
    return grid


def _pictures(steps):
    """One colour picture a step, (H, W, 3) in 0 to 1; images of one size are balanced together."""
    pictures = [None] * len(steps)
    groups = {}
    for number, step in enumerate(steps):
        if step.picture:
            order = red_first(step.bands, len(step.image))
            pictures[number] = np.clip(np.moveaxis(np.nan_to_num(step.image[order]), 0, -1) / 255, 0, 1)
        else:
            groups.setdefault((step.image.shape, step.bands), []).append(number)
    for numbers in groups.values():
        stack = np.stack([steps[number].image for number in numbers])
        order = red_first(steps[numbers[0]].bands, stack.shape[1])
        for number, picture in zip(numbers, color_composite(stack, order=order), strict=True):
            pictures[number] = picture
    return pictures


def _outline(ax, step, *, is_frame):
    """Frame, Petrosian radius and filled pixels on an image."""
    height, width = step.image.shape[1:]
    middle = ((width - 1) / 2, (height - 1) / 2)
    if np.isfinite(step.radius):
        ax.add_patch(Circle(middle, step.radius, fill=False, color="white", linewidth=0.6))
    if not is_frame and np.isfinite(step.width):
        corner = (middle[0] - step.width / 2, middle[1] - step.width / 2)
        ax.add_patch(
            Rectangle(corner, step.width, step.width, fill=False, color="white", linewidth=0.6, linestyle="--")
        )
    if step.hidden.any():
        ax.autoscale(False)  # else the panel grows to hold a frame that is wider than the image
        ax.contour(step.hidden, [0.5], colors="red", linewidths=0.5)


def _change(before, after):
    """What a step changed, (H, W), or in words why that cannot be drawn."""
    if before.image.shape[1:] != after.image.shape[1:]:
        return "new pixels"
    if before.picture:
        return "new unit of flux"
    if before.image.shape != after.image.shape or before.bands != after.bands:
        return "bands reordered"
    flux = np.nan_to_num(before.image.astype(float), posinf=0, neginf=0)
    change = (np.where(np.isfinite(before.image), after.image, 0) - flux).mean(axis=0)
    low, high = change.min(), change.max()
    if high - low > _ROUNDING * max(np.abs(flux).max(), np.abs(change).max()):
        return change
    filled = "only filled pixels" if np.any(after.hidden & ~before.hidden) else "no change"
    return f"{low:+.3g} everywhere" if low else filled


def _draw_change(ax, change, origin):
    """A change in colours that show its faint parts too."""
    largest = np.abs(change).max()
    soft = max(np.median(np.abs(change)), 1e-3 * largest)
    limit = np.arcsinh(largest / soft)
    ax.imshow(np.arcsinh(change / soft), origin=origin, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.set_xlabel(f"{change.min():+.3g} to {change.max():+.3g}", fontsize=7)


def _story(explanation):
    """Name, probabilities and flags, one a line."""
    lines = [explanation.id]
    lines += [f"p({name}) = {value:.2f}" for name, value in explanation.probs.items()]
    flags = decode_flags(explanation.flags)
    return "\n".join([*lines, "flags: none" if not flags else "flags:", *flags])


def _words(name):
    """``"FillBadPixels"`` as ``"fill bad pixels"``; capitals that belong together stay."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+", name)
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def _fold(text, width=30):
    """Text in lines of at most so many characters, where it has spaces."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}".strip()
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return "\n".join(lines)
