"""AdaBN: statistics of batch normalisation taken from the target, once training is over."""

import torch
from torch import nn

from galmerge_da.exceptions import InputError

__all__ = ["adabn"]


@torch.no_grad()
def adabn(network: nn.Module, images: torch.Tensor, *, batch_size: int = 256) -> nn.Module:
    """Replace the statistics of every batch normalisation by those of some images (Li et al. 2018, PR 80, 109).

    They are the mean over batches of each batch's mean and variance. No
    parameter changes, and no label is needed. Where the classes of the images
    are rarer than in training, this shifts what the network sees: on surveys
    with few mergers it can hurt.

    Parameters
    ----------
    network : `~torch.nn.Module`
        Changed in place, and left in the mode it was in.
    images : `~torch.Tensor`, shape (N, C, H, W)
        On any device.
    batch_size : int, optional
        Images per forward pass; parts of nearly equal size are made.

    Returns
    -------
    `~torch.nn.Module`
        The network itself; unchanged if it has no batch normalisation.

    Raises
    ------
    InputError
        If there are fewer than 2 images.
    """
    if len(images) < 2:
        raise InputError(f"adabn needs at least 2 images, got {len(images)}")
    layers = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    layers = [layer for layer in layers if layer.track_running_stats]
    if not layers:
        return network
    modes = {module: module.training for module in network.modules()}
    momenta = {layer: layer.momentum for layer in layers}
    device = next(network.parameters()).device
    network.eval()
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over the batches
            layer.train()
        for part in images.tensor_split(max(1, -(-len(images) // batch_size))):
            network(part.to(device))
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
    return network
