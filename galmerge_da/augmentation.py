"""Augmentation: what may change in an image of a galaxy without changing what it is.

It works on batches of linear frames, on the device, in training only. The
same changes are made to both domains, so that none can tell them apart.
"""

from dataclasses import dataclass, fields
from numbers import Real

import torch

from galmerge_da.exceptions import ConfigError

__all__ = ["Augmentation", "augment"]


@dataclass(frozen=True)
class Augmentation:
    """How much images are varied; 0 leaves a property as it is.

    Parameters
    ----------
    dihedral : bool, optional
        Flips and turns by 90 degrees, the eight of them equally often.
    gain : float, optional
        Standard deviation of the logarithm of each band's flux: random colours.
    noise : float, optional
        Largest standard deviation of added noise, in units of the band's
        brightest pixel.
    blur : float, optional
        Largest standard deviation of an added Gaussian PSF, in pixels.
    zoom : float, optional
        Largest relative change of the apparent size, below 1.

    Raises
    ------
    ConfigError
        If a value is negative or not a number, or ``zoom`` is 1 or more.
    """

    dihedral: bool = True
    gain: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    zoom: float = 0.0

    def __post_init__(self):
        if not isinstance(self.dihedral, bool):
            raise ConfigError(f"augmentation: dihedral must be true or false, got {self.dihedral!r}")
        for name in (item.name for item in fields(self) if item.name != "dihedral"):
            value = getattr(self, name)
            largest = 1 if name == "zoom" else float("inf")
            if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= value < largest:
                raise ConfigError(
                    f"augmentation: {name} must be a number of at least 0 and below {largest}, got {value!r}"
                )


def augment(images: torch.Tensor, options: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Vary a batch of images at random.

    Parameters
    ----------
    images : `~torch.Tensor` of float32, shape (N, C, S, S)
        Linear frames on any device; not modified.
    options : Augmentation
    generator : `~torch.Generator`
        On the CPU: what is drawn per image is the same whatever the device; noise
        is drawn on the device.

    Returns
    -------
    `~torch.Tensor`, shape (N, C, S, S)
    """
    n, n_bands = images.shape[:2]

    def uniform(low, high):
        return (low + (high - low) * torch.rand(n, generator=generator)).to(images.device)

    if options.dihedral:
        images = _turn(images, torch.randint(8, (n,), generator=generator))
    if options.zoom or options.blur:
        scale = uniform(1 - options.zoom, 1 + options.zoom)
        matrices = _resampling_matrices(scale, uniform(0, options.blur), images.shape[-1])[:, None]
        images = matrices @ images @ matrices.transpose(-1, -2)
    if options.gain:
        draws = torch.randn(n, n_bands, 1, 1, generator=generator).to(images.device)
        images = images * torch.exp(options.gain * draws)
    if options.noise:
        sigma = uniform(0, options.noise)[:, None, None, None] * images.amax(dim=(2, 3), keepdim=True).clamp(min=0)
        images = images + sigma * _normal(images.shape, images.device, generator)
    return images


def _normal(shape, device, generator):
    """Normal deviates, drawn on the device: millions a step from the CPU would cost more than the step."""
    if device.type != generator.device.type:
        seed = int(torch.randint(2**62, (), generator=generator))
        generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(shape, generator=generator, device=device)


def _turn(images, which):
    """Each image in one of the eight orientations of a square; ``which`` is on the CPU, so that no device waits."""
    turned = torch.empty_like(images)
    for k in range(8):
        rows = torch.nonzero(which == k).squeeze(1).to(images.device)
        if len(rows):
            part = torch.rot90(images[rows], k % 4, dims=(2, 3))
            turned[rows] = part.flip(3) if k >= 4 else part
    return turned


def _resampling_matrices(scale, sigma, size):
    """Matrices that magnify a row of pixels about its middle, then blur it.

    Parameters
    ----------
    scale, sigma : `~torch.Tensor`, shape (N,)
        Magnification, and width of the Gaussian in pixels.
    size : int
        Number of pixels.

    Returns
    -------
    `~torch.Tensor`, shape (N, size, size)
        Every row adds up to one, so that surface brightness is kept; beyond
        the frame its outermost pixels continue.
    """
    pixel = torch.arange(size, dtype=scale.dtype, device=scale.device)
    middle = (size - 1) / 2
    seen_at = (middle + (pixel - middle) / scale[:, None]).clamp(0, size - 1)
    magnify = (1 - (pixel - seen_at[..., None]).abs()).clamp(min=0)
    distance = (pixel - pixel[:, None]) / sigma.clamp(min=1e-3)[:, None, None]
    blur = torch.softmax(-(distance**2) / 2, dim=-1)
    return blur @ magnify
