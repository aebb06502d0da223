"""Cutouts around the objects of a catalogue, from images of a field."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Column, Table
from astropy.wcs.utils import proj_plane_pixel_scales

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io.facts import check_bands, parse_bands, stated
from galmerge_da.io.files import celestial_wcs, header_unit, quiet, read_picture
from galmerge_da.io.pictures import Picture, as_picture, merge
from galmerge_da.io.positions import positions
from galmerge_da.io.source import FLAGS_DESCRIPTION

__all__ = ["Mosaic", "extract_cutouts", "open_mosaic"]


@dataclass(frozen=True, eq=False)
class Mosaic:
    """Images of a field, one a band.

    Attributes
    ----------
    data : `~numpy.ndarray` of float32, shape (C, H, W)
        Pixels; NaN where masked.
    bands : tuple of str, or None
    unit : `~astropy.units.UnitBase` or None
    wcs : celestial `~astropy.wcs.WCS`, or None
    """

    data: np.ndarray
    bands: tuple | None
    unit: u.UnitBase | None
    wcs: object

    @property
    def pixel_scale(self):
        """Angle per pixel, or None without a WCS."""
        if self.wcs is None:
            return None
        return np.mean(proj_plane_pixel_scales(self.wcs)) * 3600 * u.arcsec


def open_mosaic(images, bands=None):
    """Bring images of a field together.

    Parameters
    ----------
    images : object
        A path, HDU, NDData, array ``(H, W)`` or ``(C, H, W)``, or
        ``(array, WCS)``; or one of these a band, in a list or in a mapping of
        band to image.
    bands : tuple of str, optional
        Names of the bands; they win over keys and headers.

    Returns
    -------
    Mosaic

    Raises
    ------
    InputError
        If an image cannot be read, the bands differ in size or grid, or their
        number is not that of the names.
    """
    bands = check_bands(bands)
    if isinstance(images, Mapping):
        if bands is None:
            bands = check_bands(images)
        elif set(bands) <= set(images):
            images = {name: images[name] for name in bands}
        images = list(images.values())
    if not isinstance(images, list) and not _is_list_of_bands(images):
        images = [images]
    if not len(images):
        raise InputError("there are no images")
    pictures = [_field(image) for image in images]
    _check_grid(pictures)
    picture = merge(pictures)
    named = bands or parse_bands(stated(picture.header, "BANDS"), len(picture.data))
    if named is not None and len(named) != len(picture.data):
        raise InputError(f"{len(named)} band(s) are named ({', '.join(named)}), the images have {len(picture.data)}")
    data = picture.data if picture.mask is None else np.where(picture.mask, np.float32(np.nan), picture.data)
    wcs = next((each.wcs for each in pictures if each.wcs is not None), None)
    return Mosaic(data, named, picture.unit, wcs)


def _is_list_of_bands(images):
    """Whether a tuple is one image a band, and not ``(array, WCS)``."""
    return isinstance(images, tuple) and not (len(images) == 2 and _is_wcs(images[1]))


def _is_wcs(value):
    return value is None or hasattr(value, "has_celestial")


def _field(image):
    """One image of a field as a `Picture` with a celestial WCS or none."""
    if isinstance(image, (str, PathLike)):
        return read_picture(image)
    if isinstance(image, (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)):
        with quiet():
            picture = as_picture(image.data)
        return Picture(
            picture.data, wcs=celestial_wcs(image.header), header=image.header, unit=header_unit(image.header)
        )
    if isinstance(image, tuple):
        values, wcs = image
        picture = as_picture(values)
    else:
        picture = as_picture(image)
        wcs = picture.wcs
    if wcs is not None:
        wcs = wcs.celestial if wcs.has_celestial else None
    return Picture(picture.data, picture.mask, picture.weight, picture.unit, wcs)


def _check_grid(pictures):
    """Refuse bands that are not on one pixel grid."""
    first = pictures[0]
    height, width = first.data.shape[1:]
    for number, picture in enumerate(pictures[1:], 1):
        if picture.data.shape[1:] != (height, width):
            raise InputError(
                f"image {number} has {picture.data.shape[1:]} pixels, the first {(height, width)}: "
                "reproject the bands to one grid first"
            )
        if picture.wcs is None or first.wcs is None:
            continue
        corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], dtype=float)
        moved = picture.wcs.world_to_pixel_values(*first.wcs.pixel_to_world_values(*corners.T))
        shift = np.max(np.abs(np.transpose(moved) - corners))
        if not shift < 0.5:
            raise InputError(
                f"image {number} is {shift:.1f} pixels off the first: reproject the bands to one grid first"
            )


def frame_size(size, pixel_scale):
    """Height and width of a frame in pixels; InputError if ``size`` is no size."""
    unit = getattr(size, "unit", None)
    values = np.asarray(size.value if unit is not None else size)
    if unit is not None and not unit.is_equivalent(u.pix):
        if not unit.is_equivalent(u.arcsec):
            raise InputError(f"size must be in pixels or an angle, got {size}")
        if pixel_scale is None:
            raise InputError("size is an angle, but the images have no WCS")
        values = np.ceil(values * unit.to(u.arcsec) / pixel_scale.to_value(u.arcsec) - 1e-6)
    if values.shape not in ((), (2,)) or values.dtype.kind not in "iuf" or np.any(values != np.round(values)):
        raise InputError(f"size must be a whole number of pixels, (ny, nx), or an angle; got {size!r}")
    if np.any(values < 1):
        raise InputError(f"size must be at least one pixel, got {size!r}")
    return tuple(int(value) for value in np.broadcast_to(values, (2,)))


def extract_cutouts(catalog, images, size, *, bands=None):
    """Cut the objects of a catalogue out of images of their field.

    Parameters
    ----------
    catalog : `~astropy.table.Table`
        One row an object, with a column of `~astropy.coordinates.SkyCoord`, of
        any name, or with two columns, in upper or lower case: on the sky
        ``ra``, ``dec`` or ``RAJ2000``, ``DEJ2000`` or ``_RAJ2000``,
        ``_DEJ2000`` or ``ALPHA_J2000``, ``DELTA_J2000`` (degrees where there is
        no unit); in pixels ``x``, ``y`` or ``xcentroid``, ``ycentroid`` or
        ``x_centroid``, ``y_centroid`` (the centre of the first pixel is 0) or
        ``X_IMAGE``, ``Y_IMAGE`` (it is 1). Where the images have a WCS,
        positions on the sky are preferred.
    images : object
        A FITS cube or image (path, HDU, NDData, or ``(array, WCS)``), or one
        image a band on one pixel grid, in a list or a mapping of band to image.
    size : int, (int, int) or `~astropy.units.Quantity`
        Side of the frame, or height and width, in pixels, or an angle where
        there is a WCS. Choose it generously, some ten Petrosian radii of the
        largest galaxy: classification scales each frame to its galaxy.
    bands : tuple of str, optional
        Names of the bands. They win over the keys of a mapping and over the
        header's ``BANDS``; ``FILTER`` is never trusted. Where ``images`` is a
        mapping with these keys, they also choose and order the images.

    Returns
    -------
    `~astropy.table.Table`
        The columns of the catalogue, ``image`` ``(C, ny, nx)`` float32 and
        ``flags`` int32. The object is on pixel ``size // 2`` (odd sizes). Pixels
        beyond the edge are NaN and the row has ``OFF_EDGE``; a cutout without any
        pixel has ``BLANK`` too. These two say something about the whole cutout:
        `galmerge_da.classify` finds them anew for the frame that it scales to
        the galaxy. Meta has ``BANDS`` and ``PIXSCALE`` (arcsec).

    Raises
    ------
    InputError
        If positions are missing, an image cannot be read, bands differ in size
        or grid, or the size is not one.

    Warns
    -----
    InputWarning
        If a column of the catalogue is renamed to make place for ours.
    """
    if not isinstance(catalog, Table):
        raise InputError(f"catalog must be a Table, got {type(catalog).__name__}")
    mosaic = open_mosaic(images, bands)
    frame = frame_size(size, mosaic.pixel_scale)
    x, y = positions(catalog, mosaic.wcs)
    stamps, flags = _cut(mosaic.data, x, y, frame)
    table = catalog.copy()
    for key in [key for key in table.meta if str(key).upper() in ("SURVEY", "RADPIX", "STRETCH", "BANDS", "PIXSCALE")]:
        del table.meta[key]
    if "flags" in table.colnames and table["flags"].info.description == FLAGS_DESCRIPTION:
        flags |= np.asarray(table["flags"], dtype=np.int32)
        table.remove_column("flags")
    _make_place(table, ("image", "flags"))
    column = Column(stamps, unit=mosaic.unit, description="pixels (band, y, x)", copy=False)
    table.add_column(column, name="image", copy=False)
    table["flags"] = Column(flags, description=FLAGS_DESCRIPTION, meta={"ucd": "meta.code.qual"})
    if mosaic.bands is not None:
        table.meta["BANDS"] = ",".join(mosaic.bands)
    if mosaic.wcs is not None:
        table.meta["PIXSCALE"] = float(mosaic.pixel_scale.to_value(u.arcsec))
    return table


def _make_place(table, names):
    for name in names:
        if name in table.colnames:
            new = next(free for n in range(1, 1000) if (free := f"{name}_{n}") not in table.colnames)
            table.rename_column(name, new)
            warnings.warn(f"column {name!r} of the catalogue is now {new!r}", InputWarning, stacklevel=3)


def _cut(data, x, y, frame):
    """Frames around positions, ``(N, C, ny, nx)``, and their flags."""
    n_bands, height, width = data.shape
    ny, nx = frame
    try:
        stamps = np.full((len(x), n_bands, ny, nx), np.nan, dtype=np.float32)
    except (MemoryError, ValueError):  # numpy refuses shapes beyond its range
        need = 4e-9 * len(x) * n_bands * ny * nx
        raise InputError(f"{len(x)} cutouts of {ny} x {nx} pixels need {need:.3g} GB: give a smaller size") from None
    flags = np.zeros(len(x), dtype=np.int32)
    known = np.isfinite(x) & np.isfinite(y)
    far = 10 * (height + width + ny + nx)  # keeps the integers small; wholly outside all the same
    x, y = (np.round(np.clip(np.where(known, value, -far), -far, far), 6) for value in (x, y))  # no flips by round-off
    x0, y0 = np.ceil(x - nx / 2).astype(int), np.ceil(y - ny / 2).astype(int)
    for row, (left, bottom) in enumerate(zip(x0, y0, strict=True)):
        x1, x2, y1, y2 = max(left, 0), min(left + nx, width), max(bottom, 0), min(bottom + ny, height)
        if x1 < x2 and y1 < y2:
            stamps[row, :, y1 - bottom : y2 - bottom, x1 - left : x2 - left] = data[:, y1:y2, x1:x2]
        if (x2 - x1, y2 - y1) != (nx, ny):
            flags[row] |= Flag.OFF_EDGE
        if x1 >= x2 or y1 >= y2 or np.isnan(stamps[row]).all():
            flags[row] |= Flag.BLANK
    return stamps, flags
