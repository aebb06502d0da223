"""Losses of predictions alone: entropy, class confusion, nuclear norm, consistency of two views."""

from typing import Literal

import torch

from galmerge_da.adaptation.functional._checks import check_choice, check_rows, in_full_precision
from galmerge_da.exceptions import ConfigError, InputError

__all__ = ["bnm", "consistency", "entropy", "mcc"]


def entropy(logits: torch.Tensor) -> torch.Tensor:
    r"""Mean entropy of the predictions (Grandvalet & Bengio 2005, NeurIPS 17, 529).

    .. math:: -\mathrm{E} \sum_k p_k \log p_k

    Parameters
    ----------
    logits : `~torch.Tensor`, shape (N, K)

    Returns
    -------
    `~torch.Tensor`, shape ()
        From 0 to log K.

    Raises
    ------
    InputError
        If the logits are not of shape (N, K), or there are none.
    """
    check_rows("entropy", logits)
    log_probs = in_full_precision(logits).log_softmax(1)
    return -(log_probs.exp() * log_probs).sum(1).mean()


def mcc(logits: torch.Tensor, *, temperature: float = 2.5) -> torch.Tensor:
    r"""Minimum class confusion (Jin et al. 2020, ECCV, 464).

    With :math:`p` the probabilities at a temperature T, and rows weighted by
    :math:`w \propto 1 + e^{-H(p)}` with mean 1, the confusion of classes is
    :math:`C = p^T \mathrm{diag}(w)\, p`, each row divided by its sum. The loss is what lies
    off the diagonal, :math:`\frac1K \sum_{j \ne k} C_{jk}`.

    Parameters
    ----------
    logits : `~torch.Tensor`, shape (N, K)
        Of the target.
    temperature : float, optional
        2.5, as published.

    Returns
    -------
    `~torch.Tensor`, shape ()
        From 0 to 1 - 1/K.

    Raises
    ------
    InputError
        If the logits are not of shape (N, K), or there are none.
    ConfigError
        If the temperature is not positive.
    """
    check_rows("mcc", logits)
    if not temperature > 0:
        raise ConfigError(f"mcc: temperature must be above 0, got {temperature!r}")
    log_probs = (in_full_precision(logits) / temperature).log_softmax(1)
    probs = log_probs.exp()
    sure = 1 + torch.exp((probs * log_probs).sum(1).detach())
    confusion = (probs * (sure * len(sure) / sure.sum())[:, None]).T @ probs
    confusion = confusion / confusion.sum(1, keepdim=True).clamp_min(torch.finfo(probs.dtype).tiny)
    return (confusion.sum() - confusion.diagonal().sum()) / probs.shape[1]


def bnm(logits: torch.Tensor) -> torch.Tensor:
    r"""Batch nuclear-norm maximisation (Cui et al. 2020, CVPR, 3940).

    .. math:: -\frac1N \| P \|_*

    with P the class probabilities of the batch: predictions become sure, and
    stay diverse.

    Parameters
    ----------
    logits : `~torch.Tensor`, shape (N, K)
        Of the target.

    Returns
    -------
    `~torch.Tensor`, shape ()
        Negative.

    Raises
    ------
    InputError
        If the logits are not of shape (N, K), or there are none.
    """
    check_rows("bnm", logits)
    return -torch.linalg.svdvals(in_full_precision(logits).softmax(1)).sum() / len(logits)


def consistency(
    logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    *,
    threshold: float = 0.0,
    form: Literal["cross_entropy", "squared"] = "cross_entropy",
) -> torch.Tensor:
    r"""How far predictions of one view of an image are from a teacher's of another.

    Rows whose teacher is not sure, with a largest probability below the
    threshold, count zero in a mean over all rows.

    Parameters
    ----------
    logits : `~torch.Tensor`, shape (N, K)
        Of the learning network, on a strongly varied view.
    teacher_logits : `~torch.Tensor`, shape (N, K)
        Of the teacher, on a weakly varied view; no gradient goes there.
    threshold : float, optional
        0 to 1.
    form : {"cross_entropy", "squared"}, optional
        ``"cross_entropy"``: with the teacher's most probable class (FixMatch,
        Sohn et al. 2020, NeurIPS 33, 596). ``"squared"``: mean squared
        difference of probabilities (mean teacher, Tarvainen & Valpola 2017,
        NeurIPS 30, 1195; French et al. 2018, ICLR).

    Returns
    -------
    `~torch.Tensor`, shape ()

    Raises
    ------
    InputError
        If the logits are not of one shape (N, K), or there are none.
    ConfigError
        If the form is unknown or the threshold is not from 0 to 1.
    """
    check_choice("consistency", "form", form, ("cross_entropy", "squared"))
    if not 0 <= threshold <= 1:
        raise ConfigError(f"consistency: threshold must be from 0 to 1, got {threshold!r}")
    check_rows("consistency", logits)
    if logits.shape != teacher_logits.shape:
        raise InputError(
            f"consistency: both need one shape, got {tuple(logits.shape)} and {tuple(teacher_logits.shape)}"
        )
    logits, teacher_logits = in_full_precision(logits, teacher_logits)
    taught = teacher_logits.detach().softmax(1)
    sureness, label = taught.max(1)
    if form == "squared":
        distance = (logits.softmax(1) - taught).square().mean(1)
    else:
        distance = -logits.log_softmax(1).gather(1, label[:, None]).squeeze(1)
    return (distance * (sureness >= threshold)).mean()
