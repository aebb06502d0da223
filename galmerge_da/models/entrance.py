"""From linear frames to what a backbone sees: flux scale, stretch, derived channels, normalisation.

Nothing here is trained. The statistics are fitted once on the training split
and travel with the weights, so that training on augmented frames and
inference on clean ones go through the same code.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.models.symmetry import rotation_residual

__all__ = ["Entrance", "EntranceConfig"]

#: Fraction of a frame's pixels that decide its flux scale.
_BRIGHTEST = 0.01

#: Width in pixels of the Gaussian of the unsharp mask.
_UNSHARP = 2.0

#: How much smaller than the bands' the softening of the faint channel is.
_FAINTER = 10.0

#: Images that are prepared at once while fitting.
_CHUNK = 64


@dataclass(frozen=True)
class EntranceConfig:
    """Options of the entrance.

    Parameters
    ----------
    stretch : {"asinh", "none"}, optional
        ``asinh(x / softening) / asinh(1 / softening)``, or the flux as it is.
    softening : float, optional
        Flux where the stretch turns from linear to logarithmic, in units of the
        flux scale.
    flux_scale : {"peak", "none"}, optional
        What a frame is divided by: the mean of the brightest 1 % of the pixels
        of its mean over bands, or nothing.
    rotation_residual : bool, optional
        Whether the network also sees, as a last channel, the absolute difference
        of the stretched band mean and its rotation by 180 degrees about its centre
        of symmetry (`~galmerge_da.models.rotate_about_center`).
    unsharp : bool, optional
        Whether it sees the stretched band mean less itself smoothed by a Gaussian
        of 2 pixels: nuclei, bridges, shells, dust lanes.
    faint : bool, optional
        Whether it sees the band mean with a softening 10 times smaller: tails.
    colour : bool, optional
        Whether it sees the bands, or only their mean in place of them.

    Raises
    ------
    ConfigError
        If a name is unknown or the softening is not positive.
    """

    stretch: str = "asinh"
    softening: float = 0.05
    flux_scale: str = "peak"
    rotation_residual: bool = False
    unsharp: bool = False
    faint: bool = False
    colour: bool = True

    def __post_init__(self):
        for name, known in (("stretch", ("asinh", "none")), ("flux_scale", ("peak", "none"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"entrance: {name} must be one of {known}, got {getattr(self, name)!r}")
        number = isinstance(self.softening, int | float) and not isinstance(self.softening, bool)
        if not number or not 0 < self.softening < float("inf"):
            raise ConfigError(f"entrance: softening must be a positive number, got {self.softening!r}")
        for name in ("rotation_residual", "unsharp", "faint", "colour"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"entrance: {name} must be true or false, got {getattr(self, name)!r}")


class Entrance(nn.Module):
    """Scale, stretch, derive and normalise frames.

    Parameters
    ----------
    config : EntranceConfig
    in_channels : int
        Bands of the frames.

    Attributes
    ----------
    out_channels : int
        Channels that a backbone gets: the bands, then the derived channels.
    mean, std : `~torch.Tensor`, shape (out_channels,)
        Buffers that `fit` sets; 0 and 1 before.
    """

    def __init__(self, config, in_channels):
        super().__init__()
        self.config = config
        self.in_channels = in_channels
        self.out_channels = (
            (in_channels if config.colour else 1) + config.rotation_residual + config.unsharp + config.faint
        )
        self.register_buffer("mean", torch.zeros(self.out_channels))
        self.register_buffer("std", torch.ones(self.out_channels))

    def forward(self, images):
        """Prepare frames.

        Parameters
        ----------
        images : `~torch.Tensor`, shape (N, C, H, W)
            Linear frames of any real type.

        Returns
        -------
        `~torch.Tensor`, shape (N, out_channels, H, W)

        Raises
        ------
        InputError
            If the shape is another.
        """
        channels = self._channels(images)
        return (channels - self.mean[:, None, None]) / self.std[:, None, None]

    @torch.no_grad()
    def fit(self, images):
        """Set the statistics from the frames of the training split.

        Parameters
        ----------
        images : `~numpy.ndarray` or `~torch.Tensor`, shape (N, C, H, W)
            Linear frames.

        Returns
        -------
        Entrance
            Itself.

        Raises
        ------
        InputError
            If there is no frame, the shape is wrong, or a pixel is not finite.
        """
        if len(images) == 0:
            raise InputError("the entrance cannot be fitted on no images")
        total = torch.zeros(2, self.out_channels, dtype=torch.float64)
        for start in range(0, len(images), _CHUNK):
            part = torch.as_tensor(images[start : start + _CHUNK]).to(self.mean.device)
            channels = self._channels(part).cpu().double()
            means = channels.mean((2, 3))
            squares = channels.square().mean((2, 3))
            if not bool(torch.isfinite(squares).all()):
                row = start + int(torch.nonzero(~torch.isfinite(squares).all(1))[0])
                raise InputError(f"the entrance cannot be fitted: image {row} has pixels that are not finite")
            total += torch.stack([means.sum(0), squares.sum(0)])
        mean, square = total / len(images)
        std = (square - mean.square()).clamp_min(0).sqrt()
        std = torch.where(std > 1e-6 * mean.abs(), std, torch.ones_like(std))
        self.mean.copy_(mean)
        self.std.copy_(std)
        return self

    def _channels(self, images):
        """Scaled, stretched and derived channels, not normalised yet."""
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise InputError(f"frames must have shape (N, {self.in_channels}, H, W), got {tuple(images.shape)}")
        images = images.to(self.mean.dtype)
        if self.config.flux_scale == "peak":
            images = images / _peak(images)[:, None, None, None]
        stretched = self._stretch(images, self.config.softening)
        mean = stretched.mean(1, keepdim=True)
        channels = [stretched if self.config.colour else mean]
        if self.config.rotation_residual:
            channels.append(rotation_residual(mean[:, 0])[:, None])
        if self.config.unsharp:
            channels.append(mean - _smooth(mean))
        if self.config.faint:
            channels.append(self._stretch(images.mean(1, keepdim=True), self.config.softening / _FAINTER))
        return torch.cat(channels, dim=1)

    def _stretch(self, images, softening):
        if self.config.stretch == "none":
            return images
        return _asinh(images / softening) / float(np.arcsinh(1 / softening))


def _peak(images):
    """Flux scale of frames (N, C, H, W), shape (N,); 1 where nothing is positive."""
    brightness = images.mean(1).flatten(1)
    brightest = brightness.topk(max(1, int(_BRIGHTEST * brightness.shape[1])), dim=1).values
    scale = brightest.clamp_min(0).mean(1)
    return torch.where(scale > torch.finfo(scale.dtype).tiny, scale, torch.ones_like(scale))


def _asinh(values):
    """asinh; numpy's is many times faster than torch's on the CPU."""
    if values.device.type == "cpu" and not values.requires_grad:
        return torch.from_numpy(np.arcsinh(values.numpy()))
    return torch.asinh(values)


def _smooth(images):
    """Frames (N, 1, H, W) smoothed by a Gaussian; beyond the edge their outermost pixels continue."""
    reach = int(3 * _UNSHARP)
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.softmax(-(offsets**2) / (2 * _UNSHARP**2), 0)
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
