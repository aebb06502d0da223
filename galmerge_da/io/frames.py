"""Frames that are cut out of tiles, from the tile that has most of each, and marks of neighbours on them."""

from dataclasses import dataclass

import numpy as np

from galmerge_da.exceptions import InputError
from galmerge_da.flags import Flag

__all__ = ["Frames", "cut_frames", "is_blank", "mark_neighbours"]


@dataclass(frozen=True, eq=False)
class Frames:
    """What was cut, row by row.

    Attributes
    ----------
    image : `~numpy.ndarray` of float32, shape (N, C, ny, nx), or of objects, shape (N,)
        NaN where there is no usable pixel.
    weight : like it, or None
        Inverse variance.
    flags : `~numpy.ndarray` of int32, shape (N,)
    place : `~numpy.ndarray` of int, shape (N,)
        Which of the `Places` it was; -1: none.
    tile : `~numpy.ndarray` of int32, shape (N,)
        Which tile it was; -1: none.
    """

    image: np.ndarray
    weight: np.ndarray | None
    flags: np.ndarray
    place: np.ndarray
    tile: np.ndarray


def cut_frames(tiles, places, sides, one_size):
    """Cut every row out of its best tile, or out of another that has more usable pixels of it.

    Parameters
    ----------
    tiles : list of Tile
    places : Places
    sides : `~numpy.ndarray` of int, shape (N, 2)
    one_size : (int, int), or None

    Returns
    -------
    Frames

    Raises
    ------
    InputError
        If they do not fit into memory, or a file cannot be read.
    """
    n_bands = tiles[0].n_bands
    with_weight = all(tile.has_weight for tile in tiles)
    try:
        image = _empty((n_bands,), sides, one_size, np.float32)
        weight = _empty((n_bands,), sides, one_size, np.float32) if with_weight else None
    except (MemoryError, ValueError):  # numpy refuses shapes beyond its range
        need = 4e-9 * n_bands * np.prod(sides.astype(float), axis=1).sum()
        raise InputError(f"{len(sides)} cutouts need {need:.3g} GB: give a smaller size") from None
    n_rows = len(sides)
    frames = Frames(
        image,
        weight,
        np.zeros(n_rows, dtype=np.int32),
        np.full(n_rows, -1),
        np.full(n_rows, -1, dtype=np.int32),
    )
    for rank in range(places.rank.max(initial=-1) + 1):
        for number, tile in enumerate(tiles):
            which = np.flatnonzero((places.rank == rank) & (places.tile == number))
            if rank:
                which = [each for each in which if _usable(image[places.row[each]]) < image[places.row[each]].size]
            cut = _cut_first if rank == 0 else _cut_better
            with np.errstate(over="ignore", invalid="ignore"):
                for each, row, bottom, left in zip(
                    which,
                    places.row[which].tolist(),
                    places.bottom[which].tolist(),
                    places.left[which].tolist(),
                    strict=True,
                ):
                    if cut(frames, tile, row, bottom, left):
                        frames.place[row] = each
            if len(tiles) > 1:
                tile.release()
    placed = frames.place >= 0
    frames.tile[placed] = places.tile[frames.place[placed]]
    _finish(frames, sides)
    return frames


def _empty(lead, sides, one_size, dtype):
    """Room for the frames."""
    if one_size is not None:
        return np.empty((len(sides), *lead, *one_size), dtype=dtype)
    frames = np.empty(len(sides), dtype=object)
    for row, (ny, nx) in enumerate(sides.tolist()):
        frames[row] = np.empty((*lead, ny, nx), dtype=dtype)
    return frames


def _cut_first(frames, tile, row, bottom, left):
    weight = None if frames.weight is None else frames.weight[row]
    frames.flags[row] = _flags(*tile.cut(frames.image[row], bottom, left, weight))
    return True


def _cut_better(frames, tile, row, bottom, left):
    """Replace a frame if a tile has more of it; whether it has."""
    image = np.empty_like(frames.image[row])
    weight = None if frames.weight is None else np.empty_like(image)
    flags = _flags(*tile.cut(image, bottom, left, weight))
    if _usable(image) <= _usable(frames.image[row]):
        return False
    frames.image[row][...] = image
    if weight is not None:
        frames.weight[row][...] = weight
    frames.flags[row] = flags
    return True


