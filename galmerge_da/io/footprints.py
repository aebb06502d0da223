"""Whether images that nobody names are bands of one image or tiles of a field: what they cover of the sky tells."""

from itertools import combinations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from galmerge_da.exceptions import InputError
from galmerge_da.io.files import quiet
from galmerge_da.io.positions import positions, sky_of

__all__ = ["are_tiles"]

#: Two images that share at least this fraction of the smaller one are bands; those that share at most the other, tiles.
_BANDS, _TILES = 0.9, 0.5

#: Points along each side of an image that are looked for on another.
_POINTS = 21


def are_tiles(layers):
    """Tell tiles of a field from bands of one image.

    Parameters
    ----------
    layers : list of Layer
        In one band each.

    Returns
    -------
    bool
        False where one of them has no WCS.

    Raises
    ------
    InputError
        If two share more than half, but not nearly all; or some nearly all and others not.
    """
    if any(layer.wcs is None for layer in layers):
        return False
    with quiet():
        shared = _shared(layers)
    if all(share >= _BANDS for share in shared.values()):
        return False
    if all(share <= _TILES for share in shared.values()):
        return True
    doubtful = [pair for pair, share in shared.items() if _TILES < share < _BANDS]
    shown = doubtful[:1] or [max(shared, key=shared.get), min(shared, key=shared.get)]
    said = ", ".join(
        f"images {first} and {second} share {100 * shared[first, second]:.0f} %" for first, second in shown
    )
    raise InputError(
        f"{said} of what the smaller one covers: are they bands of one image, or tiles of one band? Say so with bands "
        "(--bands): a name for each image are bands, a single name is that of tiles; or give each image with its band, "
        "where tiles of one band are a list (on the command line g=1.fits g=2.fits)"
    )


def _shared(layers):
    """Of each pair of images, the fraction of one that the other has: of the smaller one, in effect."""
    grids = [_grid(layer) for layer in layers]
    middles = SkyCoord([grid[grid.size // 2] for grid in grids])
    reach = u.Quantity([middle.separation(grid).max() for middle, grid in zip(middles, grids, strict=True)])
    touch = middles[:, None].separation(middles[None]) <= reach[:, None] + reach[None]
    return {
        (one, two): max(_covered(grids[one], layers[two]), _covered(grids[two], layers[one])) if touch[one, two] else 0
        for one, two in combinations(range(len(layers)), 2)
    }


def _grid(layer):
    """Points all over an image on the sky."""
    height, width = layer.shape[1:]
    y, x = np.meshgrid(np.linspace(0, height - 1, _POINTS), np.linspace(0, width - 1, _POINTS))
    return SkyCoord(*sky_of(x.ravel(), y.ravel(), layer.wcs), unit=u.deg)


def _covered(points, layer):
    height, width = layer.shape[1:]
    x, y = positions(Table({"position": points}), layer.wcs)
    return float(np.mean((np.abs(x - (width - 1) / 2) <= width / 2) & (np.abs(y - (height - 1) / 2) <= height / 2)))
