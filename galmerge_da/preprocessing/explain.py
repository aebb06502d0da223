"""One galaxy through each step: what `galmerge_da.visualization.plot_steps` draws."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galmerge_da.exceptions import InputError
from galmerge_da.flags import FATAL, Flag, decode_flags
from galmerge_da.io import Cutouts
from galmerge_da.preprocessing.frames import begin, process, stacks
from galmerge_da.preprocessing.recipe import PreprocessingRecipe
from galmerge_da.preprocessing.steps import SubtractBackground

__all__ = ["StepView", "explain_steps"]


@dataclass(frozen=True, eq=False)
class StepView:
    """One galaxy after one step.

    Attributes
    ----------
    name : str
        Name of the step's class; ``"Input"`` before the first.
    summary : str
        What such a step does.
    note : str
        What it did here, to flux or pixels.
    image : `~numpy.ndarray`, shape (C, H, W)
        Pixels after it, without the sky from where on it is subtracted.
    bands : tuple of str or None
        Names of its bands.
    picture : bool
        Whether its values are those of an 8-bit picture.
    hidden : `~numpy.ndarray` of bool, shape (H, W)
        Pixels that were filled in some band so far; none in a frame.
    flags : int
        Bits of `~galmerge_da.Flag` that are set so far.
    width : float
        Side of the frame in pixels of this image.
    radius : float
        Petrosian radius in pixels of this image; NaN where unknown.
    """

    name: str
    summary: str
    note: str
    image: NDArray[Any]
    bands: tuple[str, ...] | None
    picture: bool
    hidden: NDArray[np.bool_]
    flags: int
    width: float
    radius: float


def explain_steps(cutouts: Cutouts, recipe: PreprocessingRecipe, row: int = 0) -> list[StepView]:
    """Follow one galaxy through the steps of a recipe, by the code that `preprocess` runs.

    Parameters
    ----------
    cutouts : `~galmerge_da.Cutouts`
    recipe : PreprocessingRecipe
    row : int, optional
        Position among the cutouts.

    Returns
    -------
    list of StepView
        The image as it came, then one for each step.

    Raises
    ------
    InputError
        If there is no such row, it has no image to look at, or as for `preprocess`.
    """
    if not 0 <= row < len(cutouts):
        raise InputError(f"there is no row {row} among {len(cutouts)} cutouts")
    frames, order, n_bands = begin(cutouts, recipe)
    if not any(row in rows for rows in stacks(cutouts, n_bands, frames.flags)):
        reasons = ", ".join(decode_flags(frames.flags[row]))
        raise InputError(f"row {row} has no image that could be looked at ({reasons})")
    views: list[StepView] = []
    subtracted = False

    def watch(step, before, after):
        nonlocal subtracted
        if not views:
            note = f"{before.raw.shape[-1]} x {before.raw.shape[-2]} pixels"
            views.append(_view("Input", "The image as it came.", note, before, before.raw[0]))
        subtracted |= isinstance(step, SubtractBackground) and after.subtract
        level = after.level[0][:, None, None] if subtracted else 0
        image = after.images[0] - level if after.frames is None else after.frames[0]
        summary = type(step).__doc__.partition("\n")[0]
        views.append(_view(type(step).__name__, summary, step.note(before, after), after, image))

    process(cutouts, np.array([row]), order, recipe, frames, watch)
    # what the last step found out holds for all images before it
    last = views[-1]
    views = [replace(view, width=last.width, radius=last.radius) for view in views[:-1]]
    flags = last.flags | (Flag.NOT_CLASSIFIED if last.flags & FATAL else 0)
    radius = last.radius * recipe.size / last.width
    return [*views, replace(last, width=float(recipe.size), radius=radius, flags=int(flags))]


def _view(name, summary, note, stack, image):
    hidden = stack.hidden.get(0, np.zeros(stack.images.shape[1:], bool)).any(axis=0)
    return StepView(
        name=name,
        summary=summary,
        note=note,
        image=image,
        bands=stack.bands,
        picture=name == "Input" and stack.stretched,
        hidden=hidden if hidden.shape == image.shape[1:] else np.zeros(image.shape[1:], bool),
        flags=int(stack.flags[0]),
        width=np.nan if stack.width is None else float(stack.width[0]),
        radius=float(stack.radius[0]),
    )
