"""Where frames lie on the tiles of a field: how large they are, and which tiles have pixels for them."""

import re
import warnings
from dataclasses import dataclass, fields

import astropy.units as u
import numpy as np

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io.pictures import numbers
from galmerge_da.io.positions import are_on_sky, positions, sky_positions
from galmerge_da.options import suggest

__all__ = ["Places", "frame_sides", "parse_size", "place", "warn_of_rows_off"]

#: More pixels on a side are no cutout.
_LARGEST = 10**9


@dataclass(frozen=True, eq=False)
class Places:
    """Where rows can be cut, one entry a row and tile that has pixels for it, best ones of a row first.

    Attributes
    ----------
    row, tile : `~numpy.ndarray` of int, shape (M,)
    rank : `~numpy.ndarray` of int, shape (M,)
        0 for the best tile of a row.
    bottom, left : `~numpy.ndarray` of int, shape (M,)
        First row and column of the frame on the tile.
    y, x : `~numpy.ndarray` of int, shape (M,)
        Pixel of the object.
    """

    row: np.ndarray
    tile: np.ndarray
    rank: np.ndarray
    bottom: np.ndarray
    left: np.ndarray
    y: np.ndarray
    x: np.ndarray

    def best(self, n_rows):
        """Number of the best tile of each row; -1 where it has none."""
        numbers = np.full(n_rows, -1, dtype=np.int32)
        first = self.rank == 0
        numbers[self.row[first]] = self.tile[first]
        return numbers

    def of_rows(self, start, stop):
        """Those of the rows from ``start`` to ``stop``, which are counted from 0 again."""
        some = slice(*np.searchsorted(self.row, (start, stop)))
        values = {each.name: getattr(self, each.name)[some] for each in fields(self)}
        return Places(**{**values, "row": values["row"] - start})


def parse_size(size, catalog):
    """A size that is given as text: ``"75"``, ``"75x61"``, ``"30 arcsec"``, or ``"8 radius"``, a multiple of a column.

    Parameters
    ----------
    size : object
        Anything but text is returned as it is.
    catalog : `~astropy.table.Table`

    Returns
    -------
    size : object
        As for `frame_sides`.

    Raises
    ------
    InputError
        If it is neither, or the column is not of numbers.
    """
    if not isinstance(size, str):
        return size
    sides = re.fullmatch(r"([\d.]+) *x *([\d.]+) *(.*)", size.strip())
    if sides and sides[3] not in catalog.colnames:
        return tuple(parse_size(f"{side} {sides[3]}", catalog) for side in sides.groups()[:2])
    number, _, rest = size.strip().partition(" ")
    rest = rest.strip()
    try:
        if not rest:
            return int(number)
        if rest not in catalog.colnames:
            return float(number) * u.Unit(rest)
        values = float(number) * numbers(catalog[rest])
    except (TypeError, ValueError):
        raise InputError(
            f"size {size!r} is no number of pixels, no height and width such as '75x61', no angle such as '30 arcsec', "
            f"and no multiple of a column such as '8 radius'{suggest(rest, catalog.colnames)}"
        ) from None
    return u.Quantity(values, getattr(catalog[rest], "unit", None) or u.pix)


def frame_sides(size, pixel_scale, n_rows):
    """Heights and widths of the frames in pixels.

    Parameters
    ----------
    size : int, Quantity, tuple or array_like
        As for `extract_cutouts`.
    pixel_scale : `~astropy.units.Quantity` or None
    n_rows : int

    Returns
    -------
    sides : `~numpy.ndarray` of int, shape (n_rows, 2)
        0 where unknown.
    one_size : (int, int), or None
        None where every row has its own.

    Raises
    ------
    InputError
        If it is no size.
    """
    if isinstance(size, (tuple, list)) and len(size) == 2:
        ny, nx = (_side(each, pixel_scale, size) for each in size)
    elif np.ndim(size) == 0:
        ny = nx = _side(size, pixel_scale, size)
    elif np.shape(size) == (n_rows,):
        values = np.nan_to_num(_in_pixels(size, pixel_scale, size), nan=0)
        sides = np.clip(np.ceil(values), 0, _LARGEST).astype(int)
        if getattr(size, "unit", None) is not None or np.any(values % 1):  # measured: the object on the middle pixel
            sides += (sides > 0) & (sides % 2 == 0)
        return np.repeat(sides[:, None], 2, axis=1), None
    else:
        raise InputError(
            f"size must be a whole number of pixels, (ny, nx), or an angle, or one a row ({n_rows}); got {size!r:.80}"
        )
    return np.broadcast_to([ny, nx], (n_rows, 2)), (ny, nx)


