"""What a run looks at after each epoch: logits and features of held-out rows, and the selectors' scores of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from galmerge_da.inference import predict_features, predict_logits
from galmerge_da.metrics import selection

__all__ = ["TRACED", "Seen", "TracedSplit", "look", "needs_features", "score_selectors"]

#: (domain, split) of which a trace has the logits.
TRACED = (("source", "validation"), ("source", "test"), ("target", "test"))
#: Rows that selectors see of each domain at most.
N_ROWS = 1000

_ON_LOGITS = {
    "entropy": selection.entropy,
    "infomax": selection.infomax,
    "snd": selection.snd,
    "bnm": selection.bnm,
}


@dataclass(frozen=True, eq=False)
class TracedSplit:
    """Logits of one split of one domain, epoch by epoch.

    Attributes
    ----------
    rows : `~numpy.ndarray` of int64, shape (N,)
        Where they are in the data set that was given.
    ids : `~numpy.ndarray`, shape (N,)
    logits : `~numpy.ndarray` of float32, shape (E, N, K)
        Before anything of ``post_train``.
    """

    rows: NDArray[np.int64]
    ids: NDArray[Any]
    logits: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Seen:
    """A split as the network sees it.

    Attributes
    ----------
    logits : `~numpy.ndarray` of float32, shape (N, K)
    sample : `~numpy.ndarray` of int64, shape (M,)
        The rows among them that selectors see, 1000 at most.
    features : `~numpy.ndarray` of float32, shape (M, D), or None
        Of the sample, if they were asked for.
    """

    logits: np.ndarray
    sample: np.ndarray
    features: np.ndarray | None


def needs_features(names):
    """Whether any of these selectors looks at features."""
    return any(name not in _ON_LOGITS for name in names)


def look(network, images, *, device, seed, features=False):
    """Run a network over a split.

    Parameters
    ----------
    network : `~galmerge_da.models.Network`
    images : `~torch.Tensor`, shape (N, C, S, S)
    device : `~torch.device`
    seed : int
        Of the sample, which is the same for the same seed and N.
    features : bool, optional
        Keep the features of the sample.

    Returns
    -------
    Seen
    """
    n = len(images)
    sample = np.sort(np.random.default_rng(seed).permutation(n)[:N_ROWS])
    if not features:
        return Seen(predict_logits(network, images, device=device), sample, None)
    found, sampled = predict_features(network, images[sample], device=device)
    logits = np.empty((n, sampled.shape[1]), np.float32)
    rest = np.setdiff1d(np.arange(n), sample)
    logits[sample], logits[rest] = sampled, predict_logits(network, images[rest], device=device)
    return Seen(logits, sample, found)


def score_selectors(names, source, labels, target, *, seed):
    """Scores of one epoch.

    Parameters
    ----------
    names : iterable of str
        Of `galmerge_da.training.selection.WATCHED`.
    source : Seen
        The validation split, with features if `needs_features` says so.
    labels : `~numpy.ndarray` of int, shape (N,)
        Of the source.
    target : Seen
        As ``source``.
    seed : int

    Returns
    -------
    dict of str to float
        ``select_<name>``; NaN for all where the network gives no finite numbers.
    """
    logits = target.logits[target.sample]
    arrays = [source.logits, logits, *(each.features for each in (source, target) if each.features is not None)]
    if not all(np.all(np.isfinite(array)) for array in arrays):
        return {f"select_{name}": np.nan for name in names}
    if {"dev", "domain_classifier"} & set(names):
        source_ratio, target_ratio = selection.domain_log_ratio(source.features, target.features, seed=seed)
    values = {}
    for name in names:
        if name in _ON_LOGITS:
            value = _ON_LOGITS[name](logits)
        elif name == "class_ami":
            value = selection.class_ami(logits, target.features, seed=seed)
        elif name == "domain_classifier":
            value = selection.domain_classifier(source_ratio, target_ratio)
        else:
            losses = selection.cross_entropies(labels[source.sample], source.logits[source.sample])
            value = selection.dev(losses, np.exp(source_ratio))
        values[f"select_{name}"] = float(value)
    return values
