"""Scores of the sim-to-real study: every run beside asymmetry, with intervals over seeds and galaxies."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike

import numpy as np
from astropy.table import Table
from scipy.stats import rankdata

from galmerge_da.evaluation import append_look
from galmerge_da.evaluation.scores import read_labels
from galmerge_da.exceptions import InputError
from galmerge_da.experiments.real_data import usable_rows
from galmerge_da.metrics import average_precision, roc_auc
from galmerge_da.options import suggest

__all__ = ["completeness_at_purity", "labelled_rows", "mean_rank", "score_real", "seed_columns"]

_PURITIES = (0.5, 0.8)


def completeness_at_purity(labels, scores, purity):
    """The largest share of the mergers that a threshold finds with at least some purity.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
        1 for mergers.
    scores : array_like, shape (N,)
        Larger for mergers.
    purity : float

    Returns
    -------
    float
        0 where no threshold is so pure.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)
    found, taken = np.cumsum(labels[order])[last], np.flatnonzero(last) + 1
    pure = found >= purity * taken
    return float(found[pure].max(initial=0) / max(1, labels.sum()))


def mean_rank(*scores, groups=None):
    """Several scores as one that needs no labels: the mean of their ranks.

    Parameters
    ----------
    *scores : array_like, shape (N,)
        Larger for mergers; NaN stands in the middle.
    groups : array_like, shape (N,), optional
        Ranks are among the galaxies of one group, such as a fold, whose scores are of one model.

    Returns
    -------
    `~numpy.ndarray`, shape (N,)
        Between 0 and 1.
    """
    groups = np.zeros(len(scores[0]), int) if groups is None else np.asarray(groups)
    mean = np.zeros(len(groups))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        for values in scores:
            values = np.asarray(values, float)[rows]
            rank = (rankdata(values, nan_policy="omit") - 0.5) / max(1, np.isfinite(values).sum())
            mean[rows] += np.where(np.isfinite(values), rank, 0.5) / len(scores)
    return mean


def labelled_rows(catalogue, label, kind=None):
    """The galaxies that can be scored: with a label, and a picture that can be used.

    Parameters
    ----------
    catalogue : `~astropy.table.Table`
    label : str
        Column of labels, as `score_real` takes it.
    kind : str, optional
        Another column that has to be there.

    Returns
    -------
    rows : `~numpy.ndarray` of int64, shape (M,)
    truth : `~numpy.ndarray` of int, shape (M,)

    Raises
    ------
    InputError
        If a column is missing, labels are others than 0 and 1, or there are not both.
    """
    if kind is not None and kind not in catalogue.colnames:
        raise InputError(f"the catalogue has no column {kind!r}{suggest(kind, catalogue.colnames)}")
    labels, known = read_labels(catalogue, label)
    rows = usable_rows(catalogue)
    rows = rows[known[rows]]
    if len(np.unique(labels[rows])) < 2:
        raise InputError(
            f"scores need mergers and others, with a usable picture; {label!r} has {labels[rows].sum()} of "
            f"{len(rows)} galaxies as mergers"
        )
    return rows, labels[rows]


_MEASURES: dict[str, Callable[..., float]] = {
    "auc": roc_auc,
    "ap": average_precision,
    **{f"completeness_{round(100 * purity)}": partial(completeness_at_purity, purity=purity) for purity in _PURITIES},
}


