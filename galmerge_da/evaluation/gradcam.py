"""Grad-CAM: which parts of an image speak for a class."""

from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from galmerge_da.evaluation.frames import iterate_frames, usable_rows
from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.inference import MergerClassifier
from galmerge_da.inference.predict import BATCH_SIZE
from galmerge_da.models import choose_device
from galmerge_da.options import suggest

__all__ = ["gradcam"]


def gradcam(
    classifier: MergerClassifier,
    cutouts: object,
    *,
    class_name: str | None = None,
    device: str | torch.device | None = None,
    batch_size: int = BATCH_SIZE,
    **options: Any,
) -> NDArray[np.float32]:
    r"""Heat maps of what speaks for a class, from the last maps of the network.

    .. math:: L_c = \mathrm{ReLU} \sum_k \alpha_{ck} A_k, \quad
              \alpha_{ck} = \frac{1}{Z} \sum_{ij} \frac{\partial y_c}{\partial A_{kij}}

    with the logit :math:`y_c` of the class, and :math:`A_k` the channels of the
    last maps with more than one pixel that a module of the backbone gives: behind
    the last pooling for DeepMerge, before the mean over the image for a ResNet.

    Parameters
    ----------
    classifier : `~galmerge_da.MergerClassifier`
        With any backbone that has maps.
    cutouts : object
        Whatever `galmerge_da.classify` takes, or
        `~galmerge_da.preprocessing.Frames` as `make_frames` gives them.
    class_name : str, optional
        Name of the class; for each galaxy the one that is predicted by default.
    device : str or `~torch.device`, optional
        The best there is by default.
    batch_size : int, optional
        Images per pass.
    **options
        Keywords of `galmerge_da.io.open_cutouts` that say how to read them.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (N, H, W)
        In the frame of the preprocessed image, enlarged to its size by bilinear
        interpolation, in units of the logit; never negative. NaN for a galaxy
        that cannot be classified. Zero where nothing speaks for the class.

    Raises
    ------
    ConfigError
        If there is no such class or device, or the backbone has no maps.
    InputError
        If the cutouts cannot be read or do not fit the classifier.

    References
    ----------
    Selvaraju et al. 2017, ICCV, arXiv:1610.02391.
    """
    if class_name is not None and class_name not in classifier.classes:
        raise ConfigError(f"there is no class {class_name!r}{suggest(class_name, classifier.classes)}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size must be a positive whole number, got {batch_size!r}")
    index = None if class_name is None else classifier.classes.index(class_name)
    device, size = choose_device(device), classifier.preprocessing.size
    parts = [np.zeros((0, size, size), np.float32)]
    with _evaluated(classifier.network, device) as network:
        for frames in iterate_frames(classifier, cutouts, **options):
            maps = np.full((len(frames), size, size), np.nan, np.float32)
            rows = usable_rows(frames)
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                maps[batch] = _heat_maps(network, frames.data[batch], index, device)
            parts.append(maps)
    return np.concatenate(parts)


@contextmanager
def _evaluated(network, device):
    """The network on a device, as in inference; afterwards in the mode it was in."""
    was_training = network.training
    network.to(device).eval()
    try:
        yield network
    finally:
        network.train(was_training)


def _heat_maps(network, images, index, device):
    with torch.no_grad():
        channels = network.entrance(torch.as_tensor(images).to(device))
    if channels.shape[1:] != (network.entrance.out_channels, network.image_size, network.image_size):
        raise InputError(f"frames of {tuple(images.shape[1:])} do not fit the network")
    with torch.enable_grad(), _last_maps(network.backbone) as found:
        # With a gradient of its own, so that frozen weights do not cut the way to the maps.
        logits = network.head(network.backbone(channels.requires_grad_()))
    if not found:
        raise ConfigError("Grad-CAM needs a backbone with maps; no module of this one gives any of more than one pixel")
    wanted = logits.argmax(dim=1) if index is None else torch.full((len(logits),), index, device=device)
    chosen = logits.gather(1, wanted[:, None]).sum()
    maps = found[-1]
    (gradient,) = torch.autograd.grad(chosen, maps)
    weights = gradient.mean((2, 3), keepdim=True)
    heat = functional.relu((weights * maps.detach()).sum(1, keepdim=True))
    heat = functional.interpolate(heat, size=channels.shape[2:], mode="bilinear", align_corners=False)
    return heat[:, 0].cpu().numpy()


@contextmanager
def _last_maps(backbone):
    """A list that gets the last maps (N, C, H, W) that a module gives while the block runs."""
    found = []

    def keep(module, inputs, output):
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            found[:] = [output]

    handles = [module.register_forward_hook(keep) for module in backbone.modules()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
