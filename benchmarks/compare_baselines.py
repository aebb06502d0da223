"""How well mergers are told without a network, on simulated galaxies, and how long that takes.

Run with ``python benchmarks/compare_baselines.py`` (about ten minutes): each
baseline is trained on 1000 galaxies and scored on 1000 others, with three
seeds. The time is that of one core, measuring included.
"""

import argparse
import time
from functools import cache

import numpy as np

from galmerge_da.evaluation import morphology_table
from galmerge_da.experiments.baselines import BASELINES
from galmerge_da.metrics import average_precision, brier_score, roc_auc
from galmerge_da.simulation import simulate

#: Trained on, scored on.
PAIRS = (
    ("sdss-jpeg", "sdss-jpeg"),
    ("deepmerge-z2-pristine", "deepmerge-z2-pristine"),
    ("deepmerge-z2", "deepmerge-z2"),
    ("deepmerge-z2-pristine", "deepmerge-z2"),
)
SEEDS = (1, 2, 3)


@cache
def shapes(survey, seed, n):
    """Measured shapes of simulated galaxies, and CPU seconds per galaxy that it took."""
    galaxies = simulate(n, survey, seed=seed, n_jobs=1)
    start = time.process_time()
    table = morphology_table(galaxies)
    return table, (time.process_time() - start) / n


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=1000, help="galaxies to train on, and to score")
    n = parser.parse_args().n
    print(f"{'trained on':22s} {'scored on':22s} {'baseline':14s} {'AUC':>13s} {'AP':>13s} {'Brier':>13s}      ms")
    for source, target in PAIRS:
        for name, fit in BASELINES.items():
            scores, times = [], []
            for seed in SEEDS:
                train, _ = shapes(source, 10 + seed, n)
                test, seconds = shapes(target, seed, n)
                probs = fit(train, np.asarray(train["label"]), seed).predict_proba(test)[:, 1]
                times.append(seconds)
                truth = np.asarray(test["label"])[np.isfinite(probs)]
                probs = probs[np.isfinite(probs)]
                scores.append([measure(truth, probs) for measure in (roc_auc, average_precision, brier_score)])
            cells = [
                f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(np.mean(scores, 0), np.std(scores, 0, ddof=1), strict=True)
            ]
            print(f"{source:22s} {target:22s} {name:14s} {'  '.join(cells)}  {1e3 * np.mean(times):6.2f}", flush=True)


if __name__ == "__main__":
    main()
