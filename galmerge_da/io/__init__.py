"""Every kind of cutout input becomes `Cutouts`; catalogues are written back."""

from galmerge_da.io.cutouts import Cutouts

__all__ = ["Cutouts"]
