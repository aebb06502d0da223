"""The most probable mergers of a catalogue: what has to be looked at before it is used."""

from os import PathLike
from typing import Any

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes

from galmerge_da.exceptions import InputError
from galmerge_da.flags import Flag
from galmerge_da.inference import MergerClassifier, default_model_path
from galmerge_da.inference.api import name_bands
from galmerge_da.io import open_cutouts
from galmerge_da.preprocessing import preprocess
from galmerge_da.visualization._axes import paper_style
from galmerge_da.visualization.images import plot_montage, red_first

__all__ = ["plot_candidates"]


@paper_style
def plot_candidates(
    catalogue: Table,
    cutouts: object,
    ax: Axes | None = None,
    *,
    model: MergerClassifier | str | PathLike[str] | None = None,
    column: str = "merger_prob",
    n: int = 30,
    n_columns: int = 10,
    **options: Any,
) -> Axes:
    """Draw the galaxies of a catalogue that are ranked highest, as the classifier saw them.

    Parameters
    ----------
    catalogue : `~astropy.table.Table`
        What `galmerge_da.classify` made of the cutouts, in the same order.
    cutouts : object
        Whatever `galmerge_da.classify` was given; the galaxies that are drawn are read, no others.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the Axes of a new figure by default.
    model : `~galmerge_da.MergerClassifier` or path-like, optional
        Its preprocessing makes the frames; the packaged one by default.
    column : str, optional
        Column by which they are ranked. Masked and NaN values, and rows that are flagged as
        not classified, are left out.
    n : int, optional
        Galaxies at the most.
    n_columns : int, optional
        Images in a row.
    **options
        Keywords of `galmerge_da.io.open_cutouts` that say how to read the cutouts.

    Returns
    -------
    `~matplotlib.axes.Axes`
        Each image has its value, and the number of its row in the catalogue. They stand in
        the order of their values.

    Raises
    ------
    InputError
        If the column is missing, no row has a value, the rows are not as many as the
        cutouts, or those cannot be read.
    """
    source = open_cutouts(cutouts, **options)
    if len(source) != len(catalogue):
        raise InputError(f"{len(source)} cutouts for a catalogue of {len(catalogue)} rows")
    rows, values = _highest(catalogue, column, n)
    if not isinstance(model, MergerClassifier):
        model = MergerClassifier.load(model or default_model_path())
    recipe = model.preprocessing
    chunks = name_bands(source, recipe.bands, (source.read(row, row + 1) for row in rows))
    frames = np.concatenate([preprocess(chunk, recipe).data for chunk in chunks])
    titles = [f"{value:.3f}\n{row}" for row, value in zip(rows, values, strict=True)]
    return plot_montage(frames, titles, ax, n_columns=n_columns, order=red_first(recipe.bands, frames.shape[1]))


def _highest(catalogue, column, n):
    """Rows of the highest values, and these."""
    if column not in catalogue.colnames:
        raise InputError(f"the catalogue has no column {column!r}")
    values = np.ma.filled(np.ma.asarray(catalogue[column], dtype=float), np.nan)
    if "flags" in catalogue.colnames:
        values = np.where(np.asarray(catalogue["flags"]) & Flag.NOT_CLASSIFIED, np.nan, values)
    rows = np.argsort(-values, kind="stable")[:n]  # NaN stand last
    rows = rows[np.isfinite(values[rows])]
    if not len(rows):
        raise InputError(f"no row of the catalogue has a value of {column!r}")
    return rows.tolist(), values[rows].tolist()
