"""A small residual network for cutouts, whose features are means over rings around the galaxy.

A galaxy stands in the middle of its cutout, so where in the image something is
means how far from the nucleus it is. The mean over the whole map loses that;
dense layers on the map keep it, and the angle, which means nothing. Rings keep
the one and drop the other.
"""

from dataclasses import dataclass

import torch
from torch import nn

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import Options, option

__all__ = ["RingResNet", "RingResNetConfig"]

#: Multiple of the width and stride of each stage behind the stem.
_STAGES = ((2, 2), (4, 1), (8, 2))

_SMALLEST = 8


@dataclass(frozen=True)
class RingResNetConfig(Options):
    """Options of the backbone ``resnet-rings``."""

    width: int = option(16, "channels of the stem; the stages have 2, 4 and 8 times as many", at_least=1, at_most=256)
    depth: int = option(1, "residual blocks in each stage", at_least=1, at_most=16)
    rings: int = option(4, "rings that are averaged over, fewer where the last map is small", at_least=1, at_most=32)
    n_features: int = option(64, "features of each ring", at_least=1, at_most=4096)
    dropout: float = option(0.0, "share of the features that are dropped in training", at_least=0, below=1)


class RingResNet(nn.Module):
    """Pre-activation blocks (He et al. 2016, ECCV, arXiv:1603.05027), then the mean over each of a few rings.

    A 5 x 5 convolution of stride 2, three stages of which the first and the
    last halve the map, a 1 x 1 convolution, `RingPool`: at 75 x 75 the last map
    has 10 x 10 pixels and a galaxy 4 x 64 features.

    Parameters
    ----------
    config : RingResNetConfig
    in_channels : int
        Channels of the images.
    image_size : int
        Side of the images in pixels.

    Attributes
    ----------
    feature_dim : int
        Length of a feature vector: features of the first channel from the
        middle outwards, then of the next.

    Raises
    ------
    ConfigError
        If an image is smaller than 8 pixels.
    """

    def __init__(self, config, in_channels, image_size):
        super().__init__()
        if image_size < _SMALLEST:
            raise ConfigError(f"resnet-rings needs images of at least {_SMALLEST} pixels a side, got {image_size}")
        width, side = config.width, (image_size + 1) // 2
        layers = [nn.Conv2d(in_channels, width, 5, stride=2, padding=2, bias=False)]
        for multiple, stride in _STAGES:
            channels = multiple * config.width
            for number in range(config.depth):
                layers.append(_Block(width, channels, stride if number == 0 else 1))
                width = channels
            side = (side + stride - 1) // stride
        layers += [
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, config.n_features, 1, bias=False),
            nn.BatchNorm2d(config.n_features),
            nn.ReLU(),
        ]
        self.layers = nn.Sequential(*layers)
        self.pool = RingPool(side, config.rings)
        self.dropout = nn.Dropout(config.dropout)
        self.feature_dim = config.n_features * self.pool.n_rings

    def forward(self, images):
        """Features of images.

        Parameters
        ----------
        images : `~torch.Tensor`, shape (N, C, H, W)

        Returns
        -------
        `~torch.Tensor`, shape (N, feature_dim)
        """
        return self.dropout(self.pool(self.layers(images)).flatten(1))


class RingPool(nn.Module):
    """Weighted means of maps over rings around their middle.

    The rings' radii go in equal steps from 0 to half the side; a pixel counts
    for the two rings between which it lies, in proportion, and beyond the last
    for the last. One ring is the whole map.

    Parameters
    ----------
    side : int
        Pixels along each side of the maps.
    rings : int
        How many are wanted; at most ``(side + 1) // 2`` are made, so that none is empty.

    Attributes
    ----------
    n_rings : int
    weights : `~torch.Tensor`, shape (side ** 2, n_rings)
        A buffer; each column adds up to 1.
    """

    def __init__(self, side, rings):
        super().__init__()
        self.n_rings = min(rings, (side + 1) // 2)
        offset = torch.arange(side) - (side - 1) / 2
        radius = (offset[:, None].square() + offset.square()).sqrt().flatten()
        steps = radius / (side / 2) * (self.n_rings - 1)
        distance = (steps.clamp(max=self.n_rings - 1)[:, None] - torch.arange(self.n_rings)).abs()
        weights = (1 - distance).clamp(min=0)
        self.register_buffer("weights", weights / weights.sum(0))

    def forward(self, maps):
        """Means over rings.

        Parameters
        ----------
        maps : `~torch.Tensor`, shape (N, C, side, side)

        Returns
        -------
        `~torch.Tensor`, shape (N, C, n_rings)
        """
        return maps.flatten(2) @ self.weights


class _Block(nn.Module):
    """Normalise, activate, convolve, twice; beside it a short cut, a 1 x 1 convolution where the shape changes."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(n_in), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
        )
        self.shortcut = None
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False)

    def forward(self, maps):
        active = self.activate(maps)
        return self.body(active) + (maps if self.shortcut is None else self.shortcut(active))