def _flags(whole, masked):
    return (0 if whole else Flag.OFF_EDGE.value) | (Flag.MASKED.value if masked else 0)


def _usable(image):
    """Number of pixels with a value; a blank margin is exactly 0 or NaN."""
    return np.count_nonzero(np.nan_to_num(image, nan=0.0))


def _finish(frames, sides):
    """Fill and flag the frames without any pixel."""
    for row in np.flatnonzero(frames.place < 0):
        frames.image[row][...] = np.nan
        if frames.weight is not None:
            frames.weight[row][...] = 0
        frames.flags[row] = Flag.OFF_EDGE
    frames.flags[sides[:, 0] == 0] = Flag.BAD_SHAPE
    for row in np.flatnonzero(_may_be_blank(frames.image)):
        if is_blank(frames.image[row]):
            frames.flags[row] |= Flag.BLANK


def _may_be_blank(image):
    """Rows with a frame in which no band has another value beside the middle than in it; no galaxy is like that."""
    if image.dtype == object:
        return np.array([each.size > 0 and _may_be_blank(each[None])[0] for each in image], dtype=bool)
    y, x = image.shape[2] // 2, image.shape[3] // 2
    with np.errstate(invalid="ignore"):
        differ = np.abs(image[..., y, x] - image[..., y, x - 1]) > 0  # False with NaN
    return ~differ.any(axis=1)


def is_blank(image):
    """Whether all usable pixels of each band have one value, or there are none."""
    return all(band[np.isfinite(band)].size == 0 or np.ptp(band[np.isfinite(band)]) == 0 for band in image)


def mark_neighbours(segments, catalog, places, frames, one_size):
    """Mark the pixels of other sources on every frame.

    Parameters
    ----------
    segments : list of `~numpy.ndarray` of int, shape (H, W)
        One map a tile; 0 is sky.
    catalog : `~astropy.table.Table`
        A source is known by its column ``segment``, if its column ``tile`` is that of the frame
        where there are several, else by what lies at its position.
    places : Places
    frames : Frames
    one_size : (int, int), or None

    Returns
    -------
    `~numpy.ndarray` of bool, shape (N, ny, nx), or of objects, shape (N,)
    """
    own = _own_segments(catalog, len(segments), frames.tile)
    sides = np.array([image.shape[1:] for image in frames.image]).reshape(-1, 2)
    marks = _empty((), sides, one_size, bool)
    for row, where in enumerate(frames.place.tolist()):
        mark = marks[row]
        mark[...] = False
        if where < 0:
            continue
        each = segments[frames.tile[row]]
        (height, width), (ny, nx) = each.shape, mark.shape
        bottom, left, y, x = (int(values[where]) for values in (places.bottom, places.left, places.y, places.x))
        number = own[row]
        if number < 0:
            number = each[y, x] if 0 <= y < height and 0 <= x < width else 0
        rows = slice(max(bottom, 0), max(bottom + ny, 0))
        columns = slice(max(left, 0), max(left + nx, 0))
        part = each[rows, columns]
        inside = (slice(max(-bottom, 0), max(-bottom, 0) + part.shape[0]),
                  slice(max(-left, 0), max(-left, 0) + part.shape[1]))  # fmt: skip
        mark[inside] = (part != 0) & (part != number)
    return marks


def _own_segments(catalog, n_tiles, tile):
    """Number of every object's own segment, as far as the catalogue says it; -1 elsewhere."""
    if "segment" not in catalog.colnames or catalog["segment"].dtype.kind not in "iu":
        return np.full(len(catalog), -1)
    number = np.array(np.ma.filled(catalog["segment"], -1), dtype=np.int64)
    if n_tiles > 1:
        known = "tile" in catalog.colnames and catalog["tile"].dtype.kind in "iu"
        number[(np.ma.filled(catalog["tile"], -1) if known else -1) != tile] = -1
    return number
