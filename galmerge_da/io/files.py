"""Image files: FITS with extension syntax, npy, JPEG and PNG.

The kind of a file is read from its first bytes, never from its name.
"""

import math
import os
import re
import stat
import threading
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from galmerge_da.exceptions import InputError
from galmerge_da.io import unpacking
from galmerge_da.io.bands import bands_of_columns
from galmerge_da.io.facts import ab_magnitude
from galmerge_da.io.pictures import Picture, ShapeError, cube, merge, to_float32

__all__ = [
    "celestial_wcs",
    "header_unit",
    "header_zero_point",
    "image_hdu",
    "quiet",
    "read_picture",
    "sniff",
    "split_extension",
]

_MAGIC = {
    b"SIMPLE": "fits",
    b"XTENSION": "fits",
    b"\x1f\x8b": "fits",  # gzip
    b"BZh": "fits",
    b"\xfd7zXZ": "fits",
    b"\x93NUMPY": "npy",
    b"\xff\xd8\xff": "colour picture",
    b"\x89PNG": "colour picture",
    b"\x89HDF": "HDF5",
    b"PAR1": "Parquet",
}

#: Keys of the AB magnitude of one unit of flux, and, last, of the flux of magnitude 0.
_ZERO_POINTS = ("MAGZERO", "MAGZPT", "MAGZP", "ZP", "ZEROPT", "PHOTZP")
_FLUX_OF_ZERO = "FLUXMAG0"

_ONE_THREAD = threading.RLock()

_EXTENSION = re.compile(r"(.+)\[([^\[\]]+)\]$")


@contextmanager
def quiet():
    """A context in which no library can warn: what matters becomes a flag or an error.

    One thread at a time: the filters of warnings belong to the whole process.
    """
    with _ONE_THREAD, warnings.catch_warnings(action="ignore"):
        yield


def split_extension(path):
    """Take ``file.fits[SCI,1]`` apart.

    Parameters
    ----------
    path : str or path-like
        A file, perhaps with the number or name of a FITS extension.

    Returns
    -------
    path : `~pathlib.Path`
    extension : int, str, (str, int), list of int or str, or None
        A list where there is one a band, ``file.fits[g,r,i]`` or ``file.fits[1,2,3]``.
    """
    match = None if Path(path).exists() else _EXTENSION.match(str(path))
    if match is None:
        return Path(path), None
    parts = [int(part) if part.strip().isdigit() else part.strip() for part in match[2].split(",")]
    if len(parts) == 1:
        return Path(match[1]), parts[0]
    if len(parts) == 2 and isinstance(parts[0], str) and isinstance(parts[1], int):
        return Path(match[1]), tuple(parts)
    return Path(match[1]), parts


def sniff(path):
    """The kind of a file by its first bytes: ``"fits"``, ``"npy"``, ..., or None.

    Raises
    ------
    InputError
        If the file is missing or cannot be opened.
    """
    try:
        if not isinstance(path, BytesIO) and stat.S_ISFIFO(os.stat(path).st_mode):
            raise InputError(f"{path}: is a pipe, not a file")
        with nullcontext(path) if isinstance(path, BytesIO) else open(path, "rb") as file:
            start = file.read(8)
            file.seek(0)
    except (OSError, ValueError) as error:  # a path may hold a null byte
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


def celestial_wcs(header):
    """The two-dimensional sky WCS of a header, or None."""
    if "CTYPE1" not in header:
        return None
    try:
        with quiet():
            wcs = WCS(header, naxis=2)
    except Exception:  # a header may be wrong in any way; the pixels are still good
        return None
    return wcs if wcs.has_celestial else None


def image_hdu(hdus, extension, path):
    """The HDU of an open file that holds an image.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
    extension : int, str, tuple or None
        Which one; the first with at least two axes by default.
    path : path-like
        For the message.

    Returns
    -------
    HDU

    Raises
    ------
    InputError
        If there is none.
    """
    if extension is not None:
        try:
            hdu = hdus[extension]
        except (KeyError, IndexError):
            raise InputError(f"{path} has no extension {extension!r}") from None
        if not hdu.is_image or hdu.header.get("NAXIS", 0) < 2:
            raise InputError(f"{path}: extension {extension!r} is not an image")
        return hdu
    for hdu in hdus:
        if hdu.is_image and hdu.header.get("NAXIS", 0) >= 2:
            return hdu
    raise InputError(f"{path} holds no image")


