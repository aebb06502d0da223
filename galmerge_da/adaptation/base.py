"""What a domain-adaptation loss is, and what it gets to see."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from galmerge_da.exceptions import InputError

__all__ = ["AdaptationLoss", "DomainBatch", "LossContext", "StepContext"]


@dataclass(frozen=True, eq=False)
class DomainBatch:
    """One batch of one domain.

    Parameters
    ----------
    features : `~torch.Tensor`, shape (N, D)
        What the backbone gave, float32.
    logits : `~torch.Tensor`, shape (N, K)
        What the head gave, float32.
    images : `~torch.Tensor`, shape (N, C, H, W)
        The linear frames, augmented.
    index : `~torch.Tensor` of int, shape (N,)
        Position of each image in its data set.
    labels : `~torch.Tensor` of int, shape (N,), or None
        Classes of the source; always None for the target.

    Raises
    ------
    InputError
        If the parts do not have the same number of rows.
    """

    features: Tensor
    logits: Tensor
    images: Tensor
    index: Tensor
    labels: Tensor | None = None

    def __post_init__(self):
        parts = (self.features, self.logits, self.images, self.index, self.labels)
        sizes = {len(part) for part in parts if part is not None}
        if len(sizes) != 1:
            raise InputError(f"a batch's features, logits, images, index and labels differ in length: {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, eq=False)
class StepContext:
    """Where training stands.

    Parameters
    ----------
    progress : float
        From 0 at the first step to 1 at the last.
    epoch : int
        Counted from 0.
    generator : `~torch.Generator`
        On the CPU. Beside torch's global generator, which is seeded as well, the
        only source of chance that a loss may use.
    model : callable
        ``images -> features, logits``, with gradients; for teachers and consistency.
    """

    progress: float
    epoch: int
    generator: torch.Generator
    model: Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class LossContext:
    """What is known when a loss is made.

    Parameters
    ----------
    feature_dim : int
        Length D of a feature vector.
    n_classes : int
        Number of classes K, not always 2.
    generator : `~torch.Generator`
        Seeded, on the CPU.
    model : `~torch.nn.Module` or None
        The network as it starts, images -> features, logits: for teachers,
        which are copies of it. To be read, not to be kept.
    """

    feature_dim: int
    n_classes: int
    generator: torch.Generator
    model: nn.Module | None = None


class AdaptationLoss(nn.Module):
    """Base class of every domain-adaptation loss.

    A subclass writes `forward`. Whatever it learns (a discriminator, class
    centres) is a sub-module or a Parameter, and is optimised with the network.

    Attributes
    ----------
    batch_coupled : bool
        Whether the loss of a batch is more than a mean over its rows. True
        unless a subclass says otherwise. When several processes train, a
        coupled loss gets the rows of all of them, the others their own.
    """

    batch_coupled = True

    def forward(self, source: DomainBatch, target: DomainBatch, step: StepContext) -> Tensor:
        """The loss of one step.

        Parameters
        ----------
        source, target : DomainBatch
            Of unequal size, in general.
        step : StepContext

        Returns
        -------
        `~torch.Tensor`, shape ()
            Not weighted.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward(source, target, step)")

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """What the optimizer gets: by default one group of all parameters.

        Parameters
        ----------
        lr : float
            Learning rate of the network.

        Returns
        -------
        list of dict
            As `torch.optim.Optimizer` takes them; empty if nothing is learned.
        """
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [{"params": parameters, "lr": lr}] if parameters else []

    def on_epoch_start(self, step: StepContext) -> None:
        """Called before the first step of an epoch; does nothing.

        Parameters
        ----------
        step : StepContext
        """

    def after_step(self, step: StepContext) -> None:
        """Called after each step of the optimizer, for teachers and clamps; does nothing.

        Parameters
        ----------
        step : StepContext
        """
