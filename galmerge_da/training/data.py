"""The two domains in memory: frames, splits, and labels of the source alone."""

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from astropy.table import Table, vstack

from galmerge_da.exceptions import InputError, TrainingError
from galmerge_da.flags import Flag
from galmerge_da.inference.api import name_bands
from galmerge_da.io import open_cutouts, prefetch
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess, warn_of_mismatch
from galmerge_da.training.splits import SPLITS, assign_splits

__all__ = ["Domain", "load_domain", "splits_table"]

_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Domain:
    """One domain, ready for training.

    Attributes
    ----------
    name : str
        ``"source"`` or ``"target"``.
    description : str
        Survey or file, number of galaxies, and the seed where they are simulated.
    preprocessing : `~galmerge_da.preprocessing.PreprocessingRecipe`
        How its frames were made, with the names of the bands.
    images : `~torch.Tensor` of float32, shape (N, C, S, S)
        Linear frames of all rows; zeros where a row is unusable.
    labels : `~torch.Tensor` of int64, shape (N,), or None
        Classes of the source. A target has none.
    ids, groups : `~numpy.ndarray`, shape (N,)
    split : `~numpy.ndarray` of str, shape (N,)
        ``"train"``, ``"validation"``, ``"test"`` or ``"unusable"``.
    n_composites : int
        Rows that `~galmerge_da.training.composite_pairs` made of a survey's own images.
    """

    name: str
    description: str
    preprocessing: PreprocessingRecipe
    images: torch.Tensor
    labels: torch.Tensor | None
    ids: np.ndarray
    groups: np.ndarray
    split: np.ndarray
    n_composites: int = 0

    def rows(self, split):
        """Row numbers of a split, as a tensor of int64."""
        return torch.from_numpy(np.flatnonzero(self.split == split))


def load_domain(data, name, recipe, preprocessing, *, reading=None, order=None) -> Domain:
    """Read a domain, make its frames and split it.

    Parameters
    ----------
    data : object
        Whatever `galmerge_da.io.open_cutouts` takes.
    name : {"source", "target"}
        Labels are read for the source only; a label column of the target is never looked at.
    recipe : `~galmerge_da.training.Recipe`
    preprocessing : `~galmerge_da.preprocessing.PreprocessingRecipe`
        How frames are made; without bands it takes those of the data, and
        where pixels are taken as they are, notes the one scale that they have,
        or of the source, in which range their scales lie.
    reading : mapping, optional
        Keywords of `galmerge_da.io.open_cutouts`.
    order : tuple of str, optional
        How to order bands of these names, where nothing else says it.

    Returns
    -------
    Domain

    Raises
    ------
    InputError
        If the data cannot be read, a column is missing, or a label is none.
    TrainingError
        If a split has no usable row, or for the source none of some class.
    """
    label = recipe.data.label
    if name == "target" and isinstance(data, Table) and label in data.colnames:
        data = data.copy(copy_data=False)
        data.remove_column(label)
    cutouts = open_cutouts(data, chunk_size=_CHUNK, **(reading or {}))
    table = cutouts.table
    if not len(table):
        raise InputError(f"the {name} has no rows")
    labels = _labels(table, label, recipe.data.classes) if name == "source" else None
    if preprocessing.bands is None and cutouts.bands is not None:
        known = order is not None and set(order) == set(cutouts.bands)
        preprocessing = replace(preprocessing, bands=tuple(order if known else cutouts.bands))
    if name == "source":
        preprocessing = replace(preprocessing, trained_scales=None)  # those of an earlier source
    images, flags, scales = None, np.zeros(len(table), np.int32), []
    for chunk in prefetch(name_bands(cutouts, preprocessing.bands)):
        if images is None and preprocessing.scale == "pixels" and preprocessing.pixel_scale is None:
            preprocessing = replace(preprocessing, pixel_scale=_common_scale(chunk.pixel_scale))
        frames = preprocess(chunk, preprocessing)
        if images is None:
            images = np.empty((len(table), *frames.data.shape[1:]), np.float32)
        images[chunk.row] = frames.data
        scales.append(_scales(chunk, frames))
        flags[chunk.row] = frames.flags
    if name == "source" and preprocessing.scale == "pixels" and preprocessing.pixel_scale is None:
        preprocessing = replace(preprocessing, trained_scales=_spread(np.concatenate(scales)))
    warn_of_mismatch(flags, cutouts, preprocessing, stacklevel=3)
    ids = np.asarray(table[recipe.data.id]) if recipe.data.id in table.colnames else np.arange(len(table))
    groups = np.asarray(table[recipe.data.group]) if recipe.data.group in table.colnames else ids
    split = assign_splits(groups, recipe.training.fractions, seed=recipe.training.seed)
    split[(flags & Flag.NOT_CLASSIFIED) != 0] = "unusable"
    where = cutouts.survey or (Path(data).name if isinstance(data, str | PathLike) else "unnamed")
    n_composites = _count_composites(table)
    description = f"{where} ({len(table)} galaxies{_origin(table, n_composites)})"
    domain = Domain(
        name, description, preprocessing, torch.from_numpy(images), labels, ids, groups, split, n_composites
    )
    _check_splits(domain, recipe.data.classes)
    return domain


