"""The published pairs of domains, as they were downloaded, in the package's own form."""

import warnings
from pathlib import Path

import numpy as np
from astropy.table import Column, Table

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io._types import FilePath
from galmerge_da.io.datasets import hold
from galmerge_da.io.downloads import dataset_folder, get_dataset
from galmerge_da.io.facts import stated
from galmerge_da.io.twins import find_twins, join_groups

__all__ = ["load_published"]

#: Rows by which it is tried whether two domains show the same galaxies, and the share that has to find its partner.
_N_TRIED, _FOUND = 64, 0.5


def load_published(name: str, folder: FilePath | None = None, *, similar: bool = True) -> tuple[Table, Table]:
    """Read a published data set that has been downloaded.

    Parameters
    ----------
    name : str
        As for `galmerge_da.io.download`.
    folder : path-like, optional
        Where its files are; by default astropy's cache folder.
    similar : bool, optional
        Group copies that were rotated by any angle, zoomed or shifted as well, see Notes.

    Returns
    -------
    source, target : `~astropy.table.Table`
        Columns ``id``, ``group``, ``label`` (1 is a merger) and ``image``
        ``(C, H, W)``, which stays memory-mapped. ``meta["SURVEY"]`` names the preset.

    Raises
    ------
    InputError
        If a file is missing or is not what it should be.

    Warns
    -----
    InputWarning
        If the two domains should show the same galaxies row by row, and do not.

    Notes
    -----
    The published arrays have augmented copies of each galaxy and no names, so the parent
    galaxies have to be found in the pixels. Rows are in one group if
    their bands have the same values in another order (flips, quarter turns); with
    ``similar``, also if one is a copy of the other that was rotated, flipped
    or zoomed by up to 20 % about the middle of the frame or its brightest spot. Where the
    two domains are the same galaxies without and with noise, row i of one and row
    i of the other are in one group: the labels must agree in every row, and most of some rows that
    are tried must resemble their partner more than any other. Views of
    one galaxy from different directions are not recognised.
    """
    dataset = get_dataset(name)
    folder = dataset_folder(name) if folder is None else Path(folder)
    missing = [file for file in dataset.files if not (folder / file).is_file()]
    if missing:
        raise InputError(f"{folder} has no {', '.join(missing)}: run 'galmerge download {name}', with -o for a folder")
    domains = ("source", "target")
    opened = [_open(folder, getattr(dataset, domain)) for domain in domains]
    groups = [find_twins(images, similar=similar) for images, _, _ in opened]
    if dataset.paired and _are_partners(*opened):
        n = len(groups[0])
        row = np.arange(n)
        groups = [join_groups(n, *(np.column_stack([row, group]) for group in groups))] * 2
        prefixes: tuple[str, ...] = (name, name)
    else:
        prefixes = tuple(f"{name}-{domain}" for domain in domains)
        if dataset.paired:
            warnings.warn(
                f"{name}: the two domains do not show the same galaxies row by row; their splits are independent",
                InputWarning,
                stacklevel=2,
            )
    return tuple(
        _table(f"{name}-{domain}", prefix, group, *each)
        for domain, prefix, group, each in zip(domains, prefixes, groups, opened, strict=True)
    )


def _open(folder, domain):
    """Images (N, C, H, W), labels (N,) and what a header says, with the survey."""
    path = folder / domain.images
    held = hold(path)
    if "label" not in held.table.colnames:
        raise InputError(f"{path}: there are no labels; its columns are {', '.join(held.table.colnames)}")
    (images,) = held.columns
    if np.ndim(images) != 4:
        raise InputError(f"{path}: images must be (N, C, H, W), got shape {np.shape(images)}")
    labels = np.asarray(held.table["label"])
    wrong = labels[~np.isin(labels, (0, 1))]
    if len(wrong):
        raise InputError(f"{path}: labels must be 0 or 1, got {wrong[0]}")
    meta = {"SURVEY": domain.survey}
    bands = stated(held.meta, "BANDS")
    return images, labels.astype(np.int64), meta if bands is None else {**meta, "BANDS": bands}


def _table(name, prefix, group, images, labels, meta):
    number = np.arange(len(labels))
    table = Table({"id": [f"{name}-{row:05d}" for row in number], "group": [f"{prefix}-{row:05d}" for row in group]})
    table["label"] = Column(labels, description="1 for a merger, 0 for none")
    table.add_column(Column(images, name="image", copy=False), copy=False)
    table.meta.update(meta)
    return table


def _are_partners(source, target):
    """Whether row i of both domains shows the same galaxy, for all that labels and some rows can tell."""
    if not np.array_equal(source[1], target[1]) or source[0].shape != target[0].shape:
        return False
    rows = np.unique(np.linspace(0, len(source[1]) - 1, _N_TRIED).astype(int))
    one, two = (_outlines(images[rows]) for images, _, _ in (source, target))
    likeness = one @ two.T
    # a copy of the partner may resemble a row just as much
    return np.mean(np.diag(likeness) >= likeness.max(axis=1) - 1e-3) >= _FOUND


def _outlines(images):
    """Coarse images, each with mean 0 and norm 1; shape (N, M)."""
    gray = np.nan_to_num(np.asarray(images, np.float64)).mean(axis=1)
    cell = max(1, min(gray.shape[1:]) // 15)
    height, width = (side // cell for side in gray.shape[1:])
    gray = gray[:, : height * cell, : width * cell].reshape(len(gray), height, cell, width, cell).mean(axis=(2, 4))
    gray = np.arcsinh(gray / np.maximum(np.abs(gray).mean(axis=(1, 2), keepdims=True), 1e-30)).reshape(len(gray), -1)
    gray -= gray.mean(axis=1, keepdims=True)
    return gray / np.maximum(np.linalg.norm(gray, axis=1, keepdims=True), 1e-30)
