"""Runs of a study: each is trained once, kept in a folder of its own, and used again.

A study is a set of runs that differ in how they adapt, times some seeds. What
a run leaves behind (model, history, splits, and the logits of held-out rows
after every epoch) is all that tables and figures need.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from astropy.io import fits
from astropy.table import Table
from joblib import Parallel, delayed
from tqdm import tqdm

from galmerge_da.exceptions import InputError
from galmerge_da.inference import MergerClassifier
from galmerge_da.inference.predict import limit_threads
from galmerge_da.training import TracedSplit, read_recipe, train
from galmerge_da.training.memory import keep_memory

__all__ = ["FinishedRun", "Run", "is_current", "load_run", "run_study"]


@dataclass(frozen=True)
class Run:
    """One way to train.

    Parameters
    ----------
    name : str
        As in tables and figures.
    adapt : mapping, optional
        Losses and their weights, as for `galmerge_da.train`; none for the source alone.
    training : mapping, optional
        What differs from the study's recipe in ``[training]``.
    init : str, optional
        Name of a run of the same seed whose model this one starts from.
    """

    name: str
    adapt: Mapping = field(default_factory=dict)
    training: Mapping = field(default_factory=dict)
    init: str | None = None


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """What a run left behind.

    Attributes
    ----------
    run : str
    backbone : str
    seed : int
    folder : `~pathlib.Path`
        With ``model.safetensors`` and more.
    history : `~astropy.table.Table`
        As in `~galmerge_da.TrainingResult`.
    splits : `~astropy.table.Table`
    trace : dict of (str, str) to `~galmerge_da.training.TracedSplit`
    losses : tuple of str
        What was optimised besides the cross-entropy.
    """

    run: str
    backbone: str
    seed: int
    folder: Path
    history: Table
    splits: Table
    trace: dict
    losses: tuple

    @property
    def model(self):
        """Path of the classifier."""
        return self.folder / "model.safetensors"

    @property
    def classifier(self):
        """The classifier, read anew."""
        return MergerClassifier.load(self.model)


def run_study(
    runs, source, target, folder, *, recipe, seeds, backbones=("deepmerge",), init=None, n_jobs=1,
    progress=False,
):  # fmt: skip
    """Train every run with every seed and backbone, or take it from the folder where it is there already.

    Parameters
    ----------
    runs : sequence of Run
        One that starts from another stands after it.
    source, target : path-like
        Data sets; labels of the target are not looked at.
    folder : path-like
        Each run gets a sub-folder, named by run, backbone, seed, and a
        fingerprint of recipe, data and the package's version. A run that was
        interrupted goes on.
    recipe : mapping
        Tables of the recipe that all runs share.
    seeds : sequence of int
    backbones : sequence of str, optional
    init : mapping of int to path-like, optional
        Seed -> folder of a finished run that all runs without a start of their own begin with.
    n_jobs : int, optional
        Runs at a time, each on its share of the cores.
    progress : bool, optional
        Show a bar of finished runs.

    Returns
    -------
    list of FinishedRun
        In the order of backbones, runs and seeds.

    Raises
    ------
    ConfigError, InputError, TrainingError
        As `galmerge_da.train`.
    """
    folder = Path(folder)
    data = _fingerprint_of_files(source, target)
    tasks = [
        _Task(run, backbone, seed, _recipe(recipe, run), data)
        for backbone in backbones for run in runs for seed in seeds
    ]  # fmt: skip
    threads = max(1, (os.cpu_count() or 1) // n_jobs)
    places, starts = {}, {}
    with tqdm(total=len(tasks), disable=not progress, desc="train", unit="run") as bar:
        for stage in _stages(runs):
            some = [task for task in tasks if task.run in stage]
            for task in some:
                given = task.run.init and places[task.run.init, task.backbone, task.seed]
                starts[task] = given or (init or {}).get(task.seed)
                places[task.run.name, task.backbone, task.seed] = folder / task.folder_name(starts[task])
            work = (
                delayed(_train)(
                    task, source, target, places[task.run.name, task.backbone, task.seed], starts[task], threads
                )
                for task in some
            )
            for _ in Parallel(n_jobs=n_jobs, return_as="generator_unordered")(work):
                bar.update()
    return [load_run(places[task.run.name, task.backbone, task.seed]) for task in tasks]


def load_run(folder):
    """What a run left in its folder.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    FinishedRun

    Raises
    ------
    InputError
        If there is no finished run, or a file of it is damaged.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        raise InputError(f"{folder} has no finished run")
    try:
        said = json.loads((folder / "run.json").read_text())
        with (folder / "trace.npz").open("rb") as file, np.load(file) as stored:
            keys = [tuple(key.split(".")) for key in said["traced"]]
            trace = {
                (domain, split): TracedSplit(
                    *(stored[f"{domain}.{split}.{part}"] for part in ("rows", "ids", "logits"))
                )
                for domain, split in keys
            }
        return FinishedRun(
            said["run"],
            said["backbone"],
            said["seed"],
            folder,
            Table.read(folder / "history.ecsv"),
            Table.read(folder / "splits.ecsv"),
            trace,
            tuple(said["losses"]),
        )
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise InputError(f"{folder} is damaged ({error}): remove it, and the run is trained again") from error


