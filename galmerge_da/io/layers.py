"""Images of a field that are read in windows, so that a file larger than memory is no trouble."""

from functools import partial
from os import PathLike

import numpy as np
from astropy.io import fits
from astropy.wcs.utils import proj_plane_pixel_scales

from galmerge_da.exceptions import InputError
from galmerge_da.io import unpacking
from galmerge_da.io.bands import bands_of_columns
from galmerge_da.io.files import celestial_wcs, header_unit, image_hdu, quiet, read_picture, sniff, split_extension
from galmerge_da.io.pictures import as_picture, cube, split, to_float32

__all__ = ["Layer", "open_layers", "pixel_size"]

_HDUS = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)


class Layer:
    """One image of a field, in one band or in several.

    Parameters
    ----------
    open_pixels : callable
        Gives something that is indexed like an array ``(C, H, W)``, and the open file it needs or None; called
        when pixels are first asked for.
    shape : (int, int, int)
    wcs : celestial `~astropy.wcs.WCS`, or None
    header : mapping, optional
    unit : `~astropy.units.UnitBase`, optional
    mask, weight : array_like, shape (C, H, W), optional
        True where a pixel must not be used; inverse variance.
    origin : str, optional
        For messages.
    """

    def __init__(self, open_pixels, shape, wcs=None, header=None, unit=None, mask=None, weight=None, origin=None):
        self._open = open_pixels
        self._pixels = self._file = None
        self.shape = shape
        self.wcs = wcs
        self.header = {} if header is None else header
        self.unit = unit
        self.mask = mask
        self.weight = weight
        self.origin = origin

    @property
    def pixels(self):
        """What is indexed by band, row and column."""
        if self._pixels is None:
            try:
                with quiet():
                    self._pixels, self._file = self._open()
            except Exception as error:  # a damaged file fails in many ways
                raise InputError(f"{self.origin}: {error}") from error
        return self._pixels

    def window(self, y1, y2, x1, x2):
        """Some rows and columns.

        Returns
        -------
        data : `~numpy.ndarray` of float32, shape (C, y2 - y1, x2 - x1)
            NaN where masked or without weight.
        weight : like it, or None
        bad : like it, of bool, or None
            What was masked or without weight; None where there is neither.
        """
        data = to_float32(self.pixels[:, y1:y2, x1:x2])
        weight = bad = None
        if self.mask is not None:
            bad = np.broadcast_to(_part(self.mask)[:, y1:y2, x1:x2] != 0, data.shape)
        if self.weight is not None:
            weight = np.nan_to_num(to_float32(_part(self.weight)[:, y1:y2, x1:x2]), nan=0, posinf=0, neginf=0)
            weight = np.broadcast_to(weight, data.shape)
            bad = weight <= 0 if bad is None else bad | (weight <= 0)
            weight = np.where(bad, np.float32(0), weight)
        return data if bad is None else np.where(bad, np.float32(np.nan), data), weight, bad

    def release(self):
        """Close the files; the next access opens them anew."""
        if self._file is not None:
            self._file.close()
        self._pixels = self._file = None
        for part in (self.mask, self.weight):
            if isinstance(part, Layer):
                part.release()


def _part(part):
    """A mask or weight, of an NDData or from a file of its own, as something to index."""
    return part.pixels if isinstance(part, Layer) else part


def pixel_size(wcs):
    """Mean side of a pixel in arcsec."""
    return float(np.mean(proj_plane_pixel_scales(wcs))) * 3600


def open_layers(image):
    """Look at an image of a field, without reading its pixels where it is a FITS or npy file.

    Parameters
    ----------
    image : object
        A path, HDU, NDData, array ``(H, W)`` or ``(C, H, W)``, or ``(array, WCS)``.

    Returns
    -------
    list of Layer
        More than one only for a path with an extension a band, ``file.fits[g,r,i]``.

    Raises
    ------
    InputError
        If there is no image.
    """
    if isinstance(image, (str, PathLike)):
        return _of_path(image)
    if isinstance(image, _HDUS):
        return [_of_hdu(image)]
    wcs = None
    if isinstance(image, tuple):
        image, wcs = image
    if isinstance(image, np.ndarray) and image.ndim in (2, 3) and image.dtype.kind in "fiub":
        values, mask, unit = split(image)  # not copied: the caller may have mapped a file
        values, mask = cube(values, "CHW"), None if mask is None else cube(mask, "CHW")
        return [Layer(lambda: (values, None), values.shape, _celestial(wcs), unit=unit, mask=mask)]
    try:
        picture = as_picture(image)
    except InputError as error:
        raise InputError(
            "an image must be a path, HDU, NDData, an array (H, W) or (C, H, W), or (array, WCS); "
            f"got {type(image).__name__} {image!r:.60}: {error}"
        ) from None
    return [_of_picture(picture, _celestial(picture.wcs if wcs is None else wcs))]


