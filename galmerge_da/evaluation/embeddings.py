"""Features of galaxies: taken from a classifier, projected onto a plane, compared between domains."""

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from galmerge_da.adaptation.functional import mmd
from galmerge_da.evaluation.frames import iterate_frames, usable_rows
from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.inference import MergerClassifier, predict_features
from galmerge_da.metrics import roc_auc
from galmerge_da.metrics.selection import domain_log_ratio
from galmerge_da.models import choose_device

__all__ = ["domain_gap", "embed", "project"]

_METHODS = ("tsne", "pca")
#: Principal components that t-SNE starts from, and its perplexity, for enough rows.
_N_COMPONENTS = 50
_PERPLEXITY = 30


def embed(
    classifier: MergerClassifier,
    cutouts: object,
    *,
    device: str | torch.device | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> NDArray[np.float32]:
    """Features of galaxies: what the last layers of the network decide on.

    Parameters
    ----------
    classifier : `~galmerge_da.MergerClassifier`
    cutouts : object
        Whatever `galmerge_da.classify` takes, or
        `~galmerge_da.preprocessing.Frames` as `make_frames` gives them.
    device : str or `~torch.device`, optional
        The best there is by default.
    batch_size : int, optional
        Images per forward pass.
    **options
        Keywords of `galmerge_da.io.open_cutouts` that say how to read them.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (N, D)
        In the order of the rows; NaN for a galaxy that cannot be classified.

    Raises
    ------
    ConfigError
        If there is no such device.
    InputError
        If the cutouts cannot be read or do not fit the classifier.
    """
    device, network = choose_device(device), classifier.network
    parts = [np.zeros((0, network.feature_dim), np.float32)]
    for frames in iterate_frames(classifier, cutouts, **options):
        features = np.full((len(frames), network.feature_dim), np.nan, np.float32)
        rows = usable_rows(frames)
        features[rows] = predict_features(network, frames.data[rows], device=device, batch_size=batch_size)[0]
        parts.append(features)
    return np.concatenate(parts)


@overload
def project(
    features: NDArray[Any], method: Literal["tsne", "pca"] = "tsne", *, seed: int = 0
) -> NDArray[np.float64]: ...
@overload
def project(
    features: ArrayLike | Sequence[ArrayLike], method: Literal["tsne", "pca"] = "tsne", *, seed: int = 0
) -> NDArray[np.float64] | list[NDArray[np.float64]]: ...
def project(
    features: Any, method: Literal["tsne", "pca"] = "tsne", *, seed: int = 0
) -> NDArray[np.float64] | list[NDArray[np.float64]]:
    """Put features onto a plane.

    Parameters
    ----------
    features : array_like of float, shape (N, D), or sequence of such
        Several sets of equal D, as those of both domains, are projected
        together. Features of different networks have no common space: project
        each network's alone.
    method : {"tsne", "pca"}, optional
        t-SNE of the first 50 principal components, with a perplexity of 30 (less
        for under 91 rows), or the first two principal components.
    seed : int, optional
        Of t-SNE, and of the components of large sets.

    Returns
    -------
    `~numpy.ndarray` of float64, shape (N, 2), or list of such
        As the features came. NaN where a feature is not finite.

    Raises
    ------
    ConfigError
        If the method is unknown.
    InputError
        If the shapes are wrong, or fewer than four rows are finite.

    References
    ----------
    van der Maaten & Hinton 2008, JMLR 9, 2579.
    """
    if method not in _METHODS:
        raise ConfigError(f"method must be one of {_METHODS}, got {method!r}")
    several = isinstance(features, list | tuple) and all(np.ndim(each) == 2 for each in features)
    sets = [np.asarray(each, np.float64) for each in (features if several else [features])]
    if not sets or any(each.ndim != 2 for each in sets) or len({each.shape[1] for each in sets}) > 1:
        raise InputError(f"features must have shape (N, D), with one D; got {[each.shape for each in sets]}")
    rows = np.concatenate(sets)
    good = np.isfinite(rows).all(axis=1)
    if good.sum() < 4:
        raise InputError(f"a projection needs at least 4 rows of finite features, got {good.sum()}")
    points = np.full((len(rows), 2), np.nan)
    points[good] = _plane(rows[good], method, seed)
    split = np.split(points, np.cumsum([len(each) for each in sets])[:-1])
    return split if several else split[0]


def _plane(rows, method, seed):
    from sklearn.decomposition import PCA

    n_components = min(2 if method == "pca" else _N_COMPONENTS, *rows.shape)
    components = PCA(n_components, random_state=seed).fit_transform(rows)
    if method == "pca":
        return np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
    from sklearn.manifold import TSNE

    init = np.pad(components[:, :2], ((0, 0), (0, max(0, 2 - components.shape[1]))))
    init = 1e-4 * init / max(np.std(init[:, 0]), np.finfo(float).tiny)
    perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
    return TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(components)


def domain_gap(
    source_features: ArrayLike,
    target_features: ArrayLike,
    labels: Sequence[ArrayLike] | None = None,
    *,
    seed: int = 0,
) -> Table:
    """How far apart two domains lie in feature space.

    Parameters
    ----------
    source_features : array_like of float, shape (N, D)
    target_features : array_like of float, shape (M, D)
        Of galaxies that the network was not trained on. Rows that are not
        finite are left out.
    labels : (array_like of int, array_like of int), optional
        Class of every row of the source and the target, for a row of the result
        a class: how far apart the same class lies.
    seed : int, optional
        Of the classifier of domains.

    Returns
    -------
    `~astropy.table.Table`
        One row for all galaxies, ``class`` "all", and one per class that both
        domains have: ``n_source``, ``n_target``; ``mmd``, the unbiased squared
        maximum mean discrepancy with kernels from the median distance; ``domain_auc``
        of a cross-validated logistic regression that tells the domains apart;
        ``proxy_a_distance``, ``2 (1 - 2 error)`` of the same, with both domains
        counted alike; ``frechet``, the squared Fréchet distance of two
        Gaussians in units of the pooled variance, summed over features. The
        scale of the features is in none of them, so networks can be compared.
        NaN where a domain has fewer than two rows.

    Raises
    ------
    InputError
        If shapes do not fit.

    References
    ----------
    Gretton et al. 2012, JMLR 13, 723; Ben-David et al. 2010, Machine Learning
    79, 151; Heusel et al. 2017, arXiv:1706.08500.
    """
    features = [np.asarray(each, np.float64) for each in (source_features, target_features)]
    if any(each.ndim != 2 for each in features) or features[0].shape[1] != features[1].shape[1]:
        raise InputError(f"features must be of shapes (N, D) and (M, D), got {[each.shape for each in features]}")
    classes = [np.zeros(len(each), int) for each in features] if labels is None else [np.asarray(y) for y in labels]
    if [y.shape for y in classes] != [(len(each),) for each in features]:
        raise InputError(f"labels must be one per row of each domain, got shapes {[y.shape for y in classes]}")
    finite = [np.isfinite(each).all(axis=1) for each in features]
    features = [each[good] for each, good in zip(features, finite, strict=True)]
    classes = [y[good] for y, good in zip(classes, finite, strict=True)]
    rows = [{"class": "all", **_gap(features[0], features[1], seed)}]
    for value in [] if labels is None else np.intersect1d(*classes):
        one, other = (each[y == value] for each, y in zip(features, classes, strict=True))
        rows.append({"class": str(value), **_gap(one, other, seed)})
    return Table(rows=rows)


def _gap(source, target, seed):
    counts = {"n_source": len(source), "n_target": len(target)}
    if min(counts.values()) < 2:
        return counts | dict.fromkeys(("mmd", "domain_auc", "proxy_a_distance", "frechet"), np.nan)
    ratios = domain_log_ratio(source, target, seed=seed)
    domain = np.repeat([0, 1], [len(source), len(target)])
    # A ratio of exactly 1 is a guess: half of them are wrong.
    error = np.mean([np.mean(0.5 + 0.5 * np.sign(side * ratio)) for side, ratio in zip((1, -1), ratios, strict=True)])
    return counts | {
        "mmd": float(mmd(torch.from_numpy(source), torch.from_numpy(target))),
        "domain_auc": roc_auc(domain, np.concatenate(ratios)),
        "proxy_a_distance": 2 * (1 - 2 * float(error)),
        "frechet": _frechet(source, target),
    }


def _frechet(source, target):
    """|difference of means|^2 + tr(S + T - 2 (S T)^(1/2)), over the pooled variance."""
    pooled = np.concatenate([source, target]).var(axis=0).sum()
    if pooled == 0:
        return 0.0
    # With S = A^T A and T = B^T B the trace of (S T)^(1/2) is the sum of the singular values of A B^T.
    roots = [np.linalg.qr((each - each.mean(axis=0)) / np.sqrt(len(each) - 1), mode="r") for each in (source, target)]
    mixed = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    within = sum(np.square(root).sum() for root in roots) - 2 * mixed
    between = np.square(source.mean(axis=0) - target.mean(axis=0)).sum()
    return float((between + max(within, 0.0)) / pooled)
