"""The demonstration: from nothing to a catalogue, and what adaptation did.

Two sets of different galaxies are simulated, one as an idealised survey sees
them (the source, labelled) and one with noise (the target, whose labels are
used for scoring only). A classifier is trained on the source alone, another
with the target's images as well, and both are scored on galaxies of both
domains that neither was trained on or adapted to.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from os import PathLike
from pathlib import Path

import numpy as np
from astropy.table import Table

from galmerge_da.io import write_catalog
from galmerge_da.metrics import binary_scores, roc_auc
from galmerge_da.plugins import get_survey
from galmerge_da.simulation import simulate
from galmerge_da.training import train
from galmerge_da.visualization import plot_montage, plot_roc

__all__ = ["format_scores", "run_demo"]

#: Name of the method -> losses it adapts with, or None for the source alone.
METHODS: dict[str, Mapping[str, float] | None] = {"noDA": None, "MMD": {"mmd": 1.0}}
CATALOGUE_METHOD = "MMD"
N_MONTAGE = 32
N_BOOTSTRAP = 500


def run_demo(
    folder: str | PathLike[str] = "galmerge-demo",
    *,
    n: int = 2000,
    epochs: int = 15,
    seed: int = 1,
    surveys: Sequence[str] = ("deepmerge-z2-pristine", "deepmerge-z2"),
    progress: bool = False,
) -> Table:
    """Simulate, train without and with adaptation, classify, report.

    Parameters
    ----------
    folder : path-like, optional
        Gets ``mergers.fits`` (the whole target, classified with adaptation),
        ``scores.ecsv``, ``roc.png``, ``montage.png`` and a model per method.
        It is made if need be; files of these names are replaced.
    n : int, optional
        Galaxies per domain.
    epochs : int, optional
        Length of the training.
    seed : int, optional
        Of the galaxies and the training.
    surveys : (str, str), optional
        Who observes the source and the target.
    progress : bool, optional
        Show progress bars.

    Returns
    -------
    `~astropy.table.Table`
        A row per method and domain, over the galaxies held out: ``method``,
        ``domain``, ``survey``, ``n``, ``auc``, ``accuracy``, ``brier``. Its
        ``meta["OUTCOME"]`` is a sentence that compares the methods on the target.

    Raises
    ------
    InputError
        If there are too few galaxies to split.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    domains = dict(zip(("source", "target"), surveys, strict=True))
    galaxies = {
        domain: simulate(n, survey, seed=2 * seed + i, progress=progress)
        for i, (domain, survey) in enumerate(domains.items())
    }
    unlabelled = galaxies["target"].copy(copy_data=False)
    unlabelled.remove_columns([name for name in ("label", "stage") if name in unlabelled.colnames])

    results = {}
    for method, losses in METHODS.items():
        results[method] = train(
            galaxies["source"], None if losses is None else unlabelled, adapt=losses, seed=seed,
            recipe={"training": {"epochs": epochs}}, progress=progress,
        )  # fmt: skip
        results[method].classifier.save(folder / f"{method.lower()}.safetensors")

    labels, probabilities = _classify_held_out(galaxies, results)
    scores = _score(labels, probabilities, domains)
    scores.meta["OUTCOME"] = _outcome(labels["target"], probabilities, seed)
    scores.write(folder / "scores.ecsv", overwrite=True)
    curves = {
        f"{method}, {domain}": (labels[domain], probabilities[method, domain])
        for method, domain in product(METHODS, domains)
    }
    plot_roc(curves).figure.savefig(folder / "roc.png", dpi=150)  # type: ignore[union-attr]  # its own figure

    catalogue = results[CATALOGUE_METHOD].classifier.classify(unlabelled)
    write_catalog(catalogue, folder / "mergers.fits", overwrite=True)
    _plot_best(galaxies["target"]["image"], _probability(catalogue), surveys[1], folder / "montage.png")
    return scores


def format_scores(scores: Table) -> str:
    """The scores of `run_demo` as text, with what they say.

    Parameters
    ----------
    scores : `~astropy.table.Table`
        As `run_demo` gives them.

    Returns
    -------
    str
    """
    shown = scores.copy()
    for name in ("auc", "accuracy", "brier"):
        shown[name].info.format = ".3f"
    return "\n".join([*shown.pformat(max_lines=-1, max_width=-1), "", scores.meta["OUTCOME"]])


def _classify_held_out(galaxies, results):
    """Labels by domain, and probabilities by method and domain, of the galaxies that no method has seen.

    A galaxy was seen where it was trained on, selected by or adapted to. One
    that a method could not classify is left out for all methods.
    """
    labels, probabilities = {}, {}
    for domain, table in galaxies.items():
        unseen = np.ones(len(table), bool)
        for result in results.values():
            splits = result.splits[result.splits["domain"] == domain]
            if len(splits):
                unseen &= np.isin(table["id"], splits["id"][splits["split"] == "test"])
        values = {method: _probability(result.classifier.classify(table[unseen])) for method, result in results.items()}
        good = np.all([np.isfinite(value) for value in values.values()], axis=0)
        labels[domain] = np.asarray(table["label"])[unseen][good]
        probabilities |= {(method, domain): value[good] for method, value in values.items()}
    return labels, probabilities


def _probability(catalogue):
    """``merger_prob`` as a plain array, NaN where there is none."""
    return np.ma.filled(np.ma.asarray(catalogue["merger_prob"], dtype=float), np.nan)


def _score(labels, probabilities, domains):
    names = ("n", "auc", "accuracy", "brier")
    rows = []
    for method, domain in product(METHODS, domains):
        values = binary_scores(labels[domain], probabilities[method, domain])
        rows.append((method, domain, domains[domain], *(values[name] for name in names)))
    return Table(rows=rows, names=("method", "domain", "survey", *names))


def _outcome(labels, probabilities, seed):
    """One sentence: what adaptation did to the target's AUC, with a paired bootstrap over galaxies."""
    plain, adapted = probabilities["noDA", "target"], probabilities[CATALOGUE_METHOD, "target"]
    generator = np.random.default_rng(seed)
    draws = generator.integers(len(labels), size=(N_BOOTSTRAP, len(labels)))
    draws = [draw for draw in draws if 0 < labels[draw].sum() < len(labels)]
    gains = [roc_auc(labels[draw], adapted[draw]) - roc_auc(labels[draw], plain[draw]) for draw in draws]
    gain = roc_auc(labels, adapted) - roc_auc(labels, plain)
    low, high = np.percentile(gains, [16, 84])
    verdict = "raised" if low > 0 else "lowered" if high < 0 else "did not clearly change"
    return (
        f"{CATALOGUE_METHOD} {verdict} the AUC on the target: {gain:+.3f} against noDA "
        f"(68 % interval {low:+.3f} to {high:+.3f} over {len(labels)} galaxies, one training seed)."
    )


def _plot_best(images, probability, survey, path):
    best = np.argsort(-np.nan_to_num(probability, nan=-1))[:N_MONTAGE]
    red_first = np.argsort(-get_survey(survey).wavelength.value)
    titles = [f"{probability[i]:.2f}" for i in best]
    plot_montage(np.asarray(images)[best], titles, order=red_first[[0, len(red_first) // 2, -1]]).figure.savefig(
        path, dpi=150
    )
