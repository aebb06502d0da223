"""The page and the figures of the sim-to-real study."""

from os import PathLike
from pathlib import Path

import numpy as np
from astropy.table import Table

from galmerge_da.exceptions import InputError
from galmerge_da.experiments.real_data import usable_rows
from galmerge_da.experiments.real_inside import draw_inside
from galmerge_da.experiments.real_scores import labelled_rows, seed_columns
from galmerge_da.experiments.study_report import describe_looks, describe_run
from galmerge_da.io import open_cutouts
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess
from galmerge_da.visualization import (
    plot_completeness_purity,
    plot_montage,
    plot_roc_study,
    write_report,
)

__all__ = ["choose_lines", "report_real"]

_DPI = 200
_SHOWN = 30
#: Scores that are drawn as lines, of those there are; no more can be told apart.
_LINES = ("noDA", "composites", "composites+asymmetry", "MMD", "ADA", "random forest", "asymmetry")


def report_real(
    folder: str | PathLike[str],
    catalogue: Table,
    *,
    call: str,
    scores: Table | None = None,
    selectors: Table | None = None,
    label: str | None = None,
    best: str | None = None,
    baseline: str = "asymmetry",
    ledger: str | PathLike[str] | None = None,
    dataset: str = "",
) -> Path:
    """Draw the figures, and write ``report.html`` that shows them beside the scores.

    Parameters
    ----------
    folder : path-like
        Of `run_sim_to_real`; gets the page and ``figures/``.
    catalogue : `~astropy.table.Table`
        What that gave.
    call : str
        What was called.
    scores : `~astropy.table.Table`, optional
        As `score_real` gives it; without it no label is drawn.
    selectors : `~astropy.table.Table`, optional
        As `compare_selectors` gives it.
    label : str, optional
        Column of the labels that they were made from.
    best : str, optional
        Run whose most probable mergers are shown; ``composites+asymmetry`` by default, or else the last of them.
    baseline : str, optional
        Column that is drawn beside the runs.
    ledger : path-like, optional
        Where looks at labels of real galaxies are written down, this one among them.
    dataset : str, optional
        Which labels these are in the ledger.

    Returns
    -------
    `~pathlib.Path`
        The page.

    Raises
    ------
    InputError
        If there are scores and no label.
    """
    if scores is not None and label is None:
        raise InputError("scores are drawn by the labels that they were made from: give label")
    folder = Path(folder)
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    runs = [run for run in catalogue.meta["RUNS"].split(",") if run]
    best = best or ("composites+asymmetry" if "composites+asymmetry" in runs else runs[-1])
    frames = np.asarray(Table.read(folder / "data" / "frames.fits")["image"])
    simulated_survey = bool(catalogue.meta.get("STANDIN"))
    usable = usable_rows(catalogue)
    order = usable[np.argsort(-np.asarray(catalogue[best])[usable], kind="stable")[:_SHOWN]]
    captions = {}

    def save(name, artist, caption):
        artist.figure.savefig(figures / f"{name}.png", dpi=_DPI)
        captions[figures / f"{name}.png"] = caption

    simulated = _simulated_frames(folder / "data" / catalogue.meta["SOURCE"])
    real = usable[np.linspace(0, len(usable) - 1, 16).astype(int)]
    save(
        "domains",
        plot_montage(np.concatenate([simulated, frames[real]]), n_columns=8),
        "Simulated mergers (first row) and other simulated galaxies (second), and galaxies of the survey (below), "
        "sixteen at equal steps of its table.",
    )
    save(
        "candidates",
        plot_montage(frames[order], [f"{k + 1}" for k in range(len(order))], n_columns=6),
        f"The {len(order)} galaxies that {best} ranks highest, each by models that have not seen it.",
    )
    tables = {}
    if scores is not None and label is not None:
        rows, truth = labelled_rows(catalogue, label)
        lines = choose_lines(catalogue, [*runs, baseline], best, baseline)
        columns = {name: seed_columns(catalogue[rows], name, fill=name == baseline) for name in lines}
        title = "simulated stand-in" if simulated_survey else "real galaxies"
        curves = {title: {name: [(truth, each) for each in columns[name]] for name in lines}}
        held = "Each galaxy by models that have not seen it; mean and standard deviation over seeds."
        if not {*runs, baseline} <= set(lines):
            held += " The table of scores has those that are not drawn."
        save("roc", plot_roc_study(curves)[0], f"Receiver operating characteristics. {held}")
        save(
            "completeness_purity",
            plot_completeness_purity(curves, prevalence=truth.mean())[0],
            f"Purity against completeness at the survey's own share of mergers. {held}",
        )
        tables["Scores of the mean over seeds, with 95% intervals over seeds and galaxies"] = _scores(scores)
        tables[f"Differences to {baseline}, galaxy by galaxy"] = _differences(scores, baseline)
    if selectors is not None and len(selectors):
        tables["AUC lost by who chooses the epoch, against an oracle that sees the labels"] = selectors
    drawn = draw_inside(folder, catalogue, best, label=None if scores is None else label)
    for name, (figure, caption) in drawn.items():
        save(name, figure, caption)
    n_unusable = len(catalogue) - len(usable)
    facts = {
        "Call": call,
        "Galaxies": str(len(catalogue)) + (f", {n_unusable} of them without a usable picture" if n_unusable else ""),
        "Looks at labels of real galaxies": _looks(scores is not None, simulated_survey, ledger, dataset),
        **describe_run(),
    }
    page = folder / "report.html"
    write_report(page, "From simulated to real galaxies", facts=facts, tables=tables, figures=captions)
    return page


