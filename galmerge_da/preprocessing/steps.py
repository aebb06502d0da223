"""The steps from pixels to frames, one small class each; a recipe puts them in order.

The last one, `MakeFrame`, has a module of its own. A step changes a `Stack` of images in place. Its docstring says what
it does to flux.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from scipy import ndimage

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.flags import Flag
from galmerge_da.io import Cutouts
from galmerge_da.options import Options, option
from galmerge_da.preprocessing.backgrounds import annulus_level, mesh_background
from galmerge_da.preprocessing.checks import check_units
from galmerge_da.preprocessing.neighbours import detached_sources, point_sources
from galmerge_da.preprocessing.pixels import fill_bad_pixels, find_bad_pixels, linearise, repair
from galmerge_da.preprocessing.psf import PROFILES, SAME_FWHM, convolve, is_sampled, matching_kernel
from galmerge_da.preprocessing.stack import Stack

__all__ = [
    "ConvertFlux",
    "FillBadPixels",
    "Linearise",
    "MaskNeighbours",
    "MatchPSF",
    "PickBands",
    "SubtractBackground",
]


@dataclass(frozen=True)
class Linearise(Options):
    """Undo the stretch of 8-bit colour pictures.

    Flux: that of a picture becomes proportional to the light again, but for
    what was clipped at white or black, which is lost; the unit stays unknown.
    Other images are left as they are.
    """

    def apply(self, stack: Stack) -> None:
        """Change a ``Stack`` of images in place."""
        if stack.stretched:
            stack.images = linearise(stack.raw)

    def note(self, before: Stack, after: Stack) -> str:
        """What was done, in a few words."""
        return "8-bit picture made linear" if after.stretched else "linear already"


@dataclass(frozen=True)
class PickBands(Options):
    """Put the bands into the order of the frame, by name.

    Flux: unchanged; bands that the network does not know are left out.
    """

    def apply(self, stack: Stack) -> None:
        """Change a ``Stack`` of images in place."""
        order = stack.order
        if order == list(range(stack.raw.shape[1])):
            return
        stack.raw, stack.images = stack.raw[:, order], stack.images[:, order]
        stack.psf_fwhm = stack.psf_fwhm[:, order]
        stack.zero_point, stack.depth = stack.zero_point[order], stack.depth[order]
        stack.bands = stack.bands and tuple(stack.bands[position] for position in order)

    def note(self, before: Stack, after: Stack) -> str:
        """What was done, in a few words."""
        return "in the order given" if after.bands is None else ", ".join(after.bands)


@dataclass(frozen=True)
class FillBadPixels(Options):
    """Fill pixels that are masked or not finite from the good ones around them.

    Flux: that of a filled pixel is an estimate, the mean of its neighbours, or
    the sky far from any; blank margins become sky, a band that is missing
    altogether the mean of the others. All other pixels keep theirs.
    """

    def apply(self, stack: Stack) -> None:
        """Change a ``Stack`` of images in place."""
        bad = find_bad_pixels(stack)
        repair(stack, bad)
        check_units(stack)

    def note(self, before: Stack, after: Stack) -> str:
        """What was done, in a few words."""
        n = int(np.count_nonzero(after.hidden[0])) if 0 in after.hidden else 0
        return f"{n} pixel{'' if n == 1 else 's'} filled"


@dataclass(frozen=True)
class ConvertFlux(Options):
    """Bring every band to one zero point.

    Flux: multiplied in each band by ``10^(0.4 (wanted - given))``, so that one
    unit is an AB magnitude of ``zero_point`` afterwards. Where the given zero
    point is unknown, it stays as it is and the row has ``UNIT_DOUBTFUL``.

    Parameters
    ----------
    zero_point : float
        AB magnitude of one unit of flux in a frame: 8.9 is jansky, 22.5 nanomaggies, 31.4 nanojansky.
    """

    zero_point: float = option(22.5, "AB magnitude of one unit of flux in a frame")

    def apply(self, stack: Stack) -> None:
        """Change a ``Stack`` of images in place."""
        if np.isnan(stack.zero_point).any():
            stack.flags |= Flag.UNIT_DOUBTFUL
            return
        factor = (10 ** (0.4 * (self.zero_point - stack.zero_point))).astype(np.float32)
        images = stack.own_images()
        images *= factor[:, None, None]
        stack.level = stack.level * factor
        stack.noise = stack.noise * factor
        stack.zero_point = np.full_like(stack.zero_point, self.zero_point)

    def note(self, before: Stack, after: Stack) -> str:
        """What was done, in a few words."""
        if np.isnan(after.zero_point).any():
            return "zero point unknown: as it was"
        factors = 10 ** (0.4 * (after.zero_point - before.zero_point))
        return f"flux x {_numbers(factors)}"


@dataclass(frozen=True)
class SubtractBackground(Options):
    """Subtract the sky.

    Flux: less by one number a band and image (``edge``, ``annulus``), by a
    smooth surface (``mesh``), or not at all (``none``). A galaxy that reaches
    where the sky is measured loses its faint outskirts: with ``edge`` if it
    fills the image, with ``mesh`` if it is larger than a box.

    Parameters
    ----------
    method : {"edge", "annulus", "mesh", "none"}
        The median along the edge of the image; that of an annulus about the
        middle, outliers left out; or the median in boxes, sources left out,
        interpolated (`photutils.background.Background2D`).
    inner, outer : float
        Radii of the annulus in Petrosian radii. Where fewer than a tenth of it
        lies on the image or the radius is unknown, the edge is taken.
    boxes : int
        Boxes across the shorter side of the image; they have at least 8 pixels.
    """

    method: str = option("edge", "where the sky is measured", choices=("edge", "annulus", "mesh", "none"))
    inner: float = option(2.5, "inner radius of the annulus in Petrosian radii", above=0)
    outer: float = option(3.5, "outer radius of the annulus in Petrosian radii", above=0)
    boxes: int = option(5, "boxes of the mesh across the image", at_least=3)

    def __post_init__(self):
        super().__post_init__()
        if not self.inner < self.outer:
            raise ConfigError(f"outer must be more than inner ({self.inner:g}), got {self.outer:g}")

    def apply(self, stack: Stack) -> None:
        """Change a ``Stack`` of images in place."""
        stack.subtract = self.method != "none"
        if self.method == "annulus":
            stack.find_radii()
            for row in stack.usable:
                radius = stack.radius[row]
                level = annulus_level(stack.images[row], self.inner * radius, self.outer * radius)
                if level is not None:
                    stack.level[row] = level
        elif self.method == "mesh":
            images = stack.own_images()
            for row in stack.usable:
                images[row] -= mesh_background(images[row], stack.level[row], self.boxes)
                stack.level[row] = 0

    def note(self, before: Stack, after: Stack) -> str:
        """What was done, in a few words."""
        if self.method == "none":
            return "nothing subtracted"
        taken = (before.images[0] - after.images[0]).mean(axis=(1, 2)) + after.level[0]
        return f"{_numbers(taken)} subtracted"


@dataclass(frozen=True)
class MaskNeighbours(Options):
    """Take out sources that do not touch the galaxy.

    Flux: pixels of stars and neighbours become what is around them, mostly
    sky. Those of the galaxy, and of whatever is connected to it above the
    threshold, keep theirs. A companion across a gap of dark sky is a
    neighbour too: with ``sources = "all"`` a wide pair becomes a single galaxy.

    Parameters
    ----------
    sources : {"stars", "all"}
        Whether only what is as narrow as the PSF goes, which must then be
        known, or every source that is detached.
    threshold : float
        Standard deviations of the smoothed sky at which a source ends.
    growth : int
        Pixels by which each is enlarged.
    """

    sources: str = option("stars", "which detached sources go", choices=("stars", "all"))
    threshold: float = option(3.0, "where a source ends, in sigma of the smoothed sky", above=0)
    growth: int = option(3, "pixels by which a source is enlarged", at_least=0)

    def check(self, cutouts: Cutouts, order: list[int]) -> None:
        """Refuse cutouts without what is needed: InputError."""
        missing = cutouts.psf_fwhm is None or cutouts.pixel_scale is None
        if self.sources == "stars" and missing:
            raise InputError("to tell stars from galaxies, psf_fwhm and pixel_scale of the cutouts must be given")

    def apply(self, stack: Stack) -> None:
        """Change a ``Stack`` of images in place."""
        for row in stack.usable:
            total = stack.images[row].sum(axis=0) - stack.level[row].sum()
            labels = detached_sources(total, self.threshold)
            if self.sources == "stars":
                labels = point_sources(total, labels, np.mean(stack.psf_fwhm[row]) / stack.pixel_scale[row])
            masked = labels > 0
            if masked.any():
                if self.growth:
                    masked = ndimage.binary_dilation(masked, iterations=self.growth)
                masked = np.broadcast_to(masked, stack.images.shape[1:])
                fill_bad_pixels(stack.own_images()[row], masked, stack.level[row])
                stack.hidden[row] = stack.hidden.get(row, False) | masked
                stack.flags[row] |= Flag.MASKED

    def note(self, before: Stack, after: Stack) -> str:
        """What was done, in a few words."""
        changed = (before.images[0] != after.images[0]).any(axis=0)
        return f"{np.mean(changed):.1%} of the image hidden"


@dataclass(frozen=True)
class MatchPSF(Options):
    """Smooth to the point-spread function of the training images.

    Flux: kept as a whole, spread over more pixels; peaks become fainter. An
    image is never sharpened: where its PSF is broader than wanted, or unknown,
    it stays as it is and the row has ``PSF_UNMATCHED``; where that holds for
    all rows alike, it is an error. Where pixels are too coarse for the PSF, it
    is matched with rings and crosses about stars, and the row is flagged too.

    Parameters
    ----------
    fwhm : float or tuple of float
        Wanted full width at half maximum in arcsec, one for all or one a band.
    profile : {"gaussian", "moffat"}
        Shape of both PSFs.
    beta : float
        Exponent of the Moffat profile.
    """

    fwhm: tuple = option((1.5,), "wanted FWHM in arcsec, one for all or one a band", above=0)
    profile: str = option("gaussian", "shape of both PSFs", choices=PROFILES)
    beta: float = option(3.0, "exponent of the Moffat profile", above=1)

    if TYPE_CHECKING:  # more is taken than is kept

        def __init__(
            self, fwhm: float | Sequence[float] = (1.5,), profile: str = "gaussian", beta: float = 3.0
        ) -> None: ...

    def __post_init__(self):
        if isinstance(self.fwhm, Real):
            object.__setattr__(self, "fwhm", (self.fwhm,))
        super().__post_init__()

    def check(self, cutouts: Cutouts, order: list[int]) -> None:
        """Refuse cutouts whose PSF is broader in all rows alike, or another number of bands: InputError."""
        if len(self.fwhm) not in (1, len(order)):
            raise InputError(f"psf.fwhm has {len(self.fwhm)} values for {len(order)} band(s)")
        if cutouts.psf_fwhm is None or cutouts.psf_fwhm.ndim == 2:
            return
        given = cutouts.psf_fwhm.to_value(u.arcsec)
        given = given[order] if given.ndim else np.full(len(order), given)
        broader = np.flatnonzero(self._broader(given))
        if broader.size:
            band = broader[0]
            name = band if cutouts.bands is None else cutouts.bands[order[band]]
            raise InputError(
                f'the PSF of band {name} is {given[band]:.3g}" wide, broader than the {self._wanted(given)[band]:.3g}" '
                "of the training images: matching it would sharpen the image"
            )

    def apply(self, stack: Stack) -> None:
        """Change a ``Stack`` of images in place."""
        for row in stack.usable:
            given, scale = stack.psf_fwhm[row], stack.pixel_scale[row]
            if np.isnan(scale) or np.isnan(given).any() or self._broader(given).any():
                stack.flags[row] |= Flag.PSF_UNMATCHED
                continue
            wanted = np.maximum(self._wanted(given), given)
            image = stack.own_images()[row]
            for band in np.flatnonzero(wanted > given * (1 + SAME_FWHM)):
                widths = given[band] / scale, wanted[band] / scale
                if not is_sampled(*widths, profile=self.profile, beta=self.beta):
                    stack.flags[row] |= Flag.PSF_UNMATCHED
                image[band] = convolve(image[band], matching_kernel(*widths, profile=self.profile, beta=self.beta))
            stack.psf_fwhm[row] = wanted

    def _wanted(self, given):
        return np.broadcast_to(self.fwhm, given.shape)

    def _broader(self, given):
        return given > self._wanted(given) * (1 + SAME_FWHM)

    def note(self, before: Stack, after: Stack) -> str:
        """What was done, in a few words."""
        unmatched = after.flags[0] & Flag.PSF_UNMATCHED
        if unmatched and np.array_equal(before.psf_fwhm[0], after.psf_fwhm[0], equal_nan=True):
            return "not matched"
        widths = f'{_numbers(before.psf_fwhm[0])}" to {_numbers(after.psf_fwhm[0])}"'
        return f"{widths}, undersampled" if unmatched else widths


def _numbers(values):
    """Numbers as text, once if they are equal to three digits."""
    words = [f"{value:.3g}" for value in values]
    return words[0] if len(set(words)) == 1 else ", ".join(words)
