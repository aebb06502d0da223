"""From linear frames to what a backbone sees: flux scale, stretch, derived channels, normalisation.

Nothing here is trained. The statistics are fitted once on the training split
and travel with the weights, so that training on augmented frames and
inference on clean ones go through the same code.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.models.symmetry import rotation_residual
from galmerge_da.options import suggest

__all__ = ["Entrance", "EntranceConfig"]

#: Fraction of a frame's pixels that decide its flux scale.
_BRIGHTEST = 0.01

#: Width in pixels of the Gaussian of the unsharp mask.
_UNSHARP = 2.0

#: How much smaller than the bands' the softening of the faint channel is.
_FAINTER = 10.0

#: Fluxes below this many softenings are in the linear part of a stretch.
_SMALL = 1e-4

_CHOICES = {
    "stretch": ("asinh", "log", "lupton", "percentile", "linear", "none"),
    "flux_scale": ("peak", "none"),
    "normalisation": ("frozen", "image"),
}

#: Images that are prepared at once while fitting.
_CHUNK = 64


@dataclass(frozen=True)
class EntranceConfig:
    """Options of the entrance.

    Parameters
    ----------
    stretch : {"asinh", "log", "lupton", "percentile", "linear", "none"}, optional
        - ``asinh(x / softening) / asinh(1 / softening)``;
        - ``sign(x) log(1 + |x| / softening) / log(1 + 1 / softening)``;
        - Lupton: the bands times the asinh stretch of their mean over that mean, so
          that a colour is the same in bright and in faint pixels;
        - linear between two percentiles of the pixels of all bands, which become
          0 and 1, clipped beyond;
        - the flux as it is, in units of the flux scale, which two names have.
    softening : float, optional
        Flux where the first three turn from linear to logarithmic, in units of
        the flux scale.
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
    percentiles : tuple of float, optional
        The two percentiles, of each frame by itself.
    normalisation : {"frozen", "image"}, optional
        Of each channel: by the mean and standard deviation of the training
        split, or by those of each frame by itself.

    Raises
    ------
    ConfigError
        If a name is unknown (the closest one is suggested), the softening is not
        positive, or the percentiles are not two ascending numbers from 0 to 100.

    References
    ----------
    Lupton et al. 2004, PASP 116, 133.
    """

    stretch: Literal["asinh", "log", "lupton", "percentile", "linear", "none"] = "asinh"
    softening: float = 0.05
    flux_scale: Literal["peak", "none"] = "peak"
    rotation_residual: bool = False
    unsharp: bool = False
    faint: bool = False
    colour: bool = True
    percentiles: Sequence[float] = (1.0, 99.5)
    normalisation: Literal["frozen", "image"] = "frozen"

    def __post_init__(self):
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                hint = suggest(value, known)
                raise ConfigError(f"entrance: {name} must be one of {', '.join(known)}, got {value!r}{hint}")
        object.__setattr__(self, "percentiles", _two_percentiles(self.percentiles))
        if self.stretch == "percentile" and self.faint:
            raise ConfigError("entrance: faint needs a stretch with a softening, and stretch = 'percentile' has none")
        number = isinstance(self.softening, int | float) and not isinstance(self.softening, bool)
        if not number or not 0 < self.softening < float("inf"):
            raise ConfigError(f"entrance: softening must be a positive number, got {self.softening!r}")
        for name in ("rotation_residual", "unsharp", "faint", "colour"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"entrance: {name} must be true or false, got {getattr(self, name)!r}")


def _two_percentiles(values):
    numbers = tuple(values) if isinstance(values, list | tuple) else ()
    valid = len(numbers) == 2 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers)
    if not valid or not 0 <= numbers[0] < numbers[1] <= 100:
        raise ConfigError(f"entrance: percentiles must be two ascending numbers from 0 to 100, got {values!r}")
    return tuple(float(value) for value in numbers)


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
        Buffers that `fit` sets; 0 and 1 before, and where each frame is
        normalised by itself.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, config: EntranceConfig, in_channels: int) -> None:
        super().__init__()
        self.config = config
        self.in_channels = in_channels
        self.out_channels = (
            (in_channels if config.colour else 1) + config.rotation_residual + config.unsharp + config.faint
        )
        self.register_buffer("mean", torch.zeros(self.out_channels))
        self.register_buffer("std", torch.ones(self.out_channels))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
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
        if self.config.normalisation == "image":
            std, mean = torch.std_mean(channels, (2, 3), correction=0, keepdim=True)
            return (channels - mean) / torch.where(std > 1e-6 * mean.abs(), std, torch.ones_like(std))
        return (channels - self.mean[:, None, None]) / self.std[:, None, None]

    def channel_names(self, bands: Iterable[str] | None = None) -> list[str]:
        """What each channel that a backbone gets is.

        Parameters
        ----------
        bands : sequence of str, optional
            Names of the bands; they are counted by default.

        Returns
        -------
        list of str
        """
        bands = [f"band {i}" for i in range(self.in_channels)] if bands is None else list(bands)
        derived = ("rotation_residual", "unsharp", "faint")
        return (bands if self.config.colour else ["mean of bands"]) + [
            name.replace("_", " ") for name in derived if getattr(self.config, name)
        ]

    @torch.no_grad()
    def fit(self, images: NDArray[Any] | torch.Tensor) -> Self:
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
        if self.config.normalisation == "image":
            return self
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
        match self.config.stretch:
            case "asinh":
                return _asinh(images / softening) / float(np.arcsinh(1 / softening))
            case "log":
                return images.sign() * torch.log1p(images.abs() / softening) / float(np.log1p(1 / softening))
            case "lupton":
                mean = images.mean(1, keepdim=True)
                small = mean.abs() < _SMALL * softening  # asinh(x) / x is 1 there
                gain = _asinh(mean / softening) / torch.where(small, softening, mean)
                return images * torch.where(small, 1 / softening, gain) / float(np.arcsinh(1 / softening))
            case "percentile":
                return _between_percentiles(images, self.config.percentiles)
            case _:
                return images


def _peak(images):
    """Flux scale of frames (N, C, H, W), shape (N,); 1 where nothing is positive."""
    brightness = images.mean(1).flatten(1)
    brightest = brightness.topk(max(1, int(_BRIGHTEST * brightness.shape[1])), dim=1).values
    scale = brightest.clamp_min(0).mean(1)
    return torch.where(scale > torch.finfo(scale.dtype).tiny, scale, torch.ones_like(scale))


def _between_percentiles(images, percentiles):
    """Frames (N, C, H, W) from 0 to 1 between two of their own percentiles; zeros where those are equal."""
    pixels = images.flatten(1)
    if pixels.dtype not in (torch.float32, torch.float64):
        pixels = pixels.float()
    levels = torch.tensor(percentiles, dtype=pixels.dtype, device=pixels.device) / 100
    low, high = torch.quantile(pixels, levels, dim=1).to(images.dtype)[:, :, None, None, None]
    span = high - low
    return ((images - low) / torch.where(span > 0, span, torch.ones_like(span))).clamp(0, 1)


def _asinh(values):
    """Asinh; numpy's is many times faster than torch's on the CPU."""
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
