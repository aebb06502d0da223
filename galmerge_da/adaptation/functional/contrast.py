"""Contrastive alignment of classes across domains."""

import torch
from torch.nn.functional import normalize

from galmerge_da.adaptation.functional._checks import check_labels, check_pair, in_full_precision
from galmerge_da.exceptions import ConfigError, InputError

__all__ = ["contrastive"]


def contrastive(
    source: torch.Tensor,
    source_labels: torch.Tensor,
    target: torch.Tensor,
    target_logits: torch.Tensor,
    *,
    temperature: float = 0.1,
    threshold: float = 0.9,
) -> torch.Tensor:
    r"""Cross-domain contrastive loss on pseudo-labels (Wang et al. 2022, IEEE TMM 25, 1665; arXiv:2106.05528).

    For a target row that the classifier is sure of, with pseudo-label
    :math:`\hat y`, the source rows of that class are to be nearer, by cosine
    z, than the other source rows:

    .. math:: -\frac{1}{|P|} \sum_{p \in P} \log
              \frac{\exp(z_t \cdot z_p / \tau)}{\sum_j \exp(z_t \cdot z_j / \tau)}

    and the same from source rows to the target rows. The loss is the mean
    of both directions, each over the rows that have a partner.

    Parameters
    ----------
    source : `~torch.Tensor`, shape (N, D)
    source_labels : `~torch.Tensor` of int, shape (N,)
    target : `~torch.Tensor`, shape (M, D)
    target_logits : `~torch.Tensor`, shape (M, K)
        No gradient goes there.
    temperature : float, optional
        :math:`\tau`.
    threshold : float, optional
        Probability from which a target row has a pseudo-label; the others are left out.

    Returns
    -------
    `~torch.Tensor`, shape ()
        0 where no target row is sure or no class is shared.

    Raises
    ------
    InputError
        If shapes do not correspond or a label is no class.
    ConfigError
        If the temperature is not positive or the threshold is not from 0 to 1.
    """
    if not temperature > 0 or not 0 <= threshold <= 1:
        raise ConfigError(
            f"contrastive: temperature must be above 0 and threshold from 0 to 1, got {temperature!r} and {threshold!r}"
        )
    check_pair("contrastive", source, target)
    if target_logits.ndim != 2 or len(target_logits) != len(target):
        raise InputError(
            f"contrastive: target_logits must have shape ({len(target)}, K), got {tuple(target_logits.shape)}"
        )
    check_labels("contrastive", source_labels, len(source), target_logits.shape[1])
    source, target, target_logits = in_full_precision(source, target, target_logits)
    probability, pseudo_labels = target_logits.detach().softmax(1).max(1)
    sure = probability >= threshold
    similarity = normalize(target, dim=1) @ normalize(source, dim=1).T / temperature
    partners = (pseudo_labels[:, None] == source_labels) & sure[:, None]
    # Rows that are not sure are no alternatives either: their similarity is as good as none.
    heard = torch.where(sure[:, None], similarity, torch.finfo(similarity.dtype).min)
    return (_one_way(similarity, partners) + _one_way(heard.T, partners.T)) / 2


def _one_way(similarity, partners):
    """The mean over rows with partners of their partners' mean negative log-probability."""
    chance = -(similarity - similarity.logsumexp(1, keepdim=True))
    counts = partners.sum(1)
    per_row = torch.where(partners, chance, 0.0).sum(1) / counts.clamp_min(1)
    return per_row.sum() / (counts > 0).sum().clamp_min(1)
