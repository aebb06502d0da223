"""How much one file may unpack to: a few kilobytes can hold gigabytes, or declare them.

Files that are not compressed and are read in windows have no limit.
"""

import bz2
import gzip
import lzma
import math
from contextlib import nullcontext
from io import BytesIO
from os import PathLike

import numpy as np

from galmerge_da.exceptions import InputError

__all__ = ["CUTOUT_LIMIT", "FIELD_LIMIT", "check_npy", "check_pixels", "check_unpacked", "unpack"]

#: Bytes that the file of one cutout may unpack to, and its pixels may take: three bands of 6,600 x 6,600.
CUTOUT_LIMIT = 2**29

#: Bytes that a compressed image of a field, or a compressed data set, may unpack to.
FIELD_LIMIT = 2**33

_BLOCK = 2**20
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def unpack(file, limit):
    """The content of a file that may be compressed.

    Parameters
    ----------
    file : binary file
        At its beginning.
    limit : int
        Most bytes that it may unpack to.

    Returns
    -------
    `io.BytesIO`, or ``file`` itself where it is not compressed by gzip, bzip2 or xz

    Raises
    ------
    InputError
        If it has more; it is not read any further then.
    """
    blocks = _blocks(file, limit)
    if blocks is None:
        return file
    content = BytesIO()
    for block in blocks:
        content.write(block)
    content.seek(0)
    return content


def check_unpacked(path, limit):
    """Refuse a file that is compressed and has more than ``limit`` bytes (InputError)."""
    with open(path, "rb") as file:
        try:
            for _ in _blocks(file, limit) or ():
                pass
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def _blocks(file, limit):
    """What a compressed file holds, block after block, InputError once it is too much; None of any other file."""
    start = file.read(6)
    file.seek(0)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    return None if opener is None else _read_blocks(opener, file, limit)


def _read_blocks(opener, file, limit):
    total = 0
    with opener(file) as stream:
        while block := stream.read(_BLOCK):
            total += len(block)
            _refuse(total, limit)
            yield block


def check_pixels(shape, itemsize, limit):
    """Refuse pixels that would take more than ``limit`` bytes, as they are stored or as float32 (InputError)."""
    _refuse(math.prod(map(int, shape)) * max(itemsize, 4), limit)


def check_npy(file, limit):
    """Refuse an npy file that declares more than ``limit`` bytes (InputError).

    Parameters
    ----------
    file : path or binary file
        The latter is at its beginning before and afterwards.
    limit : int
    """
    with open(file, "rb") if isinstance(file, (str, PathLike)) else nullcontext(file) as opened:
        version = np.lib.format.read_magic(opened)
        if version not in _NPY_HEADERS:
            raise InputError(f"version {version[0]}.{version[1]} of npy is not for plain numbers")
        shape, _, dtype = _NPY_HEADERS[version](opened)
        opened.seek(0)
    check_pixels(shape, dtype.itemsize, limit)


def _refuse(n_bytes, limit):
    if n_bytes > limit:
        raise InputError(f"it unpacks to more than the {limit / 2**20:,.6g} MiB that such a file may have")
