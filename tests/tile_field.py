"""A field of noise that tests of cutouts cut tiles out of."""

import numpy as np
from astropy.table import Table
from astropy.wcs import WCS

rng = np.random.default_rng(8)
SKY = rng.normal(10, 1, size=(3, 120, 200)).astype(np.float32)  # the whole field, from which tiles are taken
NAMES = ("g", "r", "i")


def tan(bottom=0, left=0, scale=0.5):
    """The WCS of a tile that starts at a row and column of the field."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -scale / 3600, scale / 3600
    wcs.wcs.crval = 150.0, 2.0
    wcs.wcs.crpix = 100 - left, 60 - bottom
    return wcs


def on_sky(x, y):
    ra, dec = tan().pixel_to_world_values(x, y)
    return Table({"ra": np.atleast_1d(ra), "dec": np.atleast_1d(dec)})


def tile(left, right, top=120):
    return SKY[:, :top, left:right].copy(), tan(0, left)


def brute_force(image, x, y, size):
    """Pixels one by one."""
    stamp = np.full((len(image), size, size), np.nan, np.float32)
    bottom, left = int(np.ceil(y - size / 2)), int(np.ceil(x - size / 2))
    for row in range(size):
        for column in range(size):
            if 0 <= bottom + row < image.shape[1] and 0 <= left + column < image.shape[2]:
                stamp[:, row, column] = image[:, bottom + row, left + column]
    return stamp
