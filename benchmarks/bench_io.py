"""How fast pixels come in, in every form of input, beside reading the raw bytes.

Run ``python benchmarks/bench_io.py``; it prints one line a row of the matrix on
the page on input. The ratio is the median over the turns of the CPU time of one
process for copying the pixels of all chunks of `open_cutouts`, to that for reading the
bytes of the same files or, where the pixels are in memory, for copying them; both
are timed in turns. Files have been read once before, so that they come from the
system's cache.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from galmerge_da.io import open_cutouts

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import input_writers  # noqa: E402
from input_forms import BANDS, ON_DISK, ROWS  # noqa: E402

N_ROWS, SIZE, CHUNK, TURNS = 400, 75, 64, 5
IMAGES = np.random.default_rng(0).normal(100, 10, (N_ROWS, 3, SIZE, SIZE)).astype(np.float32)


def read_cutouts(source, options):
    """All chunks, one after the other; pixels that are mapped are read when they are copied."""
    for chunk in open_cutouts(source, bands=BANDS, chunk_size=CHUNK, **options):
        np.copy(chunk.data)


def read_bytes(folder):
    """All files, one after the other."""
    for file in folder.rglob("*"):
        if file.is_file():
            file.read_bytes()


def seconds(action, *arguments):
    """CPU time of an action."""
    start = time.process_time()
    action(*arguments)
    return time.process_time() - start


def measure(row, folder):
    """Seconds for all chunks, and the ratio to the raw bytes."""
    make = next(iter(ROWS[row].values()))
    source, options = make(folder, IMAGES)
    raw = (read_bytes, folder) if row in ON_DISK else (np.copy, IMAGES)
    read_cutouts(source, options)
    seconds(*raw)
    pairs = [(seconds(read_cutouts, source, options), seconds(*raw)) for _ in range(TURNS)]
    return median(ours for ours, _ in pairs), median(ours / plain for ours, plain in pairs)


def main():
    """Print rates and ratios."""
    input_writers.ROW_GROUP, input_writers.CHUNK = 100, CHUNK
    print(f"{N_ROWS} images of {SIZE} x {SIZE} x 3 float32, in chunks of {CHUNK}")
    print(f"{'form':<40}{'rows/s':>12}{'time / raw bytes':>20}")
    for row in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            taken, ratio = measure(row, Path(folder))
        print(f"{row:<40}{N_ROWS / taken:>12,.0f}{ratio:>20.2f}", flush=True)


if __name__ == "__main__":
    main()
