"""The figures of a study, from what its runs left behind."""

from pathlib import Path

import numpy as np
import torch
from astropy.table import vstack

from galmerge_da.evaluation import domain_gap, embed, gradcam, project
from galmerge_da.evaluation.frames import iterate_frames
from galmerge_da.experiments.study_tables import probabilities
from galmerge_da.inference import MergerClassifier
from galmerge_da.models import Network
from galmerge_da.preprocessing import Frames
from galmerge_da.training.selection import choose_epoch
from galmerge_da.visualization import (
    plot_completeness_purity,
    plot_examples,
    plot_gradcam,
    plot_histories,
    plot_reliability,
    plot_roc_study,
    plot_tsne,
)

__all__ = [
    "draw_explanations",
    "draw_features",
    "draw_sim_to_sim",
    "measure_gaps",
    "take_frames",
    "untrained_classifier",
]

DOMAINS = ("source", "target")

#: Runs of which t-SNE is drawn, beside the network before training.
EMBEDDED = ("noDA", "MMD", "MMD+F")

#: Whose Grad-CAM is drawn beside that without adaptation: the first that was run.
ADAPTED = ("MMD+F", "MMD", "ADA", "ADA+F")

#: Galaxies of each domain in t-SNE, and in the distances of domains.
N_POINTS = 600

#: Ends the caption of Grad-CAM.
EXPLAINED = (
    "p is the probability of a merger. The maps of one network and galaxy share their scale; without colour, nothing "
    "speaks for the class."
)

_DPI = 250


def draw_sim_to_sim(folder, finished, labels, source, target, *, selector="last", seed=0):
    """Draw what the runs that are there allow: without an adapted run, for instance, no Grad-CAM of one.

    Parameters
    ----------
    folder : path-like
        Gets ``figures/``, made if need be; with several backbones their names are in those of the files.
    finished : list of FinishedRun
    labels : mapping of str to array_like of int
        ``"source"`` and ``"target"`` -> class of every row of the data set. Those of
        the target are drawn, and used for nothing else.
    source, target : path-like
        The data sets that the runs were trained on.
    selector : str, optional
        Who chose the epochs of the models.
    seed : int, optional
        Of the galaxies that are drawn, and of t-SNE.

    Returns
    -------
    dict of `~pathlib.Path` to str
        Figure -> caption.
    """
    folder = Path(folder) / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    backbones = list(dict.fromkeys(run.backbone for run in finished))
    captions = {}
    for backbone in backbones:
        runs = [run for run in finished if run.backbone == backbone]
        suffix = f"-{backbone}" if len(backbones) > 1 else ""
        drawn = _lines(runs, labels, selector) | _galaxies(runs, labels, (source, target), seed)
        for name, (figure, caption) in drawn.items():
            path = folder / f"{name}{suffix}.png"
            figure.savefig(path, dpi=_DPI)
            captions[path] = f"{caption} Network: {backbone}."
    return captions


def measure_gaps(finished, labels, source, target, *, seed=0):
    """How far apart the domains lie for every run, before and after training.

    Parameters
    ----------
    finished : list of FinishedRun
    labels : mapping of str to array_like of int
    source, target : path-like
    seed : int, optional
        Of the galaxies it is measured on, 600 held-out ones of each domain at most.

    Returns
    -------
    `~astropy.table.Table`
        Columns ``backbone``, ``run``, ``seed``, and those of
        `galmerge_da.evaluation.domain_gap`; run "untrained" is each seed's network at its start.
    """
    tables = []
    for backbone, number in dict.fromkeys((run.backbone, run.seed) for run in finished):
        runs = [run for run in finished if (run.backbone, run.seed) == (backbone, number)]
        classifiers = {run.run: MergerClassifier.load(run.model) for run in runs}
        first = next(iter(classifiers.values()))
        frames, classes = _sample(runs[0], first, labels, (source, target), seed)
        for name, classifier in {"untrained": untrained_classifier(first, number), **classifiers}.items():
            features = [embed(classifier, frames[domain]) for domain in DOMAINS]
            gap = domain_gap(*features, [classes[domain] for domain in DOMAINS], seed=seed)
            about = {"backbone": backbone, "run": name, "seed": number}
            gap.add_columns([[each] * len(gap) for each in about.values()], [0, 0, 0], list(about))
            tables.append(gap)
    return vstack(tables)


def _lines(runs, labels, selector):
    """Figures of scores and histories, all seeds: name -> figure, caption."""
    curves = {domain: {} for domain in DOMAINS}
    histories = {}
    for run in runs:
        epoch = choose_epoch(run.history, selector)[0]
        histories.setdefault(run.run, []).append(run.history)
        for domain in DOMAINS:
            curves[domain].setdefault(run.run, []).append(probabilities(run, domain, epoch, labels))
    n_seeds = max(map(len, histories.values()))
    over = f"mean and standard deviation over {n_seeds} seeds" if n_seeds > 1 else "one seed"
    held_out = f"Held-out galaxies; {over}."
    return {
        "roc": (
            plot_roc_study(curves)[0].figure,
            f"Receiver operating characteristics on both domains. {held_out}",
        ),
        "completeness_purity": (
            plot_completeness_purity(curves)[0].figure,
            f"Purity against completeness if 5% of the galaxies were mergers. {held_out}",
        ),
        "reliability": (
            plot_reliability(curves)[0].figure,
            "Fraction of mergers against their calibrated probability; the calibration knows the source only. "
            f"Held-out galaxies, seeds pooled; expected calibration error: {over}.",
        ),
        "histories": (
            plot_histories(histories)[0].figure,
            f"Losses and validation on the source, epoch by epoch; {over}.",
        ),
    }


