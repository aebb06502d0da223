"""Lines of several runs, each with several seeds: ROC, histories, reliability, completeness and purity."""

from collections.abc import Mapping, Sequence

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike

from galmerge_da.exceptions import InputError
from galmerge_da.metrics import expected_calibration_error, roc_auc, roc_curve
from galmerge_da.visualization._axes import FULL_WIDTH, AxesGrid, AxesLike, get_axes_grid, paper_style, run_styles

__all__ = ["plot_completeness_purity", "plot_histories", "plot_reliability", "plot_roc_study"]

#: Domain -> run -> for each seed, labels and scores.
_Curves = Mapping[str, Mapping[str, Sequence[tuple[ArrayLike, ArrayLike]]]]

_GRID = np.linspace(0, 1, 501)
#: Purity of fewer galaxies is an accident.
_LEAST_SELECTED = 10

#: Runs whose legend has a place beside their ROC curves.
_FITS = 6
#: Inches that a letter and a handle take in a legend, and that are free below it.
_LETTER, _HANDLE, _MARGIN = 0.052, 0.42, 0.05

_TITLES = {
    "cross_entropy": "cross-entropy (training)",
    "validation_cross_entropy": "cross-entropy (validation)",
    "validation_auc": "AUC (source, validation)",
    "validation_accuracy": "accuracy (source, validation)",
    "target_entropy": "entropy (target)",
    "mmd": "MMD loss",
    "dann": "adversarial loss",
    "fisher": "Fisher loss",
    "entropy": "entropy loss",
}


@paper_style
def plot_roc_study(curves: _Curves, axes: AxesLike | None = None) -> AxesGrid:
    """Receiver operating characteristics of several runs, one panel per domain.

    The line is the mean over seeds of the true positive rate, the band its
    standard deviation.

    Parameters
    ----------
    curves : mapping of str to mapping of str to sequence of (array_like, array_like)
        Domain -> run -> for each seed, labels (0 or 1) and scores, shape (N,) both.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        One per domain; those of a new figure by default.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (number of domains,)

    Raises
    ------
    InputError
        If there is no domain, a domain has no run or a run no seed.
    """
    below = max((len(runs) for runs in curves.values()), default=0) > _FITS
    grid = _panels(curves, axes, below=below)
    for ax, name, seeds, style in _each(grid, curves):
        lines = [roc_curve(*pair)[:2] for pair in seeds]
        _draw_mean(ax, lines, f"{name}  {_mean_and_spread([roc_auc(*pair) for pair in seeds])}", style)
    for ax in grid:
        ax.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=0.8, zorder=0)
        ax.set(xlabel="false positive rate", xlim=(0, 1), ylim=(0, 1.005))
        place = _below(curves, " 0.000 ± 0.000") if below else {"loc": "lower right", "frameon": False}
        ax.legend(**place, title="AUC", title_fontsize=7, alignment="left").set_in_layout(not below)
    grid[0].set_ylabel("true positive rate")
    return _trim(grid) if axes is None and below else grid


@paper_style
def plot_completeness_purity(curves: _Curves, axes: AxesLike | None = None, *, prevalence: float = 0.05) -> AxesGrid:
    """Purity against completeness of the samples that thresholds select, one panel per domain.

    Thresholds that select fewer than ten galaxies are left out.
    The line is the mean over seeds of the purity, the band its standard deviation.

    Parameters
    ----------
    curves : mapping of str to mapping of str to sequence of (array_like, array_like)
        Domain -> run -> for each seed, labels (0 or 1) and scores, shape (N,) both.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        One per domain; those of a new figure by default.
    prevalence : float, optional
        Share of mergers that purity is given for, whatever it is among the labels.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (number of domains,)

    Raises
    ------
    InputError
        If there is no domain, run or seed, or the prevalence is not between 0 and 1.
    """
    if not 0 < prevalence < 1:
        raise InputError(f"prevalence must be between 0 and 1, got {prevalence!r}")
    grid = _panels(curves, axes, below=True)
    for ax, name, seeds, style in _each(grid, curves):
        lines = []
        for labels, scores in seeds:
            false, true = roc_curve(labels, scores)[:2]
            selected = false * np.count_nonzero(np.asarray(labels) == 0) + true * np.count_nonzero(labels)
            found = (true > 0) & (selected >= min(_LEAST_SELECTED, np.size(labels)))
            mergers, others = prevalence * true[found], (1 - prevalence) * false[found]
            lines.append((true[found], mergers / (mergers + others)))
        _draw_mean(ax, lines, name, style)
    for ax in grid:
        ax.axhline(prevalence, color="0.6", linestyle=":", linewidth=0.8, zorder=0)
        ax.set(xlabel="completeness", xlim=(0, 1), ylim=(0, 1.005))
    grid[0].set_ylabel(f"purity at {100 * prevalence:g}% mergers")
    grid[0].legend(**_below(curves)).set_in_layout(False)  # curves may be anywhere
    return _trim(grid) if axes is None else grid


