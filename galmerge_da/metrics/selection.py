"""Scores of one epoch from which an epoch can be chosen without a label of the target.

Larger is better for every one. Each takes arrays and gives a float, NaN where
there is too little to say anything. None of them is a measure of accuracy, and
with two classes most reward a network that calls everything by one name:
`galmerge_da.training.select_epoch` has the guards.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, logsumexp, softmax

from galmerge_da.exceptions import InputError
from galmerge_da.metrics._checks import check
from galmerge_da.metrics.ranking import roc_auc

__all__ = [
    "bnm",
    "class_ami",
    "cross_entropies",
    "dev",
    "domain_classifier",
    "domain_log_ratio",
    "entropy",
    "infomax",
    "snd",
    "source_validation",
]

#: Principal components that a domain classifier sees.
_N_COMPONENTS = 32


def cross_entropies(labels: ArrayLike, logits: ArrayLike) -> NDArray[np.float64]:
    """Cross-entropy of each row, in nats.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
    logits : array_like of float, shape (N, K)

    Returns
    -------
    `~numpy.ndarray` of float64, shape (N,)

    Raises
    ------
    InputError
        If shapes differ, a label is not a class, or a logit is not finite.
    """
    labels, logits = check(labels, logits)
    if logits.ndim != 2:
        raise InputError(f"logits must have shape (N, K), got {logits.shape}")
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]


def source_validation(labels: ArrayLike, logits: ArrayLike) -> float:
    """Minus the mean cross-entropy on labelled rows, of the source.

    Parameters
    ----------
    labels : array_like of int, shape (N,)
    logits : array_like of float, shape (N, K)

    Returns
    -------
    float

    Raises
    ------
    InputError
        If shapes differ, a label is not a class, or a logit is not finite.
    """
    return -_mean(cross_entropies(labels, logits))


def entropy(logits: ArrayLike) -> float:
    """Minus the mean entropy of the predictions, ``mean_i sum_k p_ik log p_ik``.

    Sure predictions score high, right or wrong; a collapsed network scores best.

    Parameters
    ----------
    logits : array_like of float, shape (N, K)
        Of the target.

    Returns
    -------
    float
        Between -log K and 0.

    Raises
    ------
    InputError
        If the shape is another or a logit is not finite.

    References
    ----------
    Morerio et al. 2018, ICLR, arXiv:1711.10288.
    """
    return -_mean(_entropies(_matrix(logits, "logits")))


def infomax(logits: ArrayLike) -> float:
    """Information maximisation: ``H(mean_i p_i) - mean_i H(p_i)``.

    Predictions that are sure one by one and varied as a whole. The first term
    is largest where all classes are equally frequent, which mergers are not.

    Parameters
    ----------
    logits : array_like of float, shape (N, K)
        Of the target.

    Returns
    -------
    float
        Between 0 and log K.

    Raises
    ------
    InputError
        If the shape is another or a logit is not finite.

    References
    ----------
    Shi & Sha 2012, ICML, arXiv:1206.6438; Musgrave et al. 2021, arXiv:2111.15672.
    """
    logits = _matrix(logits, "logits")
    if not len(logits):
        return np.nan
    mean = softmax(logits, axis=1).mean(axis=0)
    return float(-np.sum(mean * np.log(np.maximum(mean, np.finfo(float).tiny)))) - _mean(_entropies(logits))


def snd(logits: ArrayLike, temperature: float = 0.05) -> float:
    """Soft neighbourhood density: mean entropy of the similarities of each row to all others.

    Predictions are scaled to unit length; row i has the neighbours j with
    ``softmax_j(p_i . p_j / temperature)``, itself left out, and the entropy of
    that distribution. Dense neighbourhoods score high; so does a collapsed
    network, whose rows are all alike.

    Parameters
    ----------
    logits : array_like of float, shape (N, K)
        Of the target. Time and memory go as N squared.
    temperature : float, optional
        That of the paper.

    Returns
    -------
    float
        Between 0 and log(N - 1).

    Raises
    ------
    InputError
        If the shape is another or a logit is not finite.

    References
    ----------
    Saito et al. 2021, ICCV, arXiv:2108.10860.
    """
    probs = softmax(_matrix(logits, "logits"), axis=1)
    if len(probs) < 2:
        return np.nan
    probs /= np.linalg.norm(probs, axis=1, keepdims=True)
    similarity = probs @ probs.T / temperature
    similarity[np.diag_indices_from(similarity)] = -np.inf
    return float(_entropies(similarity).mean())


def bnm(logits: ArrayLike) -> float:
    """Nuclear norm of the predictions, over N: large where they are sure and varied.

    Parameters
    ----------
    logits : array_like of float, shape (N, K)
        Of the target.

    Returns
    -------
    float
        At most ``sqrt(min(N, K) / N)``. The norm grows as the square root of
        N: compare values of the same rows only.

    Raises
    ------
    InputError
        If the shape is another or a logit is not finite.

    References
    ----------
    Cui et al. 2020, CVPR, arXiv:2003.12237; as a selector Musgrave et al. 2022, arXiv:2208.07360.
    """
    logits = _matrix(logits, "logits")
    if not len(logits):
        return np.nan
    return float(np.linalg.norm(softmax(logits, axis=1), "nuc") / len(logits))


def class_ami(logits: ArrayLike, features: ArrayLike, *, seed: int = 0) -> float:
    """Adjusted mutual information of predicted classes and k-means clusters of the features.

    Do the features fall into clusters of their own accord where the classifier
    draws its border? K clusters, the best of four starts.

    Parameters
    ----------
    logits : array_like of float, shape (N, K)
    features : array_like of float, shape (N, D)
        Of the same rows of the target.
    seed : int, optional
        Of the starts.

    Returns
    -------
    float
        About 0 for chance, 1 for agreement; 0 where one class is predicted or
        all features are alike.

    Raises
    ------
    InputError
        If shapes differ or a value is not finite.

    References
    ----------
    Musgrave et al. 2022, arXiv:2208.07360.
    """
    logits, features = _matrix(logits, "logits"), _matrix(features, "features")
    if len(logits) != len(features):
        raise InputError(f"logits and features must have as many rows, got {len(logits)} and {len(features)}")
    if not len(logits):
        return np.nan
    predicted = logits.argmax(axis=1)
    if np.all(predicted == predicted[0]) or np.all(features == features[0]):
        return 0.0
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_mutual_info_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than classes
        n_clusters = min(logits.shape[1], len(features))
        clusters = KMeans(n_clusters, n_init=4, random_state=seed).fit_predict(features)
    return float(adjusted_mutual_info_score(predicted, clusters))


def domain_log_ratio(
    source_features: ArrayLike, target_features: ArrayLike, *, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much likelier a row's features are in the target than in the source, ``log(p_target / p_source)``.

    From a freshly trained classifier of the domains: logistic regression on the
    first 32 principal components of all rows, scaled to unit variance. Each
    half of the rows is judged by a classifier that was trained on the other.

    Parameters
    ----------
    source_features : array_like of float, shape (N, D)
    target_features : array_like of float, shape (M, D)
        Of rows that the network was not trained on.
    seed : int, optional
        Of the halves and the components.

    Returns
    -------
    source : `~numpy.ndarray` of float64, shape (N,)
    target : `~numpy.ndarray` of float64, shape (M,)
        NaN where a domain has fewer than two rows.

    Raises
    ------
    InputError
        If shapes differ or a value is not finite.

    References
    ----------
    Bickel et al. 2007, ICML, doi:10.1145/1273496.1273507.
    """
    source, target = _matrix(source_features, "features"), _matrix(target_features, "features")
    if source.shape[1] != target.shape[1]:
        raise InputError(f"features must be of one length, got {source.shape[1]} and {target.shape[1]}")
    if min(len(source), len(target)) < 2:
        return np.full(len(source), np.nan), np.full(len(target), np.nan)
    from sklearn.linear_model import LogisticRegression

    rows = _principal_components(np.concatenate([source, target]), seed)
    domain = np.repeat([0, 1], [len(source), len(target)])
    generator = np.random.default_rng(seed)
    half = np.concatenate([generator.permutation(len(each)) % 2 for each in (source, target)])
    ratio = np.empty(len(rows))
    for held_out in (0, 1):
        train, test = half != held_out, half == held_out
        n_target, n = domain[train].sum(), train.sum()
        model = LogisticRegression(max_iter=1000).fit(rows[train], domain[train])
        ratio[test] = model.decision_function(rows[test]) - np.log(n_target / (n - n_target))
    return ratio[domain == 0], ratio[domain == 1]


