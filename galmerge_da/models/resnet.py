"""ResNet-18, the network of He et al. 2016 (CVPR, arXiv:1512.03385), for any number of channels and any size."""

from dataclasses import dataclass

from torch import nn
from torch.nn import functional

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import Options, option

__all__ = ["ResNet18", "ResNet18Config"]

#: Channels of the four stages, each of two blocks.
_STAGES = (64, 128, 256, 512)

_SMALLEST = 8
#: Images from this size on can afford to lose a factor of four in the stem.
_IMAGENET_FROM = 48


@dataclass(frozen=True)
class ResNet18Config(Options):
    """Options of the backbone ``resnet18``."""

    bottleneck: int = option(256, "length of a feature vector", at_least=1, at_most=4096)
    stem: str = option(
        "auto",
        "first layers: 7 x 7 of stride 2 and pooling, or 3 x 3 of stride 1; auto: the former from 48 pixels on",
        choices=("auto", "imagenet", "small"),
    )


class ResNet18(nn.Module):
    """A stem, eight residual blocks, the mean over the image, and a linear bottleneck.

    Parameters
    ----------
    config : ResNet18Config
    in_channels : int
        Channels of the images.
    image_size : int
        Side of the images in pixels.

    Attributes
    ----------
    feature_dim : int
        Length of a feature vector.

    Raises
    ------
    ConfigError
        If an image is smaller than 8 pixels.

    Notes
    -----
    The bottleneck is that of Ciprijanovic et al. 2021 (MNRAS 506, 677), who
    adapted the 256 features behind it.
    """

    def __init__(self, config, in_channels, image_size):
        super().__init__()
        if image_size < _SMALLEST:
            raise ConfigError(f"resnet18 needs images of at least {_SMALLEST} pixels a side, got {image_size}")
        large = config.stem == "imagenet" or (config.stem == "auto" and image_size >= _IMAGENET_FROM)
        width = _STAGES[0]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
            if large
            else nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity(),
        )
        blocks = []
        for channels in _STAGES:
            blocks += [_Block(width, channels, stride=1 if channels == width else 2), _Block(channels, channels)]
            width = channels
        self.blocks = nn.Sequential(*blocks)
        self.bottleneck = nn.Linear(width, config.bottleneck)
        self.feature_dim = config.bottleneck
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images):
        """Features of images.

        Parameters
        ----------
        images : `~torch.Tensor`, shape (N, C, H, W)

        Returns
        -------
        `~torch.Tensor`, shape (N, feature_dim)
        """
        return self.bottleneck(self.blocks(self.stem(images)).mean((2, 3)))


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a short cut, a 1 x 1 convolution where the shape changes."""

    def __init__(self, n_in, n_out, stride=1):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, maps):
        return functional.relu(self.body(maps) + self.shortcut(maps))