def is_current(path):
    """Whether a data set is there and can be read, and no other version of the package simulated it.

    Parameters
    ----------
    path : path-like
        Of a FITS data set.

    Returns
    -------
    bool
    """
    try:
        made_by = fits.getheader(path, 1).get("SIMVERS")
    except (OSError, IndexError):
        return False
    return made_by is None or made_by.split(",")[0] == f"galmerge_da {version('galmerge_da')}"


@dataclass(frozen=True, eq=False)
class _Task:
    """A run with a seed and a backbone."""

    run: Run
    backbone: str
    seed: int
    recipe: Mapping
    data: str

    def folder_name(self, start):
        """Where it is kept; another recipe, version or start, or other data, is another folder."""
        made_by = version("galmerge_da")
        what = json.dumps([self.recipe, self.data, start and Path(start).name, made_by], sort_keys=True)
        digest = hashlib.sha256(what.encode()).hexdigest()[:8]
        name = "".join(letter if letter.isalnum() else "-" for letter in self.run.name.lower())
        return f"{name}-{self.backbone}-seed{self.seed}-{digest}"


def _recipe(recipe, run):
    """The tables of one run, complete, as plain values."""
    training = {**recipe.get("training", {}), **run.training, "trace": True}
    return read_recipe({**recipe, "training": training}, adapt=run.adapt).to_dict()


def _stages(runs):
    """Runs in groups, each of which needs only those before it."""
    left, done = list(runs), set()
    while left:
        stage = [run for run in left if run.init is None or run.init in done]
        if not stage:
            raise InputError(f"run {left[0].name!r} starts from {left[0].init!r}, which is not in the study")
        yield stage
        done |= {run.name for run in stage}
        left = [run for run in left if run not in stage]


def _train(task, source, target, folder, start, threads):
    """Train one run unless it is there; its folder says last that it is finished."""
    if (folder / "run.json").is_file():
        return
    keep_memory()
    with limit_threads(threads):
        result = train(
            source, target, recipe=task.recipe, backbone=task.backbone, seed=task.seed, output=folder,
            init=start and start / "model.safetensors",
        )  # fmt: skip
    stored = {
        f"{domain}.{split}.{part}": getattr(traced, part)
        for (domain, split), traced in result.trace.items()
        for part in ("rows", "ids", "logits")
    }
    np.savez(folder / "trace.npz", **stored)
    said = {
        "run": task.run.name,
        "backbone": task.backbone,
        "seed": task.seed,
        "losses": list(task.recipe["adapt"]),
        "traced": [".".join(key) for key in result.trace],
        "epoch": result.selected.epoch,
    }
    part = folder / ".run.json.part"
    part.write_text(json.dumps(said))
    os.replace(part, folder / "run.json")


def _fingerprint_of_files(*paths):
    digest = hashlib.sha256()
    for path in paths:
        with Path(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
