"""The built-in backbones, as one plugin."""

from galmerge_da.models.deepmerge import make_deepmerge
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
        )
    ]
