"""Tiles of a field: the images of all bands over one piece of the sky, and which bands they are."""

import warnings
from collections.abc import Mapping

import astropy.units as u
import numpy as np
from astropy.io import fits

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io.bands import check_bands, parse_bands
from galmerge_da.io.facts import stated
from galmerge_da.io.files import header_zero_point
from galmerge_da.io.footprints import are_tiles
from galmerge_da.io.layers import open_layers, pixel_size
from galmerge_da.io.pictures import ShapeError, convert
from galmerge_da.io.regrid import regrid, same_grid

__all__ = ["Tile", "open_tiles"]


class Tile:
    """Images of one piece of the sky, one a band or one with all bands.

    Parameters
    ----------
    layers : list of Layer
        The first gives grid, unit and zero point.
    bands : tuple of str or None

    Raises
    ------
    InputError
        If the bands are on different grids without a WCS, their units do not
        convert, or their number is not that of the names.
    """

    def __init__(self, layers, bands=None):
        first = layers[0]
        if len(layers) > 1 and any(layer.shape[0] != 1 for layer in layers):
            shapes = [layer.shape for layer in layers]
            raise ShapeError(f"images in single bands must have two axes and one size, got shapes {shapes}")
        self.layers = layers
        self.n_bands = sum(layer.shape[0] for layer in layers)
        self.bands = bands or parse_bands(stated(first.header, "BANDS"), self.n_bands)
        if bands is not None and len(bands) != self.n_bands:
            files = ", ".join(f'{band!r}: "{band}.fits"' for band in bands)
            hint = f"; where every band has an image of its own, give all: {{{files}}}" if self.n_bands == 1 else ""
            raise InputError(
                f"{len(bands)} band(s) are named ({', '.join(bands)}), the images have {self.n_bands}{hint}"
            )
        self.shape = first.shape[1:]
        self.unit = first.unit
        self.wcs = next((layer.wcs for layer in layers if layer.wcs is not None), None)
        self.zero_points = [header_zero_point(layer.header) for layer in layers for _ in range(layer.shape[0])]
        self.has_weight = all(layer.weight is not None for layer in layers)
        self.factors = [convert(layer, self.unit) for layer in layers]
        self._on_grid = [self._is_on_grid(number, layer) for number, layer in enumerate(layers)]
        self._simple = all(self._on_grid) and all(factor == 1 for factor in self.factors)
        self._simple = self._simple and all(layer.mask is None and layer.weight is None for layer in layers)

    @property
    def pixel_scale(self):
        """Angle per pixel, or None without a WCS."""
        return None if self.wcs is None else pixel_size(self.wcs) * u.arcsec

    def _is_on_grid(self, number, layer):
        """Whether a layer has the pixels of the first; InputError if it can never have."""
        first = self.layers[0]
        if layer.shape[1:] == self.shape and same_grid(first.wcs, layer.wcs, self.shape):
            return True
        if layer.wcs is None or first.wcs is None:
            raise InputError(
                f"image {number} has {layer.shape[1:]} pixels, the first {self.shape}, and they have no WCS "
                "that says how they lie: reproject the bands to one grid first"
            )
        return False

    def scale_to(self, unit, zero_points):
        """Multiply what is read so that unit and zero points are those of another tile."""
        to_unit = convert(self, unit)
        start = 0
        for number, layer in enumerate(self.layers):
            own, wanted = self.zero_points[start], zero_points[start]
            start += layer.shape[0]
            if own is not None and wanted is not None:
                self.factors[number] *= 10 ** (0.4 * (wanted - own))
            self.factors[number] *= to_unit
        self._simple = self._simple and all(abs(factor - 1) < 1e-9 for factor in self.factors)

    def cut(self, out, bottom, left, weight=None):
        """Copy a window into an array; beyond the edge it is NaN.

        Parameters
        ----------
        out : `~numpy.ndarray` of float32, shape (C, ny, nx)
            Written to.
        bottom, left : int
            First row and column of the window.
        weight : like it, optional
            Written to; 0 beyond the edge and where pixels are masked.

        Returns
        -------
        whole : bool
            Whether all of the window lies on the image.
        masked : bool
            Whether a pixel of it is masked or without weight.
        """
        ny, nx = out.shape[1:]
        y1, y2 = max(bottom, 0), min(bottom + ny, self.shape[0])
        x1, x2 = max(left, 0), min(left + nx, self.shape[1])
        whole = y2 - y1 == ny and x2 - x1 == nx
        if not whole:
            out[...] = np.nan
            if weight is not None:
                weight[...] = 0
        if y1 >= y2 or x1 >= x2:
            return False, False
        inside = slice(y1 - bottom, y2 - bottom), slice(x1 - left, x2 - left)
        masked, start = False, 0
        for layer, factor, on_grid in zip(self.layers, self.factors, self._on_grid, strict=True):
            where = slice(start, start + layer.shape[0]), *inside
            start += layer.shape[0]
            if self._simple:
                out[where] = layer.pixels[:, y1:y2, x1:x2]
                continue
            if on_grid:
                values, own, bad = layer.window(y1, y2, x1, x2)
                masked |= bad is not None and bool(bad.any())
            else:
                values, own, covered, bad = regrid(layer, self.wcs, (y1, x1), (y2 - y1, x2 - x1))
                whole, masked = whole and covered, masked or bad
            out[where] = values if factor == 1 else values * np.float32(factor)
            if weight is not None:
                weight[where] = own if factor == 1 else own / np.float32(factor**2)
        return whole, masked

    def read(self):
        """All of it, ``(C, H, W)``."""
        out = np.empty((self.n_bands, *self.shape), dtype=np.float32)
        self.cut(out, 0, 0)
        return out

    def release(self):
        """Close the files."""
        for layer in self.layers:
            layer.release()