@paper_style
def plot_reliability(curves: _Curves, axes: AxesLike | None = None, *, n_bins: int = 10) -> AxesGrid:
    """How often what was promised came true, one panel per domain.

    Seeds are pooled; the bars are one standard deviation of a binomial. The
    calibration error in the legend is the mean over seeds.

    Parameters
    ----------
    curves : mapping of str to mapping of str to sequence of (array_like, array_like)
        Domain -> run -> for each seed, labels (0 or 1) and probabilities, shape (N,) both.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        One per domain; those of a new figure by default.
    n_bins : int, optional
        Bins of equal count along the probability.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (number of domains,)

    Raises
    ------
    InputError
        If there is no domain, run or seed, or ``n_bins`` is not positive.
    """
    if n_bins < 1:
        raise InputError(f"n_bins must be a positive whole number, got {n_bins!r}")
    grid = _panels(curves, axes, below=True)
    for ax, name, seeds, style in _each(grid, curves):
        labels, probs = (np.concatenate([np.asarray(pair[i]) for pair in seeds]) for i in (0, 1))
        bins = np.array_split(np.argsort(probs, kind="stable"), min(n_bins, len(probs)))
        promised = [probs[rows].mean() for rows in bins]
        true = np.array([labels[rows].mean() for rows in bins])
        spread = np.sqrt(true * (1 - true) / [len(rows) for rows in bins])
        label = f"{name}  {_mean_and_spread([expected_calibration_error(*pair) for pair in seeds])}"
        ax.errorbar(promised, true, spread, label=label, marker="o", markersize=2.5, elinewidth=0.5, **style)
    for ax in grid:
        ax.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=0.8, zorder=0)
        ax.set(xlabel="merger probability", xlim=(0, 1), ylim=(0, 1))
        place = _below(curves, " 0.000 ± 0.000")
        ax.legend(**place, title="calibration error (ECE)", title_fontsize=7, alignment="left").set_in_layout(False)
    grid[0].set_ylabel("fraction of mergers")
    return _trim(grid) if axes is None else grid


