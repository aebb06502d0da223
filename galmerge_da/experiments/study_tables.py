"""Tables of a study: scores of every run by selector and domain, their mean and spread over seeds."""

import numpy as np
from astropy.table import Table, vstack

from galmerge_da.evaluation import selection_report
from galmerge_da.metrics import TemperatureCalibrator, binary_scores, purity_at_prevalence, roc_auc
from galmerge_da.training.selection import SELECTORS, WATCHED, choose_epoch

__all__ = [
    "BASELINE",
    "ORACLE",
    "SCORES",
    "format_score",
    "format_summary",
    "probabilities",
    "report_selectors",
    "score_runs",
    "scores_of",
    "summarise_runs",
    "summarise_selectors",
]

#: The selector that looks at labels of the target; it says so in every table.
ORACLE = "oracle"

#: The selector of what has no epochs.
BASELINE = "none"

SCORES = (
    "auc", "average_precision", "accuracy", "precision", "recall", "f1", "brier", "ece", "purity_5", "completeness_5",
)  # fmt: skip

#: Share of mergers that purity and completeness are given for.
PREVALENCE = 0.05


def score_runs(finished, labels, *, selectors=SELECTORS):
    """Score runs on the held-out rows of both domains.

    Parameters
    ----------
    finished : list of FinishedRun
    labels : mapping of str to array_like of int
        ``"source"`` and ``"target"`` -> class of every row of the data set. Those of the target are used for
        scores, and by the oracle; by nothing else.
    selectors : sequence of str, optional
        Who chooses the epoch, all that were watched by default; the oracle is added.

    Returns
    -------
    `~astropy.table.Table`
        One row per run, seed, selector and domain: ``run``, ``backbone``,
        ``seed``, ``selector``, ``uses_target_labels``, ``epoch``, ``domain``,
        ``n`` and the scores: ``precision`` and ``recall`` are at a threshold of
        one half; ``purity_5`` and ``completeness_5`` are those if 5 % were
        mergers. Probabilities are calibrated on the source's validation split.
    """
    rows = []
    for run in finished:
        for selector in (*selectors, ORACLE):
            if selector in WATCHED and f"select_{selector}" not in run.history.colnames:
                continue
            seeing = selector == ORACLE
            epoch = _oracle_epoch(run, labels["target"]) if seeing else choose_epoch(run.history, selector)[0]
            about = {
                "run": run.run, "backbone": run.backbone, "seed": run.seed, "selector": selector,
                "uses_target_labels": seeing, "epoch": epoch,
            }  # fmt: skip
            for domain in ("source", "target"):
                rows.append({**about, "domain": domain, **scores_of(*probabilities(run, domain, epoch, labels))})
    return Table(rows=rows)


def scores_of(truth, probs):
    """The scores of a table's row.

    Parameters
    ----------
    truth : `~numpy.ndarray` of int, shape (N,)
    probs : `~numpy.ndarray` of float, shape (N,)

    Returns
    -------
    dict
        ``n`` and the names of `SCORES`.
    """
    values = binary_scores(truth, probs)
    purity, completeness = purity_at_prevalence(truth, probs, PREVALENCE)
    values |= {"precision": values["purity"], "recall": values["completeness"]}
    values |= {"purity_5": purity, "completeness_5": completeness}
    return {"n": values["n"], **{name: values[name] for name in SCORES}}


def probabilities(run, domain, epoch, labels):
    """Truth and calibrated probability of the held-out rows of a domain after an epoch.

    Parameters
    ----------
    run : FinishedRun
    domain : {"source", "target"}
    epoch : int
        Counted from 1.
    labels : mapping of str to array_like of int

    Returns
    -------
    truth : `~numpy.ndarray` of int, shape (N,)
    probs : `~numpy.ndarray` of float, shape (N,)
    """
    index = epoch - 1
    validation, test = run.trace["source", "validation"], run.trace[domain, "test"]
    calibrator = TemperatureCalibrator.fit(validation.logits[index], np.asarray(labels["source"])[validation.rows])
    return np.asarray(labels[domain])[test.rows], calibrator.transform(test.logits[index])[:, 1]