def _looks(labelled, simulated, ledger, dataset):
    """What a report says of looks at labels."""
    if not labelled:
        return "none"
    if simulated:
        return "none: the galaxies are a simulated stand-in, with labels of their own"
    return describe_looks(ledger, dataset)


def choose_lines(catalogue, names, best, baseline):
    """Which scores are drawn as lines: no more than can be told apart, the usual ones before others.

    Parameters
    ----------
    catalogue : `~astropy.table.Table`
        As `run_sim_to_real` gives it.
    names : sequence of str
        Its scores that may be drawn; the random forest may be, too, if it is there.
    best, baseline : str
        Two of the names, drawn in any case.

    Returns
    -------
    list of str
        In the order in which lines are given their colours.
    """
    there = [*names, *(name for name in ("random forest",) if name in catalogue.colnames and name not in names)]
    chosen = list(dict.fromkeys(name for name in (best, baseline, *_LINES, *there) if name in there))[: len(_LINES)]
    return sorted(chosen, key=[*_LINES, *there].index)


def _simulated_frames(path):
    """Eight mergers and eight other galaxies of a simulated data set."""
    cutouts = next(iter(open_cutouts(path, chunk_size=64)))
    made = preprocess(cutouts, PreprocessingRecipe(bands=cutouts.bands))
    labels = np.asarray(cutouts.table["label"])
    return np.concatenate([made.data[np.flatnonzero(labels == value)[:8]] for value in (1, 0)])


def _scores(scores):
    rows = []
    for row in scores:
        shown = {
            name: f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"
            for name in ("auc", "ap", "completeness_50", "completeness_80")
        }
        single = f"{row['auc_seeds']:.3f}" + (f" ± {row['auc_seeds_sd']:.3f}" if row["n_seeds"] > 1 else "")
        rows.append({"run": row["run"]} | shown | {"auc of one seed": single})
    return Table(rows=rows)


def _differences(scores, baseline):
    rows = []
    for row in scores[scores["run"] != baseline]:
        keys = {name: f"{name}_minus_{baseline}" for name in ("auc", "ap")}
        rows.append(
            {"run": row["run"]}
            | {
                name: f"{row[key]:+.3f} [{row[f'{key}_low']:+.3f}, {row[f'{key}_high']:+.3f}]"
                for name, key in keys.items()
            }
        )
    return Table(rows=rows)