def open_tiles(images, bands=None, weights=None, masks=None):
    """Bring images of a field together.

    Parameters
    ----------
    images : object
        As for `extract_cutouts`.
    bands : tuple of str, optional
        Names of the bands; they win over keys and headers, and choose and order the images of a mapping.
    weights, masks : object, optional
        Laid out as ``images``.

    Returns
    -------
    list of Tile

    Raises
    ------
    InputError
        If an image cannot be read, bands do not fit each other, tiles
        differ in bands or pixel scale, or have no WCS, or nothing tells bands from tiles.

    Warns
    -----
    InputWarning
        If some images have weights and others none, or some tiles state no zero point.
    """
    bands = check_bands(bands)
    if isinstance(images, Mapping) and bands is None:
        bands = check_bands(images)
    groups, names = _arrange(images, bands)
    layers = [_layers(group) for group in groups]
    if len(layers) == 1 and len(layers[0]) > 1 and _is_list_of_tiles(layers[0], images, names):
        layers = [[layer] for layer in layers[0]]
    for what, given in (("weight", weights), ("mask", masks)):
        if given is not None:
            _attach(layers, given, images, names, what)
    tiles = [Tile(group, names) for group in layers]
    if len(tiles) > 1:
        _check_tiles(tiles)
    return tiles


def _is_list_of_tiles(layers, images, names):
    """Whether images in one list are tiles, and not bands: cubes, those with one name, else what lies side by side."""
    if any(layer.shape[0] > 1 for layer in layers):
        return all(layer.shape[0] > 1 for layer in layers)
    if isinstance(images, Mapping) or _is_list_of(images, Mapping) or _is_list_of(images, list):
        return False
    if names is not None:
        return len(names) == 1
    return parse_bands(stated(layers[0].header, "BANDS"), len(layers)) is None and are_tiles(layers)


def _is_list_of(images, kind):
    """Whether there are images in a list, all of a kind; a list of HDUs is one of its own."""
    wanted = (lambda image: type(image) is list) if kind is list else (lambda image: isinstance(image, kind))
    return isinstance(images, list) and len(images) > 0 and all(map(wanted, images))


