"""The losses as pure functions of tensors."""

import torch

from galmerge_da.exceptions import ConfigError, InputError

__all__ = ["PUBLISHED_BANDWIDTHS", "mmd"]

#: Variances of the 19 Gaussian kernels of the released DeepMerge II code.
PUBLISHED_BANDWIDTHS = (
    1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 1e2, 1e3, 1e4, 1e5, 1e6,
)  # fmt: skip

#: The default kernels, in units of the median squared distance.
_MEDIAN_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)

#: The released code lets no loss be smaller than this.
_PUBLISHED_FLOOR = 1e-4

#: Error of a squared distance in units of machine precision times the squared norms.
_ROUNDING = 4


def mmd(source, target, *, variant="unbiased", bandwidths=None):
    """Squared maximum mean discrepancy between two samples (Gretton et al. 2012, JMLR 13, 723).

    The kernels are Gaussians, ``exp(-|x - y|^2 / (2 b))`` with ``b`` a variance.

    Parameters
    ----------
    source : `~torch.Tensor`, shape (N, D)
    target : `~torch.Tensor`, shape (M, D)
    variant : {"unbiased", "published"}, optional
        ``"unbiased"``: the U-statistic, mean over kernels. Zero on average for
        equal distributions, so it can be negative. ``"published"``: the
        V-statistic of Ciprijanovic et al. 2021, sum over kernels, never below
        1e-4; biased by an amount that depends on the batch size.
    bandwidths : sequence of float, optional
        The variances. By default, for ``"published"``, 19 fixed ones from 1e-6
        to 1e6; for ``"unbiased"``, half the median squared distance in the
        pooled sample times 1/4, 1/2, 1, 2 and 4, without gradient.

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If the samples are not of shape (N, D) and (M, D), one is empty, or one
        has a single row and the variant is unbiased.
    ConfigError
        If the variant is unknown or a bandwidth is not positive.
    """
    if variant not in ("unbiased", "published"):
        raise ConfigError(f"mmd: variant must be 'unbiased' or 'published', got {variant!r}")
    least = 2 if variant == "unbiased" else 1
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        shapes = f"{tuple(source.shape)} and {tuple(target.shape)}"
        raise InputError(f"mmd: samples must have shapes (N, D) and (M, D), got {shapes}")
    if min(len(source), len(target)) < least:
        sizes = f"{len(source)} and {len(target)}"
        raise InputError(f"mmd: the {variant} variant needs at least {least} rows a sample, got {sizes}")
    distances, floor = _squared_distances(torch.cat([source, target]))
    if variant == "published" and bandwidths is None:
        bandwidths = PUBLISHED_BANDWIDTHS
    if bandwidths is None:
        middle = _off_diagonal(distances.detach()).median()
        variances = [torch.maximum(middle, floor) * factor / 2 for factor in _MEDIAN_FACTORS]
    else:
        variances = check_bandwidths(bandwidths)
    kernel = sum(torch.exp(distances / (-2 * variance)) for variance in variances)
    n = len(source)
    within_source, within_target, between = kernel[:n, :n], kernel[n:, n:], kernel[:n, n:]
    if variant == "published":
        value = within_source.mean() + within_target.mean() - 2 * between.mean()
        return value.clamp_min(_PUBLISHED_FLOOR)
    value = _off_diagonal(within_source).mean() + _off_diagonal(within_target).mean() - 2 * between.mean()
    return value / len(variances)


def check_bandwidths(bandwidths):
    """``bandwidths`` as a tuple of floats; ConfigError unless all are positive and finite."""
    try:
        values = tuple(float(value) for value in bandwidths)
    except (TypeError, ValueError):
        values = ()
    if not values or not all(0 < value < float("inf") for value in values):
        raise ConfigError(f"mmd: bandwidths must be positive numbers, got {bandwidths!r}")
    return values


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
