"""The backbone ``example-pooled``."""

from dataclasses import dataclass

from torch import nn

from galmerge_da.plugins import BackboneSpec, Options, hookimpl, option

__all__ = ["Pooled", "PooledConfig", "galmerge_da_backbones"]


@dataclass(frozen=True)
class PooledConfig(Options):
    """Options of `Pooled`."""

    width: int = option(8, "channels of the convolution", at_least=1)
    cells: int = option(3, "cells along each side of the image over which it is averaged", at_least=1)


class Pooled(nn.Module):
    """One convolution, and its mean in each cell of a coarse grid.

    Parameters
    ----------
    config : PooledConfig
    in_channels, image_size : int
        Channels and side of the images; any side will do.

    Attributes
    ----------
    feature_dim : int
    """

    def __init__(self, config, in_channels, image_size):
        super().__init__()
        self.feature_dim = config.width * config.cells**2
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, config.width, 5, padding=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(config.cells),
            nn.Flatten(),
        )

    def forward(self, images):
        """Features (N, feature_dim) of images (N, C, H, W)."""
        return self.layers(images)


@hookimpl
def galmerge_da_backbones():
    """Offer the backbone."""
    return [
        BackboneSpec("example-pooled", Pooled, PooledConfig, summary="one convolution, averaged in the cells of a grid")
    ]