def _common_scale(scale):
    """Arcsec per pixel of the images, to a thousandth; None where it is unknown or theirs differ."""
    values = np.array([]) if scale is None else np.atleast_1d(scale.to_value(u.arcsec))
    if not values.size or not np.all(np.abs(values / values[0] - 1) < 1e-3):
        return None
    return float(values[0])


def _scales(cutouts, frames):
    """Arcsec per pixel of the images that can be used, where it is known."""
    scale = np.nan if cutouts.pixel_scale is None else cutouts.pixel_scale.to_value(u.arcsec)
    return np.broadcast_to(scale, len(cutouts))[(frames.flags & Flag.NOT_CLASSIFIED) == 0]


def _spread(scales):
    """5, 50 and 95 per cent of the pixel scales; None where none is known."""
    known = scales[scales > 0]
    return tuple(float(value) for value in np.percentile(known, (5, 50, 95))) if known.size else None


def _count_composites(table):
    """How many of the galaxies `composite_pairs` made."""
    stages = np.asarray(table["stage"]).astype(str) if "stage" in table.colnames else np.zeros(0, "U1")
    return int(np.count_nonzero(np.isin(stages, ("composite", "single"))))


def _origin(table, composites):
    """With which seed `galmerge_da.simulate` made the galaxies, and how many are composites."""
    meta = table.meta
    text = f", simulated with seed {meta['SEED']}" if {"SEED", "SIMVERS"} <= set(meta) else ""
    return f"{text}, {composites} of them composites" if composites else text


def splits_table(domains):
    """Which row is in which split.

    Parameters
    ----------
    domains : iterable of Domain

    Returns
    -------
    `~astropy.table.Table`
        Columns ``id``, ``group``, ``domain``, ``split``, in the order of the rows.
    """
    domains = list(domains)
    columns = {key: [np.asarray(getattr(domain, key)) for domain in domains] for key in ("ids", "groups")}
    for arrays in columns.values():
        if len({array.dtype.kind for array in arrays}) > 1:
            arrays[:] = [array.astype(str) for array in arrays]
    tables = [
        Table({"id": ids, "group": groups, "domain": [domain.name] * len(ids), "split": domain.split})
        for domain, ids, groups in zip(domains, columns["ids"], columns["groups"], strict=True)
    ]
    return vstack(tables)


def _labels(table, name, classes):
    """The label column as classes counted from 0."""
    if name not in table.colnames:
        raise InputError(f"the source has no column {name!r} of labels; it has {', '.join(table.colnames)}")
    values = np.ma.asarray(table[name])
    if values.dtype.kind in "SUO":
        numbers = {text: number for number, text in enumerate(classes)}
        labels = np.array(
            [numbers.get(_text(value), -1) for value in values.filled("" if values.dtype.kind != "O" else None)]
        )
    else:
        filled = np.ma.filled(values.astype(np.float64), np.nan)
        labels = np.where(np.isin(filled, np.arange(len(classes))), filled, -1)
    wrong = np.flatnonzero(labels < 0)
    if len(wrong):
        raise InputError(
            f"{len(wrong)} of {len(labels)} rows of the source have no label, first row {wrong[0]}: column {name!r} is "
            f"{table[name][wrong[0]]!r}, expected 0 to {len(classes) - 1} or one of {', '.join(classes)}"
        )
    return torch.from_numpy(labels.astype(np.int64))


def _text(value):
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _check_splits(domain, classes):
    for split in SPLITS:
        rows = domain.rows(split)
        if not len(rows):
            raise TrainingError(
                f"the {split} split of the {domain.name} is empty ({len(domain.split)} rows, "
                f"{np.count_nonzero(domain.split == 'unusable')} unusable, {len(np.unique(domain.groups))} groups); "
                "give more galaxies, or other fractions"
            )
        if domain.labels is None or split == "test":
            continue
        counts = torch.bincount(domain.labels[rows], minlength=len(classes)).tolist()
        if 0 in counts:
            raise TrainingError(
                f"the {split} split of the source has no {classes[counts.index(0)]!r} among {len(rows)} galaxies"
            )
