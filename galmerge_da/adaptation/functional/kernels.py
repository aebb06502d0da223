"""Kernel distances of two samples: MMD and joint MMD."""

from collections.abc import Sequence
from typing import Literal

import torch

from galmerge_da.adaptation.functional._checks import check_choice, check_pair, in_full_precision, row_weights
from galmerge_da.exceptions import ConfigError, InputError

__all__ = ["PUBLISHED_BANDWIDTHS", "jmmd", "mmd"]

#: Variances of the 19 Gaussian kernels that the released code of DeepMerge II sums: bandwidths of ``mmd``.
PUBLISHED_BANDWIDTHS = (
    1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 1e2, 1e3, 1e4, 1e5, 1e6,
)  # fmt: skip

#: The default kernels, in units of the median squared distance.
_MEDIAN_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)

#: The released code lets no loss be smaller than this.
_PUBLISHED_FLOOR = 1e-4

#: Error of a squared distance in units of machine precision times the squared norms.
_ROUNDING = 4

_VARIANTS = ("unbiased", "biased", "published")


def mmd(
    source: torch.Tensor,
    target: torch.Tensor,
    *,
    variant: Literal["unbiased", "biased", "published"] = "unbiased",
    bandwidths: Sequence[float] | None = None,
    source_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Squared maximum mean discrepancy of two samples (Gretton et al. 2012, JMLR 13, 723).

    .. math:: \mathrm{E}\,k(x_s, x_s') + \mathrm{E}\,k(x_t, x_t') - 2\,\mathrm{E}\,k(x_s, x_t)

    with Gaussian kernels, :math:`k(x, y) = \exp(-|x - y|^2 / 2b)`, b a variance.

    Parameters
    ----------
    source : `~torch.Tensor`, shape (N, D)
    target : `~torch.Tensor`, shape (M, D)
    variant : {"unbiased", "biased", "published"}, optional
        ``"unbiased"``: the U-statistic, mean over kernels. Zero on average for
        equal distributions, so it can be negative. A sample of one row has no
        pair of rows and counts as in ``"biased"``: the V-statistic, never
        negative, above zero by an amount that depends on the batch size.
        ``"published"``: the V-statistic of Ciprijanovic et al. 2021 (MNRAS
        506, 677), sum over kernels, never below 1e-4.
    bandwidths : sequence of float, optional
        The variances. By default, for ``"published"``, 19 fixed ones from 1e-6
        to 1e6; else half the median squared distance in the pooled sample
        times 1/4, 1/2, 1, 2 and 4, without gradient.
    source_weight : `~torch.Tensor`, shape (N,), optional
        How much each source row counts.

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If the samples are not of shape (N, D) and (M, D), or one is empty, or
        the weights are wrong.
    ConfigError
        If the variant is unknown or a bandwidth is not positive.
    """
    check_choice("mmd", "variant", variant, _VARIANTS)
    check_pair("mmd", source, target)
    source, target = in_full_precision(source, target)
    if variant == "published" and bandwidths is None:
        bandwidths = PUBLISHED_BANDWIDTHS
    kernel = _mean_kernel(torch.cat([source, target]), bandwidths)
    value = _discrepancy(kernel, row_weights("mmd", source_weight, source), target, variant)
    if variant == "published":
        return (value * len(bandwidths or ())).clamp_min(_PUBLISHED_FLOOR)
    return value


def jmmd(
    source: Sequence[torch.Tensor],
    target: Sequence[torch.Tensor],
    *,
    variant: Literal["unbiased", "biased"] = "unbiased",
    bandwidths: Sequence[Sequence[float] | None] | None = None,
    source_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Joint maximum mean discrepancy of several layers (Long et al. 2017, PMLR 70, 2208).

    As `mmd`, with the product over layers of their kernels,
    :math:`\prod_l k_l(x^l, y^l)`: most often of features and class
    probabilities, so that what is aligned is their joint distribution.

    Parameters
    ----------
    source : sequence of `~torch.Tensor`, shapes (N, D_l)
    target : sequence of `~torch.Tensor`, shapes (M, D_l)
    variant : {"unbiased", "biased"}, optional
    bandwidths : sequence of (sequence of float or None), optional
        The variances of each layer; None: from the median distance.
    source_weight : `~torch.Tensor`, shape (N,), optional

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If there is no layer, the layers do not correspond, or the weights are wrong.
    ConfigError
        If the variant is unknown or a bandwidth is not positive.
    """
    check_choice("jmmd", "variant", variant, _VARIANTS[:2])
    bandwidths = [None] * len(source) if bandwidths is None else bandwidths
    if not len(source) or len({len(source), len(target), len(bandwidths)}) > 1:
        raise InputError(
            f"jmmd: the same layers are needed of both, got {len(source)} and {len(target)}, with "
            f"{len(bandwidths)} sets of bandwidths"
        )
    kernel = 1.0
    for first, second, widths in zip(source, target, bandwidths, strict=True):
        check_pair("jmmd", first, second)
        if len(first) != len(source[0]) or len(second) != len(target[0]):
            raise InputError("jmmd: the layers differ in their number of rows")
        kernel = kernel * _mean_kernel(torch.cat(in_full_precision(first, second)), widths)
    first = in_full_precision(source[0])
    return _discrepancy(kernel, row_weights("jmmd", source_weight, first), target[0], variant)


def check_bandwidths(bandwidths):
    """``bandwidths`` as a tuple of floats; ConfigError unless all are positive and finite."""
    try:
        values = tuple(float(value) for value in bandwidths)
    except (TypeError, ValueError):
        values = ()
    if not values or not all(0 < value < float("inf") for value in values):
        raise ConfigError(f"mmd: bandwidths must be positive numbers, got {bandwidths!r}")
    return values


def _mean_kernel(points, bandwidths):
    """The mean over Gaussian kernels (N, N) of pooled rows (N, D)."""
    distances, floor = _squared_distances(points)
    if bandwidths is None:
        middle = _off_diagonal(distances.detach()).median() if len(points) > 1 else floor
        variances = [torch.maximum(middle, floor) * factor / 2 for factor in _MEDIAN_FACTORS]
    else:
        variances = check_bandwidths(bandwidths)
    return sum(torch.exp(distances / (-2 * variance)) for variance in variances) / len(variances)


def _discrepancy(kernel, weight, target, variant):
    """The three terms of a kernel (N + M, N + M), with weights (N,) of the source that add up to 1."""
    n, m = len(weight), len(target)
    even = weight.new_full((m,), 1 / m)
    within = sum(
        _within(block, weights, variant == "unbiased")
        for block, weights in ((kernel[:n, :n], weight), (kernel[n:, n:], even))
    )
    return within - 2 * (weight @ kernel[:n, n:] @ even)


def _within(kernel, weight, unbiased):
    """The mean of a kernel (N, N) over pairs of rows; unbiased: of different rows, where there are any."""
    everything = weight @ kernel @ weight
    if not unbiased or len(weight) == 1:
        return everything
    different = (1 - weight.square().sum()).clamp_min(torch.finfo(weight.dtype).eps)
    return (everything - weight.square() @ kernel.diagonal()) / different


def _squared_distances(points):
    """Squared distances (N, N) between rows, from one matrix product, and the smallest that means anything.

    The rows are centred first, which changes no distance and saves digits. What
    is within the rounding error, as the diagonal is, becomes exactly zero: the
    narrow kernels would see the error.
    """
    points = points - points.detach().mean(0)
    norms = points.square().sum(1)
    distances = norms[:, None] + norms[None, :] - 2 * points @ points.T
    kind = torch.finfo(points.dtype)
    sizes = norms.detach()
    real = distances.detach() > _ROUNDING * kind.eps * (sizes[:, None] + sizes[None, :])
    real.fill_diagonal_(False)
    return torch.where(real, distances, 0.0), (sizes.mean() * kind.eps).clamp_min(kind.tiny)


def _off_diagonal(square):
    """The elements (N, N - 1) of a matrix (N, N) that are not on its diagonal."""
    n = len(square)
    return square.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)
