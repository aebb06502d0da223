"""Cutouts around the objects of a catalogue, from images of a field."""

import warnings
from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, Table

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io._types import Array, Catalog, FrameSize
from galmerge_da.io.datasets import WEIGHT_DESCRIPTION
from galmerge_da.io.frames import cut_frames, mark_neighbours
from galmerge_da.io.placement import frame_sides, parse_size, place, warn_of_rows_off
from galmerge_da.io.source import FLAGS_DESCRIPTION
from galmerge_da.io.tiles import open_tiles

__all__ = [
    "PIXELS_DESCRIPTION",
    "TILE_DESCRIPTION",
    "add_frames",
    "as_table",
    "extract_cutouts",
    "make_place",
    "state_facts",
]

#: Description of a column of numbers of tiles; one that has it is taken up again, or replaced.
TILE_DESCRIPTION = "number of the tile, from 0; -1: none"

#: Description of a column of cutouts.
PIXELS_DESCRIPTION = "pixels (band, y, x)"

_NEIGHBOURS = "pixels of other sources (y, x)"

#: Facts about other images than those that are cut.
_SAID = ("SURVEY", "RADPIX", "STRETCH", "BANDS", "PIXSCALE", "MAGZERO", "ZEROPNT")


def extract_cutouts(
    catalog: Catalog,
    images: object,
    size: FrameSize,
    *,
    bands: Sequence[str] | None = None,
    weights: object = None,
    masks: object = None,
    segments: Array | Sequence[Array] | None = None,
) -> Table:
    """Cut the objects of a catalogue out of images of their field.

    Parameters
    ----------
    catalog : `~astropy.table.Table`, `~astropy.coordinates.SkyCoord` or array_like, shape (N, 2)
        Positions: coordinates, pixels ``(x, y)``, or a table with one row an
        object, with a column of `~astropy.coordinates.SkyCoord`, of
        any name, or with two columns, in upper or lower case: on the sky
        ``ra``, ``dec`` or ``RAJ2000``, ``DEJ2000`` or ``_RAJ2000``,
        ``_DEJ2000`` or ``ALPHA_J2000``, ``DELTA_J2000`` (degrees where there is
        no unit); in pixels ``x``, ``y`` or ``xcentroid``, ``ycentroid`` or
        ``x_centroid``, ``y_centroid`` (the centre of the first pixel is 0) or
        ``X_IMAGE``, ``Y_IMAGE`` (it is 1). Where the images have a WCS,
        positions on the sky are preferred.
    images : object
        A FITS cube or image (path, HDU, NDData, or ``(array, WCS)``), or one
        image a band in a list or a mapping of band to image. Bands on
        another grid than the first are reprojected (extra ``reproject``). Of a
        field of several tiles, which may overlap: a list of cubes, a list
        of such lists or mappings, or a mapping of band to list. A list of images in
        one band each whose bands nobody names is one of bands where they share at
        least 90 % of the smaller one, and of tiles where they share at most half. FITS
        files are memory-mapped where they are not compressed or scaled.
    size : int, str, `~astropy.units.Quantity`, tuple or array_like, shape (N,)
        Side of the frame in pixels, or as an angle where there is a WCS: ``75``, ``30 * u.arcsec`` or
        ``"30 arcsec"``; a tuple or ``"75x61"`` is height and width. One side a row is
        ``"8 radius"``, a multiple of a column, or an array, Column or Quantity; unless it is
        in whole numbers, it is rounded up to an odd one. Choose it generously, some ten Petrosian
        radii: classification scales each frame to its galaxy.
    bands : tuple of str, optional
        Names of the bands. They win over the keys of a mapping and over the
        header's ``BANDS``; ``FILTER`` is never trusted. Where ``images`` is a
        mapping with these keys, they also choose and order the images. A
        single name says that a list of images in one band each is one of tiles.
    weights : object, optional
        Inverse variance, laid out as ``images``, on their grids. It replaces that of NDData.
        Bands may be missing in a mapping, or None in a list; there is no column ``weight`` then.
    masks : object, optional
        Laid out as ``images``: not 0 where a pixel must not be used. Bands may be missing, too.
    segments : array_like of int, shape (H, W), optional
        Segmentation map on the grid of the first band, or a list with one a tile,
        as `find_sources` returns it: 0 is sky.

    Returns
    -------
    `~astropy.table.Table`
        The rows of the catalogue in their order, with its columns and

        - ``image`` ``(C, ny, nx)`` float32, or of objects where every row has
          its own size. The object is on pixel ``size // 2`` (odd sizes). Pixels
          beyond the edge, masked or without weight are NaN;
        - ``flags`` int32: ``OFF_EDGE``, ``BLANK`` too where there is no pixel at
          all, ``MASKED``, and ``BAD_SHAPE`` where the size of the row is unknown. The first two
          say something about the whole cutout: `galmerge_da.classify` finds
          them anew for the frame that it scales to the galaxy;
        - ``weight``, like ``image``, where there are weights; 0 where a pixel is bad;
        - ``neighbours`` ``(ny, nx)`` bool, where there are segments: the pixels
          of other sources. A source is known by the column ``segment``, else by
          the segment at its position;
        - ``tile``, where there are several: the one with most usable pixels, of
          equals the one in which the object is farthest from the edge.

        Meta has ``BANDS``, ``PIXSCALE`` (arcsec) and ``MAGZERO``, the
        AB magnitude of one unit of flux where the headers say it, one value or one a band. Tiles are brought
        to the unit and zero points of the first.

    Raises
    ------
    InputError
        If positions are missing, an image cannot be read, bands or tiles do not
        fit each other, nothing tells bands from tiles, the size is not one, or an extra is not installed.

    Warns
    -----
    InputWarning
        If positions lie on no image, a column of the catalogue is renamed to make place for ours, or only
        some images have weights.

    Examples
    --------
    >>> import numpy as np
    >>> from galmerge_da import extract_cutouts
    >>> field = np.random.default_rng(1).normal(size=(2, 200, 200))
    >>> cutouts = extract_cutouts([(100, 80), (50, 120)], field, 61, bands=("g", "r"))
    >>> cutouts["image"].shape
    (2, 2, 61, 61)
    """
    catalog = as_table(catalog)
    tiles = open_tiles(images, bands, weights, masks)
    segments = _segments(segments, tiles)
    sides, one_size = frame_sides(parse_size(size, catalog), tiles[0].pixel_scale, len(catalog))
    places = place(catalog, tiles, sides)
    warn_of_rows_off(catalog, tiles, sides, places)
    try:
        frames = cut_frames(tiles, places, sides, one_size)
    finally:
        for tile in tiles:
            tile.release()
    neighbours = None if segments is None else mark_neighbours(segments, catalog, places, frames, one_size)
    return _result(catalog, frames, neighbours, tiles)


