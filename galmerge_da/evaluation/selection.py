"""What each selector would have picked, and what it cost against an oracle that knows the target's labels."""

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike

from galmerge_da.exceptions import InputError
from galmerge_da.metrics import roc_auc
from galmerge_da.training import TrainingResult
from galmerge_da.training.selection import COLLAPSED, SELECTORS, WATCHED, choose_epoch, selector_scores

__all__ = ["selection_report"]

_COLUMNS = (
    "selector", "epoch", "target_auc", "oracle_auc", "auc_lost", "rank_correlation", "collapsed", "optimised",
    "uses_target_labels",
)  # fmt: skip


def selection_report(result: TrainingResult, target_labels: ArrayLike) -> Table:
    """Compare the selectors on a run whose target has labels after all.

    This is the only place where labels of the target meet the epochs of a run:
    for simulated targets, to learn which selector to trust. Nothing that is
    chosen by it on real galaxies is unsupervised any more.

    Parameters
    ----------
    result : `~galmerge_da.TrainingResult`
        Of a run with a target and ``[training] trace``, and best with ``selector
        = "last"``, so that no selector has stopped it.
    target_labels : array_like of int, shape (number of rows of the target,)
        Classes counted from 0, in the order of the data set that `~galmerge_da.train` was
        given; NaN, masked or negative where it is not known. Those of the test
        split are used.

    Returns
    -------
    `~astropy.table.Table`
        One row per selector: source validation, those that were watched, the
        last epoch, and the oracle, which takes the epoch with the best AUC.
        ``epoch`` is its choice (as by `~galmerge_da.training.select_epoch`), ``target_auc`` the AUC
        of the target's test split there, ``oracle_auc`` the best of all
        epochs, ``auc_lost`` the difference; ``rank_correlation`` is Spearman's,
        of score and AUC over all epochs, NaN where one is constant;
        ``collapsed`` says that the target was put into one class there,
        ``optimised`` that the selector was one of the losses, and
        ``uses_target_labels`` is True for the oracle alone. ``meta`` has the
        number of labelled galaxies ``N``, and of epochs, ``N_EPOCHS``.

    Raises
    ------
    InputError
        If there is no trace of a target, the labels are not of its rows, or
        those of the test split are not of several classes.
    """
    traced = (result.trace or {}).get(("target", "test"))
    if traced is None:
        raise InputError("the result has no trace of a target; train with a target and [training] trace = true")
    n_rows = int(np.count_nonzero(result.splits["domain"] == "target"))
    labels, known = _labels(target_labels, n_rows, traced.rows)
    logits = traced.logits[:, known].astype(np.float64)
    scores = logits if logits.shape[2] > 2 else logits[:, :, 1] - logits[:, :, 0]
    areas = np.array([roc_auc(labels, epoch) for epoch in scores])
    if not np.all(np.isfinite(areas)):
        raise InputError(f"the labels of the target's test split must be of all classes, got {np.unique(labels)}")
    history, losses = result.history, result.classifier.provenance["losses"]
    best = float(areas.max())
    rows = []
    for name in ("source_validation", *WATCHED, "last"):
        if name in WATCHED and f"select_{name}" not in history.colnames:
            continue
        epoch, _ = choose_epoch(history, name)
        rows.append((name, epoch, _rank_correlation(selector_scores(history, name), areas), name in losses))
    rows.append(("oracle", int(history["epoch"][np.argmax(areas)]), _rank_correlation(areas, areas), False))
    table = []
    for name, epoch, correlation, optimised in rows:
        (row,) = np.flatnonzero(history["epoch"] == epoch)
        collapsed = bool(history["target_largest_class"][row] > COLLAPSED)
        area = float(areas[row])
        oracle = name not in SELECTORS
        table.append((name, epoch, area, best, best - area, correlation, collapsed, optimised, oracle))
    return Table(rows=table, names=_COLUMNS, meta={"N": len(labels), "N_EPOCHS": len(history)})


def _labels(values, n_rows, rows):
    """Labels of some rows that have one, and which of the rows those are."""
    try:
        values = np.ma.filled(np.ma.asarray(values).astype(float), np.nan)
    except (TypeError, ValueError):
        raise InputError("labels of the target must be numbers") from None
    if values.shape != (n_rows,):
        raise InputError(f"there must be a label for each of the {n_rows} rows of the target, got {values.shape}")
    known = values[rows] >= 0  # False for NaN
    return values[rows][known], known


def _rank_correlation(scores, areas):
    from scipy.stats import spearmanr

    finite = np.isfinite(scores)
    scores, areas = scores[finite], areas[finite]
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(areas) == 0:
        return np.nan
    return float(spearmanr(scores, areas).statistic)
