"""Images per second of `simulate`, everything included, with one and with all cores.

Run: ``python benchmarks/bench_simulation.py``. The last column is the time
over that of one process, measured in the same run.
"""

import os
import time

from galmerge_da.simulation import simulate


def main(n=480):
    """Time every preset once, after a warm-up."""
    cores = os.cpu_count()
    simulate(24, "sdss", seed=1, n_jobs=cores)
    print(f"{'survey':24s} {'jobs':>4s} {'images/s':>9s} {'ratio':>6s}")
    for survey in ("deepmerge-z2-pristine", "deepmerge-z2", "sdss", "sdss-jpeg", "decals"):
        alone = None
        for jobs in (1, cores):
            start = time.perf_counter()
            simulate(n, survey, seed=2, n_jobs=jobs)
            took = time.perf_counter() - start
            alone = alone or took
            print(f"{survey:24s} {jobs:4d} {n / took:9.1f} {took / alone:6.2f}")


if __name__ == "__main__":
    main()