def as_table(catalog):
    """A copy of the catalogue, or a table of bare positions."""
    if isinstance(catalog, Table):
        return catalog.copy()
    if isinstance(catalog, SkyCoord):
        return Table({"position": catalog.reshape(-1)})
    try:
        x, y = np.asarray(catalog, dtype=float).reshape(len(catalog), 2).T
    except (TypeError, ValueError):
        raise InputError(
            f"catalog must be a Table, a SkyCoord or an array (N, 2), got {type(catalog).__name__}"
        ) from None
    return Table({"x": x * u.pix, "y": y * u.pix})


def _segments(segments, tiles):
    """Segmentation maps as a list with one a tile, or None."""
    if segments is None:
        return None
    maps = [np.asarray(each) for each in (segments if isinstance(segments, list) else [segments])]
    if len(maps) != len(tiles):
        raise InputError(f"there are {len(tiles)} tile(s) and {len(maps)} segmentation map(s)")
    for each, tile in zip(maps, tiles, strict=True):
        if each.shape != tile.shape or each.dtype.kind not in "iub":
            raise InputError(f"a segmentation map has {each.dtype} of shape {each.shape}, its image {tile.shape}")
    return maps


def _result(table, frames, neighbours, tiles):
    """The catalogue with what was cut."""
    first = tiles[0]
    unit = first.unit
    new = {"image": Column(frames.image, unit=unit, description=PIXELS_DESCRIPTION, copy=False)}
    if frames.weight is not None:
        unit = None if unit is None or isinstance(unit, u.UnrecognizedUnit) else unit**-2
        new["weight"] = Column(frames.weight, unit=unit, description=WEIGHT_DESCRIPTION, copy=False)
    if neighbours is not None:
        new["neighbours"] = Column(neighbours, description=_NEIGHBOURS, copy=False)
    if len(tiles) > 1:
        new["tile"] = Column(frames.tile, description=TILE_DESCRIPTION)
    scale = None if first.wcs is None else float(first.pixel_scale.to_value(u.arcsec))
    return add_frames(table, new, frames.flags, first.bands, scale, first.zero_points)


def add_frames(table, columns, flags, bands, pixel_scale, zero_points):
    """Add cutouts and what is known about them to a catalogue, in place.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Flags of an earlier run are kept; its other columns of these names are replaced if they are ours, else renamed.
    columns : dict of `~astropy.table.Column`
    flags : `~numpy.ndarray` of int32, shape (N,)
    bands : tuple of str, or None
    pixel_scale : float or None
        Arcsec.
    zero_points : list of float or None
        AB magnitude of one unit of flux, one a band.

    Returns
    -------
    `~astropy.table.Table`
    """
    if "flags" in table.colnames and table["flags"].info.description == FLAGS_DESCRIPTION:
        flags = flags | np.asarray(table["flags"], dtype=np.int32)
        table.remove_column("flags")
    columns["flags"] = Column(flags, description=FLAGS_DESCRIPTION, meta={"ucd": "meta.code.qual"})
    make_place(table, columns, stacklevel=5)
    if columns["image"].dtype == object:
        table = Table(table, copy=False)  # a QTable has no place for arrays of different sizes with a unit
    table.add_columns(list(columns.values()), names=list(columns), copy=False)
    state_facts(table, bands, pixel_scale, zero_points)
    return table


def state_facts(table, bands, pixel_scale, zero_points):
    """Write what is known about cutouts into the meta of a catalogue, instead of what it says of other images.

    Parameters
    ----------
    table, bands, pixel_scale, zero_points
        As for `add_frames`.
    """
    for key in [key for key in table.meta if str(key).upper() in _SAID]:
        del table.meta[key]
    if bands is not None:
        table.meta["BANDS"] = ",".join(bands)
    if pixel_scale is not None:
        table.meta["PIXSCALE"] = pixel_scale
    if None not in zero_points:
        same = len(set(zero_points)) == 1
        table.meta["MAGZERO"] = zero_points[0] if same else ",".join(f"{each:.10g}" for each in zero_points)


def make_place(table, columns, stacklevel):
    """Remove columns of an earlier run that have these names, and rename others, in place.

    Parameters
    ----------
    table, columns
        As for `add_frames`.
    stacklevel : int
        Of the warning.
    """
    for name, column in columns.items():
        if name in table.colnames and table[name].info.description == column.description:
            table.remove_column(name)
        if name in table.colnames:
            new = next(free for n in range(1, 1000) if (free := f"{name}_{n}") not in table.colnames)
            table.rename_column(name, new)
            warnings.warn(f"column {name!r} of the catalogue is now {new!r}", InputWarning, stacklevel=stacklevel)
