"""Types of what several functions of this room take."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.units import Quantity

__all__ = ["Array", "Catalog", "FilePath", "FrameSize", "ZeroPoint"]

FilePath: TypeAlias = str | PathLike[str]
Array: TypeAlias = np.ndarray[Any, Any]

#: Positions of objects.
Catalog: TypeAlias = Table | SkyCoord | Array | Sequence[Sequence[float]]

_Side: TypeAlias = int | str | Quantity

#: Side of a frame, or height and width, for all objects or each one.
FrameSize: TypeAlias = _Side | tuple[_Side, _Side] | Array

#: AB magnitude of one unit of flux, for all bands or each one.
ZeroPoint: TypeAlias = float | Sequence[float] | Array | Quantity
