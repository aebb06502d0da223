"""The networks: an entrance that prepares frames, a backbone that makes features, a head that tells classes apart."""

from galmerge_da.models.device import autocast, choose_device
from galmerge_da.models.entrance import Entrance, EntranceConfig
from galmerge_da.models.network import Network, build_network
from galmerge_da.models.symmetry import rotate_about_center, rotation_residual

__all__ = [
    "Entrance",
    "EntranceConfig",
    "Network",
    "autocast",
    "build_network",
    "choose_device",
    "rotate_about_center",
    "rotation_residual",
]
