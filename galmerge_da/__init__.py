"""Find merging galaxies in surveys that have no labels.

The names below are imported on first use: ``import galmerge_da`` alone loads
neither torch nor astropy.
"""

from importlib import import_module

_HOME = {
    "Cutouts": "galmerge_da.io",
    "Flag": "galmerge_da.flags",
    "MergerClassifier": "galmerge_da.inference",
    "TrainingResult": "galmerge_da.training",
    "classify": "galmerge_da.inference",
    "decode_flags": "galmerge_da.flags",
    "extract_cutouts": "galmerge_da.io",
    "find_sources": "galmerge_da.io",
    "read_catalog": "galmerge_da.io",
    "simulate": "galmerge_da.simulation",
    "train": "galmerge_da.training",
    "write_catalog": "galmerge_da.io",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        return version("galmerge_da")
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
