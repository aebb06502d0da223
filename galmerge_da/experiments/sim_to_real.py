"""The sim-to-real study: trained on simulated galaxies, adapted to unlabelled pictures of real ones.

Every run is cross-fitted: what adapts to a survey's images is scored on other
images of it. The galaxies are split into folds by field; for each fold a run
adapts to the others, without labels, and classifies the fold. Labels, where
there are any, are looked at once, when every galaxy has its probability.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from astropy.table import Column, Table
from scipy.special import logit

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.experiments.real_data import SURVEY, assign_folds, read_survey, sdss_field, seen_rows, usable_rows
from galmerge_da.experiments.real_scores import mean_rank
from galmerge_da.experiments.real_shapes import SHAPES, score_shapes
from galmerge_da.experiments.sim_to_sim import simulate_pair
from galmerge_da.experiments.study import Run, run_study
from galmerge_da.inference import MergerClassifier
from galmerge_da.inference.catalogue import append_columns
from galmerge_da.io import open_cutouts, save_cutouts
from galmerge_da.options import suggest

__all__ = ["REAL_RUNS", "RealRun", "run_sim_to_real", "train_for_survey"]

RECIPE = {
    "model": {"entrance": {"rotation_residual": True, "unsharp": True, "faint": True}},
    "training": {
        "learning_rate": 2e-3,
        "betas": [0.9, 0.99],
        "weight_decay": 1e-3,
        "patience": 200,
        "selector": "last",
        "watch": "all",
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
    after : RealRun, optional
        A second round: the tenth of the target galaxies that this other run, trained on the same ones, ranks
        highest (mean over its seeds) goes into no composite. Composites take every galaxy for a non-merger, and
        most of the few real mergers should be in that tenth.

    Raises
    ------
    ConfigError
        If the name has a comma.
    """

    name: str
    adapt: Mapping[str, float | Mapping[str, object]] = field(default_factory=dict)
    composites: float = 0.0
    transfer: bool = False
    after: "RealRun | None" = None

    def __post_init__(self) -> None:
        if "," in self.name:  # commas part the names in the header of a catalogue
            raise ConfigError(f"the name of a run must have no comma, got {self.name!r}")

    @property
    def sees_target(self) -> bool:
        """Whether anything of the target takes part in the training."""
        return bool(self.adapt) or self.composites > 0


_F: Mapping[str, float | Mapping[str, object]] = {"fisher": 0.01, "entropy": {"weight": 0.05, "domains": "both"}}

COMPOSITES = RealRun("composites", composites=2 / 3)

#: The runs of the sim-to-real study, each a `RealRun`. The first three are those of the paper; the prior of MMD+prior
#: is that a few per cent of the bright galaxies merge (Darg et al. 2010).
REAL_RUNS = (
    RealRun("noDA"),
    RealRun("MMD", {"mmd": 1.0}),
    RealRun("TL+MMD", {"mmd": 1.0}, transfer=True),
    RealRun("MMD+F", {"mmd": 1.0, **_F}),
    RealRun("ADA", {"dann": 1.0}),
    RealRun("MMD+prior", {"mmd": {"weight": 1.0, "target_prior": [0.95, 0.05]}}),
    COMPOSITES,
    RealRun("composites2", composites=2 / 3, after=COMPOSITES),
)

#: Ends the name of the score of frames in one orientation.
_UNTURNED = " unturned"

#: What is made of a catalogue and its labels: of an earlier one where there is a new one.
_OF_A_CATALOGUE = (
    *(f"{name}.{suffix}" for name in ("scores", "picked", "selectors") for suffix in ("ecsv", "fits")),
    "report.html",
    "figures/roc.png",
    "figures/completeness_purity.png",
)

#: Share of the galaxies that a second round sets aside.
SET_ASIDE = 0.1


