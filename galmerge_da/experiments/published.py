"""The published images as data sets for a study."""

import hashlib
from os import PathLike
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from galmerge_da.exceptions import InputError
from galmerge_da.io import load_published, save_cutouts

__all__ = ["FRAMES", "published_pair"]

#: How frames are made of published images, which are frames already.
FRAMES = {"scale": "image", "background": "none"}


def published_pair(
    folder: str | PathLike[str], name: str, *, n: int | None = None, downloads: str | PathLike[str] | None = None
) -> tuple[Path, Path, dict[str, NDArray[np.integer]]]:
    """Data sets of both domains of a published pair; those of an earlier call are used again.

    Parameters
    ----------
    folder : path-like
        Gets a FITS data set a domain; the target's has no labels, they are in a file of their own.
    name : str
        As for `galmerge_da.io.download`, which has to have been called before.
    n : int, optional
        Images per domain at most: whole groups of twins, drawn by a hash of
        their name, so that both domains get the same galaxies where they show the same ones.
    downloads : path-like, optional
        Where the downloaded files are; by default in astropy's cache.

    Returns
    -------
    source, target : `~pathlib.Path`
    labels : dict of str to `~numpy.ndarray` of int
        ``"source"`` and ``"target"``.

    Raises
    ------
    InputError
        If the files have not been downloaded, are not what they should be, or a group has more than ``n`` images.
    """
    folder = Path(folder)
    stems = [f"{domain}-{name}-{'all' if n is None else f'n{n}'}" for domain in ("source", "target")]
    paths = [folder / f"{stem}.fits" for stem in stems]
    truths = [folder / f"{stem}-labels.ecsv" for stem in stems]
    if not all(path.is_file() for path in [*paths, *truths]):
        folder.mkdir(parents=True, exist_ok=True)
        for table, path, truth in zip(load_published(name, downloads), paths, truths, strict=True):
            table = table[_chosen(table["group"], n)]
            table["id", "group", "label"].write(truth, overwrite=True)
            table["image"] = np.asarray(table["image"], np.float32)
            if path is paths[1]:
                table.remove_column("label")
            save_cutouts(table, path, overwrite=True)
    labels = [np.asarray(Table.read(truth)["label"]) for truth in truths]
    return paths[0], paths[1], dict(zip(("source", "target"), labels, strict=True))


def _chosen(groups, n):
    """Rows of as many whole groups as have at most ``n`` rows together."""
    if n is None or n >= len(groups):
        return np.arange(len(groups))
    names, number, size = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.argsort([hashlib.sha256(name.encode()).digest() for name in names])
    chosen = order[np.cumsum(size[order]) <= n]
    if not len(chosen):
        raise InputError(f"the first group of twins has {size[order[0]]} images, more than n={n}")
    return np.flatnonzero(np.isin(number, chosen))
