"""The sim-to-real study: trained on simulated galaxies, adapted to unlabelled pictures of real ones.

Every run is cross-fitted: what adapts to a survey's images is scored on other
images of it. The galaxies are split into folds by field; for each fold a run
adapts to the others, without labels, and classifies the fold. Labels, where
there are any, are looked at once, when every galaxy has its probability.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from scipy.special import logit

from galmerge_da.evaluation import rotational_asymmetry_table
from galmerge_da.exceptions import InputError
from galmerge_da.experiments.real_scores import mean_rank
from galmerge_da.experiments.sim_to_sim import simulate_pair
from galmerge_da.experiments.study import Run, run_study
from galmerge_da.io import open_cutouts, save_cutouts
from galmerge_da.plugins import get_survey
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess
from galmerge_da.simulation import simulate
from galmerge_da.training.composites import composite_pairs

__all__ = ["REAL_RUNS", "RealRun", "assign_folds", "list_pictures", "run_sim_to_real", "sdss_field", "stand_in"]

SURVEY = "sdss-jpeg"
#: Of the simulated source.
SEED = 301

RECIPE = {
    "model": {"entrance": {"rotation_residual": True, "unsharp": True, "faint": True}},
    "training": {
        "learning_rate": 2e-3,
        "betas": [0.9, 0.99],
        "weight_decay": 1e-3,
        "patience": 200,
        "selector": "last",
        "watch": [],
        "precision": "bfloat16",
        "augmentation": {"gain": 0.12, "noise": 0.004, "blur": 0.6, "zoom": 0.12},
    },
}


@dataclass(frozen=True)
class RealRun:
    """One way to go from simulated to real galaxies.

    Parameters
    ----------
    name : str
        As in tables.
    adapt : mapping, optional
        Losses and their weights.
    composites : float, optional
        Composites of target galaxies in the source, as a share of its simulated ones.
    transfer : bool, optional
        Start from a model of the sim-to-sim pair, adapted by the same losses.
    """

    name: str
    adapt: Mapping = field(default_factory=dict)
    composites: float = 0.0
    transfer: bool = False

    @property
    def sees_target(self):
        """Whether anything of the target takes part in the training."""
        return bool(self.adapt) or self.composites > 0


_F = {"fisher": 0.01, "entropy": {"weight": 0.05, "domains": "both"}}

#: The first three are those of the paper.
REAL_RUNS = (
    RealRun("noDA"),
    RealRun("MMD", {"mmd": 1.0}),
    RealRun("TL+MMD", {"mmd": 1.0}, transfer=True),
    RealRun("MMD+F", {"mmd": 1.0, **_F}),
    RealRun("ADA", {"dann": 1.0}),
    RealRun("composites", composites=2 / 3),
)


def run_sim_to_real(
    folder="sim-to-real", galaxies=None, *, image="image", survey=SURVEY, objid=None, runs=REAL_RUNS, n=9000,
    epochs=10, seeds=(1, 2, 3), n_folds=5, n_jobs=1, progress=False,
):  # fmt: skip
    """Train and adapt every run, and classify every galaxy by models that have not seen it.

    Parameters
    ----------
    folder : path-like, optional
        Gets data, runs and ``catalogue`` as FITS and ECSV. What is there already is used again.
    galaxies : object, optional
        The survey's pictures: a folder of them, or any form that `~galmerge_da.io.open_cutouts`
        takes. A column of labels is never read here. Without it, `stand_in` makes them.
    image : str, optional
        Column of images or paths.
    survey : str, optional
        What the pictures are, and what the simulated galaxies are made to look like.
    objid : str, optional
        Column of SDSS object ids: galaxies of one field share a fold.
    runs : sequence of RealRun, optional
    n : int, optional
        Simulated galaxies.
    epochs : int, optional
    seeds : sequence of int, optional
    n_folds : int, optional
    n_jobs : int, optional
        Runs at a time.
    progress : bool, optional

    Returns
    -------
    `~astropy.table.Table`
        The columns of the galaxies without pixels, ``fold``, ``asymmetry``, and
        for each run ``<run>_seed<k>`` and ``<run>``: logits of the merger class
        by one seed, over the eight turns and flips of the frame, and their mean. A
        run with composites also has ``<run>+asymmetry``, `mean_rank` of both
        within a fold. Its meta has ``RUNS`` and the ``SOURCE``.

    Raises
    ------
    InputError
        If there are fewer groups than folds, or the images cannot be read.
    """
    folder = Path(folder)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    look = survey
    if galaxies is None:
        galaxies, look = stand_in(), SURVEY
        image, survey = "image", None
    elif isinstance(galaxies, str | Path) and Path(galaxies).is_dir():
        galaxies, image = list_pictures(galaxies), "image"
    reading = {"image": image, "survey": survey}
    table = open_cutouts(galaxies, **reading).table.copy()
    table["fold"] = assign_folds(sdss_field(table[objid]) if objid else np.arange(len(table)), n_folds)
    simulated = _simulated(folder, look, n, progress)
    frames = _frames(galaxies, reading, get_survey(look).bands)
    logits = {(run.name, seed): np.full(len(table), np.nan) for run in runs for seed in seeds}
    for fold in range(n_folds):
        rest, own = np.flatnonzero(table["fold"] != fold), np.flatnonzero(table["fold"] == fold)
        key = hashlib.sha256(np.ascontiguousarray(frames["image"][rest])).hexdigest()[:8]
        target = folder / "data" / f"target-without-fold{fold}-{key}.fits"
        if not target.is_file():
            save_cutouts(frames[rest], target)
        for run in runs:
            if not run.sees_target and fold:
                continue
            labelled = simulated
            if run.composites:
                labelled = _with_composites(folder, simulated, galaxies, rest, key, run, fold, reading, progress)
            recipe = {**RECIPE, "training": {**RECIPE["training"], "epochs": epochs}}
            initial = _transfer(folder, run, seeds, recipe, n, n_jobs, progress) if run.transfer else None
            finished = run_study(
                [Run(run.name, run.adapt)], labelled, target, folder / "runs", recipe=recipe, seeds=seeds,
                n_jobs=n_jobs, init=initial, progress=progress,
            )  # fmt: skip
            rows = own if run.sees_target else np.arange(len(table))
            for each in finished:
                logits[run.name, each.seed][rows] = _merger_logits(each.classifier, frames["image"][rows])
    for run in runs:
        for seed in seeds:
            table[f"{run.name}_seed{seed}"] = logits[run.name, seed]
        table[run.name] = np.mean([logits[run.name, seed] for seed in seeds], axis=0)
    table["asymmetry"] = rotational_asymmetry_table(galaxies, progress=progress, **reading)["asymmetry"]
    names = [run.name for run in runs]
    for run in runs:
        if run.composites:
            names.append(f"{run.name}+asymmetry")
            for suffix in [*(f"_seed{seed}" for seed in seeds), ""]:
                both = table[f"{run.name}{suffix}"], table["asymmetry"]
                table[f"{names[-1]}{suffix}"] = mean_rank(*both, groups=table["fold"])
    table.meta = {"RUNS": ",".join(names), "SOURCE": simulated.name}
    save_cutouts(frames, folder / "data" / "frames.fits", overwrite=True)
    for suffix in ("ecsv", "fits"):
        table.write(folder / f"catalogue.{suffix}", overwrite=True)
    return table


def list_pictures(folder):
    """The pictures in a folder, as a table.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    `~astropy.table.Table`
        ``id``, the name of the file without its ending, and ``image``, its path; sorted by name.

    Raises
    ------
    InputError
        If there is none.
    """
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not paths:
        raise InputError(f"{folder} has no JPEG or PNG pictures")
    return Table({"id": [path.stem for path in paths], "image": [str(path) for path in paths]})


def sdss_field(objid):
    """Run, camera column and field of SDSS object ids, as one number each.

    Parameters
    ----------
    objid : array_like of int, or of text that is one, shape (N,)

    Returns
    -------
    `~numpy.ndarray` of int64, shape (N,)
        The object id without its last 16 bits, which count objects within the field.

    References
    ----------
    SDSS DR7 glossary, "objID".
    """
    return np.asarray(objid).astype(np.int64) >> 16


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


def _merger_logits(classifier, frames):
    """Logits of the merger class of linear frames (N, C, H, W), mean over turns by 90 degrees and flips."""
    frames = np.asarray(frames)
    total = np.zeros(len(frames))
    for flipped in (frames, frames[..., ::-1]):
        for quarter in range(4):
            raw = classifier.predict(np.rot90(flipped, quarter, (2, 3)))[0][:, 1]
            total += logit(np.clip(raw, 1e-7, 1 - 1e-7))
    return total / 8


def _simulated(folder, survey, n, progress):
    path = folder / "data" / f"source-{survey}-n{n}-seed{SEED}.fits"
    if not path.is_file():
        save_cutouts(simulate(n, survey, seed=SEED, progress=progress), path)
    return path


def _frames(galaxies, reading, bands):
    """Linear frames of all galaxies, as a table that reads like the simulated one."""
    recipe = PreprocessingRecipe(bands=bands)
    data, flags = [], []
    for chunk in open_cutouts(galaxies, chunk_size=64, **reading):
        made = preprocess(chunk, recipe)
        data.append(made.data)
        flags.append(made.flags)
    table = Table({"image": np.concatenate(data), "id": np.arange(sum(map(len, flags)))})
    table["radius"] = np.full(len(table), recipe.size / recipe.frame_radii) * u.pix
    table.meta = {"BANDS": ",".join(recipe.bands), "STRETCH": False, "RADPIX": recipe.frame_radii / recipe.size}
    return table


def _with_composites(folder, simulated, galaxies, rest, key, run, fold, reading, progress):
    """The simulated source and composites of the galaxies outside a fold."""
    table = Table.read(simulated)
    n = round(run.composites * len(table))
    path = folder / "data" / f"{simulated.stem}-composites{n}-fold{fold}-{key}.fits"
    if not path.is_file():
        made = composite_pairs(galaxies, n, rows=rest, seed=fold, progress=progress, **reading)
        both = vstack([table, made], metadata_conflicts="silent")
        both.meta = table.meta
        save_cutouts(both, path)
    return path


def _transfer(folder, run, seeds, recipe, n, n_jobs, progress):
    """Models of the sim-to-sim pair, by seed, to start from."""
    source, target, _ = simulate_pair(folder / "data", n, progress=progress)
    finished = run_study(
        [Run(f"{run.name} start", run.adapt)], source, target, folder / "runs", recipe=recipe, seeds=seeds,
        n_jobs=n_jobs, progress=progress,
    )  # fmt: skip
    return {each.seed: each.folder for each in finished}
