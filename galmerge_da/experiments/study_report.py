"""The report of a study: how it was made, its tables and its figures on one page."""

from datetime import UTC, datetime
from importlib.metadata import version
from platform import python_version

import numpy as np
from astropy.table import Table

from galmerge_da.evaluation import read_ledger
from galmerge_da.experiments.study_tables import SCORES, format_score
from galmerge_da.visualization import write_report

__all__ = ["describe_looks", "describe_run", "report_study"]

_PACKAGES = ("galmerge_da", "torch", "numpy", "scipy", "scikit-learn", "astropy", "matplotlib")


def report_study(path, title, *, call, facts, scores, summary, gaps, selectors, figures):
    """Write the report.

    Parameters
    ----------
    path : path-like
        The page, next to the figures' folder.
    title : str
    call : str
        What was called, in Python.
    facts : mapping of str to str
        What else a reader should know of how it was made.
    scores, summary, gaps, selectors : `~astropy.table.Table`
        As `score_runs`, `summarise_runs`, `measure_gaps` and `summarise_selectors` give them.
    figures : mapping of path-like to str
        Figure -> caption.
    """
    facts = {
        "Call": call,
        "Seeds of the trainings": ", ".join(str(seed) for seed in dict.fromkeys(scores["seed"])),
        "Epochs chosen by": summary.meta["SELECTOR"],
        **facts,
        **describe_run(),
    }
    tables = {
        "Scores: mean ± standard deviation over seeds [published]": _summary(summary),
        "AUC on the target, by who chose the epoch (the oracle sees the target's labels)": _by_selector(scores),
        "Distance of the domains in feature space, mean over seeds": _gaps(gaps),
    }
    if len(selectors):
        tables["What selectors of epochs cost against the oracle, over all runs that adapt"] = selectors
    write_report(path, title, facts=facts, tables=tables, figures=figures)


def describe_looks(ledger, dataset):
    """What a report says of looks at labels of real galaxies, this one among them.

    Parameters
    ----------
    ledger : path-like or None
        Where they are written down.
    dataset : str
        Which labels these are in it; all of them if empty.

    Returns
    -------
    str
    """
    if ledger is None:
        return "this report; no ledger was given"
    looks = read_ledger(ledger)["dataset"]
    n = int(np.sum(looks == dataset)) if dataset else len(looks)
    lines = "1 line" if n == 1 else f"{n} lines"
    return f"{lines} of the ledger{f' on {dataset}' if dataset else ''}, this report's among them"


def describe_run():
    """What a report says of when and with what it was made.

    Returns
    -------
    dict of str to str
    """
    return {
        "Versions": ", ".join([f"{name} {version(name)}" for name in _PACKAGES] + [f"Python {python_version()}"]),
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _summary(summary):
    names = [name for name in SCORES if name in summary.colnames]
    rows = [
        {"network": row["backbone"], "run": row["run"], "domain": row["domain"]}
        | {name: format_score(row, name) for name in names}
        for row in summary
    ]
    return Table(rows=rows)


def _by_selector(scores):
    on_target = scores[scores["domain"] == "target"]
    selectors = list(dict.fromkeys(on_target["selector"]))
    rows = []
    for backbone, run in dict.fromkeys(zip(on_target["backbone"], on_target["run"], strict=True)):
        own = on_target[(on_target["backbone"] == backbone) & (on_target["run"] == run)]
        areas = {name: own["auc"][own["selector"] == name] for name in selectors}
        means = {name: float(np.mean(values)) if len(values) else np.nan for name, values in areas.items()}
        rows.append({"network": backbone, "run": run} | means)
    return Table(rows=rows)


def _gaps(gaps):
    names = ["mmd", "domain_auc", "proxy_a_distance", "frechet"]
    rows = []
    for backbone, run, kind in dict.fromkeys(zip(gaps["backbone"], gaps["run"], gaps["class"], strict=True)):
        own = gaps[(gaps["backbone"] == backbone) & (gaps["run"] == run) & (gaps["class"] == kind)]
        rows.append({"network": backbone, "run": run, "class": kind} | {name: np.mean(own[name]) for name in names})
    return Table(rows=rows)
