"""Ways to use a survey without labels, side by side on a simulated stand-in whose labels are known.

python benchmarks/compare_methods.py [-o FOLDER] [-n 1000] [-j 2]

The source is simulated in the look of SDSS pictures, the target a survey that is seen worse, from further away, with
six mergers in a hundred. Each method is cross-fitted in two folds with three seeds. Composites cannot be tested so:
the frames of the stand-in are smaller than what they are put together from.
"""

import argparse
import math

from galmerge_da.experiments import RealRun, run_sim_to_real, score_real

RUNS = (
    RealRun("noDA"),
    RealRun("mean teacher", {"mean_teacher": 1.0}),
    RealRun("FixMatch", {"fixmatch": 1.0}),
    RealRun("JMMD", {"jmmd": 1.0}),
    RealRun("CDAN", {"cdan": 1.0}),
    RealRun("MMD", {"mmd": 1.0}),
    RealRun("MMD+estimated prior", {"mmd": {"weight": 1.0, "estimate_prior": True}}),
    RealRun("MMD+known prior", {"mmd": {"weight": 1.0, "target_prior": [0.94, 0.06]}}),
)


def main(folder, n, n_jobs):
    catalogue = run_sim_to_real(folder, None, runs=RUNS, n=n, n_folds=2, n_jobs=n_jobs)
    scores = score_real(catalogue, "label", [run.name for run in RUNS], references=("noDA",))
    for row in scores:
        spread = [with_spread(row[f"{name}_seeds"], row[f"{name}_seeds_sd"]) for name in ("auc", "ap")]
        less = []
        for name in (f"{score}_minus_noDA" for score in ("auc", "ap")):
            less.append(f"{row[name]:+.3f} [{row[f'{name}_low']:+.3f}, {row[f'{name}_high']:+.3f}]")
        print(f"{row['run']}: AUC {spread[0]}, AP {spread[1]} a seed; of the mean less noDA: {less[0]}, {less[1]}")


def with_spread(mean, sd):
    """A score over seeds; the spread only where there are seeds."""
    return f"{mean:.3f}" + (f" +- {sd:.3f}" if math.isfinite(sd) else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", default="compare-methods")
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("-j", "--jobs", type=int, default=2)
    given = parser.parse_args()
    main(given.output, given.n, given.jobs)