def domain_classifier(source_ratio: ArrayLike, target_ratio: ArrayLike) -> float:
    """Closeness of the domains: ``-|2 AUC - 1|`` of a freshly trained classifier of the domains.

    Parameters
    ----------
    source_ratio : array_like of float, shape (N,)
    target_ratio : array_like of float, shape (M,)
        As `domain_log_ratio` gives them.

    Returns
    -------
    float
        0 where the domains cannot be told apart, -1 where they always can.

    References
    ----------
    Ben-David et al. 2010, Machine Learning 79, 151, doi:10.1007/s10994-009-5152-4.
    """
    ratio = np.concatenate([source_ratio, target_ratio])
    if not np.all(np.isfinite(ratio)):
        return np.nan
    return -abs(2 * roc_auc(np.repeat([0, 1], [len(np.asarray(r)) for r in (source_ratio, target_ratio)]), ratio) - 1)


def dev(losses: ArrayLike, weights: ArrayLike) -> float:
    """Deep embedded validation: minus the risk of the source, weighted to look like the target.

    ``risk = mean(w l) + eta mean(w) - eta``, with the control variate
    ``eta = -cov(w l, w) / var(w)``.

    Parameters
    ----------
    losses : array_like of float, shape (N,)
        Of labelled source rows, as `cross_entropies` gives them.
    weights : array_like of float, shape (N,)
        Density of the target over that of the source at these rows, the
        exponential of what `domain_log_ratio` gives.

    Returns
    -------
    float
        Where the domains are told apart with ease all weights are near 0, and
        so is the risk: then it says nothing.

    Raises
    ------
    InputError
        If lengths differ.

    References
    ----------
    You et al. 2019, ICML, PMLR 97, 7124.
    """
    losses, weights = (np.asarray(values, dtype=np.float64) for values in (losses, weights))
    if losses.ndim != 1 or losses.shape != weights.shape:
        raise InputError(f"losses and weights must both have shape (N,), got {losses.shape} and {weights.shape}")
    if not len(losses) or not np.all(np.isfinite(losses)) or not np.all(np.isfinite(weights)):
        return np.nan
    weighted = weights * losses
    variance = np.var(weights)
    eta = -np.mean((weighted - weighted.mean()) * (weights - weights.mean())) / variance if variance else 0.0
    return float(-(weighted.mean() + eta * weights.mean() - eta))


