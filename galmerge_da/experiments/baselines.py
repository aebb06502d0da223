"""Rows for the tables of a study that no network made: asymmetry, Gini and M20, and a forest of measured shapes."""

import time

import numpy as np
from astropy.table import Table, vstack

from galmerge_da.evaluation import morphology_table
from galmerge_da.evaluation.forest import measured_shapes, train_forest, train_line
from galmerge_da.experiments.study_tables import BASELINE, scores_of
from galmerge_da.morphology import lotz_merger

__all__ = ["BASELINES", "add_baselines", "baseline_scores"]


def _asymmetry(table):
    return measured_shapes(table, ("asymmetry",))[:, 0]


def _gini_m20(table):
    return lotz_merger(*measured_shapes(table, ("gini", "m20")).T)


#: Name -> how it is trained, from a table of shapes, the truth and a seed.
BASELINES = {
    "asymmetry": lambda table, truth, seed: train_line(table, _asymmetry, truth),
    "Gini-M20": lambda table, truth, seed: train_line(table, _gini_m20, truth),
    "random forest": lambda table, truth, seed: train_forest(table, truth, seed=seed),
}


def add_baselines(scores, finished, source, target, labels, *, progress=False):
    """Scores of the runs, and of the baselines on the same galaxies.

    Parameters
    ----------
    scores : `~astropy.table.Table`
        As `~galmerge_da.experiments.study_tables.score_runs` gives it.
    finished : list of FinishedRun
    source, target : object
        The data sets, in any form that `~galmerge_da.io.open_cutouts` takes.
    labels : mapping of str to array_like of int
        ``"source"`` and ``"target"`` -> class of every row. Those of the
        target are used for scores alone.
    progress : bool, optional
        Show progress bars.

    Returns
    -------
    `~astropy.table.Table`
        With two more columns, as `baseline_scores` has them: for networks,
        ``seconds_per_image`` is NaN and ``n_unmeasured`` 0.
    """
    shapes, seconds = {}, {}
    for domain, data in (("source", source), ("target", target)):
        start = time.perf_counter()
        shapes[domain] = morphology_table(data, progress=progress)
        seconds[domain] = (time.perf_counter() - start) / max(1, len(shapes[domain]))
    scores = scores.copy()
    scores["seconds_per_image"], scores["n_unmeasured"] = np.nan, 0
    return vstack([scores, baseline_scores(finished, shapes, labels, seconds)], metadata_conflicts="silent")


def baseline_scores(finished, shapes, labels, seconds):
    """Score what needs no network on the held-out rows of finished runs.

    Each baseline is trained, or its score turned into a probability, on the
    source's galaxies that the runs of that seed neither tested nor validated on.

    Parameters
    ----------
    finished : list of FinishedRun
        Runs of one seed share their splits; the first of each is asked.
    shapes : mapping of str to `~astropy.table.Table`
        ``"source"`` and ``"target"`` -> all rows, as
        `~galmerge_da.evaluation.morphology_table` gives them.
    labels : mapping of str to array_like of int
        Class of the same rows; those of the target are used for scores alone.
    seconds : mapping of str to float
        Time that measuring the shapes took, per image.

    Returns
    -------
    `~astropy.table.Table`
        One row per seed, baseline and domain, columns as `score_runs` has
        them, and ``seconds_per_image``. A galaxy that could not be measured
        gets the share of mergers that the baseline was trained on;
        ``n_unmeasured`` counts those.
    """
    rows, first = [], {}
    for run in finished:
        first.setdefault(run.seed, run)
    for seed, run in first.items():
        held_out = np.concatenate([run.trace["source", split].rows for split in ("validation", "test")])
        train = np.setdiff1d(np.arange(len(shapes["source"])), held_out)
        truth = np.asarray(labels["source"])[train]
        for name, fit in BASELINES.items():
            baseline = fit(shapes["source"][train], truth, seed)
            for domain in ("source", "target"):
                test = run.trace[domain, "test"].rows
                start = time.perf_counter()
                probs = baseline.predict_proba(shapes[domain][test])[:, 1]
                deciding = (time.perf_counter() - start) / max(1, len(test))
                missing = np.isnan(probs)
                probs[missing] = baseline.prior
                rows.append(
                    {
                        "run": name, "backbone": "", "seed": seed, "selector": BASELINE, "uses_target_labels": False,
                        "epoch": 0, "domain": domain, **scores_of(np.asarray(labels[domain])[test], probs),
                        "seconds_per_image": seconds[domain] + deciding, "n_unmeasured": int(missing.sum()),
                    }
                )  # fmt: skip
    return Table(rows=rows)
