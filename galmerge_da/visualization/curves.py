"""Line plots: ROC curves and the history of a training run."""

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from galmerge_da.exceptions import InputError
from galmerge_da.metrics import roc_auc, roc_curve
from galmerge_da.visualization._axes import get_axes

__all__ = ["plot_history", "plot_roc"]


def plot_roc(curves: Mapping[str, tuple[ArrayLike, ArrayLike]], ax: Axes | None = None) -> Axes:
    """Draw receiver operating characteristics.

    Parameters
    ----------
    curves : mapping of str to (array_like, array_like)
        Name in the legend -> labels (0 or 1), shape (N,), and scores, shape (N,).
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the Axes of a new figure by default (``ax.figure.savefig`` saves it).

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    InputError
        If there is no curve.
    """
    if not curves:
        raise InputError("plot_roc needs at least one curve")
    ax = get_axes(ax, (5, 5))
    for name, (labels, scores) in curves.items():
        false_positive, true_positive = roc_curve(labels, scores)[:2]
        ax.plot(false_positive, true_positive, label=f"{name} (AUC {roc_auc(labels, scores):.2f})")
    ax.plot([0, 1], [0, 1], color="0.7", linestyle=":", zorder=0)
    ax.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    ax.legend(loc="lower right", frameon=False)
    return ax


def plot_history(history: Table, ax: Axes | None = None, *, columns: Sequence[str] | None = None) -> Axes:
    """Draw how losses and scores went, epoch by epoch.

    Parameters
    ----------
    history : `~astropy.table.Table`
        One row per epoch, with a column ``epoch``; ``history`` of `galmerge_da.TrainingResult`.
    ax : `~matplotlib.axes.Axes`, optional
        Where to draw; the Axes of a new figure by default.
    columns : sequence of str, optional
        What to draw; by default every column of floats that is not all NaN.

    Returns
    -------
    `~matplotlib.axes.Axes`

    Raises
    ------
    InputError
        If a column is missing, or there is nothing to draw.
    """
    if columns is None:
        columns = [name for name in history.colnames if _is_drawable(name, history[name])]
    missing = [name for name in ("epoch", *columns) if name not in history.colnames]
    if missing or not columns:
        raise InputError(f"the history has no column {missing or 'of floats'}; it has {history.colnames}")
    ax = get_axes(ax, (6, 4))
    for name in columns:
        ax.plot(history["epoch"], history[name], marker=".", label=name)
    ax.set_xlabel("epoch")
    ax.legend(frameon=False)
    return ax


def _is_drawable(name, column):
    return name != "epoch" and column.dtype.kind == "f" and column.ndim == 1 and not np.all(np.isnan(column))
