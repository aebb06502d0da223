"""`MakeFrame`: the last step, from an image of any size to the frame."""

from dataclasses import dataclass

import numpy as np

from galmerge_da.flags import Flag
from galmerge_da.options import Options
from galmerge_da.preprocessing.stack import Stack
from galmerge_da.resampling import covered, resample

__all__ = ["MakeFrame"]

#: A frame that covers fewer pixels of the image across shows no detail.
_DETAIL = 24

#: A frame may lack this fraction of its area before it is flagged.
_MISSING = 0.03

#: Pixel scales that differ by less, relatively, are the same.
_SAME_SCALE = 1e-3


@dataclass(frozen=True)
class MakeFrame(Options):
    """Cut out the frame and bring it to its size.

    Flux: surface brightness is kept. A pixel of the frame is the mean of what
    it covers, in flux per pixel of the *image*; the flux of the whole galaxy is
    the sum over the frame times the square of the ratio of the scales. With
    ``pixel_scale`` a pixel has the flux of its own area instead, and the sum
    over the frame is the flux. Beyond the image there is none.

    Parameters
    ----------
    size : int
        Pixels along each side.
    scale : {"radius", "pixels", "image"}
        As in `PreprocessingRecipe`.
    frame_radii : float
        Petrosian radii across.
    pixel_scale : float or None
        Arcsec per pixel of the frame, with ``scale = "pixels"``.
    """

    size: int = 75
    scale: str = "radius"
    frame_radii: float = 7.2
    pixel_scale: float | None = None

    def apply(self, stack: Stack) -> None:
        """Change a ``Stack`` of images in place."""
        images, flags = stack.images, stack.flags
        shape = images.shape[2:]
        if self.scale == "radius":
            stack.find_radii()
        stack.width = width = self._widths(stack)
        missing = 1 - covered(shape, width)
        for i, margin in stack.margins.items():
            missing[i] += _share(margin, self._center(shape, width[i]), width[i])
        flags[missing > _MISSING] |= Flag.OFF_EDGE
        flags[np.minimum(width, max(shape)) < _DETAIL] |= Flag.TOO_SMALL
        level = stack.level if stack.subtract else np.zeros_like(stack.level)
        usable = stack.usable
        stack.frames = np.zeros((*images.shape[:2], self.size, self.size), np.float32)
        same = usable.size == len(stack) and np.all(width == width[0])
        for some in [slice(None)] if same else usable[:, None]:
            each = width[some][0]
            sky = level[some][..., None, None]
            frame = resample(images[some], self.size, width=each, center=self._center(shape, each), background=sky)
            if self.pixel_scale is not None and each != self.size:
                frame *= np.float32((each / self.size) ** 2)
            stack.frames[some] = frame

    def _widths(self, stack):
        """Side of each frame in pixels of the image."""
        whole = float(max(stack.images.shape[2:]))
        if self.scale == "image":
            return np.full(len(stack), whole)
        if self.scale == "radius":
            return np.where(np.isnan(stack.radius), whole, self.frame_radii * stack.radius)
        width = np.full(len(stack), float(self.size))
        if self.pixel_scale is not None:
            ratio = self.pixel_scale / stack.pixel_scale
            stack.flags[np.isnan(ratio)] |= Flag.PIXEL_SCALE_UNKNOWN
            other = np.abs(ratio - 1) > _SAME_SCALE
            width[other] *= ratio[other]
        return width

    def _center(self, shape, width):
        """Middle of a frame: of the image, or with pixels as they are, on its grid."""
        if self.scale == "pixels" and width == self.size:
            return tuple((n - self.size) // 2 + (self.size - 1) / 2 for n in shape)
        return tuple((n - 1) / 2 for n in shape)

    def note(self, before: Stack, after: Stack) -> str:
        """What was done, in a few words."""
        return f"{after.width[0]:.4g} pixels to {self.size}"


def _share(margin, center, width):
    """Fraction of a window that a blank margin takes."""
    window = tuple(
        slice(max(0, round(middle + 0.5 - width / 2)), max(0, round(middle + 0.5 + width / 2))) for middle in center
    )
    return np.count_nonzero(margin[window]) / width**2
