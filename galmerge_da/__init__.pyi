"""Types of the names that `galmerge_da` fetches on first use."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, overload

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.units import Quantity

from galmerge_da.flags import Flag as Flag
from galmerge_da.inference import MergerClassifier as MergerClassifier
from galmerge_da.io import Cutouts as Cutouts
from galmerge_da.plugins import SurveySpec
from galmerge_da.training import Recipe
from galmerge_da.training import TrainingResult as TrainingResult

__version__: str

_Path = str | PathLike[str]
_Array = np.ndarray[Any, Any]

__all__ = [
    "__version__",
    "Cutouts",
    "Flag",
    "MergerClassifier",
    "TrainingResult",
    "classify",
    "decode_flags",
    "extract_cutouts",
    "find_sources",
    "read_catalog",
    "simulate",
    "train",
    "write_catalog",
]

def classify(
    cutouts: object,
    model: MergerClassifier | _Path | None = None,
    *,
    image: str | Sequence[str] = "image",
    bands: Sequence[str] | None = None,
    axes: Literal["CHW", "HWC"] = "CHW",
    survey: str | SurveySpec | None = None,
    pixel_scale: Quantity | str | None = None,
    psf_fwhm: Quantity | str | None = None,
    zero_point: float | Sequence[float] | _Array | Quantity | None = None,
    mask: str | _Array | None = None,
    radius: str | Quantity | _Array | None = None,
    threshold: float | None = None,
    device: object = None,
    n_threads: int | None = None,
    client: object = None,
    turns: bool = False,
    morphology: bool = False,
    progress: bool = False,
) -> Table: ...
@overload
def decode_flags(flags: int | np.integer[Any]) -> list[str]: ...
@overload
def decode_flags(flags: object) -> list[Any]: ...
def extract_cutouts(
    catalog: Table | SkyCoord | _Array | Sequence[Sequence[float]],
    images: object,
    size: int | str | Quantity | tuple[int | str | Quantity, int | str | Quantity] | _Array,
    *,
    bands: Sequence[str] | None = None,
    weights: object = None,
    masks: object = None,
    segments: _Array | Sequence[_Array] | None = None,
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
) -> tuple[Table, _Array | list[_Array]]: ...
def read_catalog(path: _Path) -> Table: ...
def simulate(
    n: int,
    survey: str | SurveySpec = "deepmerge-z2",
    *,
    seed: int = 0,
    classes: str | Sequence[Literal["nonmerger", "merger"]] = ("nonmerger", "merger"),
    n_jobs: int | None = None,
    progress: bool = False,
) -> Table: ...
def train(
    source: object,
    target: object = None,
    *,
    adapt: Mapping[str, float | Mapping[str, object]] | Iterable[str] | None = None,
    backbone: str | None = None,
    recipe: _Path | Mapping[str, object] | Recipe | None = None,
    seed: int | None = None,
    init: MergerClassifier | _Path | None = None,
    device: object = None,
    progress: bool = False,
    output: _Path | None = None,
) -> TrainingResult: ...
def write_catalog(table: Table, path: _Path, overwrite: bool = False) -> None: ...