def _in_pixels(size, pixel_scale, given):
    """Sizes in pixels, as they come: not rounded, NaN where masked; InputError if they are no sizes."""
    unit = getattr(size, "unit", None)
    try:
        values = numbers(size)
    except (TypeError, ValueError):
        raise InputError(f"size must be a whole number of pixels, (ny, nx), or an angle; got {given!r:.80}") from None
    if unit is None or u.Unit(unit).is_equivalent(u.pix):
        return values
    if not u.Unit(unit).is_equivalent(u.arcsec):
        raise InputError(f"size must be in pixels or an angle, got {given!s:.80}")
    if pixel_scale is None:
        raise InputError("size is an angle, but the images have no WCS")
    return values * u.Unit(unit).to(u.arcsec) / pixel_scale.to_value(u.arcsec) - 1e-6


def _side(size, pixel_scale, given):
    """One side in whole pixels."""
    value = float(_in_pixels(size, pixel_scale, given))
    if getattr(size, "unit", None) is not None and not u.Unit(size.unit).is_equivalent(u.pix):
        value = np.ceil(value)
    if not np.isfinite(value) or value != np.round(value):
        raise InputError(f"size must be a whole number of pixels, (ny, nx), or an angle; got {given!r:.80}")
    if value < 1:
        raise InputError(f"size must be at least one pixel, got {given!r:.80}")
    return int(value)


def place(catalog, tiles, sides):
    """Find out which tiles have pixels for the frames of a catalogue.

    Parameters
    ----------
    catalog : `~astropy.table.Table`
    tiles : list of Tile
    sides : `~numpy.ndarray` of int, shape (N, 2)

    Returns
    -------
    Places
        A row that lies on no tile, or whose position or size is unknown, has none.

    Raises
    ------
    InputError
        If there are no positions, or pixels of nobody knows which tile.
    """
    only = None
    if len(tiles) > 1 and not are_on_sky(catalog, tiles[0].wcs):
        only = _tile_column(catalog)
    found = []
    for number, tile in enumerate(tiles):
        x, y = positions(catalog, tile.wcs)
        each = _on_tile(x, y, sides, tile.shape)
        keep = each[0] > 0 if only is None else (each[0] > 0) & (only == number)
        rows = np.flatnonzero(keep)
        found.append((rows, np.full(len(rows), number), *(values[rows] for values in each)))
    row, tile, area, margin, *corners = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((-margin, -area, row))
    row = row[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    return Places(row, tile[order], rank, *(values[order] for values in corners))


def warn_of_rows_off(catalog, tiles, sides, places):
    """Tell once how many positions lie on no image, and which are none.

    Parameters
    ----------
    catalog, tiles, sides
        As for `place`.
    places : Places
        As `place` gives them.

    Warns
    -----
    InputWarning
        If there are any, but for rows whose size is unknown.
    """
    off = sides[:, 0] > 0
    off[places.row] = False
    if not off.any():
        return
    on_sky = are_on_sky(catalog, tiles[0].wcs)
    x, y = sky_positions(catalog) if on_sky else positions(catalog, tiles[0].wcs)
    kinds = {
        f"{np.count_nonzero(off)} of {len(off)} positions lie on no image": off,
        "unknown or not finite": off & ~(np.isfinite(x) & np.isfinite(y)),
        "with a declination beyond 90 degrees": off & on_sky & (np.abs(y) > 90) & np.isfinite(y),
    }
    (said, _), *others = kinds.items()
    said += f" (the first is row {np.flatnonzero(off)[0]})"
    for kind, rows in others:
        if rows.any():
            said += f", {np.count_nonzero(rows)} {kind} (row {np.flatnonzero(rows)[0]})"
    if off.all():
        said += ": is the catalogue that of these images?"
    warnings.warn(said, InputWarning, stacklevel=3)


def _tile_column(catalog):
    if "tile" not in catalog.colnames or catalog["tile"].dtype.kind not in "iu":
        raise InputError(
            "there are several tiles: the catalogue needs positions on the sky, or the number of the tile of each "
            "pair of pixels in a column 'tile'"
        )
    return np.ma.filled(catalog["tile"], -1)


def _on_tile(x, y, sides, shape):
    """Pixels of each frame on a tile, distance of the object from its edge, and where it lies."""
    (height, width), (ny, nx) = shape, sides.T
    known = np.isfinite(x) & np.isfinite(y) & (ny > 0)
    far = 10.0 * (height + width) + 2 * np.maximum(ny, nx)  # keeps the integers small; wholly outside all the same
    x, y = (np.round(np.clip(np.where(known, value, -far), -far, far), 6) for value in (x, y))  # no flips by round-off
    left, bottom = np.ceil(x - nx / 2).astype(int), np.ceil(y - ny / 2).astype(int)
    area = np.clip(np.minimum(left + nx, width) - np.maximum(left, 0), 0, None)
    area = area * np.clip(np.minimum(bottom + ny, height) - np.maximum(bottom, 0), 0, None)
    margin = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
    return area, margin, bottom, left, np.round(y).astype(int), np.round(x).astype(int)
