"""The built-in backbones, as one plugin."""

from galmerge_da.models.deepmerge import make_deepmerge
from galmerge_da.models.resnet import ResNet18, ResNet18Config
from galmerge_da.models.rings import RingResNet, RingResNetConfig
from galmerge_da.plugins import BackboneSpec, hookimpl

__all__ = ["galmerge_da_backbones"]


@hookimpl
def galmerge_da_backbones():
    """Offer the built-in backbones."""
    return [
        BackboneSpec(
            "deepmerge",
            make_deepmerge,
            reference="Ciprijanovic et al. 2020, A&C 32, 100390",
            summary="three small convolutions, 2,592 features at 75 x 75",
        ),
        BackboneSpec(
            "resnet18",
            ResNet18,
            ResNet18Config,
            reference="He et al. 2016, CVPR, arXiv:1512.03385",
            summary="eight residual blocks, 256 features behind a bottleneck",
        ),
        BackboneSpec(
            "resnet-rings",
            RingResNet,
            RingResNetConfig,
            reference="He et al. 2016, ECCV, arXiv:1603.05027",
            summary="three pre-activation blocks, means over four rings around the galaxy, 256 features at 75 x 75",
        ),
    ]
