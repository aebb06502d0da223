"""Sources in images of a field."""

from collections.abc import Sequence
from typing import Literal, overload

import astropy.units as u
import numpy as np
from astropy.stats import sigma_clipped_stats
from astropy.table import Column, Table, vstack
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from galmerge_da.exceptions import InputError
from galmerge_da.io._types import Array
from galmerge_da.io.files import quiet
from galmerge_da.io.mosaics import TILE_DESCRIPTION
from galmerge_da.io.positions import positions, sky_of
from galmerge_da.io.tiles import open_tiles
from galmerge_da.photometry import CATALOGUE_RADIUS, petrosian_radius

__all__ = ["find_sources"]

#: Boxes of the background mesh; a smaller image has one level for all of it.
_BOXES = 8
_SMALLEST_BOX = 24

#: Sources of two tiles that are closer than this, in pixels, are one.
_TWINS = 2.0

#: Standard deviation in pixels of the Gaussian that images are smoothed with before sources are looked for.
_SMOOTHING = 1.0

_COLUMNS = {
    "x": (u.pix, "pos.cartesian.x;instr.det", "centroid; the centre of the first pixel is 0"),
    "y": (u.pix, "pos.cartesian.y;instr.det", "centroid; the centre of the first pixel is 0"),
    "ra": (u.deg, "pos.eq.ra;meta.main", "right ascension of the centroid"),
    "dec": (u.deg, "pos.eq.dec;meta.main", "declination of the centroid"),
    "flux": (None, "phot.flux", "sum over the segment and all bands, background subtracted"),
    "a": (u.pix, "phys.angSize.smajAxis", "standard deviation along the major axis of the segment"),
    "b": (u.pix, "phys.angSize.sminAxis", "standard deviation along the minor axis of the segment"),
    "theta": (u.deg, "pos.posAng", "angle of the major axis, from x towards y"),
    "radius": (
        u.pix,
        "phys.angSize",
        "Petrosian radius, on the scale of SDSS; NaN where it could not be measured",
    ),
}


