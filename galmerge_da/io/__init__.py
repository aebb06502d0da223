"""Every kind of cutout input becomes `Cutouts`; catalogues are written back."""

from galmerge_da.io.catalogs import read_catalog, write_catalog
from galmerge_da.io.cutouts import Cutouts
from galmerge_da.io.datasets import save_cutouts
from galmerge_da.io.detect import find_sources
from galmerge_da.io.downloads import DATASETS, download
from galmerge_da.io.fields import open_field
from galmerge_da.io.mosaics import extract_cutouts
from galmerge_da.io.prefetch import prefetch
from galmerge_da.io.published import load_published
from galmerge_da.io.sdss_pictures import fetch_sdss_pictures
from galmerge_da.io.services import fetch_cutouts
from galmerge_da.io.source import CutoutSource, open_cutouts
from galmerge_da.io.twins import find_twins

__all__ = [
    "DATASETS",
    "CutoutSource",
    "Cutouts",
    "download",
    "extract_cutouts",
    "fetch_cutouts",
    "fetch_sdss_pictures",
    "find_sources",
    "find_twins",
    "load_published",
    "open_cutouts",
    "open_field",
    "prefetch",
    "read_catalog",
    "save_cutouts",
    "write_catalog",
]
