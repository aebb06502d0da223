"""What losses with a discriminator of domains share."""

from dataclasses import dataclass

from torch import nn

from galmerge_da.adaptation.priors import AlignmentLoss, AlignmentOptions
from galmerge_da.adaptation.weights import sigmoid_ramp
from galmerge_da.options import option

__all__ = ["AdversarialConfig", "AdversarialLoss", "make_discriminator"]


@dataclass(frozen=True)
class AdversarialConfig(AlignmentOptions):
    """Options of every loss with a discriminator of domains."""

    hidden: int = option(1024, "width of both hidden layers of the discriminator", at_least=1)
    dropout: float = option(0.5, "fraction of its units that are left out at a step", at_least=0, below=1)
    lr_multiplier: float = option(1.0, "its learning rate in units of the network's", above=0)
    max_lambda: float = option(1.0, "strength of the reversed gradient at its full height", above=0)
    lambda_schedule: str = option(
        "sigmoid", "how that strength rises during training; constant: as published", choices=("sigmoid", "constant")
    )


class AdversarialLoss(AlignmentLoss):
    """Base class: a discriminator, its learning rate, and the schedule of the reversed gradient.

    Parameters
    ----------
    config : AdversarialConfig
    context : `~galmerge_da.adaptation.LossContext`
    in_features : int
        Length of what the discriminator is shown.
    """

    def __init__(self, config, context, in_features):
        super().__init__(config, context)
        self.discriminator = make_discriminator(in_features, config.hidden, config.dropout)

    def parameter_groups(self, lr):
        """As `AdaptationLoss.parameter_groups`, with the discriminator's own learning rate."""
        return [{"params": list(self.discriminator.parameters()), "lr": lr * self.config.lr_multiplier}]

    def reversal(self, step):
        """Strength of the reversed gradient at a step; float."""
        if self.config.lambda_schedule == "constant":
            return self.config.max_lambda
        return self.config.max_lambda * sigmoid_ramp(step.progress)


def make_discriminator(in_features, hidden, dropout):
    """Three dense layers to the log-odds of being source, as published.

    Parameters
    ----------
    in_features, hidden : int
    dropout : float
        After each hidden layer.

    Returns
    -------
    `~torch.nn.Module`
        (N, in_features) to (N, 1).
    """
    return nn.Sequential(
        nn.Linear(in_features, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(hidden, 1),
    )  # fmt: skip
