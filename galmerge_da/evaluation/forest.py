"""Mergers by their measured shapes: what a careful astronomer would do without a network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from galmerge_da.exceptions import InputError
from galmerge_da.morphology import MEASURES
from galmerge_da.options import suggest

__all__ = ["ShapeClassifier", "measured_shapes", "train_forest", "train_line"]

#: Rows of each class that are needed to train on.
_FEWEST = 10


@dataclass(frozen=True, eq=False)
class ShapeClassifier:
    """A trained classifier of measured shapes.

    Attributes
    ----------
    model : object
        Of scikit-learn, with ``predict_proba``.
    features : callable
        Table -> `~numpy.ndarray`, shape (N, F).
    prior : float
        Share of mergers that it was trained on.
    """

    model: Any
    features: Callable[[Table], NDArray[Any]]
    prior: float

    def predict_proba(self, table: Table) -> NDArray[np.float64]:
        """Probability that each galaxy is merging.

        Parameters
        ----------
        table : `~astropy.table.Table`
            With the columns of `~galmerge_da.evaluation.morphology_table`.

        Returns
        -------
        `~numpy.ndarray`, shape (N, 2)
            Non-merger and merger; NaN where a measure that is needed is missing.

        Raises
        ------
        InputError
            If a column is missing or holds no numbers.
        """
        features = self.features(table)
        known = np.isfinite(features).all(axis=1)
        probs = np.full((len(features), 2), np.nan)
        if known.any():
            probs[known] = self.model.predict_proba(features[known])
        return probs


def measured_shapes(table, names=tuple(MEASURES)):
    """Measures of a table as an array.

    Parameters
    ----------
    table : `~astropy.table.Table`
    names : sequence of str, optional
        Columns; all of `~galmerge_da.morphology.MEASURES` by default.

    Returns
    -------
    `~numpy.ndarray` of float, shape (N, F)
        NaN where masked.

    Raises
    ------
    InputError
        If a column is missing or holds no numbers.
    """
    columns = []
    for name in names:
        if name not in table.colnames:
            raise InputError(f"the table has no column {name!r}{suggest(name, table.colnames)}; see morphology_table")
        try:
            columns.append(np.ma.filled(np.ma.asarray(table[name]).astype(float), np.nan))
        except (TypeError, ValueError):
            raise InputError(f"column {name!r} does not hold numbers but {table[name].dtype}") from None
    return np.stack(columns, axis=1)


def train_forest(
    table: Table, label: str | ArrayLike = "label", *, seed: int = 0, n_trees: int = 300
) -> ShapeClassifier:
    """Train a random forest on asymmetry, Gini, M20, concentration and smoothness.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Labelled, with the columns of `~galmerge_da.evaluation.morphology_table`.
        Rows where one of them is missing are left out.
    label : str or array_like, shape (N,), optional
        Column of the truth, or the truth: 1 for a merger, 0 for another galaxy.
    seed : int, optional
        Of the trees.
    n_trees : int, optional

    Returns
    -------
    ShapeClassifier

    Raises
    ------
    InputError
        If a column is missing, a label is not 0 or 1, or there are fewer than
        ten measured galaxies of each class.

    References
    ----------
    Breiman 2001, Machine Learning 45, 5; Snyder et al. 2019, MNRAS 486, 3702, for mergers.
    """
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(n_trees, min_samples_leaf=5, random_state=seed)
    return _fit(model, measured_shapes, table, label)


def train_line(table, score, label="label"):
    """Turn one score, such as the asymmetry, into a probability by logistic regression.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As for `train_forest`.
    score : callable
        Table -> `~numpy.ndarray`, shape (N,).
    label : str or array_like, shape (N,), optional
        As for `train_forest`.

    Returns
    -------
    ShapeClassifier

    Raises
    ------
    InputError
        As `train_forest`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression())
    return _fit(model, lambda table: score(table)[:, None], table, label)


def _fit(model, features, table, label):
    if isinstance(label, str) and label not in table.colnames:
        raise InputError(f"the table has no column {label!r}{suggest(label, table.colnames)}")
    labels = np.asarray(table[label] if isinstance(label, str) else label)
    if len(labels) != len(table) or not np.isin(labels, (0, 1)).all():
        raise InputError(f"labels must be 0 or 1, one for each of {len(table)} rows")
    values = features(table)
    known = np.isfinite(values).all(axis=1)
    n, n_mergers = int(known.sum()), int(labels[known].sum())
    if min(n_mergers, n - n_mergers) < _FEWEST:
        raise InputError(f"{_FEWEST} measured galaxies of each class are needed, got {n_mergers} mergers of {n}")
    model.fit(values[known], labels[known].astype(int))
    return ShapeClassifier(model, features, n_mergers / n)
