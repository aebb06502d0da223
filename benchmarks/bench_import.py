"""What imports cost over bare Python, in turn in one run.

python benchmarks/bench_import.py
"""

import subprocess
import sys
import time
from statistics import median

STATEMENTS = (
    "pass",
    "import galmerge_da",
    "from galmerge_da.plugins import get_survey; get_survey('sdss')",
    "from galmerge_da import classify",
)
N_SLOWEST = 5


def seconds(statement):
    """Wall-clock time of one fresh interpreter."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def slowest(statement):
    """Modules with the largest time of their own, as (microseconds, name)."""
    command = [sys.executable, "-X", "importtime", "-c", statement]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    rows = [line.removeprefix("import time:").split("|") for line in report.splitlines() if "|" in line]
    return sorted(((int(own), name.strip()) for own, _, name in rows[1:]), reverse=True)[:N_SLOWEST]


def main(repeats=5):
    """Print the median time of each statement, its cost over bare Python, and where it goes."""
    times = {statement: [] for statement in STATEMENTS}
    for _ in range(repeats):
        for statement in STATEMENTS:
            times[statement].append(seconds(statement))
    bare = median(times["pass"])
    for statement in STATEMENTS:
        taken = median(times[statement])
        print(f"{1e3 * taken:8.1f} ms  {1e3 * (taken - bare):+8.1f} ms  {taken / bare:6.2f} x  {statement}")
    for own, name in slowest("import galmerge_da"):
        print(f"{own / 1e3:8.2f} ms  {name}")


if __name__ == "__main__":
    main()