def summarise_runs(scores, *, selector, published=None):
    """Mean and standard deviation over seeds, beside what was published.

    Parameters
    ----------
    scores : `~astropy.table.Table`
        As `score_runs` gives it.
    selector : str
    published : mapping of (str, str) to mapping, optional
        (run, domain) -> published value of some scores.

    Returns
    -------
    `~astropy.table.Table`
        One row per backbone, run and domain, baselines too: ``n_seeds``, for each score ``<score>``, ``<score>_sd``
        and, where there is one, ``<score>_published``, ``uses_target_labels`` (the run was trained on them), and
        ``seconds_per_image`` of what is measured without a network.
    """
    chosen = scores[(scores["selector"] == selector) | (scores["selector"] == BASELINE)]
    rows = []
    for backbone in dict.fromkeys(chosen["backbone"]):
        for run in dict.fromkeys(chosen["run"]):
            for domain in ("source", "target"):
                own = chosen[(chosen["backbone"] == backbone) & (chosen["run"] == run) & (chosen["domain"] == domain)]
                if not len(own):
                    continue
                row = {"backbone": backbone, "run": run, "domain": domain, "n_seeds": len(own)}
                for name in SCORES:
                    row[name] = float(np.mean(own[name]))
                    row[f"{name}_sd"] = float(np.std(own[name], ddof=1)) if len(own) > 1 else np.nan
                    row[f"{name}_published"] = (published or {}).get((run, domain), {}).get(name, np.nan)
                row["uses_target_labels"] = bool(np.any(own["uses_target_labels"]))
                seconds = own["seconds_per_image"] if "seconds_per_image" in own.colnames else np.full(1, np.nan)
                row["seconds_per_image"] = float(np.mean(np.ma.filled(seconds, np.nan)))
                rows.append(row)
    table = Table(rows=rows)
    table.meta["SELECTOR"] = selector
    return table


def report_selectors(finished, labels):
    """What each selector picked in every run, and what it cost against the oracle.

    Parameters
    ----------
    finished : list of FinishedRun
    labels : array_like of int
        Class of every row of the target.

    Returns
    -------
    `~astropy.table.Table`
        ``run``, ``backbone``, ``seed`` and the columns of `~galmerge_da.evaluation.selection_report`.
    """
    parts = []
    for run in finished:
        table = selection_report(run, labels)
        for index, name in enumerate(("run", "backbone", "seed")):
            table.add_column([getattr(run, name)] * len(table), index=index, name=name)
        parts.append(table)
    return vstack(parts, metadata_conflicts="silent")


def summarise_selectors(table):
    """Each selector over all runs that adapt: mean and largest AUC lost, mean rank correlation, least loss first.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As `report_selectors` gives it. Runs in which the selector was a loss do not count.

    Returns
    -------
    `~astropy.table.Table`
        ``selector``, ``uses_target_labels``, ``n_runs``, ``auc_lost``, ``auc_lost_max``, ``rank_correlation``.
    """
    rows = []
    for name in dict.fromkeys(table["selector"]):
        own = table[(table["selector"] == name) & (table["run"] != "noDA") & ~table["optimised"]]
        if not len(own):
            continue
        known = own["rank_correlation"][np.isfinite(own["rank_correlation"])]
        rows.append(
            {
                "selector": name,
                "uses_target_labels": bool(np.any(own["uses_target_labels"])),
                "n_runs": len(own),
                "auc_lost": float(np.mean(own["auc_lost"])),
                "auc_lost_max": float(np.max(own["auc_lost"])),
                "rank_correlation": float(np.mean(known)) if len(known) else np.nan,
            }
        )
    return Table(rows=sorted(rows, key=lambda row: row["auc_lost"]))


def format_summary(summary, scores=("auc", "average_precision", "accuracy", "f1", "brier")):
    """A summary as lines of text, mean and spread, with the published value in brackets.

    Parameters
    ----------
    summary : `~astropy.table.Table`
        As `summarise_runs` gives it.
    scores : sequence of str, optional

    Returns
    -------
    str
    """
    header = ["network", "run", "domain", *scores]
    lines = [header]
    for row in summary:
        cells = [row["backbone"] or "-", row["run"], row["domain"]]
        lines.append(cells + [format_score(row, name) for name in scores])
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def format_score(row, name):
    """A score in a row of a summary as text: mean, spread and published value, as far as there are any."""
    text = f"{row[name]:.3f}"
    if np.isfinite(row[f"{name}_sd"]):
        text += f"±{row[f'{name}_sd']:.3f}"
    if np.isfinite(row[f"{name}_published"]):
        text += f" [{row[f'{name}_published']:.2f}]"
    return text


def _oracle_epoch(run, labels):
    traced = run.trace["target", "test"]
    truth = np.asarray(labels)[traced.rows]
    areas = [roc_auc(truth, logits[:, 1] - logits[:, 0]) for logits in traced.logits]
    return int(np.argmax(areas)) + 1
