"""Strongly varied views of images, for losses that ask for consistency."""

from dataclasses import dataclass

from galmerge_da.augmentation import Augmentation, augment
from galmerge_da.options import Options, option

__all__ = ["ViewOptions"]


@dataclass(frozen=True)
class ViewOptions(Options):
    """How much a strong view is varied, besides turns and flips; as `galmerge_da.augmentation.Augmentation`."""

    gain: float = option(0.2, "scatter of the bands' brightness in the strong view, in e-folds", at_least=0)
    noise: float = option(0.01, "largest noise added to it, of the brightest pixel", at_least=0)
    blur: float = option(1.0, "largest blur added to it, in pixels", at_least=0)
    zoom: float = option(0.1, "largest change of its scale", at_least=0, below=1)

    def vary(self, images, generator):
        """Strong views of images.

        Parameters
        ----------
        images : `~torch.Tensor`, shape (N, C, S, S)
        generator : `~torch.Generator`

        Returns
        -------
        `~torch.Tensor`, shape (N, C, S, S)
        """
        options = Augmentation(dihedral=True, gain=self.gain, noise=self.noise, blur=self.blur, zoom=self.zoom)
        return augment(images, options, generator)
