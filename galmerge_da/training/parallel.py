"""Several processes at one training: who is who, what they share, who writes.

They are started by ``torchrun``. Each takes its part of every batch; gradients
are averaged. What depends on the whole batch gets the rows of all processes.
"""

import atexit
import inspect
import os
from contextlib import contextmanager

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from galmerge_da.adaptation import DomainBatch
from galmerge_da.exceptions import ConfigError
from galmerge_da.models import choose_device

__all__ = ["Processes", "is_first_process", "join_processes"]


def is_first_process() -> bool:
    """Whether this process is the one that prints and writes.

    Returns
    -------
    bool
        True where there is only one process.
    """
    return int(os.environ.get("RANK", 0)) == 0


@contextmanager
def join_processes(device=None):
    """Join the other processes that ``torchrun`` has started, if there are any.

    Parameters
    ----------
    device : str or `~torch.device`, optional
        As for `~galmerge_da.models.choose_device`. On CUDA every process takes
        the GPU of its local rank.

    Yields
    ------
    Processes

    Raises
    ------
    ConfigError
        If the device does not exist, or is neither CPU nor CUDA where there
        are several processes.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    device = choose_device(device)
    if size == 1:
        yield Processes(device)
        return
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}")
        torch.cuda.set_device(device)
    elif device.type != "cpu":
        raise ConfigError(f"several processes train on 'cpu' or 'cuda', not on {device.type!r}")
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        # A second group would find the addresses of the first in the store, and wait for them.
        atexit.register(distributed.destroy_process_group)
    yield Processes(device, distributed.get_rank(), distributed.get_world_size())


class Processes:
    """One process among those that train together; alone by default, when nothing here costs anything.

    Parameters
    ----------
    device : `~torch.device`
        Where this process computes.
    rank, size : int, optional
        Its number, and how many there are.
    """

    def __init__(self, device, rank=0, size=1):
        self.device, self.rank, self.size = device, rank, size

    @property
    def first(self):
        """Whether this process prints and writes."""
        return self.rank == 0

    def part(self, rows):
        """This process's part of the rows of a batch, a tensor of shape (N,)."""
        return rows if self.size == 1 else rows.tensor_split(self.size)[self.rank]

    def wrap(self, network):
        """The network as it is called in training.

        Parameters
        ----------
        network : `~torch.nn.Module`
            On CUDA its batch normalisation sees the rows of all processes from
            now on; on the CPU each process's own.

        Returns
        -------
        `~torch.nn.Module`
            Averages gradients over the processes.
        """
        if self.size == 1:
            return network
        if self.device.type == "cuda":
            torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
        known = inspect.signature(DistributedDataParallel).parameters
        unsynced = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        return DistributedDataParallel(network, **{unsynced: False})

    def gather(self, rows):
        """The rows of all processes, in the order of their ranks.

        The gradient comes back for this process's own rows, times the number of
        processes: all compute the same loss, and the average of their gradients
        is then that of the whole batch.

        Parameters
        ----------
        rows : `~torch.Tensor`, shape (N, ...)
            N may differ between processes.

        Returns
        -------
        `~torch.Tensor`, shape (sum of all N, ...)
        """
        if self.size == 1:
            return rows
        sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(self.size)]
        distributed.all_gather(sizes, torch.full_like(sizes[0], len(rows)))
        sizes = [int(size) for size in sizes]
        padded = rows.detach().new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows.detach()
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return join_rows([part[:size] for part, size in zip(parts, sizes, strict=True)], rows, self.rank)

    def gather_batch(self, batch):
        """A `~galmerge_da.adaptation.DomainBatch` with the rows of all processes."""
        if self.size == 1:
            return batch
        parts = (batch.features, batch.logits, batch.images, batch.index, batch.labels)
        return DomainBatch(*(None if part is None else self.gather(part) for part in parts))

    @torch.no_grad()
    def average(self, tensors):
        """Replace tensors by their mean over the processes.

        Parameters
        ----------
        tensors : iterable of `~torch.Tensor`
            The same on every process; those without floating-point values are left alone.
        """
        if self.size == 1:
            return
        for tensor in tensors:
            if tensor.dtype.is_floating_point:
                distributed.all_reduce(tensor)
                tensor /= self.size

    def once(self, function, *arguments):
        """What a function gives to the first process, for all; the others wait and do not call it."""
        if self.size == 1:
            return function(*arguments)
        outcome = [None, None]
        if self.first:
            try:
                outcome[0] = function(*arguments)
            except Exception as error:  # raised by all, or the others would wait for ever
                outcome[1] = error
        distributed.broadcast_object_list(outcome, device=self.device)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]


def join_rows(parts, own, rank):
    """Rows of all processes as one tensor, of which only this process's carry a gradient.

    Parameters
    ----------
    parts : list of `~torch.Tensor`, shapes (N_i, ...)
        Rows of each process, without gradient.
    own : `~torch.Tensor`, shape (N_rank, ...)
        This process's rows.
    rank : int

    Returns
    -------
    `~torch.Tensor`, shape (sum of N_i, ...)
        The gradient of ``own`` is multiplied by the number of processes.
    """
    if own.requires_grad:
        # The value of own, and len(parts) times its gradient.
        scaled = len(parts) * own
        parts = [*parts[:rank], scaled + (own - scaled).detach(), *parts[rank + 1 :]]
    return torch.cat(parts)
