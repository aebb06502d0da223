"""Where type checkers find the names that `galmerge_da` fetches on first use."""

from galmerge_da.flags import Flag as Flag
from galmerge_da.flags import decode_flags as decode_flags
from galmerge_da.inference import MergerClassifier as MergerClassifier
from galmerge_da.inference import classify as classify
from galmerge_da.io import Cutouts as Cutouts
from galmerge_da.io import extract_cutouts as extract_cutouts
from galmerge_da.io import find_sources as find_sources
from galmerge_da.io import read_catalog as read_catalog
from galmerge_da.io import write_catalog as write_catalog
from galmerge_da.simulation import simulate as simulate
from galmerge_da.training import TrainingResult as TrainingResult
from galmerge_da.training import train as train

__version__: str

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
