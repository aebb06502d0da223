"""What losses promise and only a training step can show: gradients that arrive, and a network left alone."""

import torch

from galmerge_da.exceptions import PluginError

__all__ = ["Inspection"]


class Inspection:
    """Watches the first epoch of a run with losses.

    Parameters
    ----------
    network : `~torch.nn.Module`
    losses : `~galmerge_da.adaptation.WeightedLosses`

    Raises
    ------
    PluginError
        If a loss holds parameters of the network as its own.
    """

    def __init__(self, network, losses):
        self.network, self.losses = network, losses
        self.waiting = dict(losses.losses.named_parameters())
        self.counting = set()
        self.first = True
        theirs = {id(parameter) for parameter in network.parameters()}
        for name, parameter in self.waiting.items():
            if id(parameter) in theirs:
                raise PluginError(
                    f"loss {_loss(name)!r} holds the network among its own modules ({_own(name)}): copy it, or call "
                    "step.model"
                )

    def before(self, *batches):
        """Remember what the losses of the first step must not change."""
        if self.first:
            self.kept = [tensor.detach().clone() for tensor in self._untouchable(batches)]

    def after(self, terms, *batches):
        """See whether they left it alone, and whether each can teach the network.

        Parameters
        ----------
        terms : mapping of str to `~torch.Tensor`, shape ()
            Losses by name.
        *batches : `~galmerge_da.adaptation.DomainBatch`

        Raises
        ------
        PluginError
            If not.
        """
        if not self.first:
            return
        self.first = False
        now = self._untouchable(batches)
        if not all(torch.equal(before, after) for before, after in zip(self.kept, now, strict=True)):
            raise PluginError(f"{_names(terms)} changed weights of the network or the batch itself, in place")
        del self.kept
        taught = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        if not taught:
            raise PluginError(f"{_names(terms)} froze the network: no weight of it has a gradient")
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, taught, retain_graph=True, allow_unused=True)
            if all(gradient is None for gradient in gradients):
                raise PluginError(
                    f"loss {name!r} has no gradient that reaches the network, which would learn nothing from it: is "
                    "something detached?"
                )

    def step_done(self, weights):
        """Note which losses counted, and which of their parameters had a gradient that is not zero.

        Parameters
        ----------
        weights : mapping of str to float
            Of the losses in this step, by name.
        """
        self.counting |= {name for name, weight in weights.items() if weight > 0}
        if self.waiting:
            moving = [name for name, each in self.waiting.items() if each.grad is not None and bool(each.grad.any())]
            for name in moving:
                del self.waiting[name]

    def epoch_done(self):
        """Refuse losses with parameters that nothing taught in the whole epoch.

        Raises
        ------
        PluginError
            Naming the first of them.
        """
        for name, parameter in self.waiting.items():
            if parameter.requires_grad and _loss(name) in self.counting:
                raise PluginError(
                    f"loss {_loss(name)!r}: its parameter {_own(name)} had no gradient in the whole first epoch; "
                    "use it in the value, or make it a buffer"
                )

    def _untouchable(self, batches):
        tensors = [tensor for batch in batches for tensor in (batch.features, batch.logits, batch.images)]
        return [*tensors, *self.network.parameters()]


def _loss(name):
    return name.partition(".")[0]


def _own(name):
    return name.partition(".")[2]


def _names(terms):
    return f"loss {next(iter(terms))!r}" if len(terms) == 1 else f"one of the losses {', '.join(terms)}"
