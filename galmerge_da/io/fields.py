"""`open_field`: cutouts around the objects of a catalogue that are cut when their chunk is read."""

import weakref
from collections.abc import Sequence

import astropy.units as u
import numpy as np
from astropy.table import Column

from galmerge_da.io._types import Array, Catalog, FrameSize, ZeroPoint
from galmerge_da.io.facts import gather_facts, survey_of
from galmerge_da.io.frames import cut_frames
from galmerge_da.io.mosaics import TILE_DESCRIPTION, as_table, make_place, state_facts
from galmerge_da.io.pixels import Block, size_flag
from galmerge_da.io.placement import frame_sides, parse_size, place, warn_of_rows_off
from galmerge_da.io.source import FOUND_ANEW, CutoutSource, make_source
from galmerge_da.io.tiles import open_tiles
from galmerge_da.specs import SurveySpec

__all__ = ["open_field"]


def open_field(
    catalog: Catalog,
    images: object,
    size: FrameSize,
    *,
    bands: Sequence[str] | None = None,
    weights: object = None,
    masks: object = None,
    survey: str | SurveySpec | None = None,
    pixel_scale: u.Quantity | str | None = None,
    psf_fwhm: u.Quantity | str | None = None,
    zero_point: ZeroPoint | None = None,
    radius: str | u.Quantity | Array | Sequence[float] | float | None = None,
    chunk_size: int = 256,
) -> CutoutSource:
    """Open the objects of a catalogue on images of their field: `extract_cutouts`, a chunk at a time.

    Whoever classifies more galaxies than memory holds hands this to
    `galmerge_da.classify`. Files stay open as long as the result lives.

    Parameters
    ----------
    catalog, images, size, bands, weights, masks
        As for `extract_cutouts`. Of several tiles, those of a chunk are opened
        for each chunk: sort the catalogue by position.
    survey, pixel_scale, psf_fwhm, zero_point, radius, chunk_size
        As for `open_cutouts`.

    Returns
    -------
    CutoutSource
        Of the same pixels as the table that `extract_cutouts` makes. Where there are
        several tiles, its table has the column ``tile`` too: the one in which a row
        lies best, and from when it is read the one that it came from.

    Raises
    ------
    InputError
        As `extract_cutouts` and `open_cutouts`.

    Warns
    -----
    InputWarning
        If positions lie on no image, or a column ``tile`` is renamed to make place for ours.
    """
    table = as_table(catalog)
    tiles = open_tiles(images, bands, weights, masks)
    first = tiles[0]
    sides, one_size = frame_sides(parse_size(size, table), first.pixel_scale, len(table))
    places = place(table, tiles, sides)
    warn_of_rows_off(table, tiles, sides, places)
    pixels = FieldPixels(tiles, places, sides, one_size)
    scale = None if first.wcs is None else float(first.pixel_scale.to_value(u.arcsec))
    state_facts(table, first.bands, scale, first.zero_points)
    facts = gather_facts(
        pixels, table, table.meta, bands=None, survey=survey_of(survey), pixel_scale=pixel_scale, psf_fwhm=psf_fwhm,
        zero_point=zero_point,
    )  # fmt: skip
    if len(tiles) == 1:
        return make_source(pixels, facts, table, radius, chunk_size)
    number = Column(places.best(len(table)), name="tile", description=TILE_DESCRIPTION)
    make_place(table, {"tile": number}, stacklevel=3)
    table.add_column(number)
    source = make_source(pixels, facts, table, radius, chunk_size)
    pixels.tile = source.table["tile"]
    return source


class FieldPixels:
    """Rows that are cut out of a field when they are read; see `galmerge_da.io.pixels`."""

    stretched = eight_bit = has_wcs = False
    zero_points = None

    def __init__(self, tiles, places, sides, one_size):
        self._tiles, self._places, self._sides, self._one_size = tiles, places, sides, one_size
        self.n_rows, self.n_bands, self.unit = len(sides), tiles[0].n_bands, tiles[0].unit
        self.n_pixels = self.n_bands * int(sides.prod(axis=1).max(initial=1))
        self.facts = {}
        self.tile = None  # a column that says which tile rows came from
        weakref.finalize(self, _release, tiles)

    def read(self, start, stop):
        """Rows ``start`` to ``stop`` as a `Block`."""
        sides = self._sides[start:stop]
        frames = cut_frames(self._tiles, self._places.of_rows(start, stop), sides, self._one_size)
        data, weight = (_rows(values) for values in (frames.image, frames.weight))
        if self.tile is not None:
            self.tile[start:stop] = frames.tile
        flags = frames.flags & ~int(FOUND_ANEW)
        flags |= np.array([size_flag(image.shape) for image in data], dtype=np.int32)
        return Block(data, flags, weight=weight)


def _rows(values):
    """Images of one size as an array, others as a list."""
    if values is None or values.dtype != object:
        return values
    return np.stack(list(values)) if len({image.shape for image in values}) == 1 else list(values)


def _release(tiles):
    for tile in tiles:
        tile.release()