def score_real(
    catalogue: Table,
    label: str,
    runs: Sequence[str],
    *,
    kind: str | None = None,
    baseline: str = "asymmetry",
    references: Sequence[str] = ("noDA", "composites"),
    n_bootstrap: int = 1000,
    seed: int = 0,
    ledger: str | PathLike[str] | None = None,
    dataset: str = "",
    command: str = "",
    note: str = "",
) -> Table:
    """Look at the labels, once, and score every run.

    Parameters
    ----------
    catalogue : `~astropy.table.Table`
        As `run_sim_to_real` gives it, with a column of labels.
    label : str
        That column: 1 for a merger, 0 for another galaxy; masked, NaN or negative where nothing is known.
    runs : sequence of str
        Names of columns of scores. A run ``x`` with columns ``x_seed<k>`` has its seeds resampled too.
    kind : str, optional
        Column of the kinds of galaxies: AUC of mergers against each kind.
    baseline : str, optional
    references : sequence of str, optional
        Columns that every run is compared with, galaxy by galaxy; references that are not among the runs are left out.
    n_bootstrap : int, optional
        Resamples of seeds and, within them, of galaxies.
    seed : int, optional
        Of the resampling.
    ledger : path-like, optional
        Where the look is written down, with what follows.
    dataset, command, note : str, optional

    Returns
    -------
    `~astropy.table.Table`
        A row per run and for the baseline: ``auc``, ``ap``, ``completeness_50``
        and ``completeness_80`` (at that purity) of the mean over seeds, their
        central 95 % ``<score>_low`` and ``<score>_high``, mean and standard
        deviation over single seeds ``<score>_seeds`` and ``<score>_seeds_sd``, ``n`` galaxies with ``n_mergers``,
        ``n_left_out`` that have no label or no usable picture,
        differences ``<score>_minus_<baseline>`` and ``<score>_minus_<reference>``
        with intervals, ``auc_<kind>``, and ``seconds_per_image`` of what is measured without a network.

    Raises
    ------
    InputError
        If a column is missing, a label is neither 0 nor 1, or a score is not finite. A baseline that could not be
        measured is in the middle of the others instead.
    """
    rows, truth = labelled_rows(catalogue, label, kind)
    n_left_out = len(catalogue) - len(rows)
    catalogue = catalogue[rows]
    names = list(dict.fromkeys([*runs, baseline]))
    columns = {name: seed_columns(catalogue, name, fill=name == baseline) for name in names}
    whole = {
        name: {key: measure(truth, scores.mean(0)) for key, measure in _MEASURES.items()}
        for name, scores in columns.items()
    }
    drawn = _bootstrap(truth, columns, n_bootstrap, seed)
    seconds = dict(word.split("=") for word in catalogue.meta.get("SECONDS", "").split(",") if word)
    made = []
    for name in names:
        row = {"run": name, "n": len(truth), "n_mergers": int(truth.sum()), "n_left_out": n_left_out}
        row["n_seeds"] = len(columns[name])
        for key, measure in _MEASURES.items():
            single = [measure(truth, scores) for scores in columns[name]]
            row[key] = whole[name][key]
            row[f"{key}_low"], row[f"{key}_high"] = np.percentile(drawn[name][key], [2.5, 97.5])
            row[f"{key}_seeds"] = np.mean(single)
            row[f"{key}_seeds_sd"] = np.std(single, ddof=1) if len(single) > 1 else np.nan
            for other in (baseline, *references):
                if other not in names:
                    continue
                difference = drawn[name][key] - drawn[other][key]
                row[f"{key}_minus_{other}"] = whole[name][key] - whole[other][key]
                limits = np.percentile(difference, [2.5, 97.5])
                row[f"{key}_minus_{other}_low"], row[f"{key}_minus_{other}_high"] = limits
        if kind is not None:
            kinds = np.ma.filled(np.ma.asarray(catalogue[kind]).astype(str), "")
            for each in filter(None, np.unique(kinds[truth == 0])):
                some = (truth == 1) | (kinds == each)
                row[f"auc_{each}"] = roc_auc(truth[some], columns[name].mean(0)[some])
        row["seconds_per_image"] = float(seconds.get(name, "nan"))
        made.append(row)
    table = Table(rows=made)
    if ledger is not None:
        figures = {f"{row['run']}_{key}": float(row[key]) for row in table for key in _MEASURES}
        append_look(ledger, dataset=dataset, command=command, figures=figures, note=note)
    return table


def seed_columns(catalogue, name, *, fill=False):
    """Scores of each seed of a run.

    Parameters
    ----------
    catalogue : `~astropy.table.Table`
    name : str
        Of the run: its columns are ``<name>_seed<k>``, of the ``SEEDS`` of the meta if it has them, or the one of
        its name where there are none.
    fill : bool, optional
        Whether a galaxy without a score gets the median of the others.

    Returns
    -------
    `~numpy.ndarray`, shape (seeds, N)

    Raises
    ------
    InputError
        If a column is missing or a score is not finite.
    """
    found = [re.fullmatch(rf"{re.escape(name)}_seed(\d+)", column) for column in catalogue.colnames]
    seeds = str(catalogue.meta["SEEDS"]).split(",") if "SEEDS" in catalogue.meta else None
    own = [match[0] for match in found if match and (seeds is None or match[1] in seeds)] or [name]
    if missing := [column for column in own if column not in catalogue.colnames]:
        raise InputError(f"the catalogue has no column {missing[0]!r}")
    scores = np.stack([np.ma.filled(np.ma.asarray(catalogue[column]).astype(float), np.nan) for column in own])
    if fill and np.isfinite(scores).any():
        scores = np.where(np.isfinite(scores), scores, np.nanmedian(scores, axis=1, keepdims=True))
    if not np.all(np.isfinite(scores)):
        raise InputError(f"{int(np.count_nonzero(~np.isfinite(scores).all(0)))} galaxies have no score of {name!r}")
    return scores


def _bootstrap(truth, columns, n_bootstrap, seed):
    """Run -> score -> its values over resamples; the same galaxies are drawn for all runs."""
    rng = np.random.default_rng(seed)
    drawn = {name: {key: np.empty(n_bootstrap) for key in _MEASURES} for name in columns}
    for k in range(n_bootstrap):
        rows = rng.integers(len(truth), size=len(truth))
        for name, scores in columns.items():
            seeds = rng.integers(len(scores), size=len(scores))
            mean = scores[seeds][:, rows].mean(0)
            for key, measure in _MEASURES.items():
                drawn[name][key][k] = measure(truth[rows], mean)
    return drawn
