"""From frames to logits: small batches that stay in the cache, on whatever device there is."""

from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from galmerge_da.exceptions import ConfigError
from galmerge_da.models import autocast

__all__ = ["BATCH_SIZE", "limit_threads", "predict_features", "predict_logits"]

#: Images per forward pass on the CPU; larger ones leave the cache and are slower.
BATCH_SIZE = 32
_GPU_BATCH_SIZE = 512


def predict_logits(
    network: torch.nn.Module,
    frames: NDArray[Any] | torch.Tensor,
    *,
    device: torch.device,
    batch_size: int | None = None,
) -> NDArray[np.float32]:
    """Run a network over frames.

    Parameters
    ----------
    network : `~torch.nn.Module`
        ``(N, C, H, W) -> features, logits``; moved to ``device``. It is
        evaluated as in inference and left in the mode it was in.
    frames : `~numpy.ndarray` of float32, or `~torch.Tensor`, shape (N, C, H, W)
        Linear frames.
    device : `~torch.device`
    batch_size : int, optional
        Images per forward pass; 32 on the CPU, 512 elsewhere.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (N, K)
    """
    parts = [logits for _, logits in _passes(network, frames, device, batch_size)]
    return np.concatenate(parts) if parts else np.zeros((0, network.n_classes), np.float32)


def predict_features(
    network: torch.nn.Module,
    frames: NDArray[Any] | torch.Tensor,
    *,
    device: torch.device,
    batch_size: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run a network over frames, and keep what its last layer saw.

    Parameters
    ----------
    network, frames, device, batch_size
        As for `predict_logits`.

    Returns
    -------
    features : `~numpy.ndarray` of float32, shape (N, D)
    logits : `~numpy.ndarray` of float32, shape (N, K)
        Those of `predict_logits`.
    """
    parts = [(_to_numpy(features), logits) for features, logits in _passes(network, frames, device, batch_size)]
    if not parts:
        return np.zeros((0, network.feature_dim), np.float32), np.zeros((0, network.n_classes), np.float32)
    kept, logits = (np.concatenate(each) for each in zip(*parts, strict=True))
    return kept, logits


def _passes(network, frames, device, batch_size):
    """Features, still on the device, and logits, batch by batch."""
    batch_size = batch_size or (BATCH_SIZE if device.type == "cpu" else _GPU_BATCH_SIZE)
    was_training = network.training
    network.to(device).eval()
    try:
        for start in range(0, len(frames), batch_size):
            with torch.inference_mode(), autocast(device):
                features, logits = network(torch.as_tensor(frames[start : start + batch_size]).to(device))
            yield features, _to_numpy(logits)
    finally:
        network.train(was_training)


def _to_numpy(tensor):
    return tensor.float().cpu().numpy()


@contextmanager
def limit_threads(n_threads):
    """Let torch use this many CPU threads inside the block; None changes nothing.

    Parameters
    ----------
    n_threads : int or None

    Raises
    ------
    ConfigError
        If the number is not a positive integer.
    """
    if n_threads is None:
        yield
        return
    if isinstance(n_threads, bool) or not isinstance(n_threads, int | np.integer) or n_threads < 1:
        raise ConfigError(f"n_threads must be a positive whole number, got {n_threads!r}")
    before = torch.get_num_threads()
    torch.set_num_threads(int(n_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)
