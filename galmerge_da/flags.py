"""The quality flags of a row: one bit each, only ever OR-ed.

A flag never removes a row. `Flag.NOT_CLASSIFIED` says that there is no
probability; the other bits say why, or what to be careful about.
"""

from enum import IntFlag
from typing import Any, overload

import numpy as np

__all__ = ["DOUBTFUL", "FATAL", "Flag", "decode_flags", "describe_flags"]


class Flag(IntFlag):
    """Bits of the ``flags`` column of a catalogue."""

    NOT_CLASSIFIED = 1
    UNREADABLE = 2
    BAD_SHAPE = 4
    BLANK = 8
    NONFINITE = 16
    MASKED = 32
    OFF_EDGE = 64
    TOO_SMALL = 128
    STRETCHED = 256
    RADIUS_MEASURED = 512
    RADIUS_UNKNOWN = 1024
    BANDS_MISSING = 2048
    NO_MORPHOLOGY = 4096
    PIXEL_SCALE_UNKNOWN = 8192
    PSF_UNMATCHED = 16384
    UNIT_DOUBTFUL = 32768
    PIXEL_SCALE_DIFFERS = 65536


_MEANING = {
    Flag.NOT_CLASSIFIED: "no probability could be computed",
    Flag.UNREADABLE: "the image file is missing or could not be read",
    Flag.BAD_SHAPE: "the image has the wrong number of axes or bands, or no pixels",
    Flag.BLANK: "all usable pixels have one value",
    Flag.NONFINITE: "some pixels are NaN or infinite; they were filled",
    Flag.MASKED: "some pixels are masked; they were filled",
    Flag.OFF_EDGE: "the frame reaches beyond the edge of the image",
    Flag.TOO_SMALL: "the image has fewer pixels across than the network needs to see detail",
    Flag.STRETCHED: "an 8-bit picture: fluxes were recovered only approximately",
    Flag.RADIUS_MEASURED: "the radius was measured on the image, not given",
    Flag.RADIUS_UNKNOWN: "no radius could be measured; the whole image was used",
    Flag.BANDS_MISSING: "at least one band is entirely missing; it was replaced by the mean of the others",
    Flag.NO_MORPHOLOGY: "morphology was asked for, and some of it could not be measured",
    Flag.PIXEL_SCALE_UNKNOWN: "nothing states the pixel scale; it was taken to be that of the training images",
    Flag.PSF_UNMATCHED: "the point-spread function is unknown or broader than the network's, and was not matched, or "
    "too narrow for the pixels, and was not matched well",
    Flag.UNIT_DOUBTFUL: "the unit of flux is needed and unknown, or the values cannot be of the stated survey in it, "
    "or one band cannot be in the unit of the others",
    Flag.PIXEL_SCALE_DIFFERS: "pixels are taken as they are, and their scale is none that the training images had",
}

#: A row with any of these has no image to classify.
FATAL = Flag.UNREADABLE | Flag.BAD_SHAPE | Flag.BLANK

#: A row with any of these has no probability, or may well be no galaxy, or not all of one: leave it out of a sample.
DOUBTFUL = Flag.NOT_CLASSIFIED | Flag.TOO_SMALL | Flag.RADIUS_UNKNOWN | Flag.OFF_EDGE | Flag.BANDS_MISSING


@overload
def decode_flags(flags: int | np.integer[Any]) -> list[str]: ...
@overload
def decode_flags(flags: object) -> list[Any]: ...
def decode_flags(flags: object) -> list[Any]:
    """Names of the bits that are set.

    Parameters
    ----------
    flags : int or array_like of int, any shape
        Value or values of a ``flags`` column; a masked value has no names.

    Returns
    -------
    list of str, or (nested) list of lists
        The names in ascending order of the bit; empty where nothing is set.

    Raises
    ------
    ValueError
        If a value is not a whole number, or has a bit that no flag owns.

    Examples
    --------
    >>> decode_flags(513)
    ['NOT_CLASSIFIED', 'RADIUS_MEASURED']
    >>> decode_flags([0, 512])
    [[], ['RADIUS_MEASURED']]
    """
    values: Any = np.ma.asarray(flags)
    if values.size and values.dtype.kind not in "iu":
        raise ValueError(f"flags must be whole numbers, got {flags!r}")
    if values.ndim:
        return [decode_flags(value) for value in np.ma.filled(values, 0)]
    value = int(np.ma.filled(values, 0))
    known = sum(flag.value for flag in Flag)
    if value < 0 or value & ~known:
        raise ValueError(f"flags value {value} has bits that no flag owns; known bits add up to {known}")
    return [flag.name for flag in Flag if value & flag]


def describe_flags() -> list[tuple[str, int, str]]:
    """Every flag with its bit and meaning.

    Returns
    -------
    list of (str, int, str)
        Name, value of the bit, meaning; in ascending order of the bit.
    """
    return [(str(flag.name), flag.value, _MEANING[flag]) for flag in Flag]