@overload
def find_sources(
    image: object,
    *,
    n_sigma: float = 3.0,
    n_pixels: int = 10,
    deblend: bool = True,
    bands: Sequence[str] | None = None,
    weights: object = None,
    masks: object = None,
    return_segments: Literal[False] = False,
) -> Table: ...
@overload
def find_sources(
    image: object,
    *,
    n_sigma: float = 3.0,
    n_pixels: int = 10,
    deblend: bool = True,
    bands: Sequence[str] | None = None,
    weights: object = None,
    masks: object = None,
    return_segments: Literal[True],
) -> tuple[Table, Array | list[Array]]: ...
@overload
def find_sources(
    image: object,
    *,
    n_sigma: float = 3.0,
    n_pixels: int = 10,
    deblend: bool = True,
    bands: Sequence[str] | None = None,
    weights: object = None,
    masks: object = None,
    return_segments: bool,
) -> Table | tuple[Table, Array | list[Array]]: ...
def find_sources(
    image: object,
    *,
    n_sigma: float = 3.0,
    n_pixels: int = 10,
    deblend: bool = True,
    bands: Sequence[str] | None = None,
    weights: object = None,
    masks: object = None,
    return_segments: bool = False,
) -> Table | tuple[Table, Array | list[Array]]:
    """Find sources in images of a field.

    Parameters
    ----------
    image : object
        As ``images`` of `extract_cutouts`; bands are summed. Tiles are searched one by one;
        a source in several is kept where it is farthest from the edge.
    n_sigma : float, optional
        Threshold above the background, in standard deviations of a pixel.
    n_pixels : int, optional
        Least number of connected pixels.
    deblend : bool, optional
        Whether touching sources are separated. A merger may come out as two
        sources at two positions.
    bands : tuple of str, optional
        Which images of a mapping to use.
    weights, masks : object, optional
        As for `extract_cutouts`; pixels without weight and masked ones are left out.
    return_segments : bool, optional
        Whether to return the segmentation map too.

    Returns
    -------
    `~astropy.table.Table`
        ``x`` and ``y`` (pixels from 0), ``ra`` and ``dec`` where there is a WCS,
        ``flux``, ``a``, ``b`` and ``theta`` of the segment, ``radius``, the
        Petrosian radius in pixels as `galmerge_da.classify` wants it, and ``segment``, the number on
        the segmentation map; by descending flux. ``tile`` too where there are
        several. It has no rows where nothing is found. `extract_cutouts` takes it as it is.
    segments : `~numpy.ndarray` of int32, shape (H, W), or list of them, one a tile
        The segmentation map, where it is asked for: 0 is sky.

    Raises
    ------
    InputError
        If the image cannot be read, an option is not positive, or there are several tiles without a WCS.

    Examples
    --------
    >>> import numpy as np
    >>> from galmerge_da import find_sources
    >>> y, x = np.indices((100, 100))
    >>> spot = 50 * np.exp(-0.1 * ((x - 40) ** 2 + (y - 60) ** 2))
    >>> field = spot + np.random.default_rng(1).normal(size=(100, 100))
    >>> found = find_sources(field)
    >>> len(found), round(found["x"][0]), round(found["y"][0])
    (1, 40, 60)
    """
    if not n_sigma > 0 or not n_pixels >= 1:
        raise InputError(f"n_sigma and n_pixels must be positive, got {n_sigma} and {n_pixels}")
    tiles = open_tiles(image, bands, weights, masks)
    tables, maps = [], []
    for number, tile in enumerate(tiles):
        try:
            table, segments = _search(tile, n_sigma, int(n_pixels), deblend)
        finally:
            tile.release()
        tables.append(table if len(tiles) == 1 else _keep_best(table, number, tiles))
        maps.append(segments if return_segments else None)
    if len(tiles) == 1:
        return (tables[0], maps[0]) if return_segments else tables[0]
    table = _without_twins(vstack(tables, metadata_conflicts="silent"), tiles[0].pixel_scale)
    table = table[np.argsort(-table["flux"], kind="stable")]
    return (table, maps) if return_segments else table


def _search(tile, n_sigma, n_pixels, deblend):
    """Sources of one tile, and their segmentation map."""
    from photutils.segmentation import SourceCatalog  # slow to import, and only needed here

    data = tile.read().sum(axis=0, dtype=np.float64)
    bad = ~np.isfinite(data)
    empty = np.zeros(data.shape, dtype=np.int32)
    if bad.all():
        return _table(np.zeros((0, 2)), tile, np.zeros((5, 0)), np.zeros(0, int)), empty
    data[bad] = 0
    with quiet():
        level, noise = _background(data, bad)
        data = np.where(bad, 0, data - level)
        segments = _segments(data, bad, n_sigma * noise, n_pixels, deblend)
        if segments is None:
            return _table(np.zeros((0, 2)), tile, np.zeros((5, 0)), np.zeros(0, int)), empty
        catalog = SourceCatalog(data, segments, mask=bad, convolved_data=gaussian_filter(data, _SMOOTHING))
        centers = np.reshape(catalog.centroid, (-1, 2))
        axes = np.sqrt(np.reshape(catalog.covariance_eigvals.value, (-1, 2)))
        theta = np.reshape(catalog.orientation.value, -1)
        flux = np.reshape(catalog.segment_flux, -1)
        radius = _radii(data, centers, axes[:, 0])
    segments = np.asarray(segments.data, dtype=np.int32)
    numbers = np.reshape(catalog.labels, -1)
    order = np.argsort(-flux, kind="stable")
    values = np.stack([flux, *axes.T, theta, radius])[:, order]
    return _table(centers[order], tile, values, numbers[order]), segments


