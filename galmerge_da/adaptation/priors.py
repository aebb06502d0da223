"""Alignment that knows the classes may be rarer in the target than in the source."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from galmerge_da.adaptation.base import AdaptationLoss, DomainBatch, LossContext
from galmerge_da.adaptation.functional import estimate_prior, prior_weights
from galmerge_da.exceptions import ConfigError
from galmerge_da.options import Options, option

__all__ = ["AlignmentLoss", "AlignmentOptions", "TargetPrior"]

if TYPE_CHECKING:
    _Shares = Sequence[float] | None
else:
    _Shares = tuple  # the kind that `Options` checks

#: Predictions of target rows that are remembered.
_MEMORY = 2048

#: Remembered rows that the source's shares are worth.
_STRENGTH = 20.0


@dataclass(frozen=True)
class AlignmentOptions(Options):
    """Options of every loss that aligns the whole of two domains.

    Mergers are half of a simulation and a few per cent of a survey. Aligning
    one with the other, as they are, moves non-mergers to where mergers were.
    With a target prior, source rows count as if the classes had the target's
    shares.

    Parameters
    ----------
    target_prior : tuple of float, optional
        Those shares, if they are known.
    estimate_prior : bool, optional
        Whether they are estimated from the predictions, as training goes on.

    Raises
    ------
    ConfigError
        If both are asked for, or the shares do not add up to 1.
    """

    target_prior: _Shares = option(
        None, "shares of the classes in the target, as [0.95, 0.05]; none: the batches count as they are",
        above=0, optional=True,
    )  # fmt: skip
    estimate_prior: bool = option(False, "estimate those shares from the predictions, as training goes on")

    def __post_init__(self):
        super().__post_init__()
        if self.target_prior is not None and self.estimate_prior:
            raise ConfigError("target_prior is given: there is nothing to estimate, leave out estimate_prior")
        if self.target_prior is not None and abs(sum(self.target_prior) - 1) > 1e-3:
            raise ConfigError(f"target_prior must be shares that add up to 1, got {list(self.target_prior)}")


class TargetPrior(nn.Module):
    """Shares of the classes in both domains, as far as they are known.

    The source's are counted over all batches so far; the target's are given,
    or estimated from its last 2,048 predictions by `estimate_prior`.

    Parameters
    ----------
    n_classes : int
    given : sequence of float, optional
        Shares in the target.

    Raises
    ------
    ConfigError
        If the shares are not one for each class.
    """

    def __init__(self, n_classes, given=None):
        super().__init__()
        if given is not None and len(given) != n_classes:
            raise ConfigError(f"target_prior must be {n_classes} numbers, one for each class, got {given!r}")
        self.register_buffer("counts", torch.zeros(n_classes))
        self.register_buffer("given", None if given is None else torch.tensor(given) / sum(given))
        self.register_buffer("memory", torch.zeros(0 if given is not None else _MEMORY, n_classes))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, source, target):
        """Take note of a batch.

        Parameters
        ----------
        source, target : `~galmerge_da.adaptation.DomainBatch`
        """
        self.counts += torch.bincount(source.labels, minlength=len(self.counts)).to(self.counts)
        if self.given is None:
            rows = target.logits.detach().softmax(1)[-_MEMORY:]
            place = (self.seen + torch.arange(len(rows), device=rows.device)) % _MEMORY
            self.memory[place] = rows.to(self.memory)
            self.seen += len(rows)

    def shares(self):
        """What is known now.

        Returns
        -------
        source, target : `~torch.Tensor`, shape (K,)
        """
        source = (self.counts + 1) / (self.counts + 1).sum()  # no class is quite absent
        if self.given is not None:
            return source, self.given
        rows = self.memory[: int(self.seen.clamp(max=_MEMORY))]
        return source, estimate_prior(rows, source, strength=_STRENGTH) if len(rows) else source


class AlignmentLoss(AdaptationLoss):
    """Base class of losses that align the whole of two domains.

    Parameters
    ----------
    config : AlignmentOptions
    context : `~galmerge_da.adaptation.LossContext`
    """

    def __init__(self, config: AlignmentOptions, context: LossContext) -> None:
        super().__init__()
        self.config = config
        aware = config.estimate_prior or config.target_prior is not None
        self.prior = TargetPrior(context.n_classes, config.target_prior) if aware else None

    def source_weight(self, source: DomainBatch, target: DomainBatch) -> torch.Tensor | None:
        """How much each source row of this step counts.

        Parameters
        ----------
        source, target : `~galmerge_da.adaptation.DomainBatch`

        Returns
        -------
        `~torch.Tensor`, shape (N,), or None
            None: all the same, since no target prior was asked for.
        """
        if self.prior is None:
            return None
        if self.training:
            self.prior.update(source, target)
        return prior_weights(source.labels, *self.prior.shares())