def run_sim_to_real(
    folder: str | PathLike[str] = "sim-to-real",
    galaxies: object = None,
    *,
    image: str = "image",
    survey: str = SURVEY,
    radius: str | None = None,
    objid: str | None = None,
    runs: Sequence[RealRun] | None = None,
    n: int = 9000,
    epochs: int = 10,
    seeds: Sequence[int] = (1, 2, 3),
    n_folds: int = 5,
    n_jobs: int = 1,
    progress: bool = False,
) -> Table:
    """Train and adapt every run, and classify every galaxy by models that have not seen it.

    Parameters
    ----------
    folder : path-like, optional
        Gets data, runs and ``catalogue`` as FITS and ECSV, and ``runs.ecsv``: which folder has the model of a run,
        seed and fold. What is there already is used again.
    galaxies : object, optional
        The survey's pictures: a folder of them, or any form that `~galmerge_da.io.open_cutouts`
        takes. A column of labels is never read here. Without it, `stand_in` makes them.
    image : str, optional
        Column of images or paths.
    survey : str, optional
        What the pictures are, and what the simulated galaxies are made to look like.
    radius : str, optional
        Column of Petrosian radii, or ``"measure"``: pictures of ``sdss-jpeg`` are taken for 0.024 radii a pixel, which
        those of a fixed scale are not.
    objid : str, optional
        Column of SDSS object ids: galaxies of one field share a fold.
    runs : sequence of RealRun, optional
        `REAL_RUNS` by default.
    n : int, optional
        Simulated galaxies.
    epochs : int, optional
        Passes over them, and over the composites of a run that has any, in a training.
    seeds : sequence of int, optional
        Of the trainings; every run is trained with each.
    n_folds : int, optional
        Parts of the galaxies; each is classified by models that have adapted to the others.
    n_jobs : int, optional
        Runs at a time.
    progress : bool, optional
        Show progress bars.

    Returns
    -------
    `~astropy.table.Table`
        The columns of the galaxies without pixels, ``flags``, ``fold``, ``asymmetry``, and
        for each run ``<run>_seed<k>`` and ``<run>``: logits of the merger class
        by one seed, over the eight turns and flips of the frame, and their mean. A
        run with composites also has ``<run>+asymmetry``, `mean_rank` of both
        within a fold, and ``<run> unturned``, the logits of the frame in one orientation. ``Gini-M20`` and ``random
        forest`` are measured shapes and what was trained for them on the simulated galaxies. Its meta has ``RUNS``,
        ``OTHERS``, which are the scores beside those of the runs, ``SECONDS``, how long shapes took an image, the
        ``SOURCE``, the ``SEEDS``, and whether the galaxies are a simulated ``STANDIN``. A galaxy whose picture cannot
        be used, which ``flags`` say, takes part in nothing and has no scores. Columns of the input with such names
        are called ``<name>_in``.

    Raises
    ------
    InputError
        If there are fewer groups than folds, the images cannot be read, or ``objid`` is no column of whole numbers.
    """
    folder, runs = Path(folder), REAL_RUNS if runs is None else runs
    if galaxies is not None:  # what is wrong with their fields is said before anything is simulated
        _folds(open_cutouts(galaxies, image=image, survey=survey, radius=radius).table, objid, n_folds)
    data = read_survey(folder / "data", galaxies, image=image, survey=survey, radius=radius, n=n, progress=progress)
    table, frames = data.table, np.asarray(data.frames["image"])
    fold_of = _folds(table, objid, n_folds)
    table = append_columns(table, [Column(fold_of, name="fold")])
    usable = usable_rows(table)
    kept = []
    logits = {(name, seed): np.full(len(table), np.nan) for run in runs for name in _columns(run) for seed in seeds}
    for fold in range(n_folds):
        rest = seen_rows(table, fold)
        own = np.setdiff1d(usable, rest)
        for run in runs:
            if not run.sees_target and fold:
                continue
            finished = _train(data, run, rest, fold, folder, n=n, epochs=epochs, seeds=seeds, n_jobs=n_jobs)
            rows = own if run.sees_target else usable
            for each in finished:
                kept.append({"run": run.name, "seed": each.seed, "fold": fold, "folder": each.folder.name})
                for name in _columns(run):
                    turns = not name.endswith(_UNTURNED)
                    logits[name, each.seed][rows] = _merger_logits(each.classifier, frames[rows], turns=turns)
    scores: dict[str, np.ndarray] = {}
    for name in (name for run in runs for name in _columns(run)):
        scores |= {f"{name}_seed{seed}": logits[name, seed] for seed in seeds}
        scores[name] = np.mean([logits[name, seed] for seed in seeds], axis=0)
    seconds: dict[str, float] = {}
    scores |= score_shapes(data, seeds, seconds)
    names = [run.name for run in runs]
    for run in runs:
        if run.composites:
            names.append(f"{run.name}+asymmetry")
            for suffix in [*(f"_seed{seed}" for seed in seeds), ""]:
                both = scores[f"{run.name}{suffix}"][usable], scores["asymmetry"][usable]
                ranks = scores[f"{names[-1]}{suffix}"] = np.full(len(table), np.nan)
                ranks[usable] = mean_rank(*both, groups=fold_of[usable])
    table = append_columns(table, [Column(values, name=name) for name, values in scores.items()])
    others = [*(f"{run.name}{_UNTURNED}" for run in runs if run.composites), *SHAPES]
    table.meta = {
        "RUNS": ",".join(names),
        "OTHERS": ",".join(others),
        "SECONDS": ",".join(f"{name}={value:.3g}" for name, value in seconds.items()),
        "SOURCE": data.source.name,
        "SEEDS": ",".join(map(str, seeds)),
        "STANDIN": galaxies is None,
    }
    for name in _OF_A_CATALOGUE:
        (folder / name).unlink(missing_ok=True)
    save_cutouts(data.frames, folder / "data" / "frames.fits", overwrite=True)
    Table(rows=kept).write(folder / "runs.ecsv", overwrite=True)
    for suffix in ("ecsv", "fits"):
        table.write(folder / f"catalogue.{suffix}", overwrite=True)
    return table


