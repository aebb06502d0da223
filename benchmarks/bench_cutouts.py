"""Cutouts per second from open mosaics, beside a plain loop of numpy slices over the same pixels.

Run ``python benchmarks/bench_cutouts.py``. Both are timed in turns, in CPU time
of one process; the ratio is the median over the turns of the time of
`extract_cutouts` to that of the loop, which knows no edges, flags or tables.
Files have been read once before, so that they come from the system's cache.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from astropy.io import fits
from astropy.table import Table

from galmerge_da.io import extract_cutouts

N_ROWS, SIZE, SIDE, TURNS = 5000, 75, 3000, 7


def mosaics(folder):
    """Name, what `extract_cutouts` takes, and what the loop slices."""
    field = np.random.default_rng(0).normal(size=(3, SIDE, SIDE)).astype(np.float32)
    yield "array", field, field
    fits.writeto(folder / "cube.fits", field)
    yield "FITS cube", folder / "cube.fits", fits.open(folder / "cube.fits", memmap=True)[0].data
    for band, image in zip("gri", field, strict=True):
        fits.writeto(folder / f"{band}.fits", image)
    files = {band: folder / f"{band}.fits" for band in "gri"}
    yield "FITS file a band", files, [fits.open(file, memmap=True)[0].data for file in files.values()]


def loop(planes, x, y):
    """Slices of every band, nothing else."""
    cutouts = np.empty((len(x), 3, SIZE, SIZE), np.float32)
    for row, (left, bottom) in enumerate(zip(x, y, strict=True)):
        if isinstance(planes, list):
            for band, plane in enumerate(planes):
                cutouts[row, band] = plane[bottom : bottom + SIZE, left : left + SIZE]
        else:
            cutouts[row] = planes[:, bottom : bottom + SIZE, left : left + SIZE]
    return cutouts


def seconds(action):
    """CPU time of an action, and what it gave."""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


def compare(images, planes):
    """Median seconds of `extract_cutouts`, and of its ratio to the loop."""
    rng = np.random.default_rng(1)
    left, bottom = rng.integers(0, SIDE - SIZE, (2, N_ROWS))
    catalog = Table({"x": left + SIZE // 2, "y": bottom + SIZE // 2})
    times, ratios = [], []
    for _ in range(TURNS):
        ours, table = seconds(lambda: extract_cutouts(catalog, images, SIZE))
        plain, expected = seconds(lambda: loop(planes, left.tolist(), bottom.tolist()))
        assert np.array_equal(table["image"], expected)
        times.append(ours)
        ratios.append(ours / plain)
    return median(times), median(ratios)


def main():
    """Print rates and ratios."""
    print(f"{N_ROWS} cutouts of {SIZE} x {SIZE} x 3")
    print(f"{'mosaic':<20}{'cutouts/s':>12}{'time / numpy loop':>20}")
    with tempfile.TemporaryDirectory() as folder:
        for name, images, planes in mosaics(Path(folder)):
            taken, ratio = compare(images, planes)
            print(f"{name:<20}{N_ROWS / taken:>12,.0f}{ratio:>20.2f}")


if __name__ == "__main__":
    main()