def _galaxies(runs, labels, paths, seed):
    """Figures of images and features, of the first seed: name -> figure, caption."""
    first = {run.run: run for run in reversed(runs) if run.seed == runs[0].seed}
    classifiers = {name: MergerClassifier.load(run.model) for name, run in first.items()}
    base = classifiers[runs[0].run]
    frames, classes = _sample(runs[0], base, labels, paths, seed)
    drawn = {
        "examples": (
            plot_examples({domain: frames[domain].data for domain in DOMAINS}, classes, seed=seed)[0, 0].figure,
            "Galaxies of both domains and classes, drawn at random, mean of the bands on a logarithmic scale.",
        )
    }
    networks = {name: classifiers[name] for name in EMBEDDED if name in classifiers}
    if networks:
        networks = {"untrained": untrained_classifier(base, runs[0].seed)} | networks
        drawn["tsne"] = (
            draw_features(networks, frames, classes, seed=seed),
            f"t-SNE of the features of held-out galaxies, seed {runs[0].seed}; each network's alone.",
        )
    adapted = next((name for name in ADAPTED if name in classifiers), None)
    if adapted is not None and "noDA" in classifiers:
        generator = np.random.default_rng(seed)
        rows = {
            (f"{name},\n{domain}", domain): generator.choice(np.flatnonzero(classes[domain] == value))
            for value, name in ((1, "merger"), (0, "non-merger"))
            for domain in DOMAINS
        }
        drawn["gradcam"] = (
            draw_explanations({name: classifiers[name] for name in ("noDA", adapted)}, frames, rows),
            "Grad-CAM: what speaks for either class without and with adaptation, in one merger and one non-merger of "
            f"each domain, drawn at random among held-out galaxies, seed {runs[0].seed}; {EXPLAINED}",
        )
    return drawn


def draw_features(classifiers, frames, classes, *, seed=0):
    """Draw t-SNE of both domains, one panel per network.

    Parameters
    ----------
    classifiers : mapping of str to `~galmerge_da.MergerClassifier`
    frames : mapping of str to `~galmerge_da.preprocessing.Frames`
        ``"source"`` and ``"target"``.
    classes : mapping of str to array_like of int
        0, 1, or 2 where it is not known.
    seed : int, optional

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    panels = {}
    for name, classifier in classifiers.items():
        points = project([embed(classifier, frames[domain]) for domain in DOMAINS], seed=seed)
        panels[name] = {domain: (each, classes[domain]) for domain, each in zip(DOMAINS, points, strict=True)}
    return plot_tsne(panels, classes=("non-mergers", "mergers", "unlabelled"))[0].figure


def draw_explanations(classifiers, frames, rows):
    """Draw Grad-CAM of both classes in a few galaxies, by several networks.

    Parameters
    ----------
    classifiers : mapping of str to `~galmerge_da.MergerClassifier`
    frames : mapping of str to `~galmerge_da.preprocessing.Frames`
    rows : mapping of (str, str) to int
        (what the galaxy is, domain) -> its row in the frames of that domain.

    Returns
    -------
    `~matplotlib.figure.Figure`
    """
    few = _join([_take(frames[domain], [row]) for (_, domain), row in rows.items()])
    maps, probs = {}, {}
    for network, classifier in classifiers.items():
        probs[network] = classifier.predict(few.data)[1][:, 1]
        for name, shown in zip(reversed(classifier.classes), ("merger", "non-merger"), strict=True):
            maps[network, shown] = gradcam(classifier, few, class_name=name)
    return plot_gradcam(few.data, maps, rows=[name for name, _ in rows], probs=probs)[0, 0].figure


def take_frames(classifier, path, rows):
    """Frames of some rows of a data set, as a classifier sees them.

    Parameters
    ----------
    classifier : `~galmerge_da.MergerClassifier`
    path : path-like
    rows : array_like of int
        In rising order.

    Returns
    -------
    `~galmerge_da.preprocessing.Frames`
    """
    rows, parts, start = np.asarray(rows), [], 0
    for chunk in iterate_frames(classifier, path):
        parts.append(_take(chunk, rows[(rows >= start) & (rows < start + len(chunk))] - start))
        start += len(chunk)
    return _join(parts)


def _sample(run, classifier, labels, paths, seed):
    """Frames and classes by domain of some held-out galaxies of a run."""
    frames, classes = {}, {}
    for domain, path in zip(DOMAINS, paths, strict=True):
        rows = run.trace[domain, "test"].rows
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:N_POINTS])
        frames[domain], classes[domain] = take_frames(classifier, path, rows), np.asarray(labels[domain])[rows]
    return frames, classes


def untrained_classifier(classifier, seed):
    """The network as a run starts that is given none, with the statistics of its training data.

    Parameters
    ----------
    classifier : `~galmerge_da.MergerClassifier`
        Any that was trained on these data.
    seed : int
        Of the run.

    Returns
    -------
    `~galmerge_da.MergerClassifier`
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = Network.from_description(classifier.network.describe())
    network.entrance.load_state_dict(classifier.network.entrance.state_dict())
    return MergerClassifier(network, classifier.preprocessing, classes=classifier.classes)


def _take(frames, rows):
    return Frames(frames.data[rows], frames.flags[rows], frames.radius[rows])


def _join(parts):
    return Frames(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("data", "flags", "radius")))