def train_for_survey(
    folder: str | PathLike[str],
    galaxies: object,
    *,
    run: RealRun | None = None,
    image: str = "image",
    survey: str = SURVEY,
    radius: str | None = None,
    n: int = 9000,
    epochs: int = 10,
    seed: int = 1,
    progress: bool = False,
) -> MergerClassifier:
    """Train one run on all galaxies of a survey: the classifier to use on it, once the study has said which.

    Its probabilities for these galaxies are *transductive*: it has seen them, without labels.

    Parameters
    ----------
    folder : path-like
        Gets the run, ``model.safetensors``, and ``galaxies.ecsv``: the galaxies, as rows of the input without
        pixels, their ``flags`` (what is ``NOT_CLASSIFIED`` it did not adapt to) and the ``sha256`` of each one's
        pixels as they were read, (C, H, W) of uint8 or float32.
    galaxies : object
        The survey's pictures: a folder of them, or any form that `~galmerge_da.io.open_cutouts` takes. A column of
        labels is never read.
    run : RealRun, optional
        What is trained; ``composites`` of `REAL_RUNS` by default.
    image : str, optional
        Column of images or paths.
    survey : str, optional
        What the pictures are, and what the simulated galaxies are made to look like.
    radius : str, optional
        Column of Petrosian radii, or ``"measure"``: pictures of ``sdss-jpeg`` are taken for 0.024 radii a pixel, which
        those of a fixed scale are not.
    n : int, optional
        Simulated galaxies.
    epochs : int, optional
        Passes over them, and over the composites of a run that has any.
    seed : int, optional
        Of the training.
    progress : bool, optional
        Show progress bars.

    Returns
    -------
    `~galmerge_da.MergerClassifier`

    Raises
    ------
    InputError
        If the images cannot be read.
    """
    folder, run = Path(folder), COMPOSITES if run is None else run
    data = read_survey(folder / "data", galaxies, image=image, survey=survey, radius=radius, n=n, progress=progress)
    (finished,) = _train(data, run, usable_rows(data.table), None, folder, n=n, epochs=epochs, seeds=(seed,))
    hashes = [
        _hash(image, np.uint8 if chunk.stretched else np.float32)
        for chunk in open_cutouts(data.galaxies, **data.reading)
        for image in chunk.data
    ]
    table = append_columns(data.table, [Column(hashes, name="sha256")])
    table.meta = {"RUN": run.name, "SEED": seed}
    table.write(folder / "galaxies.ecsv", overwrite=True)
    shutil.copyfile(finished.model, folder / "model.safetensors")
    return finished.classifier


