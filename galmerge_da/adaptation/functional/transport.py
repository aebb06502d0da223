"""Losses of optimal transport; their solvers are the extra ``ot``."""

import importlib

import torch

from galmerge_da.adaptation.functional._checks import check_labels, check_pair, in_full_precision, row_weights
from galmerge_da.exceptions import ConfigError, InputError

__all__ = ["deepjdot", "require", "sinkhorn"]


def sinkhorn(
    source: torch.Tensor,
    target: torch.Tensor,
    *,
    blur: float = 0.05,
    scaling: float = 0.9,
    source_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Sinkhorn divergence of two samples (Feydy et al. 2019, AISTATS, 2681), as geomloss computes it.

    .. math:: OT_\varepsilon(s, t) - \tfrac12 OT_\varepsilon(s, s) - \tfrac12 OT_\varepsilon(t, t)

    with the cost :math:`|x - y|^2 / 2` and :math:`\varepsilon = \mathrm{blur}^2`.

    Parameters
    ----------
    source : `~torch.Tensor`, shape (N, D)
    target : `~torch.Tensor`, shape (M, D)
    blur : float, optional
        Distance below which points are not told apart.
    scaling : float, optional
        Factor of the blur from one iteration to the next, from the extent of
        the points downwards: nearer to 1 is more exact and slower.
    source_weight : `~torch.Tensor`, shape (N,), optional
        How much each source row counts.

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If the samples are not of shape (N, D) and (M, D), one is empty, or the
        weights are wrong.
    ConfigError
        If the blur is not positive, the scaling not between 0 and 1, or
        geomloss is not installed.
    """
    check_pair("sinkhorn", source, target)
    if not blur > 0 or not 0 < scaling < 1:
        raise ConfigError(f"sinkhorn: blur must be above 0 and scaling between 0 and 1, got {blur!r} and {scaling!r}")
    geomloss = require("geomloss", "sinkhorn")
    source, target = in_full_precision(source, target)
    weights = row_weights("sinkhorn", source_weight, source), row_weights("sinkhorn", None, target)
    points = torch.cat([source, target])
    middle = points.detach().mean(0)  # distances are all that counts: about the mean they keep their digits
    extent = float((points.detach().amax(0) - points.detach().amin(0)).norm())
    if extent <= 1e-6 * float(middle.norm()) or extent == 0:
        return 0.0 * points.sum()  # all points are one
    solve = geomloss.SamplesLoss(
        "sinkhorn", p=2, blur=blur, scaling=scaling, diameter=max(extent, blur), backend="tensorized"
    )
    return solve(weights[0], source - middle, weights[1], target - middle)


def deepjdot(
    source: torch.Tensor,
    source_labels: torch.Tensor,
    target: torch.Tensor,
    target_logits: torch.Tensor,
    *,
    feature_weight: float = 1.0,
    label_weight: float = 1.0,
    source_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Joint-distribution optimal transport (Damodaran et al. 2018, ECCV, 467).

    .. math:: \sum_{ij} \gamma_{ij} \left( \alpha\, |f_i - f_j|^2 + \lambda\, H(y_i, p_j) \right)

    over source rows i and target rows j, with H the cross-entropy, and
    :math:`\gamma` the plan that makes the sum smallest (found by POT, no
    gradient).

    Parameters
    ----------
    source : `~torch.Tensor`, shape (N, D)
    source_labels : `~torch.Tensor` of int, shape (N,)
    target : `~torch.Tensor`, shape (M, D)
    target_logits : `~torch.Tensor`, shape (M, K)
    feature_weight, label_weight : float, optional
        :math:`\alpha` and :math:`\lambda`.
    source_weight : `~torch.Tensor`, shape (N,), optional
        How much each source row counts.

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If shapes do not correspond, a label is no class, or the weights are wrong.
    ConfigError
        If POT is not installed.
    """
    ot = require("ot", "deepjdot")
    check_pair("deepjdot", source, target)
    if target_logits.ndim != 2 or len(target_logits) != len(target):
        raise InputError(
            f"deepjdot: target_logits must have shape ({len(target)}, K), got {tuple(target_logits.shape)}"
        )
    check_labels("deepjdot", source_labels, len(source), target_logits.shape[1])
    source, target, target_logits = in_full_precision(source, target, target_logits)
    middle = target.detach().mean(0)
    source, target = source - middle, target - middle
    distances = source.square().sum(1)[:, None] + target.square().sum(1) - 2 * source @ target.T
    surprise = -target_logits.log_softmax(1).T[source_labels]
    cost = feature_weight * distances.clamp_min(0) + label_weight * surprise
    masses = [
        row_weights("deepjdot", weight, rows).double().cpu().numpy()
        for weight, rows in ((source_weight, source), (None, target))
    ]
    plan = ot.emd(*(mass / mass.sum() for mass in masses), cost.detach().double().cpu().numpy())
    return (torch.as_tensor(plan).to(cost) * cost).sum()


def require(module, user):
    """A module of the extra ``ot``; ConfigError that says how to get it where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"{user} needs {module}: python -m pip install 'galmerge_da[ot]' ({error})") from error