def _celestial(wcs):
    """The part of a WCS that is on the sky, or None."""
    return wcs.celestial if wcs is not None and wcs.has_celestial else None


def _of_picture(picture, wcs, origin=None):
    return Layer(
        lambda: (picture.data, None),
        picture.data.shape,
        wcs,
        picture.header,
        picture.unit,
        picture.mask,
        picture.weight,
        origin,
    )


def _of_path(path):
    file, extension = split_extension(path)
    kind = sniff(file)
    if kind == "npy":
        return [_of_npy(file)]
    if kind != "fits":
        picture = read_picture(path, limit=unpacking.FIELD_LIMIT)
        return [_of_picture(picture, picture.wcs, path)]
    names = extension if isinstance(extension, list) else [extension]
    try:
        with quiet(), fits.open(file) as hdus:
            found = [image_hdu(hdus, name, file) for name in names]
            numbers = [next(number for number, each in enumerate(hdus) if each is hdu) for hdu in found]
            layers = [_of_hdu(hdu, file, number) for hdu, number in zip(found, numbers, strict=True)]
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"{file}: {error}") from error
    if len(names) > 1 and (bands := bands_of_columns(list(map(str, names)))):
        layers[0].header = {**layers[0].header, "BANDS": ",".join(bands)}
    return layers


def _of_npy(path):
    try:
        values = cube(np.load(path, mmap_mode="r", allow_pickle=False), "CHW")
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: {error}") from None
    return Layer(lambda: (values, None), values.shape, origin=path)


def _is_scaled(hdu):
    """Whether pixels are not stored as they are, so that the file cannot be mapped."""
    return isinstance(hdu, fits.CompImageHDU) or any(key in hdu.header for key in ("BSCALE", "BZERO", "BLANK"))


def _of_hdu(hdu, path=None, number=None):
    """A layer of an HDU, which is opened anew when pixels are needed if it is one of a file."""
    header, shape = hdu.header, hdu.shape
    extra = max(len(shape) - 3, 0)
    if len(shape) < 2 or any(side != 1 for side in shape[:extra]) or 0 in shape:
        raise InputError(f"{path or 'the HDU'}: an image must have 2 or 3 axes and pixels, got shape {shape}")
    open_pixels = partial(_open_hdu, path, number, _is_scaled(hdu)) if path else lambda: (_cube(hdu.data), None)
    shape = (1, *shape) if len(shape) == 2 else shape[-3:]
    return Layer(open_pixels, shape, celestial_wcs(header), header, header_unit(header), origin=path)


def _open_hdu(path, number, scaled):
    """Pixels of an HDU, and its file."""
    with open(path, "rb") as file:
        content = unpacking.unpack(file, unpacking.FIELD_LIMIT)
    # at once where it is compressed: going back in such a file starts from its beginning
    hdus = fits.open(path, memmap=not scaled) if content is file else fits.open(content)
    try:
        hdu = hdus[number]
        return (_Section(hdu.section, len(hdu.shape)) if scaled else _cube(hdu.data)), hdus
    except BaseException:
        hdus.close()
        raise


def _cube(values):
    """An array without leading axes of length 1, as ``(C, H, W)``."""
    return cube(values[(0,) * max(values.ndim - 3, 0)], "CHW")


class _Section:
    """Pixels that are scaled or decompressed as they are read."""

    def __init__(self, section, ndim):
        self._section = section
        self._lead = (0,) * (ndim - 3)
        self._flat = ndim == 2

    def __getitem__(self, key):
        if self._flat:
            return np.asarray(self._section[key[1:]])[None]
        return np.asarray(self._section[(*self._lead, *key)])
