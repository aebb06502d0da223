"""What the sim-to-real study trains on and scores: a survey's pictures, a simulated source, composites, folds."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack

from galmerge_da.exceptions import InputError
from galmerge_da.experiments.study import is_current
from galmerge_da.flags import Flag, decode_flags
from galmerge_da.inference.catalogue import append_columns, flags_column
from galmerge_da.io import open_cutouts, save_cutouts
from galmerge_da.plugins import get_survey
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess
from galmerge_da.simulation import simulate
from galmerge_da.training.composites import composite_pairs

__all__ = ["SurveyData", "assign_folds", "read_survey", "sdss_field", "seen_rows", "stand_in", "usable_rows"]

SURVEY = "sdss-jpeg"
#: Of the simulated source.
SEED = 301


@dataclass(frozen=True, eq=False)
class SurveyData:
    """A survey's galaxies, and the simulated ones in their look.

    Attributes
    ----------
    folder : `~pathlib.Path`
        Where data sets are kept.
    galaxies : object
        As it was given.
    reading : dict
        Keywords of `~galmerge_da.io.open_cutouts` that read it.
    table : `~astropy.table.Table`
        Its rows, with ``flags``, as `galmerge_da.classify` has them.
    frames : `~astropy.table.Table`
        Linear frames of them, a table that reads like the simulated one.
    source : `~pathlib.Path`
        The simulated data set.
    progress : bool
        Whether to show progress bars.
    """

    folder: Path
    galaxies: object
    reading: dict
    table: Table
    frames: Table
    source: Path
    progress: bool

    def target(self, rows, name):
        """Path of a data set of some rows, made if it is not there."""
        path = self.folder / f"target-{name}-{self._key(rows)}.fits"
        if not path.is_file():
            save_cutouts(self.frames[rows], path)
        return path

    def labelled(self, share, rows, name, *, seed):
        """Path of the simulated data set with composites of some rows, ``share`` times as many as it has itself."""
        if not share:
            return self.source
        table = Table.read(self.source)
        n = round(share * len(table))
        path = self.folder / f"{self.source.stem}-composites{n}-{name}-{self._key(rows)}.fits"
        if not is_current(path):
            made = composite_pairs(self.galaxies, n, rows=rows, seed=seed, progress=self.progress, **self.reading)
            both = vstack([table, made], metadata_conflicts="silent")
            for name, none in (("mass_ratio", np.nan), ("distance", np.nan), ("kind", "")):
                both[name] = np.ma.filled(both[name], none)
            both.meta = table.meta
            save_cutouts(both, path, overwrite=True)
        return path

    def _key(self, rows):
        return hashlib.sha256(np.ascontiguousarray(self.frames["image"][rows])).hexdigest()[:8]


def read_survey(folder, galaxies, *, image, survey, radius=None, n, progress=False):
    """Read a survey's pictures and simulate galaxies in their look; what is in the folder is used again.

    Parameters
    ----------
    folder : path-like
    galaxies : object
        Any form that `~galmerge_da.io.open_cutouts` takes; None for a `stand_in`.
    image : str
        Column of images or paths.
    survey : str
        What the pictures are.
    radius : str, optional
        Column of Petrosian radii, or ``"measure"``, as for `~galmerge_da.io.open_cutouts`.
    n : int
        Simulated galaxies.
    progress : bool, optional

    Returns
    -------
    SurveyData

    Raises
    ------
    InputError
        If the pictures cannot be read, or none of them can be used.
    """
    folder, look = Path(folder), survey
    if galaxies is None:
        galaxies, look = folder / "stand-in.fits", SURVEY
        image, survey = "image", None
        if not is_current(galaxies):
            folder.mkdir(parents=True, exist_ok=True)
            save_cutouts(stand_in(), galaxies, overwrite=True)
    reading = {"image": image, "survey": survey, "radius": radius}
    frames, flags = _frames(galaxies, reading, get_survey(look).bands)
    table = append_columns(open_cutouts(galaxies, **reading).table, [flags_column(flags)], stacklevel=5)
    if not len(usable_rows(table)):
        reasons = ", ".join(decode_flags(np.bitwise_or.reduce(flags)))
        raise InputError(f"none of the {len(table)} pictures can be used: {reasons}")
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"source-{look}-n{n}-seed{SEED}.fits"
    if not is_current(source):
        save_cutouts(simulate(n, look, seed=SEED, progress=progress), source, overwrite=True)
    return SurveyData(folder, galaxies, reading, table, frames, source, progress)


def usable_rows(table):
    """Rows of a survey or of a catalogue of it whose picture could be used.

    Parameters
    ----------
    table : `~astropy.table.Table`
        With ``flags``; without them all rows can be used.

    Returns
    -------
    `~numpy.ndarray` of int64
    """
    flags = np.asarray(table["flags"]) if "flags" in table.colnames else np.zeros(len(table), int)
    return np.flatnonzero((flags & Flag.NOT_CLASSIFIED) == 0)


def seen_rows(table, fold):
    """Rows that the models of a fold may adapt to: the usable ones of the other folds.

    Parameters
    ----------
    table : `~astropy.table.Table`
        With ``fold``.
    fold : int

    Returns
    -------
    `~numpy.ndarray` of int64
    """
    rows = usable_rows(table)
    return rows[np.asarray(table["fold"])[rows] != fold]


def _frames(galaxies, reading, bands):
    recipe = PreprocessingRecipe(bands=bands)
    made = [preprocess(chunk, recipe) for chunk in open_cutouts(galaxies, chunk_size=64, **reading)]
    if not made:
        raise InputError("the survey has no pictures")
    table = Table({"image": np.concatenate([each.data for each in made])})
    table["id"] = np.arange(len(table))
    table["radius"] = np.full(len(table), recipe.size / recipe.frame_radii) * u.pix
    table.meta = {"BANDS": ",".join(recipe.bands), "STRETCH": False, "RADPIX": recipe.frame_radii / recipe.size}
    return table, np.concatenate([each.flags for each in made])


def sdss_field(objid):
    """Run, camera column and field of SDSS object ids, as one number each.

    Parameters
    ----------
    objid : array_like of int, or of text that is one, shape (N,)

    Returns
    -------
    `~numpy.ndarray` of int64, shape (N,)
        The object id without its last 16 bits, which count objects within the field.

    Raises
    ------
    InputError
        If a value is no whole number.

    References
    ----------
    SDSS DR7 glossary, "objID".
    """
    numbers = np.empty(len(objid), np.int64)
    for row, value in enumerate(objid):
        try:
            numbers[row] = int(value.decode() if isinstance(value, bytes) else str(value))
        except (ValueError, OverflowError):
            raise InputError(f"object ids of SDSS are whole numbers of 64 bits, got {value!s} in row {row}") from None
    return numbers >> 16


def assign_folds(groups, n_folds, *, seed=0):
    """Folds of nearly equal size, no group in two of them.

    Parameters
    ----------
    groups : array_like, shape (N,)
    n_folds : int
    seed : int, optional

    Returns
    -------
    `~numpy.ndarray` of int64, shape (N,)

    Raises
    ------
    InputError
        If there are fewer groups than folds.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < n_folds:
        raise InputError(f"{n_folds} folds need as many groups, got {len(names)}")
    sizes = np.bincount(group)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold = np.zeros(n_folds, int), np.empty(len(names), int)
    for name in order:
        fold[name] = np.argmin(filled)
        filled[fold[name]] += sizes[name]
    return fold[group]


def stand_in(n=2000, *, prevalence=0.06, seed=329):
    """A survey to develop on: simulated, seen worse, from further away, with few mergers.

    Parameters
    ----------
    n : int, optional
    prevalence : float, optional
        Share of mergers.
    seed : int, optional

    Returns
    -------
    `~astropy.table.Table`
        As `galmerge_da.simulate` gives it.
    """
    known = get_survey(SURVEY)
    other = replace(
        known, name=f"{SURVEY}-stand-in", psf_fwhm=known.psf_fwhm * 1.35, depth=known.depth - 0.5 * u.mag,
        redshift=0.12, radius=known.radius * 0.75,
    )  # fmt: skip
    n_mergers = round(n * prevalence)
    parts = [
        simulate(n - n_mergers, other, seed=seed, classes="nonmerger"),
        simulate(n_mergers, other, seed=seed, classes="merger"),
    ]
    table = vstack(parts, metadata_conflicts="silent")
    return table[np.random.default_rng(seed).permutation(n)]
