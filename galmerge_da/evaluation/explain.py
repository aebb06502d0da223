"""One galaxy on its way to the network: every step of preprocessing, and the channels of the entrance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galmerge_da.exceptions import InputError
from galmerge_da.flags import Flag
from galmerge_da.inference import MergerClassifier
from galmerge_da.inference.api import name_bands
from galmerge_da.io import open_cutouts
from galmerge_da.options import suggest
from galmerge_da.preprocessing import PreprocessingRecipe, StepView, explain_steps

__all__ = ["Explanation", "explain_galaxy"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What became of one galaxy.

    Attributes
    ----------
    id : str
        Its name, as it was asked for.
    steps : list of `~galmerge_da.preprocessing.StepView`
        The image as it came, and after each step.
    channels : dict of str to `~numpy.ndarray`, shape (size, size)
        What the network sees, normalised; empty without a network.
    flags : int
        Bits of `~galmerge_da.Flag`.
    probs : dict of str to float
        Class -> probability, calibrated; empty without a network, or where
        there is nothing to classify.
    """

    id: str
    steps: list[StepView]
    channels: dict[str, NDArray[np.float32]]
    flags: int
    probs: dict[str, float]


def explain_galaxy(
    model: MergerClassifier | PreprocessingRecipe,
    cutouts: object,
    name: str | int | np.integer[Any],
    *,
    column: str = "id",
    **options: Any,
) -> Explanation:
    """Follow one galaxy from its pixels to what the network sees.

    Parameters
    ----------
    model : `~galmerge_da.MergerClassifier` or `~galmerge_da.preprocessing.PreprocessingRecipe`
        A recipe ends at the frame.
    cutouts : object
        Whatever `galmerge_da.classify` takes; this galaxy alone is read.
    name : str or int
        Its value in the column; without such a column, the number of its row, from 0.
    column : str, optional
        Column of names.
    **options
        Keywords of `galmerge_da.io.open_cutouts` that say how to read them.

    Returns
    -------
    Explanation

    Raises
    ------
    InputError
        If there is no such galaxy, more than one, or it has no image; or the
        cutouts cannot be read or do not fit the model.
    """
    classifier = model if isinstance(model, MergerClassifier) else None
    recipe = model.preprocessing if isinstance(model, MergerClassifier) else model
    source = open_cutouts(cutouts, **options)
    row = _find_row(source.table, name, column)
    (chunk,) = name_bands(source, recipe.bands, [source.read(row, row + 1)])
    steps = explain_steps(chunk, recipe)
    channels, probs, flags = {}, {}, steps[-1].flags
    frame = steps[-1].image[None]
    if classifier is not None and not flags & Flag.NOT_CLASSIFIED:
        entrance = classifier.network.entrance
        with torch.inference_mode():
            values = entrance(torch.from_numpy(frame).to(entrance.mean.device))[0].cpu().numpy()
        channels = dict(zip(entrance.channel_names(classifier.bands), values, strict=True))
        probs = dict(zip(classifier.classes, classifier.predict(frame, device="cpu")[1][0].tolist(), strict=True))
    return Explanation(str(name), steps, channels, flags, probs)


def _find_row(table, name, column):
    """Number of the row that is called ``name``."""
    if column in table.colnames:
        names = [str(value) for value in table[column]]
        rows = [row for row, value in enumerate(names) if value == str(name)]
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise InputError(f"{len(rows)} rows have {column} {str(name)!r}: {', '.join(map(str, rows[:5]))}")
        raise InputError(f"no row has {column} {str(name)!r}{suggest(str(name), names[:1000])}")
    if column != "id":
        raise InputError(f"there is no column {column!r}{suggest(column, table.colnames)}")
    if str(name).isdecimal() and int(name) < len(table):
        return int(name)
    raise InputError(
        f"the cutouts have no column 'id': give the number of a row, 0 to {len(table) - 1}, or another column; "
        f"got {str(name)!r}"
    )