@paper_style
def plot_histories(
    histories: Mapping[str, Sequence[Table]],
    axes: AxesLike | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> AxesGrid:
    """How losses and scores of several runs went, epoch by epoch, one panel per quantity.

    Parameters
    ----------
    histories : mapping of str to sequence of `~astropy.table.Table`
        Run -> for each seed, ``history`` of `galmerge_da.TrainingResult`; the line is
        the mean over seeds, the band the standard deviation.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        One per quantity and one for the legend; those of a new figure by default.
    columns : sequence of str, optional
        Which quantities; by default the cross-entropy of the training and the validation
        split, the AUC of the latter, and each loss that some run adapts with.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (number of quantities + 1,)

    Raises
    ------
    InputError
        If there is no run or seed, or no run has one of the columns.
    """
    _check_runs(histories)
    tables = [table for seeds in histories.values() for table in seeds]
    if columns is None:
        losses = [name.removeprefix("weight_") for table in tables for name in table.colnames if "weight_" in name]
        columns = list(dict.fromkeys(["cross_entropy", "validation_cross_entropy", "validation_auc", *losses]))
    missing = [name for name in ("epoch", *columns) if not any(name in table.colnames for table in tables)]
    if missing or not columns:
        raise InputError(f"no history has the columns {missing or 'to draw: there are none'}")
    n_columns = min(4, len(columns) + 1)
    n_rows = -(-(len(columns) + 1) // n_columns)
    if axes is None:
        grid = get_axes_grid(None, (n_rows, n_columns), (FULL_WIDTH, 1.75 * n_rows)).ravel()
        for spare in grid[len(columns) + 1 :]:
            spare.remove()
        grid = grid[: len(columns) + 1]
    else:
        grid = get_axes_grid(axes, (1, len(columns) + 1), None)[0]
    handles = {}
    for ax, column in zip(grid, columns, strict=False):
        for name, style in run_styles(histories).items():
            lines = [(table["epoch"], table[column]) for table in histories[name] if column in table.colnames]
            if lines:
                handles[name] = _draw_epochs(ax, lines, style)
        ax.set_title(_TITLES.get(column, column.replace("_", " ")))
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
    grid[-1].set_axis_off()
    grid[-1].legend(handles.values(), handles.keys(), loc="center", frameon=False, fontsize=8)
    return grid


def _check_runs(*domains):
    if not domains or not all(runs and all(map(len, runs.values())) for runs in domains):
        raise InputError("there is nothing to draw: every domain needs a run, and every run a seed")


def _panels(curves, axes, *, below):
    """One square panel per domain, with room for a legend below, which `_trim` makes as high as it must be."""
    _check_runs(*curves.values())
    n = len(curves)
    height = FULL_WIDTH if below else FULL_WIDTH / 2
    grid = get_axes_grid(axes, (1, n), (FULL_WIDTH / 2 * n, height), sharey=True)[0]
    for ax, domain in zip(grid, curves, strict=True):
        ax.set_title(domain)
        ax.set_box_aspect(1)
        ax.set_anchor("N")
    return grid


def _below(curves, figures=""):
    """Where the legend goes that stands below a panel, in columns that fit its width; figures follow each name."""
    width = _HANDLE + _LETTER * max(len(name + figures) for runs in curves.values() for name in runs)
    columns = 2 if 2 * width < FULL_WIDTH / 2 - 0.2 else 1
    place = {"loc": "upper left", "bbox_to_anchor": (-0.1, -0.14), "ncols": columns, "columnspacing": 1}
    return {**place, "frameon": False}


def _trim(grid):
    """The panels, their figure cut off below the longest legend."""
    figure = grid[0].figure
    figure.draw_without_rendering()
    lowest = min(ax.get_legend().get_window_extent().y0 for ax in grid if ax.get_legend())
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height - lowest / figure.dpi + _MARGIN)
    return grid


def _each(grid, curves):
    """Panel, run, its seeds and its style; a run has the same style in every panel."""
    styles = run_styles(dict.fromkeys(name for runs in curves.values() for name in runs))
    for ax, runs in zip(grid, curves.values(), strict=True):
        for name, seeds in runs.items():
            yield ax, name, seeds, styles[name]


def _mean_and_spread(values):
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


def _draw_mean(ax, lines, label, style):
    """One line as it is; of several the mean of y where all have an x, with a band of one standard deviation."""
    if len(lines) == 1:
        ax.plot(*lines[0], label=label, **style)
        return
    grid = _GRID[_GRID >= max(x[0] for x, _ in lines)]
    values = np.array([np.interp(grid, x, y) for x, y in lines])
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
    ax.plot(grid, mean, label=label, **style)
    ax.fill_between(grid, mean - spread, mean + spread, color=style["color"], alpha=0.15, linewidth=0)


def _draw_epochs(ax, lines, style):
    """The mean over seeds of those epochs that all have; the line."""
    n_epochs = min(len(x) for x, _ in lines)
    epochs = np.asarray(lines[0][0])[:n_epochs]
    values = np.array([np.asarray(y, float)[:n_epochs] for _, y in lines])
    mean = values.mean(axis=0)
    (line,) = ax.plot(epochs, mean, marker="." if n_epochs < 3 else None, **style)
    if len(lines) > 1:
        spread = values.std(axis=0, ddof=1)
        ax.fill_between(epochs, mean - spread, mean + spread, color=style["color"], alpha=0.15, linewidth=0)
    return line
