"""How fast pixels come in: rows per second of each kind of input, on small made-up files.

Run ``python benchmarks/bench_io.py``; it prints one line a kind.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from PIL import Image

from galmerge_da.io import open_cutouts, save_cutouts

N_ROWS = 500
IMAGES = np.random.default_rng(0).normal(100, 10, (N_ROWS, 3, 75, 75)).astype(np.float32)


def sources(folder):
    """Name and source of every kind."""
    yield "array", IMAGES
    yield "float64 column", Table({"image": IMAGES.astype(float)})
    yield "list of arrays", list(IMAGES)
    save_cutouts(Table({"image": IMAGES}), folder / "set.fits")
    yield "FITS table", folder / "set.fits"
    np.save(folder / "X.npy", IMAGES)
    yield "X.npy", folder / "X.npy"
    for suffix, write in {
        ".fits": fits.writeto,
        ".npy": np.save,
        ".jpg": lambda name, image: Image.fromarray(np.moveaxis(image, 0, -1).astype(np.uint8)).save(name),
    }.items():
        names = [str(folder / f"{row}{suffix}") for row in range(N_ROWS)]
        for name, image in zip(names, IMAGES, strict=True):
            write(name, image)
        yield f"paths {suffix}", names


def seconds(action):
    """Wall time of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def main():
    """Print rows per second."""
    with tempfile.TemporaryDirectory() as folder:
        for name, source in sources(Path(folder)):
            taken = seconds(lambda source=source: [chunk.data.sum() for chunk in open_cutouts(source, chunk_size=256)])
            print(f"{name:<20}{N_ROWS / taken:>12,.0f} rows/s")


if __name__ == "__main__":
    main()
