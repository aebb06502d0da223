"""DeepMerge, the network of Ciprijanovic et al. 2020 (A&C 32, 100390)."""

import torch
from torch import nn
from torch.nn import functional

from galmerge_da.exceptions import ConfigError

__all__ = ["DeepMerge", "make_deepmerge"]

#: (channels, kernel size) of each convolution.
_STAGES = ((8, 5), (16, 3), (32, 3))

#: Side of the last maps as published, and the largest here.
_SIDE = 9


class DeepMerge(nn.Module):
    """Three convolutions, each with batch normalisation, ReLU and 2x2 max pooling.

    Parameters
    ----------
    in_channels : int
        Channels of the images; 3 as published.
    image_size : int
        Side of the images in pixels; 75 as published, which gives maps of
        9 x 9, 2,592 features. Larger images are averaged down to 9 x 9 maps as
        well; smaller ones keep ``image_size // 8`` a side.

    Attributes
    ----------
    feature_dim : int
        Length of a feature vector, 32 times the area of a map.

    Raises
    ------
    ConfigError
        If an image is too small for the three poolings.
    """

    def __init__(self, in_channels, image_size):
        super().__init__()
        side = image_size // 2 ** len(_STAGES)
        if side < 1:
            raise ConfigError(f"deepmerge needs images of at least {2 ** len(_STAGES)} pixels a side, got {image_size}")
        layers = []
        for channels, kernel in _STAGES:
            layers += [
                nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            in_channels = channels
        if side > _SIDE:
            layers.append(_AveragePool(_SIDE))
            side = _SIDE
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.feature_dim = in_channels * side**2

    def forward(self, images):
        """Features of images.

        Parameters
        ----------
        images : `~torch.Tensor`, shape (N, C, H, W)

        Returns
        -------
        `~torch.Tensor`, shape (N, feature_dim)
        """
        return self.layers(images)

    def make_head(self, n_classes):
        """The dense layers that follow the features.

        Parameters
        ----------
        n_classes : int

        Returns
        -------
        `~torch.nn.Module`
            ``(N, feature_dim)`` to ``(N, n_classes)``.
        """
        return nn.Sequential(
            nn.Linear(self.feature_dim, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, n_classes)
        )


class _AveragePool(nn.Module):
    """Maps (N, C, H, W) of any size to (N, C, side, side), as torch's adaptive average pooling.

    By two products of matrices: torch's own is not deterministic on CUDA where windows overlap.
    """

    def __init__(self, side):
        super().__init__()
        self.side = side

    def forward(self, maps):
        rows, columns = (
            functional.adaptive_avg_pool1d(torch.eye(n, dtype=maps.dtype, device=maps.device), self.side)
            for n in maps.shape[2:]
        )
        return rows.T @ maps @ columns


def make_deepmerge(config, in_channels, image_size):
    """Factory of the plugin.

    Parameters
    ----------
    config : `~galmerge_da.options.NoOptions`
        As published, it has nothing to set.
    in_channels, image_size : int

    Returns
    -------
    DeepMerge
    """
    return DeepMerge(in_channels, image_size)