def _keep_best(table, number, tiles):
    """The sources of a tile that no other tile sees farther from its edge, by more than they may differ in position."""
    tile = tiles[number]
    if tile.wcs is None:
        raise InputError("several tiles need a WCS each: which sources are the same cannot be told otherwise")
    margin = _margin(table["x"], table["y"], tile.shape)
    best = np.ones(len(table), dtype=bool)
    for other, each in enumerate(tiles):
        if other != number:
            best &= margin > _margin(*positions(table[["ra", "dec"]], each.wcs), each.shape) - _TWINS
    table = table[best]
    table["tile"] = Column(np.full(len(table), number, dtype=np.int32), description=TILE_DESCRIPTION)
    return table


def _without_twins(table, pixel_scale):
    """Sources of all tiles, those that two tiles see at one place only once."""
    ra, dec = np.radians(table["ra"].data), np.radians(table["dec"].data)
    where = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    first, second = KDTree(where).query_pairs(_TWINS * pixel_scale.to_value(u.rad), output_type="ndarray").T
    tile = table["tile"].data
    twins = np.where(tile[first] > tile[second], first, second)[tile[first] != tile[second]]
    return table[np.setdiff1d(np.arange(len(table)), twins)]


def _margin(x, y, shape):
    """Distance from the edge in pixels, negative outside."""
    x, y = (np.nan_to_num(np.asarray(values, dtype=float), nan=-np.inf) for values in (x, y))
    return np.minimum(np.minimum(x, shape[1] - 1 - x), np.minimum(y, shape[0] - 1 - y))


def _background(data, bad):
    """Level and noise of every pixel, or of all."""
    from photutils.background import Background2D

    box = max(_SMALLEST_BOX, *(side // _BOXES for side in data.shape))
    if min(data.shape) < 3 * box:
        _, level, noise = sigma_clipped_stats(data, mask=bad, sigma=3)
        return level, noise
    mesh = Background2D(data, box, mask=bad, filter_size=3, exclude_percentile=50)
    return mesh.background, mesh.background_rms


def _segments(data, bad, threshold, n_pixels, deblend):
    """What stands above the threshold; None if nothing does."""
    from photutils.segmentation import deblend_sources, detect_sources

    smooth = gaussian_filter(data, _SMOOTHING)
    # positional arguments: their names differ between versions of photutils
    segments = detect_sources(smooth, np.broadcast_to(threshold, data.shape), n_pixels, mask=bad)
    if segments is None or not deblend:
        return segments
    return deblend_sources(smooth, segments, n_pixels, progress_bar=False)


def _radii(data, centers, sizes):
    """Petrosian radii, measured on frames of a few widths so that sources are treated in groups."""
    radius = np.full(len(centers), np.nan)
    half = np.clip(2 ** np.ceil(np.log2(np.maximum(10 * np.nan_to_num(sizes), 1))), 16, max(data.shape)).astype(int)
    for width in np.unique(half):
        padded = np.pad(data, width)
        for rows in np.array_split(np.flatnonzero(half == width), np.sum(half == width) // 32 + 1):
            corner = np.round(centers[rows]).astype(int)
            frames = np.stack([padded[y : y + 2 * width + 1, x : x + 2 * width + 1] for x, y in corner])
            offset = (centers[rows] - corner)[:, ::-1] + width
            radius[rows] = CATALOGUE_RADIUS * petrosian_radius(frames, offset)
    return radius


def _table(centers, tile, values, numbers_of_segments):
    """The result, with units, descriptions and UCDs."""
    columns = {"x": centers[:, 0], "y": centers[:, 1]}
    if tile.wcs is not None:
        columns["ra"], columns["dec"] = sky_of(*centers.T, tile.wcs)
    columns.update(zip(("flux", "a", "b", "theta", "radius"), values, strict=True))
    table = Table()
    for name, numbers in columns.items():
        unit, ucd, description = _COLUMNS[name]
        unit = tile.unit if name == "flux" else unit
        table[name] = Column(numbers, dtype=float, unit=unit, description=description, meta={"ucd": ucd})
    table["segment"] = Column(
        numbers_of_segments, dtype=np.int32, description="number on the segmentation map", meta={"ucd": "meta.id"}
    )
    return table