def _train(data, run, rows, fold, folder, *, n, epochs, seeds, n_jobs=1):
    """Train a run that sees some rows of the target."""
    recipe = {**RECIPE, "training": {**RECIPE["training"], "epochs": epochs}}
    options = {"recipe": recipe, "seeds": seeds, "n_jobs": n_jobs, "progress": data.progress}
    initial = None
    if run.transfer:
        source, target, _ = simulate_pair(folder / "data", n, progress=data.progress)
        starts = run_study([Run(f"{run.name} start", run.adapt)], source, target, folder / "runs", **options)
        initial = {each.seed: each.folder for each in starts}
    target = data.target(rows, "all" if fold is None else f"without-fold{fold}")
    name = "all" if fold is None else f"fold{fold}"
    if run.after:
        before = _train(data, run.after, rows, fold, folder, n=n, epochs=epochs, seeds=seeds, n_jobs=n_jobs)
        logits = np.mean([_merger_logits(each.classifier, data.frames["image"][rows]) for each in before], axis=0)
        rows = without_highest(rows, logits)
    labelled = data.labelled(run.composites, rows, name, seed=fold or 0)
    return run_study([Run(run.name, run.adapt)], labelled, target, folder / "runs", init=initial, **options)


def catalogue_names(runs, seeds):
    """The columns that `run_sim_to_real` adds.

    Parameters
    ----------
    runs : sequence of RealRun
    seeds : sequence of int

    Returns
    -------
    set of str
    """
    seeded = [name for run in runs for name in _columns(run)] + ["random forest"]
    seeded += [f"{run.name}+asymmetry" for run in runs if run.composites]
    single = [f"{name}_seed{seed}" for name in seeded for seed in seeds]
    return {"flags", "fold", "asymmetry", *SHAPES, *seeded, *single}


def _folds(table, objid, n_folds):
    """The fold of each galaxy, by field if there is a column of object ids."""
    if objid is None:
        return assign_folds(np.arange(len(table)), n_folds)
    if objid not in table.colnames:
        raise InputError(f"the galaxies have no column {objid!r}{suggest(objid, table.colnames)}")
    return assign_folds(sdss_field(table[objid]), n_folds)


def without_highest(rows, scores):
    """The rows, in their order, without the share `SET_ASIDE` of them that have the highest scores."""
    return np.sort(rows[np.argsort(scores, kind="stable")[: len(rows) - round(SET_ASIDE * len(rows))]])


def _hash(image, dtype):
    return hashlib.sha256(np.ascontiguousarray(np.nan_to_num(image), dtype)).hexdigest()


def _columns(run):
    """Names of the scores of a run."""
    return (run.name, f"{run.name}{_UNTURNED}") if run.composites else (run.name,)


def _merger_logits(classifier, frames, *, turns=True):
    """Logits of the merger class of linear frames (N, C, H, W), mean over their turns and flips."""
    return logit(np.clip(classifier.predict(frames, turns=turns)[0][:, 1], 1e-9, 1 - 1e-9))
