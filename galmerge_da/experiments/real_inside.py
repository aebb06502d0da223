"""The inside of the sim-to-real study's runs: what selectors would have picked, and the poster's figures."""

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack

from galmerge_da.evaluation.scores import read_labels
from galmerge_da.experiments.figures import (
    EXPLAINED,
    N_POINTS,
    draw_explanations,
    draw_features,
    take_frames,
    untrained_classifier,
)
from galmerge_da.experiments.real_data import seen_rows, usable_rows
from galmerge_da.experiments.study import load_run
from galmerge_da.experiments.study_tables import report_selectors, summarise_selectors
from galmerge_da.training import TracedSplit
from galmerge_da.visualization import plot_histories

__all__ = ["compare_selectors", "draw_inside"]

#: Runs of which figures are drawn, as far as they are there.
_SHOWN = ("noDA", "MMD", "composites")


def compare_selectors(folder: str | PathLike[str], catalogue: Table, label: str) -> Table:
    """What each selector would have picked in every run, and what it cost against an oracle that knows the labels.

    It is a look at the labels, and decides nothing: every run keeps its last epoch.

    Parameters
    ----------
    folder : path-like
        Of `run_sim_to_real`; gets ``picked`` and ``selectors`` as FITS and ECSV.
    catalogue : `~astropy.table.Table`
        What that gave.
    label : str
        Column of the labels, as `score_real` takes it.

    Returns
    -------
    `~astropy.table.Table`
        A row per selector, least loss first: ``selector``, ``uses_target_labels``, ``n_runs``, ``auc_lost`` and
        ``auc_lost_max``, ``rank_correlation`` of its score with the AUC of an epoch; of the galaxies that a run held
        out from those it adapted to, and of all runs but noDA. One that held out no merger does not count; without any
        that counts the table is empty.
    """
    folder = Path(folder)
    (truth, known), parts = read_labels(catalogue, label), []
    for row in Table.read(folder / "runs.ecsv"):
        finished = load_run(folder / "runs" / row["folder"])
        seen = seen_rows(catalogue, row["fold"])
        labels, traced = truth[seen], finished.trace["target", "test"]
        some = known[seen][traced.rows]
        if len(np.unique(labels[traced.rows[some]])) < 2:
            continue
        part = TracedSplit(traced.rows[some], traced.ids[some], traced.logits[:, some])
        finished = replace(finished, trace={**finished.trace, ("target", "test"): part})
        table = report_selectors([finished], labels)
        table.add_column([row["fold"]] * len(table), index=3, name="fold")
        parts.append(table)
    if not parts:
        return Table()
    picked = vstack(parts, metadata_conflicts="silent")
    selectors = summarise_selectors(picked)
    for name, table in (("picked", picked), ("selectors", selectors)):
        for suffix in ("ecsv", "fits"):
            table.write(folder / f"{name}.{suffix}", overwrite=True)
    return selectors


def draw_inside(folder, catalogue, best, *, label=None, seed=0):
    """Histories of all runs, and t-SNE and Grad-CAM of some of them.

    They are of the models of the first fold, and of its galaxies, which these models have not seen.

    Parameters
    ----------
    folder : path-like
        Of `run_sim_to_real`.
    catalogue : `~astropy.table.Table`
        What that gave.
    best : str
        Column of scores; without labels, the galaxy that it ranks highest is explained.
    label : str, optional
        Column of labels, which are drawn, and used for nothing else.
    seed : int, optional
        Of the galaxies that are drawn at random, and of t-SNE.

    Returns
    -------
    dict of str to (`~matplotlib.figure.Figure`, str)
        Name -> figure, caption.
    """
    folder = Path(folder)
    runs = Table.read(folder / "runs.ecsv")
    finished = [load_run(folder / "runs" / name) for name in runs["folder"][runs["fold"] == 0]]
    histories = {}
    for run in finished:
        histories.setdefault(run.run, []).append(run.history)
    n_seeds = max(map(len, histories.values()))
    over = f"; mean and standard deviation over {n_seeds} seeds" if n_seeds > 1 else ""
    drawn = {
        "histories": (
            plot_histories(histories)[0].figure,
            f"Losses and validation on the source, epoch by epoch, in the first fold{over}.",
        )
    }
    first = {run.run: run for run in reversed(finished)}
    names = [name for name in _SHOWN if name in first]
    names = names if len(names) > 1 else list(dict.fromkeys(run.run for run in finished))[:3]
    classifiers = {name: first[name].classifier for name in names}
    frames, classes, rows = _sample(folder, catalogue, first[names[0]], label, seed)
    untrained = {"untrained": untrained_classifier(classifiers[names[0]], first[names[0]].seed)}
    about = f"seed {first[names[0]].seed}, simulated galaxies and those of the first fold"
    drawn["tsne"] = (
        draw_features(untrained | classifiers, frames, classes, seed=seed),
        f"t-SNE of the features, {about}; each network's alone.",
    )
    if len(names) > 1:
        picks = _pick(classes, np.asarray(catalogue[best])[rows], seed)
        pair = {name: classifiers[name] for name in (names[0], names[-1])}
        drawn["gradcam"] = (
            draw_explanations(pair, frames, picks),
            f"Grad-CAM: what speaks for either class, {about}; {EXPLAINED}",
        )
    return drawn


def _sample(folder, catalogue, run, label, seed):
    """Frames and classes by domain, and the rows of the catalogue that the target's are."""
    generator = np.random.default_rng(seed)
    source = folder / "data" / catalogue.meta["SOURCE"]
    truth = np.asarray(Table.read(source)["label"])
    held_out = run.trace["source", "test"].rows
    sources = np.sort(generator.permutation(held_out[held_out < len(truth)])[:N_POINTS])  # composites come after them
    own = np.setdiff1d(usable_rows(catalogue), seen_rows(catalogue, 0))
    targets = np.sort(generator.permutation(own)[:N_POINTS])
    frames = {
        "source": take_frames(run.classifier, source, sources),
        "target": take_frames(run.classifier, folder / "data" / "frames.fits", targets),
    }
    known = np.full(len(targets), 2)
    if label is not None:
        labels, labelled = read_labels(catalogue[targets], label)
        known[labelled] = labels[labelled]
    return frames, {"source": truth[sources], "target": known}, targets


def _pick(classes, scores, seed):
    """Galaxies to explain: one of each class at random if classes are known, or first and middle in rank."""
    generator = np.random.default_rng(seed)
    picks = {}
    for value, name in ((1, "merger"), (0, "non-merger")):
        for domain, known in classes.items():
            if own := np.flatnonzero(known == value).tolist():
                picks[f"{name},\n{domain}", domain] = generator.choice(own)
    if np.all(classes["target"] == 2):
        order = np.argsort(-scores, kind="stable")
        picks["first in rank,\ntarget", "target"] = order[0]
        picks["middle in rank,\ntarget", "target"] = order[len(order) // 2]
    return picks