def _attach(layers, given, images, bands, what):
    """Give every layer its weight or mask, where it has one."""
    if isinstance(given, Mapping):
        given = _complete(given, images, bands, what)
    elif _is_list_of(given, Mapping):
        given = [_complete(each, images, bands, what) for each in given]
    parts = [layer for group in _arrange(given, bands)[0] for layer in _layers(group, optional=True)]
    wanted = [layer for group in layers for layer in group]
    if len(parts) != len(wanted):
        raise InputError(f"there are {len(wanted)} image(s) and {len(parts)} {what}(s)")
    for layer, part in zip(wanted, parts, strict=True):
        if part is None:
            continue
        if part.shape[1:] != layer.shape[1:] or part.shape[0] not in (1, layer.shape[0]):
            raise InputError(f"a {what} has shape {part.shape}, its image {layer.shape}")
        setattr(layer, what, part)
    if what == "weight" and any(layer.weight is None for layer in wanted):
        warnings.warn(
            f"{sum(layer.weight is None for layer in wanted)} of {len(wanted)} images have no weight: those of the "
            "others only tell which of their pixels are bad, and are not kept",
            InputWarning,
            stacklevel=4,
        )


def _complete(given, images, bands, what):
    """A mapping of band to weight or mask with None for every band that has none."""
    first = images[0] if _is_list_of(images, Mapping) else images
    known = list(first) if isinstance(first, Mapping) else list(bands or ())
    if unknown := [name for name in given if name not in known]:
        raise InputError(
            f"there is no band {unknown[0]!r} among {', '.join(known) or 'the images'}, but a {what} of it"
        )
    n_tiles = max((len(value) for value in given.values() if isinstance(value, list)), default=None)
    return {band: given.get(band, None if n_tiles is None else [None] * n_tiles) for band in known}


def _arrange(images, bands):
    """Images as a list of tiles, each a list of one image a band; and the names of the bands."""
    if isinstance(images, Mapping):
        bands, values = _chosen(images, bands)
        if not any(isinstance(value, list) for value in values):
            return [values], bands
        values = [value if isinstance(value, list) else [value] for value in values]
        if len({len(value) for value in values}) > 1:
            counts = ", ".join(f"{band}: {len(value)}" for band, value in zip(bands, values, strict=True))
            raise InputError(f"every tile needs an image in every band; there are {counts}")
        return [list(group) for group in zip(*values, strict=True)], bands
    if isinstance(images, fits.HDUList):
        images = [hdu for hdu in images if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2]
    if _is_list_of(images, Mapping):
        bands = bands or check_bands(images[0])
        return [_chosen(image, bands)[1] for image in images], bands
    if _is_list_of(images, list):
        return images, bands
    if not isinstance(images, list) and not _is_list_of_bands(images):
        images = [images]
    return [list(images)], bands


def _chosen(images, bands):
    """The images of a mapping in the order of the bands, all of its own by default; and the bands."""
    if bands is None:
        bands = check_bands(images)
    if missing := [name for name in bands if name not in images]:
        raise InputError(f"there is no band {missing[0]!r} among {', '.join(map(str, images))}")
    return bands, [images[name] for name in bands]


def _layers(group, optional=False):
    """The layers of one tile, and None where an image may be missing and is."""
    if not len(group):
        raise InputError("there are no images")
    return [layer for image in group for layer in ([None] if optional and image is None else open_layers(image))]


def _is_list_of_bands(images):
    """Whether a tuple is one image a band, and not ``(array, WCS)``."""
    return isinstance(images, tuple) and not (len(images) == 2 and _is_wcs(images[1]))


def _is_wcs(value):
    return value is None or hasattr(value, "has_celestial")


def _check_tiles(tiles):
    """Refuse tiles that do not fit each other, and bring them to the unit and zero points of the first."""
    first = tiles[0]
    for number, tile in enumerate(tiles[1:], 1):
        if tile.n_bands != first.n_bands or (tile.bands or first.bands) != first.bands:
            raise InputError(f"tile {number} has bands {tile.bands or tile.n_bands}, the first {first.bands}")
        if (tile.wcs is None) != (first.wcs is None):
            raise InputError("some tiles have a WCS, others none")
        scales = tile.pixel_scale, first.pixel_scale
        if tile.wcs is not None and abs(scales[0] / scales[1] - 1) > 0.01:
            raise InputError(f"tile {number} has pixels of {scales[0]:.3f}, the first of {scales[1]:.3f}")
        if [each is None for each in tile.zero_points] != [each is None for each in first.zero_points]:
            warnings.warn(
                f"tile {number} or the first states no zero point: their fluxes are taken to be on one scale",
                InputWarning,
                stacklevel=5,
            )
        tile.scale_to(first.unit, first.zero_points)
