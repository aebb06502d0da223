"""Entrance, backbone and head as one module that can describe itself in JSON."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from galmerge_da.exceptions import ConfigError, GalmergeError, PluginError
from galmerge_da.models.entrance import Entrance, EntranceConfig
from galmerge_da.options import make_config
from galmerge_da.plugins import get_backbone

__all__ = ["Network", "build_network"]


class Network(nn.Module):
    """From linear frames to features and logits; made by `build_network`.

    Parameters
    ----------
    entrance : `~galmerge_da.models.Entrance`
    backbone : `~torch.nn.Module`
        ``(N, entrance.out_channels, H, W)`` to ``(N, feature_dim)``.
    head : `~torch.nn.Module`
        ``(N, feature_dim)`` to ``(N, n_classes)``.
    description : dict
        The arguments of `build_network`, for `describe`.

    Attributes
    ----------
    in_channels, image_size, n_classes, feature_dim : int
        Bands and side of the frames, number of classes, length of a feature vector.
    """

    def __init__(
        self, entrance: Entrance, backbone: nn.Module, head: nn.Module, *, description: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.entrance = entrance
        self.backbone = backbone
        self.head = head
        self.in_channels: int = description["in_channels"]
        self.image_size: int = description["image_size"]
        self.n_classes: int = description["n_classes"]
        self.feature_dim: int = backbone.feature_dim
        self._description = dict(description)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of frames.

        Parameters
        ----------
        images : `~torch.Tensor`, shape (N, C, H, W)
            Linear frames, in any unit of flux.

        Returns
        -------
        features : `~torch.Tensor`, shape (N, feature_dim)
        logits : `~torch.Tensor`, shape (N, n_classes)
        """
        features = self.backbone(self.entrance(images))
        return features, self.head(features)

    def describe(self) -> dict[str, Any]:
        """How to build this network again, without its weights.

        Returns
        -------
        dict
            What JSON can hold, for `from_description`.
        """
        return {
            **self._description,
            "options": dict(self._description["options"]),
            "entrance": dataclasses.asdict(self.entrance.config),
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> "Network":
        """Build a network from what `describe` gave.

        Parameters
        ----------
        description : mapping

        Returns
        -------
        Network
            With new weights: load the old ones with ``load_state_dict``.

        Raises
        ------
        ConfigError
            If an entry is unknown, missing or wrong.
        PluginError
            If the backbone is not installed.
        """
        description = dict(description)
        wanted = {"backbone", "options", "in_channels", "image_size", "n_classes", "entrance"}
        if set(description) != wanted:
            raise ConfigError(f"a network is described by {sorted(wanted)}, got {sorted(description)}")
        return build_network(description.pop("backbone"), description.pop("options"), **description)


def build_network(
    backbone: str = "deepmerge",
    options: Mapping[str, object] | None = None,
    *,
    in_channels: int,
    image_size: int,
    n_classes: int = 2,
    entrance: Mapping[str, object] | EntranceConfig | None = None,
) -> Network:
    """Make a network with new weights, drawn from torch's global generator.

    Parameters
    ----------
    backbone : str, optional
        Name of a backbone plugin.
    options : mapping, optional
        Its options.
    in_channels : int
        Bands of the frames.
    image_size : int
        Side of the frames in pixels.
    n_classes : int, optional
        At least 2.
    entrance : mapping or `~galmerge_da.models.EntranceConfig`, optional
        Options of the entrance.

    Returns
    -------
    Network

    Raises
    ------
    ConfigError
        If a number is not a positive integer, or an option is refused.
    PluginError
        If no such backbone is installed, it cannot be made, or it has no ``feature_dim``.
    """
    for name, value, least in (
        ("in_channels", in_channels, 1),
        ("image_size", image_size, 1),
        ("n_classes", n_classes, 2),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if entrance is None or isinstance(entrance, Mapping):
        entrance = make_config(EntranceConfig, entrance, "the entrance")
    first = Entrance(entrance, in_channels)
    spec = get_backbone(backbone)
    config = make_config(spec.config_class, options, f"backbone {backbone!r}")
    try:
        body = spec.factory(config, first.out_channels, image_size)
    except GalmergeError:
        raise
    except Exception as error:
        raise PluginError(f"backbone {backbone!r} could not be made: {type(error).__name__}: {error}") from error
    if not isinstance(body, nn.Module) or not isinstance(getattr(body, "feature_dim", None), int):
        raise PluginError(f"backbone {backbone!r} must be a torch module with an integer feature_dim, got {body!r}")
    head = body.make_head(n_classes) if hasattr(body, "make_head") else nn.Linear(body.feature_dim, n_classes)
    description = {
        "backbone": backbone,
        "options": dataclasses.asdict(config),
        "in_channels": in_channels,
        "image_size": image_size,
        "n_classes": n_classes,
    }
    return Network(first, body, head, description=description)
