"""What is known of a survey's galaxies without a network: asymmetry, Gini-M20, and a forest of measured shapes."""

import time
import warnings

import numpy as np
from astropy.table import Table

from galmerge_da.evaluation import morphology_table, rotational_asymmetry_table
from galmerge_da.exceptions import InputWarning
from galmerge_da.experiments.baselines import BASELINES
from galmerge_da.experiments.real_data import usable_rows

__all__ = ["SHAPES", "score_shapes"]

#: Of the baselines, those that are trained on the simulated galaxies; asymmetry needs no training.
SHAPES = ("Gini-M20", "random forest")


def score_shapes(data, seeds, seconds):
    """Scores of a survey's galaxies from their measured shapes.

    Parameters
    ----------
    data : SurveyData
    seeds : sequence of int
        Of the forest.
    seconds : dict
        Gets how long each took, per image of the survey.

    Returns
    -------
    dict of str to `~numpy.ndarray`, shape (N,)
        ``asymmetry``, NaN where it cannot be measured; ``Gini-M20``, probabilities by a line that simulated galaxies
        place; ``random forest_seed<k>`` and their mean ``random forest``, probabilities by trees that are trained on
        them. A galaxy that cannot be measured has the share of mergers among these, and NaN if its picture cannot be
        used at all.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* could not be used", InputWarning)  # which has been said
        return _measure(data, seeds, seconds)


def _measure(data, seeds, seconds):
    start = time.perf_counter()
    asymmetry = rotational_asymmetry_table(data.galaxies, progress=data.progress, **data.reading)["asymmetry"]
    seconds["asymmetry"] = (time.perf_counter() - start) / max(1, len(asymmetry))
    start = time.perf_counter()
    real = morphology_table(data.galaxies, progress=data.progress, **data.reading)
    measuring = (time.perf_counter() - start) / max(1, len(real))
    simulated = morphology_table(data.source, progress=data.progress)
    truth = np.asarray(Table.read(data.source)["label"])
    scores = {"asymmetry": np.ma.filled(np.ma.asarray(asymmetry).astype(float), np.nan)}
    for name in SHAPES:
        start = time.perf_counter()
        own = seeds if name == "random forest" else seeds[:1]  # the line has no seed
        made = [_probabilities(BASELINES[name](simulated, truth, seed), real) for seed in own]
        seconds[name] = measuring + (time.perf_counter() - start) / max(1, len(real) * len(own))
        if name == "random forest":
            scores.update({f"{name}_seed{seed}": values for seed, values in zip(own, made, strict=True)})
        scores[name] = np.mean(made, axis=0)
    unusable = np.setdiff1d(np.arange(len(real)), usable_rows(data.table))
    for values in scores.values():
        values[unusable] = np.nan
    return scores


def _probabilities(baseline, shapes):
    values = baseline.predict_proba(shapes)[:, 1]
    return np.where(np.isnan(values), baseline.prior, values)
