"""The sim-to-sim study of Ciprijanovic et al. 2021: from idealised to noisy images of simulated galaxies.

The same kind of galaxies is seen without noise (the source) and with it (the
target). Five runs adapt in five ways; what the labels of the target are used
for is scores, after everything is trained.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from galmerge_da.evaluation import append_look, check_ledger
from galmerge_da.exceptions import ConfigError
from galmerge_da.experiments.baselines import add_baselines
from galmerge_da.experiments.figures import draw_sim_to_sim, measure_gaps
from galmerge_da.experiments.published import FRAMES, published_pair
from galmerge_da.experiments.study import Run, is_current, run_study
from galmerge_da.experiments.study_report import describe_looks, report_study
from galmerge_da.experiments.study_tables import (
    format_summary,
    report_selectors,
    score_runs,
    summarise_runs,
    summarise_selectors,
)
from galmerge_da.io import save_cutouts
from galmerge_da.io.downloads import DATASETS
from galmerge_da.plugins import get_backbone
from galmerge_da.simulation import simulate

__all__ = ["POSTER", "RUNS", "SURVEYS", "run_sim_to_sim", "simulate_pair"]

SURVEYS = ("deepmerge-z2-pristine", "deepmerge-z2")

#: The simulation is frozen: these seeds make its galaxies, and no adaptation was scored on them before that.
SEEDS = (101, 102)

#: "+F" is Fisher loss and entropy minimisation.
RUNS = (
    Run("noDA"),
    Run("MMD", {"mmd": 1.0}),
    Run("MMD+F", {"mmd": 1.0, "fisher": 0.01, "entropy": {"weight": 0.05, "domains": "both"}}),
    Run("ADA", {"dann": 1.0}),
    Run("ADA+F", {"dann": 1.0, "fisher": 0.01, "entropy": {"weight": 0.01, "domains": "both"}}),
)

#: Joins `RUNS` on published data of real galaxies: it starts from `MMD` on the published simulated pair, `BEFORE`.
TRANSFER = Run("TL+MMD", {"mmd": 1.0})
BEFORE = "deepmerge-simsim"

#: The run that is trained on the target's labels: what adaptation could reach.
CEILING = "target labels"

_NAMES = ("auc", "accuracy", "precision", "recall", "f1", "brier")
_PUBLISHED = {
    "noDA": ((0.92, 0.85, 0.88, 0.83, 0.86, 0.11), (0.74, 0.58, 0.99, 0.08, 0.14, 0.47)),
    "MMD": ((0.93, 0.87, 0.88, 0.87, 0.88, 0.10), (0.85, 0.77, 0.81, 0.72, 0.76, 0.17)),
    "MMD+F": ((0.93, 0.84, 0.87, 0.84, 0.86, 0.11), (0.86, 0.77, 0.79, 0.75, 0.77, 0.16)),
    "ADA": ((0.94, 0.87, 0.88, 0.89, 0.87, 0.09), (0.87, 0.79, 0.79, 0.81, 0.80, 0.16)),
    "ADA+F": ((0.94, 0.87, 0.90, 0.86, 0.88, 0.10), (0.82, 0.74, 0.78, 0.68, 0.73, 0.21)),
}

#: (run, domain) -> scores of the poster.
POSTER = {
    (run, domain): dict(zip(_NAMES, values, strict=True))
    for run, rows in _PUBLISHED.items()
    for domain, values in zip(("source", "target"), rows, strict=True)
}

#: The paper's, of simulated and real galaxies, as far as they are known.
PAPER_REAL = {
    ("noDA", "source"): {"auc": 0.97, "accuracy": 0.92},
    ("noDA", "target"): {"auc": 0.58, "accuracy": 0.50},
    ("MMD", "source"): {"auc": 0.98},
    ("MMD", "target"): {"auc": 0.60},
    ("TL+MMD", "source"): {"auc": 0.90, "accuracy": 0.83},
    ("TL+MMD", "target"): {"auc": 0.76, "accuracy": 0.69},
}

RECIPE = {
    "training": {
        "epochs": 20,
        "learning_rate": 1e-3,
        "betas": [0.7, 0.8],
        "weight_decay": 1e-3,
        "patience": 20,
        "precision": "bfloat16",
    },
}


def run_sim_to_sim(
    folder: str | PathLike[str] = "sim-to-sim",
    *,
    data: str | None = None,
    n: int | None = 6000,
    epochs: int = 20,
    seeds: Sequence[int] = (1, 2, 3),
    backbones: Sequence[str] = ("deepmerge",),
    runs: Sequence[Run] | None = None,
    ledger: str | PathLike[str] | None = None,
    downloads: str | PathLike[str] | None = None,
    ceiling: bool | None = None,
    n_jobs: int = 1,
    progress: bool = False,
) -> tuple[Table, Table]:
    """Run the study; what was finished before is used again.

    Parameters
    ----------
    folder : path-like, optional
        Gets the data and the runs; as FITS and ECSV ``scores``, ``summary``, ``domain_gap``, what each selector of
        epochs ``picked`` and what it cost (``selectors``); ``figures``, and ``report.html``, which shows them.
    data : str, optional
        A published data set that has been downloaded (``"deepmerge-simsim"``), instead of simulated galaxies.
    n : int or None, optional
        Galaxies per domain; the paper had 15,000. Of published data, images at most; None takes all.
    epochs : int, optional
    seeds : sequence of int, optional
        Of the trainings; the galaxies are always the same.
    backbones : sequence of str, optional
    runs : sequence of Run, optional
        By default noDA, MMD, MMD+F, ADA, ADA+F, and TL+MMD if the target's galaxies are real.
    ledger : path-like, optional
        Where a look at labels of real galaxies is written down; published data of real galaxies need it.
    downloads : path-like, optional
        Where the published files are; by default in astropy's cache.
    ceiling : bool, optional
        Whether networks are also trained on the target's labels; by default unless these are of real galaxies.
    n_jobs : int, optional
        Runs at a time.
    progress : bool, optional

    Returns
    -------
    scores, summary : `~astropy.table.Table`

    Raises
    ------
    ConfigError
        If the target's galaxies are real and there is no ledger.
    InputError
        If published data have not been downloaded; TL+MMD needs ``deepmerge-simsim`` too. If the ledger cannot be
        written to.
    PluginError
        If no such backbone is installed.
    """
    folder = Path(folder)
    real = data in DATASETS and DATASETS[data].real
    usual = (*RUNS, TRANSFER) if real else RUNS
    runs = usual if runs is None else tuple(runs)
    if real and ledger is None:
        raise ConfigError(f"the labels of {data} are of real galaxies: give ledger, where every look is written down")
    if ledger is not None:
        check_ledger(ledger)
    for name in backbones:
        get_backbone(name)  # before anything is simulated
    if data is None:
        source, target, labels = simulate_pair(folder / "data", n, progress=progress)
    else:
        source, target, labels = published_pair(folder / "data", data, n=n, downloads=downloads)
    before = published_pair(folder / "data", BEFORE, n=n, downloads=downloads)[:2] if TRANSFER in runs else None
    frames = {} if data is None else {"preprocessing": FRAMES}
    recipe = {
        **RECIPE,
        **frames,
        "training": {**RECIPE["training"], "epochs": epochs, "selector": "last", "watch": "all"},
    }
    options = {"recipe": recipe, "seeds": seeds, "backbones": backbones, "n_jobs": n_jobs, "progress": progress}
    finished = run_study([run for run in runs if run != TRANSFER], source, target, folder / "runs", **options)
    if TRANSFER in runs:
        finished += _transfer(folder / "runs", before, source, target, **options)
    scores = add_baselines(score_runs(finished, labels), finished, source, target, labels, progress=progress)
    ceiling = not real if ceiling is None else ceiling
    if ceiling:
        reached = score_ceiling(folder, target, labels["target"], **options)
        scores = vstack([scores, reached], metadata_conflicts="silent")
    summary = add_gap_closed(summarise_runs(scores, selector="last", published=PAPER_REAL if real else POSTER))
    gaps = measure_gaps(finished, labels, source, target)
    picked = report_selectors(finished, labels["target"])
    selectors = summarise_selectors(picked)
    tables = {
        "scores": scores, "summary": summary, "domain_gap": gaps, "picked": picked, "selectors": selectors,
    }  # fmt: skip
    chosen = "" if runs == usual else f", runs=[{', '.join(run.name for run in runs)}]"
    chosen += "" if data is None else f", data={data!r}"
    chosen += f", ceiling={ceiling}" if ceiling == real else ""
    call = f"run_sim_to_sim(n={n}, epochs={epochs}, seeds={tuple(seeds)}, backbones={tuple(backbones)}{chosen})"
    if real and data is not None and ledger is not None:
        rows = summary[summary["domain"] == "target"]
        figures_seen = {f"{row['run']}_{name}": float(row[name]) for row in rows for name in ("auc", "accuracy")}
        note = "what each selector and the oracle would have picked included"
        note += ", and a run that is trained on the target's labels" if ceiling else ""
        append_look(ledger, dataset=data, command=call, figures=figures_seen, note=note)
    for name, table in tables.items():
        for suffix in ("ecsv", "fits"):
            table.write(folder / f"{name}.{suffix}", overwrite=True)
    (folder / "summary.txt").write_text(format_summary(summary) + "\n")
    figures = draw_sim_to_sim(folder, finished, labels, source, target)
    facts = {
        "Source": source.stem,
        "Target": target.stem,
        "Looks at labels of real galaxies": (
            describe_looks(ledger, data)
            if real
            else "none: all are simulated; labels of the target are for scores, and the oracle"
        ),
    }
    report_study(
        folder / "report.html", f"From simulated to real galaxies: {data}" if real else
        "From idealised to noisy images of simulated galaxies", call=call, facts=facts, scores=scores,
        summary=summary, gaps=gaps, selectors=selectors, figures=figures,
    )  # fmt: skip
    return scores, summary


def _transfer(folder, before, source, target, *, backbones, **options):
    """Runs of `TRANSFER`, each of which starts from one with its seed that adapted to the pair ``before``."""
    finished = []
    for backbone in backbones:
        own = {"backbones": (backbone,), **options}
        starts = run_study([Run(f"{TRANSFER.name} start", TRANSFER.adapt)], *before, folder, **own)
        initial = {each.seed: each.folder for each in starts}
        finished += run_study([TRANSFER], source, target, folder, init=initial, **own)
    return finished


def score_ceiling(folder, target, labels, *, recipe, **options):
    """What the network reaches on the target if it is trained on the target's own labels.

    Parameters
    ----------
    folder : path-like
        That of the study.
    target : `~pathlib.Path`
        The data set without labels.
    labels : array_like of int
        Its labels.
    recipe, **options
        As for `~galmerge_da.experiments.study.run_study`.

    Returns
    -------
    `~astropy.table.Table`
        Rows as `~galmerge_da.experiments.study_tables.score_runs` gives them, of the run `CEILING`
        on held-out rows of the target.
    """
    path = Path(folder) / "data" / f"{target.stem}-labelled.fits"
    if not is_current(path):
        table = Table.read(target)
        table["label"] = np.asarray(labels)
        save_cutouts(table, path, overwrite=True)
    recipe = {**recipe, "training": {**recipe["training"], "watch": []}}
    finished = run_study([Run(CEILING)], path, target, Path(folder) / "runs", recipe=recipe, **options)
    scores = score_runs(finished, {"source": labels, "target": labels}, selectors=("last",))
    scores = scores[(scores["selector"] == "last") & (scores["domain"] == "source")]
    scores["domain"], scores["uses_target_labels"] = "target", True
    scores["seconds_per_image"], scores["n_unmeasured"] = np.nan, 0
    return scores


def add_gap_closed(summary):
    """A summary with the share of the distance between noDA and the ceiling, in AUC on the target, that a run closes.

    Parameters
    ----------
    summary : `~astropy.table.Table`
        As `~galmerge_da.experiments.study_tables.summarise_runs` gives it.

    Returns
    -------
    `~astropy.table.Table`
        With ``gap_closed``; NaN where noDA or the ceiling is not there, on the source and for baselines.
    """
    reached = {
        (row["backbone"], row["run"]): row["auc"] for row in summary if row["domain"] == "target" and row["backbone"]
    }
    closed = []
    for row in summary:
        low, high = (reached.get((row["backbone"], name), np.nan) for name in ("noDA", CEILING))
        own = row["auc"] if row["domain"] == "target" and row["backbone"] else np.nan
        closed.append((own - low) / (high - low) if high != low else np.nan)
    summary["gap_closed"] = closed
    return summary


def simulate_pair(folder, n, *, surveys=SURVEYS, seeds=SEEDS, progress=False):
    """Data sets of both domains; those of an earlier call are used again.

    Parameters
    ----------
    folder : path-like
        Gets a FITS data set a domain; the target's has no labels, they are in a file of their own.
    n : int
        Galaxies per domain.
    surveys : (str, str), optional
    seeds : (int, int), optional
    progress : bool, optional

    Returns
    -------
    source, target : `~pathlib.Path`
    labels : dict of str to `~numpy.ndarray` of int
        ``"source"`` and ``"target"``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths, labels = [], {}
    for domain, survey, seed in zip(("source", "target"), surveys, seeds, strict=True):
        stem = f"{domain}-{survey}-n{n}-seed{seed}"
        path, truth = folder / f"{stem}.fits", folder / f"{stem}-labels.ecsv"
        if not (is_current(path) and truth.is_file()):
            table = simulate(n, survey, seed=seed, progress=progress)
            table["id", "group", "label", "stage"].write(truth, overwrite=True)
            if domain == "target":
                table.remove_columns(["label", "stage", "kind", "mass_ratio", "separation", "time"])
            save_cutouts(table, path, overwrite=True)
        paths.append(path)
        labels[domain] = np.asarray(Table.read(truth)["label"])
    return *paths, labels
