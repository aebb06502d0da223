"""Losses of a discriminator that tells the domains apart, behind a reversed gradient: DANN and CDAN."""

from collections.abc import Callable

import torch
from torch.nn.functional import softplus

from galmerge_da.adaptation.functional._checks import check_pair, in_full_precision, row_weights
from galmerge_da.exceptions import InputError

__all__ = ["cdan", "dann", "reverse_gradient"]


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, scale):
        ctx.scale = scale
        return values.view_as(values)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.scale * gradient, None


def reverse_gradient(values: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
    """The values themselves, whose gradient comes back with the other sign (Ganin et al. 2016, JMLR 17, 59).

    Parameters
    ----------
    values : `~torch.Tensor`
        Of any shape.
    scale : float, optional
        What the gradient is multiplied by, besides -1.

    Returns
    -------
    `~torch.Tensor`
        Of the same shape.
    """
    return _Reverse.apply(values, scale)


def dann(
    source: torch.Tensor,
    target: torch.Tensor,
    discriminator: Callable[[torch.Tensor], torch.Tensor],
    *,
    reversal: float = 1.0,
    source_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Domain-adversarial loss (Ganin et al. 2016, JMLR 17, 59).

    The cross-entropy of a discriminator d that is to call the source 1 and the
    target 0, the mean of both domains' means:

    .. math:: -\tfrac12\,\mathrm{E}\,\log\sigma(d(x_s)) - \tfrac12\,\mathrm{E}\,\log(1 - \sigma(d(x_t)))

    Its gradient for the discriminator is as it is, for the features reversed.

    Parameters
    ----------
    source : `~torch.Tensor`, shape (N, D)
    target : `~torch.Tensor`, shape (M, D)
    discriminator : callable
        (N + M, D) to (N + M,) or (N + M, 1): log-odds of being source.
    reversal : float, optional
        Strength of the reversed gradient.
    source_weight : `~torch.Tensor`, shape (N,), optional
        How much each source row counts.

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If the samples are not of shape (N, D) and (M, D), one is empty, the
        weights are wrong, or the discriminator gives another shape.
    """
    check_pair("dann", source, target)
    source, target = in_full_precision(source, target)
    weights = row_weights("dann", source_weight, source), row_weights("dann", None, target)
    return _domain_loss("dann", torch.cat([source, target]), discriminator, reversal, weights)


def cdan(
    source: torch.Tensor,
    source_logits: torch.Tensor,
    target: torch.Tensor,
    target_logits: torch.Tensor,
    discriminator: Callable[[torch.Tensor], torch.Tensor],
    *,
    entropy: bool = True,
    reversal: float = 1.0,
    source_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""Conditional domain-adversarial loss (Long et al. 2018, NeurIPS 31, 1640).

    As `dann` on the outer products :math:`p \otimes f` of class probabilities
    and features, so that the domains are aligned class by class. The
    probabilities carry no gradient.

    Parameters
    ----------
    source : `~torch.Tensor`, shape (N, D)
    source_logits : `~torch.Tensor`, shape (N, K)
    target : `~torch.Tensor`, shape (M, D)
    target_logits : `~torch.Tensor`, shape (M, K)
    discriminator : callable
        (N + M, K * D) to (N + M,) or (N + M, 1); features vary fastest.
    entropy : bool, optional
        Whether rows count as :math:`1 + e^{-H(p)}`, more where the classifier
        is sure ("CDAN+E").
    reversal : float, optional
    source_weight : `~torch.Tensor`, shape (N,), optional
        How much each source row counts, besides.

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If shapes do not correspond, a sample is empty, the weights are wrong,
        or the discriminator gives another shape.
    """
    check_pair("cdan", source, target)
    check_pair("cdan: logits", source_logits, target_logits)
    if len(source) != len(source_logits) or len(target) != len(target_logits):
        raise InputError("cdan: features and logits differ in their number of rows")
    features = torch.cat(in_full_precision(source, target))
    log_probs = torch.cat(in_full_precision(source_logits, target_logits)).detach().log_softmax(1)
    probs = log_probs.exp()
    n = len(source)
    sure = 1 + torch.exp((probs * log_probs).sum(1)) if entropy else torch.ones_like(probs[:, 0])
    # Sureness shares weight among all rows, as published; how much a source row counts shares it among the source's.
    share = sure / sure.sum()
    if source_weight is not None:
        own = share[:n] * row_weights("cdan", source_weight, share[:n])
        share = torch.cat([own / own.sum() * share[:n].sum(), share[n:]])
    joint = (probs[:, :, None] * features[:, None, :]).flatten(1)
    return _domain_loss("cdan", joint, discriminator, reversal, (2 * share[:n], 2 * share[n:]))


def _domain_loss(name, rows, discriminator, reversal, weights):
    """Half the weighted cross-entropy of each domain's rows; the weights of a domain add up to about 1."""
    n = len(weights[0])
    scores = discriminator(reverse_gradient(rows, reversal))
    if scores.shape not in ((len(rows),), (len(rows), 1)):
        raise InputError(f"{name}: the discriminator must give one number a row, got {tuple(scores.shape)}")
    scores = scores.flatten()
    return (weights[0] @ softplus(-scores[:n]) + weights[1] @ softplus(scores[n:])) / 2
