"""Backbones that were tried and not taken, for compare_backbones.py; docs/backbones.rst has what they scored."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from galmerge_da.models.rings import RingPool, _Block
from galmerge_da.options import Options, option
from galmerge_da.plugins import BackboneSpec

__all__ = ["CANDIDATES"]


class Pooled(nn.Module):
    """Layers, then means over rings, or over the whole map for one ring."""

    def __init__(self, layers, channels, side, rings):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.pool = RingPool(side, rings)
        self.feature_dim = channels * self.pool.n_rings

    def forward(self, images):
        return self.pool(self.layers(images)).flatten(1)


@dataclass(frozen=True)
class PreactConfig(Options):
    """A pre-activation ResNet (He et al. 2016, arXiv:1603.05027) with its first block at half the image's side."""

    width: int = option(16, "channels of the first stage", at_least=1)
    rings: int = option(1, "rings of the pooling", at_least=1)
    n_features: int = option(0, "channels of a last 1 x 1 convolution; 0: none", at_least=0)


def make_preact(config, in_channels, image_size):
    """Stages of one block each, of strides 1, 2 and 2."""
    w = config.width
    layers = [
        nn.Conv2d(in_channels, w, 5, 2, 2, bias=False),
        _Block(w, w, 1),
        _Block(w, 2 * w, 2),
        _Block(2 * w, 4 * w, 2),
        nn.BatchNorm2d(4 * w),
        nn.ReLU(),
    ]
    if config.n_features:
        n = config.n_features
        layers += [nn.Conv2d(4 * w, n, 1, bias=False), nn.BatchNorm2d(n), nn.ReLU()]
    return Pooled(layers, config.n_features or 4 * w, -(-image_size // 8), config.rings)


class ConvNextBlock(nn.Module):
    """Liu et al. 2022 (arXiv:2201.03545): depthwise 7 x 7, normalise over channels, expand four times, contract."""

    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.mix = nn.Sequential(nn.Conv2d(width, 4 * width, 1), nn.GELU(), nn.Conv2d(4 * width, width, 1))

    def forward(self, maps):
        return maps + self.mix(self.norm(self.depthwise(maps)))


@dataclass(frozen=True)
class ConvNextConfig(Options):
    """A small ConvNeXt: stages of one, two and one blocks behind patches of 3 x 3 pixels."""

    width: int = option(24, "channels of the first stage", at_least=1)
    rings: int = option(1, "rings of the pooling", at_least=1)


def make_convnext(config, in_channels, image_size):
    """The network with GroupNorm of one group where the paper has LayerNorm."""
    w = config.width
    layers = [nn.Conv2d(in_channels, w, 3, 3), nn.GroupNorm(1, w), ConvNextBlock(w)]
    layers += [nn.GroupNorm(1, w), nn.Conv2d(w, 2 * w, 2, 2), ConvNextBlock(2 * w), ConvNextBlock(2 * w)]
    layers += [nn.GroupNorm(1, 2 * w), nn.Conv2d(2 * w, 4 * w, 2, 2), ConvNextBlock(4 * w), nn.GroupNorm(1, 4 * w)]
    return Pooled(layers, 4 * w, image_size // 3 // 2 // 2, config.rings)


class Lift(nn.Module):
    """A convolution of stride 2 with each filter in eight orientations: (N, C, H, W) to (N, out * 8, H/2, W/2).

    Odd filters on odd images and even ones on even images keep the grid symmetric.
    """

    def __init__(self, n_in, n_out, side):
        super().__init__()
        size = 5 if side % 2 else 4
        self.padding = (size - 1) // 2
        self.weight = nn.Parameter(torch.empty(n_out, n_in, size, size))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, images):
        turned = [torch.rot90(w, r, (-2, -1)) for w in (self.weight, self.weight.flip(-1)) for r in range(4)]
        return functional.conv2d(images, torch.stack(turned, 1).flatten(0, 1), stride=2, padding=self.padding)


class GroupConv(nn.Module):
    """A convolution over p4m (Cohen & Welling 2016, arXiv:1602.07576); maps are (N, C * 2 mirrored * 4 turns, H, W)."""

    def __init__(self, n_in, n_out, size):
        super().__init__()
        self.padding = size // 2
        self.weight = nn.Parameter(torch.empty(n_out, n_in, 2, 4, size, size))
        nn.init.normal_(self.weight, std=(2 / (n_in * 8 * size**2)) ** 0.5)

    def forward(self, maps):
        turned = []
        for weight in (self.weight, self.weight.flip(2, 3, -1).roll(1, 3)):
            for _ in range(4):
                turned.append(weight)
                weight = torch.rot90(weight.roll(1, 3), 1, (-2, -1))
        return functional.conv2d(maps, torch.stack(turned, 1).flatten(2, 4).flatten(0, 1), padding=self.padding)


class OrientedNorm(nn.BatchNorm2d):
    """One mean and variance for all orientations of a channel."""

    def forward(self, maps):
        n, c, h, w = maps.shape
        return super().forward(maps.view(n, c // 8, 8 * h, w)).view(n, c, h, w)


class Residual(nn.Module):
    """A group convolution beside a short cut."""

    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(GroupConv(width, width, 3), OrientedNorm(width), nn.ReLU())

    def forward(self, maps):
        return maps + self.body(maps)


class P4M(nn.Module):
    """Features that are exactly the same for an image turned by 90 degrees or mirrored."""

    def __init__(self, config, in_channels, image_size):
        super().__init__()
        w, n, side = config.width, config.n_features, image_size
        layers = [Lift(in_channels, w, side), OrientedNorm(w), nn.ReLU()]
        side = (side + 1) // 2
        for _ in range(2):
            layers += [nn.AvgPool2d(3, 2, 1) if side % 2 else nn.AvgPool2d(2)]
            layers += [GroupConv(w, 2 * w, 3), OrientedNorm(2 * w), nn.ReLU(), Residual(2 * w)]
            side, w = (side + 1) // 2, 2 * w
        layers += [GroupConv(w, n, 1), OrientedNorm(n), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.pool = None if config.whole else RingPool(side, config.rings)
        self.feature_dim = 2 * n if config.whole else n * self.pool.n_rings

    def forward(self, images):
        maps = self.layers(images).unflatten(1, (-1, 8))
        if self.pool is None:
            return torch.cat([maps.mean((2, 3, 4)), maps.amax((2, 3, 4))], 1)
        return self.pool(maps.mean(2)).flatten(1)


@dataclass(frozen=True)
class P4MConfig(Options):
    """Group convolutions over the eight orientations of a square."""

    width: int = option(4, "channels of the first stage; each has eight orientations", at_least=1)
    n_features: int = option(32, "channels that are pooled", at_least=1)
    rings: int = option(4, "rings of the pooling", at_least=1)
    whole: bool = option(False, "mean and maximum of the whole map instead of rings")


CANDIDATES = [
    BackboneSpec("preact", make_preact, PreactConfig),
    BackboneSpec("convnext", make_convnext, ConvNextConfig),
    BackboneSpec("p4m", P4M, P4MConfig),
]
