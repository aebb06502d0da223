"""Every kind of cutout input becomes `Cutouts`; catalogues are written back."""

from galmerge_da.io.catalogs import read_catalog, write_catalog
from galmerge_da.io.cutouts import Cutouts
from galmerge_da.io.datasets import save_cutouts
from galmerge_da.io.detect import find_sources
from galmerge_da.io.mosaics import extract_cutouts
from galmerge_da.io.source import CutoutSource, open_cutouts

__all__ = [
    "CutoutSource",
    "Cutouts",
    "extract_cutouts",
    "find_sources",
    "open_cutouts",
    "read_catalog",
    "save_cutouts",
    "write_catalog",
]
