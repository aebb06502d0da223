"""Losses of means, covariances and norms of features: CORAL, Fisher, adaptive feature norms."""

from typing import Literal

import torch

from galmerge_da.adaptation.functional._checks import (
    check_choice,
    check_labels,
    check_pair,
    check_rows,
    in_full_precision,
    row_weights,
)
from galmerge_da.exceptions import ConfigError, InputError

__all__ = ["afn", "coral", "fisher"]


def coral(source: torch.Tensor, target: torch.Tensor, *, source_weight: torch.Tensor | None = None) -> torch.Tensor:
    r"""Correlation alignment (Sun & Saenko 2016, ECCV workshops, 443).

    .. math:: \frac{1}{4 D^2} \, \| C_s - C_t \|_F^2

    with each domain's own covariance (divided by N - 1). Where D is larger
    than N + M it is computed from inner products of rows: no tensor is larger
    than (N + M, D) or its Gram matrix.

    Parameters
    ----------
    source : `~torch.Tensor`, shape (N, D)
    target : `~torch.Tensor`, shape (M, D)
    source_weight : `~torch.Tensor`, shape (N,), optional
        How much each source row counts.

    Returns
    -------
    `~torch.Tensor`, shape ()
        One row has no covariance: it counts as zero.

    Raises
    ------
    InputError
        If the samples are not of shape (N, D) and (M, D), one is empty, or the
        weights are wrong.
    """
    check_pair("coral", source, target)
    source, target = in_full_precision(source, target)
    first = _root_covariance(source, row_weights("coral", source_weight, source))
    second = _root_covariance(target, row_weights("coral", None, target))
    n, dim = len(source), source.shape[1]
    if dim <= n + len(target):
        return (first.T @ first - second.T @ second).square().sum() / (4 * dim**2)
    gram = torch.cat([first, second])
    gram = (gram @ gram.T).square()
    return (gram[:n, :n].sum() + gram[n:, n:].sum() - 2 * gram[:n, n:].sum()) / (4 * dim**2)


def fisher(
    features: torch.Tensor,
    labels: torch.Tensor,
    centers: torch.Tensor | None = None,
    *,
    form: Literal["ratio", "difference"] = "ratio",
    within: float = 1.0,
    between: float = 1.0,
    reduction: Literal["mean", "sum"] = "mean",
) -> torch.Tensor:
    r"""Fisher loss: classes compact and far apart (Zhang et al. 2020, arXiv:2003.05636).

    With :math:`\mathrm{tr} S_w = \mathrm{E}\,|f - c_y|^2` and
    :math:`\mathrm{tr} S_b = \sum_k |c_k - \bar c|^2` it is the trace ratio
    :math:`w_w \mathrm{tr} S_w / (w_b \mathrm{tr} S_b)`, or the trace
    difference :math:`w_w \mathrm{tr} S_w - w_b \mathrm{tr} S_b`, which has no
    lower bound.

    Parameters
    ----------
    features : `~torch.Tensor`, shape (N, D)
        Of labelled rows: the source's.
    labels : `~torch.Tensor` of int, shape (N,)
    centers : `~torch.Tensor`, shape (K, D), optional
        Centres of the classes, most often learned; by default the means of the
        classes that are there. If those are fewer than two, the loss is 0.
    form : {"ratio", "difference"}, optional
    within, between : float, optional
        The weights; ``between`` above 0 for the ratio.
    reduction : {"mean", "sum"}, optional
        ``"sum"``: the scatter within classes is a sum over rows, as in the
        released code of Ciprijanovic et al. 2021 (MNRAS 506, 677).

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If shapes do not correspond or a label has no centre.
    ConfigError
        If the form or the reduction is unknown, or ``between`` is not positive in the ratio.
    """
    check_choice("fisher", "form", form, ("ratio", "difference"))
    check_choice("fisher", "reduction", reduction, ("mean", "sum"))
    if form == "ratio" and not between > 0:
        raise ConfigError(f"fisher: between must be above 0 in the ratio, got {between!r}")
    check_rows("fisher", features)
    features = in_full_precision(features)
    if centers is None:
        check_labels("fisher", labels, len(features), torch.iinfo(torch.int64).max)
        classes, labels = labels.unique(return_inverse=True)
        if len(classes) < 2:
            return 0.0 * features.sum()
        counts = torch.bincount(labels, minlength=len(classes)).to(features)
        sums = torch.zeros(len(classes), features.shape[1], dtype=features.dtype, device=features.device)
        centers = sums.index_add(0, labels, features) / counts[:, None]
    else:
        if centers.ndim != 2 or centers.shape[1] != features.shape[1]:
            raise InputError(f"fisher: centers must have shape (K, {features.shape[1]}), got {tuple(centers.shape)}")
        check_labels("fisher", labels, len(features), len(centers))
        centers = centers.to(features.dtype)
    scatter_within = (features - centers[labels]).square().sum()
    if reduction == "mean":
        scatter_within = scatter_within / len(features)
    scatter_between = (centers - centers.mean(0)).square().sum()
    if form == "difference":
        return within * scatter_within - between * scatter_between
    kind = torch.finfo(features.dtype)
    floor = kind.eps * (scatter_within.detach() + centers.detach().square().sum()) + kind.tiny
    return within * scatter_within / (between * torch.maximum(scatter_between, floor))


def afn(features: torch.Tensor, *, step: float = 1.0) -> torch.Tensor:
    r"""Stepwise adaptive feature norm (Xu et al. 2019, ICCV, 1426).

    .. math:: \mathrm{E}\,(|f| - (|f|_0 + \delta))^2

    where :math:`|f|_0` is the norm as it is, without gradient: the value is
    always :math:`\delta^2`, and the gradient makes every norm a little larger.
    It is meant for both domains, each by itself.

    Parameters
    ----------
    features : `~torch.Tensor`, shape (N, D)
    step : float, optional
        :math:`\delta`.

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If the features are not of shape (N, D), or there are none.
    """
    check_rows("afn", features)
    norms = torch.linalg.vector_norm(in_full_precision(features), dim=1)
    return (norms - norms.detach() - step).square().mean()


def _root_covariance(rows, weight):
    """A matrix A (N, D) with A^T A the covariance of weighted rows."""
    rows = rows - weight @ rows
    different = (1 - weight.square().sum()).clamp_min(torch.finfo(rows.dtype).eps)
    return rows * (weight / different).sqrt()[:, None]
