"""A loss on two processes and on one, without starting any: what the host hands over is made here."""

import dataclasses

import torch

from galmerge_da.testing._run import agree

__all__ = ["compare_processes", "take_rows"]


def compare_processes(case, batches):
    """Compare two processes that have every other row with one that has all.

    Parameters
    ----------
    case : object
        With ``make()``, which gives a loss, and ``step()``.
    batches : sequence of `~galmerge_da.adaptation.DomainBatch`
        Source and target, each of an even number of rows.

    Returns
    -------
    str or None
        The problem, in words.
    """
    coupled = case.make().batch_coupled
    orders = [torch.cat([torch.arange(rank, len(batch), 2) for rank in (0, 1)]) for batch in batches]
    gathered = [take_rows(batch, order) for batch, order in zip(batches, orders, strict=True)]
    value, features, parameters = _outcome(case, gathered, [torch.ones(len(each), dtype=bool) for each in gathered])
    ranks = [(_coupled if coupled else _alone)(case, gathered, rank) for rank in (0, 1)]
    values = [rank[0] for rank in ranks]
    joint = torch.stack(values).mean()
    if not agree(joint, value) or (coupled and not agree(*values)):
        advice = "" if coupled else "; if it is no mean over rows, let batch_coupled be True"
        return f"two processes give {joint.item():g}, one gives {value.item():g}{advice}"
    for name, whole, *parts in zip(("source", "target"), features, *(rank[1] for rank in ranks), strict=True):
        if not agree(sum(parts) if coupled else torch.cat(parts) / 2, whole):
            return f"two processes give other gradients for the features of the {name} than one"
    names = [name for name, each in case.make().named_parameters() if each.requires_grad]
    for name, whole, *parts in zip(names, parameters, *(rank[2] for rank in ranks), strict=True):
        if not agree(sum(parts) / 2, whole):
            return f"two processes give another gradient for its parameter {name} than one"
    return None


def take_rows(batch, rows):
    """Some rows of a batch.

    Parameters
    ----------
    batch : `~galmerge_da.adaptation.DomainBatch`
    rows : `~torch.Tensor` of int

    Returns
    -------
    `~galmerge_da.adaptation.DomainBatch`
    """
    parts = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    return dataclasses.replace(batch, **{name: part[rows] for name, part in parts.items() if part is not None})


def _coupled(case, gathered, rank):
    """What a process gets that is given the rows of both, of which its own have gradients."""
    own = [torch.arange(len(batch)) // (len(batch) // 2) == rank for batch in gathered]
    return _outcome(case, gathered, own)


def _alone(case, gathered, rank):
    """What a process gets that is given its own rows only."""
    halves = [len(batch) // 2 for batch in gathered]
    rows = [torch.arange(rank * half, (rank + 1) * half) for half in halves]
    return _outcome(
        case,
        [take_rows(batch, each) for batch, each in zip(gathered, rows, strict=True)],
        [torch.ones(half, dtype=bool) for half in halves],
    )


def _outcome(case, batches, own):
    """Value, gradients of the rows (zero where not ``own``) and of the loss's parameters, in evaluation mode."""
    loss = case.make().eval()
    leaves, given = [], []
    for batch, mask in zip(batches, own, strict=True):
        leaf = batch.features.detach().clone().requires_grad_()
        features = torch.where(mask[:, None], leaf, leaf.detach())
        leaves.append(leaf)
        given.append(dataclasses.replace(batch, features=features, logits=case.model.head(features)))
    value = loss(*given, case.step())
    learned = [parameter for parameter in loss.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(value, [*leaves, *learned], allow_unused=True, materialize_grads=True)
    return value.detach(), gradients[:2], gradients[2:]