def read_picture(path, axes="CHW", limit=None):
    """Read an image file.

    Parameters
    ----------
    path : str, path-like or `io.BytesIO`
        FITS (also compressed, also ``file.fits[1]``, ``file.fits[SCI]`` or, with
        an extension a band, ``file.fits[g,r,i]``), npy, JPEG or PNG.
    axes : {"CHW", "HWC"}
        Order of the axes of a three-dimensional array in FITS or npy.
    limit : int, optional
        Bytes that it may unpack to; ``galmerge_da.io.unpacking.CUTOUT_LIMIT`` by default.

    Returns
    -------
    Picture
        A colour JPEG or PNG has three bands and ``stretched=True``, a grey one has one band.

    Raises
    ------
    InputError
        If the file is missing, is not an image, or unpacks to more than the limit.
    ShapeError
        If the image has neither two nor three axes.
    """
    path, extension = (path, None) if isinstance(path, BytesIO) else split_extension(path)
    kind = sniff(path)
    reader = _READERS.get(kind)
    origin = "the stored bytes" if isinstance(path, BytesIO) else path
    if reader is None:
        raise InputError(f"{origin}: {kind or 'this'} is not an image file (FITS, npy, JPEG or PNG)")
    try:
        with quiet():
            return reader(path, extension, axes, unpacking.CUTOUT_LIMIT if limit is None else limit)
    except InputError as error:
        raise type(error)(f"{origin}: {error}") from None
    except Exception as error:  # a damaged file fails in as many ways as there are libraries
        raise InputError(f"{origin}: {error}") from error


def _read_fits(path, extension, axes, limit):
    name = getattr(path, "name", "the file")
    # opened here, since astropy leaves a file open whose header it cannot read
    with nullcontext(path) if isinstance(path, BytesIO) else open(path, "rb") as file:
        content = unpacking.unpack(file, limit)
        with nullcontext() if content is file else content, fits.open(content, memmap=False) as hdus:
            if not isinstance(extension, list):
                return _read_hdu(image_hdu(hdus, extension, name), axes, limit)
            picture = merge([_read_hdu(image_hdu(hdus, each, name), axes, limit) for each in extension])
    bands = bands_of_columns(list(map(str, extension)))
    return picture if bands is None else replace(picture, header={**picture.header, "BANDS": ",".join(bands)})


def _read_hdu(hdu, axes, limit):
    unpacking.check_pixels(hdu.shape, abs(hdu.header["BITPIX"]) // 8, limit)
    values, header = hdu.data, hdu.header
    if values is None or values.size == 0:
        raise ShapeError("the image has no pixels")
    while values.ndim > 3 and values.shape[0] == 1:
        values = values[0]
    data, unit = to_float32(cube(values, axes)), header_unit(header)
    zero = header_zero_point(header) if ab_magnitude(unit) is None else None
    return Picture(
        data=data,
        unit=unit,
        wcs=celestial_wcs(header),
        header=header,
        eight_bit=values.dtype == np.uint8,
        zero_points=None if zero is None else (zero,) * len(data),
    )


def header_unit(header):
    """Unit of the pixels as ``BUNIT`` has it, or None."""
    text = header.get("BUNIT")
    return u.Unit(text, parse_strict="silent") if isinstance(text, str) and text.strip() else None


def header_zero_point(header):
    """AB magnitude of one unit of flux, as a header states it; None if it does not."""
    for key in (*_ZERO_POINTS, _FLUX_OF_ZERO):
        try:
            value = float(header[key])
        except (KeyError, TypeError, ValueError):
            continue
        if key == _FLUX_OF_ZERO:
            value = 2.5 * math.log10(value) if value > 0 else math.nan
        if math.isfinite(value):
            return value
    return None


def _read_npy(path, extension, axes, limit):
    unpacking.check_npy(path, limit)
    values = np.load(path, allow_pickle=False)
    return Picture(data=to_float32(cube(values, axes)), eight_bit=values.dtype == np.uint8)


def _read_colour(path, extension, axes, limit):
    with Image.open(path) as image:
        unpacking.check_pixels((len(image.getbands()), *image.size), 1, limit)
        grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith(("I", "F"))
        if not grey:
            image = image.convert("RGB")
        elif image.mode in ("1", "LA", "La"):
            image = image.convert("L")
        values = np.asarray(image)
    if grey:
        return Picture(data=to_float32(values[None]), eight_bit=values.dtype == np.uint8)
    planes = to_float32(np.moveaxis(values, -1, 0))
    return Picture(data=planes, stretched=True, eight_bit=True, header={"BANDS": "R,G,B"})


_READERS = {"fits": _read_fits, "npy": _read_npy, "colour picture": _read_colour}