def _principal_components(rows, seed):
    """The first components of rows, each with unit variance; those without any are 0."""
    from sklearn.utils.extmath import randomized_svd

    rows = rows - rows.mean(axis=0)
    if not np.any(rows):
        return np.zeros((len(rows), 1))
    left, values, _ = randomized_svd(rows, min(_N_COMPONENTS, *rows.shape), random_state=seed)
    return left * np.where(values > 1e-6 * values[0], np.sqrt(len(rows)), 0.0)


def _entropies(logits):
    """Entropy of ``softmax(logits)``, by row; a logit of minus infinity is no choice."""
    logs = logits - logsumexp(logits, axis=1, keepdims=True)
    probs = np.exp(logs)
    return -np.sum(probs * np.where(probs > 0, logs, 0.0), axis=1)


def _mean(values):
    return float(np.mean(values)) if len(values) else np.nan


def _matrix(values: ArrayLike, name: str) -> NDArray[Any]:
    values = np.asarray(values)
    values = values if values.dtype == np.float32 and name == "features" else values.astype(np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise InputError(f"{name} must have shape (N, {'K' if name == 'logits' else 'D'}), got {values.shape}")
    if not np.all(np.isfinite(values)):
        raise InputError(f"{np.count_nonzero(~np.isfinite(values))} of {values.size} {name} are not finite")
    return values
