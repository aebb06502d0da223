"""Score the columns of a catalogue against labels."""

import numpy as np
from astropy.table import Table

from galmerge_da.exceptions import InputError
from galmerge_da.metrics import accuracy, average_precision, brier_score, expected_calibration_error, roc_auc
from galmerge_da.options import suggest

__all__ = ["read_labels", "score_catalog"]


def score_catalog(
    table: Table,
    label: str,
    *,
    probability: str = "merger_prob",
    asymmetry: str | None = None,
    threshold: float = 0.5,
    n_bootstrap: int = 200,
    seed: int = 0,
) -> Table:
    """How well the scores of a catalogue tell mergers from the rest.

    Parameters
    ----------
    table : `~astropy.table.Table`
        A catalogue.
    label : str
        Column of the truth: 1 or True for a merger, 0 or False for another
        galaxy; masked, NaN or negative where it is not known.
    probability : str, optional
        Column of the probability.
    asymmetry : str, optional
        Column of a score that is no probability, for comparison.
    threshold : float, optional
        A galaxy is called a merger from this probability on.
    n_bootstrap : int, optional
        Resamples of the rows from which the spread is taken.
    seed : int, optional
        Of the resampling.

    Returns
    -------
    `~astropy.table.Table`
        One row per score: its name, ``n`` labelled rows used, ``n_pos``
        mergers among them, ``n_excluded`` labelled rows without a score, and
        ``auc``, ``ap``, ``accuracy``, ``brier`` and ``ece``, each with the
        half-width ``*_err`` of its central 68 % over resamples. NaN for what is not
        defined, as the last three are for a score that is no probability.

    Raises
    ------
    InputError
        If a column is missing, or the labels are not 0 and 1.
    """
    labels, labelled = read_labels(table, label)
    columns = {probability: True} | ({asymmetry: False} if asymmetry is not None else {})
    rows = []
    for name, is_probability in columns.items():
        scores = _numbers(table, name)
        used = labelled & np.isfinite(scores)
        truth, scores = labels[used], scores[used]
        measures = _measures(threshold, is_probability)
        row = {
            "score": name,
            "n": len(truth),
            "n_pos": int(truth.sum()),
            "n_excluded": int(labelled.sum() - used.sum()),
        }
        generator = np.random.default_rng(seed)
        draws = [generator.integers(len(truth), size=len(truth)) for _ in range(n_bootstrap if len(truth) else 0)]
        for key, measure in measures.items():
            row[key] = measure(truth, scores) if measure and len(truth) else np.nan
            spread = [measure(truth[draw], scores[draw]) for draw in draws] if measure else []
            row[f"{key}_err"] = _half_width(spread)
        rows.append(row)
    return Table(rows=rows)


def _measures(threshold, is_probability):
    calibrated = {
        "accuracy": lambda truth, scores: accuracy(truth, scores, threshold),
        "brier": brier_score,
        "ece": expected_calibration_error,
    }
    return {
        "auc": roc_auc,
        "ap": average_precision,
        **{key: measure if is_probability else None for key, measure in calibrated.items()},
    }


def _half_width(values):
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return np.diff(np.percentile(values, [16, 84]))[0] / 2 if len(values) > 1 else np.nan


def _numbers(table, name):
    """A column as floats, NaN where it is masked."""
    if name not in table.colnames:
        raise InputError(f"the catalogue has no column {name!r}{suggest(name, table.colnames)}")
    try:
        return np.ma.filled(np.ma.asarray(table[name]).astype(float), np.nan)
    except (TypeError, ValueError):
        raise InputError(f"column {name!r} does not hold numbers but {table[name].dtype}") from None


def read_labels(table, label):
    """Labels of galaxies.

    Parameters
    ----------
    table : `~astropy.table.Table`
    label : str
        Column of numbers or truth values: 1 for a merger, 0 for another galaxy; masked, NaN or negative where nothing
        is known.

    Returns
    -------
    labels : `~numpy.ndarray` of int, shape (N,)
        0 where nothing is known.
    labelled : `~numpy.ndarray` of bool, shape (N,)
        Where something is.

    Raises
    ------
    InputError
        If the column is missing, holds no numbers, or others than these.
    """
    values = _numbers(table, label)
    labelled = values >= 0  # False for NaN
    if wrong := set(np.unique(values[labelled])) - {0.0, 1.0}:
        raise InputError(f"labels in {label!r} must be 0 or 1, got {', '.join(f'{x:g}' for x in sorted(wrong)[:5])}")
    return np.where(labelled, values, 0).astype(int), labelled
