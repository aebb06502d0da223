"""`Stack`: images of one shape and what is known about them, on their way through the steps."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from galmerge_da.flags import FATAL, Flag
from galmerge_da.preprocessing.radii import measure_radii

__all__ = ["Stack"]


@dataclass(eq=False)
class Stack:
    """Images of one shape; steps change it in place.

    Attributes
    ----------
    raw : `~numpy.ndarray`, shape (N, C, H, W)
        Pixels as they came; never written to.
    images : `~numpy.ndarray` of float32, shape (N, C, H, W)
        Pixels as they are now.
    flags : `~numpy.ndarray` of int32, shape (N,)
        Bits of `~galmerge_da.Flag`.
    radius : `~numpy.ndarray` of float64, shape (N,)
        Petrosian radius in pixels; NaN where unknown.
    order : list of int
        Position in the input of each band of a frame.
    masks, weights : list of array_like, or None
        Those of each row as they came, (C, H, W).
    stretched : bool
        Whether the pixels are those of 8-bit pictures.
    pixel_scale : `~numpy.ndarray`, shape (N,)
        Arcsec per pixel; NaN where unknown.
    psf_fwhm : `~numpy.ndarray`, shape (N, C)
        Arcsec; NaN where unknown.
    zero_point : `~numpy.ndarray`, shape (C,)
        AB magnitude of one unit of flux; NaN where unknown.
    depth : `~numpy.ndarray`, shape (C,)
        AB magnitude of a point source at five times the survey's noise; NaN where unknown.
    bands : tuple of str or None
        Names of the bands of the images.
    level, noise : `~numpy.ndarray`, shape (N, C), or None
        Sky that is still in the images, and its standard deviation.
    subtract : bool
        Whether the frames will be without that level.
    margins : dict of int to `~numpy.ndarray` of bool, shape (H, W)
        Blank margins by position in the stack.
    hidden : dict of int to `~numpy.ndarray` of bool, shape (C, H, W)
        Pixels that were filled, by position in the stack.
    radii_sought : bool
        Whether `find_radii` has done its work.
    frames : `~numpy.ndarray` of float32, shape (N, C, size, size), or None
        What comes out.
    width : `~numpy.ndarray`, shape (N,), or None
        Side of each frame in pixels of the image.
    """

    raw: np.ndarray
    images: np.ndarray
    flags: np.ndarray
    radius: np.ndarray
    order: list
    masks: list | None = None
    weights: list | None = None
    stretched: bool = False
    # "| Any": None where it is not given, or until a step has made it
    pixel_scale: np.ndarray | Any = None
    psf_fwhm: np.ndarray | Any = None
    zero_point: np.ndarray | Any = None
    depth: np.ndarray | Any = None
    bands: tuple | None = None
    level: np.ndarray | Any = None
    noise: np.ndarray | Any = None
    subtract: bool = True
    margins: dict = field(default_factory=dict)
    hidden: dict = field(default_factory=dict)
    radii_sought: bool = False
    frames: np.ndarray | Any = None
    width: np.ndarray | Any = None

    def __len__(self):
        return len(self.flags)

    @property
    def usable(self):
        """Positions of the rows that still have something to classify."""
        return np.flatnonzero((self.flags & FATAL) == 0)

    def own_images(self):
        """The images, safe to be written to."""
        if np.may_share_memory(self.images, self.raw):
            self.images = self.images.copy()
        return self.images

    def find_radii(self):
        """Measure the radius where it is not known, and flag it."""
        if self.radii_sought:
            return
        self.radii_sought = True
        usable = self.usable
        unknown = usable[np.isnan(self.radius[usable])]
        self.radius[unknown] = measure_radii(self.images[unknown], self.level[unknown])
        self.flags[unknown] |= np.where(np.isnan(self.radius[unknown]), Flag.RADIUS_UNKNOWN, Flag.RADIUS_MEASURED)
