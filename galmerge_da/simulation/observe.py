"""From a scene to the frame a survey would hand out.

The order is nature's: sky and photon noise on native pixels, detection,
deblending and measurement of the listed galaxy, then a frame that scales with
its Petrosian radius and is centred on its nucleus, and at last, for 8-bit
surveys, the colour-preserving stretch. No step knows the class.
"""

import io
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from galmerge_da.photometry import find_nucleus, petrosian_radius
from galmerge_da.preprocessing import linearise
from galmerge_da.resampling import resample
from galmerge_da.simulation.artefacts import add_artefacts
from galmerge_da.simulation.neighbours import draw_faint_sources
from galmerge_da.simulation.render import render

__all__ = ["FRAME_RADII", "FRAME_SIZE", "PICTURE_SIZE", "Observation", "observe", "stretch_picture"]

FRAME_SIZE = 75
#: Petrosian radii across a frame: 300 of the 423 pixels of a Galaxy Zoo picture.
FRAME_RADII = 7.2
#: Catalogued Petrosian radius over the measured one: it gives simulated SDSS pictures the
#: median profile of real ones. (On the pictures themselves the ratio is that of `photometry`.)
_CATALOGUE_RADIUS = 1.08
_SCALE_SCATTER = 0.08
_OFF_CENTER = 0.43
_SEEING_SCATTER = 0.12
_STRUCTURE = 0.15
#: Error of the registration of the bands, in native pixels: nuclei of real pictures have fringes of colour.
_REGISTRATION = 0.25
#: Weights of the three bands, reddest first, in SDSS colour pictures, and the overall
#: gain that gives them the sky noise that is measured on such pictures.
_PICTURE_WEIGHTS = np.array([4.9, 5.7, 7.8])
_PICTURE_GAIN = 0.28
#: Pixels of the picture, along each axis, that make one pixel of the frame.
_PICTURE_PIXELS = 4
PICTURE_SIZE = _PICTURE_PIXELS * FRAME_SIZE
_PICTURE_QUALITY = 75
#: Sigma, in pixels of the picture, of the blur that the cutout server's interpolation adds: with it the sky
#: of simulated pictures is as rough, and as correlated, as that of real ones. The PSF before it, over the survey's.
_PICTURE_BLUR = 1.45
_PICTURE_PSF = 0.8
_PICTURE_SKY = np.array([3.0, 2.9, 1.2]) / 255
_SOFTENING = 2.5


@dataclass(frozen=True, eq=False)
class Observation:
    """A frame and what the survey's catalogue says about it.

    Attributes
    ----------
    image : `~numpy.ndarray`, shape (C, FRAME_SIZE, FRAME_SIZE)
        float32 fluxes, or uint8 for a stretched survey.
    petrosian_radius : float
        As measured, in arcsec.
    pixel_scale : float
        Of the frame, in arcsec.
    magnitude : float
        Of the galaxy and its partner together in the middle band, as drawn.
    """

    image: np.ndarray
    petrosian_radius: float
    pixel_scale: float
    magnitude: float


def observe(scene, survey, rng):
    """Observe a scene.

    Parameters
    ----------
    scene : Scene
    survey : `~galmerge_da.specs.SurveySpec`
    rng : `~numpy.random.Generator`
        Of the observation; the scene is not changed by it.

    Returns
    -------
    Observation
    """
    native = survey.pixel_scale.to_value("arcsec")
    listed = scene.bodies[1 if scene.on_second else 0].galaxy
    low, high = np.log(survey.radius.to_value("arcsec"))
    deviate = np.clip(rng.normal(), -1.8, 1.8)
    expected = np.exp((low + high) / 2 + (high - low) / 2 * deviate) / native
    scale = expected / listed.petrosian_radius
    bright, faint = survey.magnitude.value
    magnitude = (bright + faint) / 2 + (faint - bright) / 2 * 0.6 * (rng.normal() - deviate)
    magnitude = float(np.clip(magnitude, bright - 0.5, faint + 0.5))
    total = sum(body.galaxy.luminosity for body in scene.bodies)
    flux = 10 ** (0.4 * (survey.zero_point.value - magnitude)) / total
    n_pixels = int(np.clip(np.ceil(1.5 * FRAME_RADII * expected), 64, 300))
    if survey.source_density is not None and survey.depth is not None:
        primary = magnitude + 2.5 * np.log10(total / scene.bodies[0].galaxy.luminosity)
        reach = n_pixels / 2 / (scale * scene.bodies[0].galaxy.petrosian_radius)
        faint = draw_faint_sources(rng, survey, n_pixels, reach, primary)
        scene = replace(scene, neighbours=[*scene.neighbours, *faint])
    seeing = np.exp(_SEEING_SCATTER * rng.normal()) if survey.depth is not None else 1.0
    seeing *= _PICTURE_PSF if survey.stretched else 1.0
    image = render(scene, survey, n_pixels=n_pixels, scale=scale, flux=flux, seeing=seeing)
    sky = _add_noise(image, survey, rng)
    radius, center = _measure(image, sky, expected, n_pixels)
    side = min(radius * FRAME_RADII * np.exp(_SCALE_SCATTER * rng.normal()), n_pixels - 4.0)
    center = center + _OFF_CENTER * side / FRAME_SIZE * rng.normal(size=2)
    if survey.artefacts:
        add_artefacts(image, center, side, sky, rng.spawn(1)[0])  # other draws stay as they are
    offsets = _REGISTRATION * rng.normal(size=(survey.n_bands, 2)) if survey.depth is not None else np.zeros((1, 2))
    size = FRAME_SIZE * (_PICTURE_PIXELS if survey.stretched else 1)
    frame = _frame(image, center + offsets, side, size)
    if survey.stretched:
        frame = _picture(gaussian_filter(frame, (0, _PICTURE_BLUR, _PICTURE_BLUR), truncate=3), survey, rng)
    return Observation(frame, radius * native, side / FRAME_SIZE * native, magnitude)


def sky_noise(survey):
    """Standard deviation of the sky in a native pixel of each band; 0 without a depth.

    A point source at five times its noise has the survey's depth, with the
    noise taken over the effective area of a Gaussian PSF.

    Parameters
    ----------
    survey : `~galmerge_da.specs.SurveySpec`

    Returns
    -------
    `~numpy.ndarray`, shape (C,)
    """
    if survey.depth is None:
        return np.zeros(survey.n_bands)
    faintest = 10 ** (0.4 * (survey.zero_point - survey.depth).value)
    fwhm = (survey.psf_fwhm / survey.pixel_scale).to_value("")
    return faintest / 5 / np.sqrt(2.266 * fwhm**2)


def _add_noise(image, survey, rng):
    """Add noise in place; returns the standard deviation of the sky."""
    sky = sky_noise(survey)
    if survey.depth is None:
        return sky
    shape = image.shape[1:]
    gradient = rng.normal(size=2) * (rng.uniform() < 0.03)
    slope = np.add.outer(
        *(g * np.linspace(-0.5, 0.5, n, dtype=np.float32) for g, n in zip(gradient, shape, strict=True))
    )
    structure = _structure(shape, rng)
    for band in range(len(image)):
        variance = sky[band] ** 2
        if survey.gain is not None:
            variance = variance + np.maximum(image[band], 0) / survey.gain.value[band]
        noise = rng.standard_normal(shape, dtype=np.float32) * np.sqrt(variance).astype(np.float32)
        image[band] += noise
        image[band] += sky[band] * (0.1 * rng.normal() + slope + structure)
    return sky


def _structure(shape, rng):
    """What is left of halos, cirrus and unseen galaxies: smooth, in units of the sky noise."""
    coarse = rng.normal(size=(1, shape[0] // 8 + 2, shape[1] // 8 + 2)).astype(np.float32)
    smooth = resample(coarse, max(shape), width=max(shape) / 8)[0, : shape[0], : shape[1]]
    return _STRUCTURE * rng.lognormal(0.0, 0.5) * smooth


def _measure(image, sky, expected, n_pixels):
    """Petrosian radius (pixels) and position (y, x) of the nucleus nearest to the listed one."""
    weight = 1.0 / np.maximum(sky, 1e-12) ** 2 if np.any(sky) else np.ones(len(image))
    detection = np.tensordot((weight / weight.sum()).astype(np.float32), image, 1)[None]
    center = find_nucleus(detection, max_offset=max(0.3 * expected, 2.0), fwhm=3.0)
    center = np.where(np.isfinite(center), center, (n_pixels - 1) / 2)
    radius = _CATALOGUE_RADIUS * petrosian_radius(detection, center)[0]
    if not np.isfinite(radius):
        radius = expected
    return float(np.clip(radius, 0.4 * expected, 2.0 * expected)), center[0]


def _frame(image, centers, side, size):
    """Cut a square of ``side`` native pixels about each band's centre and resample it to ``size`` pixels."""
    return np.concatenate(
        [
            resample(band[None], size, width=side, center=tuple(center))
            for band, center in zip(image, np.broadcast_to(centers, (len(image), 2)), strict=True)
        ]
    )


def _picture(frame, survey, rng):
    """8-bit picture with the colour-preserving stretch of Lupton et al. (2004, PASP 116, 133)."""
    nanomaggy = 10 ** (0.4 * (22.5 - survey.zero_point.value))
    order = np.argsort(-survey.wavelength.value)
    weights = np.empty(survey.n_bands)
    weights[order] = np.interp(np.linspace(0, 2, survey.n_bands), [0, 1, 2], _PICTURE_WEIGHTS)
    channels = frame * (weights * nanomaggy * _PICTURE_GAIN).astype(np.float32)[:, None, None]
    pedestal = np.empty(survey.n_bands)
    pedestal[order] = np.interp(np.linspace(0, 2, survey.n_bands), [0, 1, 2], _PICTURE_SKY)
    return stretch_picture(channels, (pedestal * rng.uniform(0.6, 1.4, len(pedestal))).astype(np.float32))


def stretch_picture(channels, pedestal=None):
    """8-bit picture of linear channels, sent through JPEG at four times the size of a frame.

    Parameters
    ----------
    channels : `~numpy.ndarray` of float32, shape (C, 4 FRAME_SIZE, 4 FRAME_SIZE)
        Fluxes on the scale that `~galmerge_da.preprocessing.linearise` gives.
    pedestal : `~numpy.ndarray`, shape (C,), optional
        Added after the stretch.

    Returns
    -------
    `~numpy.ndarray` of uint8, shape (C, FRAME_SIZE, FRAME_SIZE)

    References
    ----------
    Lupton et al. 2004, PASP 116, 133.
    """
    channels = _lupton(channels)
    if pedestal is not None:
        channels += pedestal[:, None, None]
    channels /= np.maximum(channels.max(0), 1.0)
    pixels = np.rint(np.clip(channels, 0, 1) * 255).astype(np.uint8)
    return _shrink(_compress(pixels) if len(pixels) == 3 else pixels)


def _lupton(channels):
    """The stretch itself; it keeps the ratios of the bands."""
    total = 3 * channels.mean(0)  # as `linearise` has it
    total = np.where(np.abs(total) > 1e-6, _SOFTENING * total, np.float32(1e-6))
    return channels * (np.arcsinh(total) / total)


def _compress(pixels):
    """Through a JPEG file and back, in the size a survey's server would send it."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(
        file, "JPEG", quality=_PICTURE_QUALITY, subsampling="4:2:0"
    )
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def _shrink(pixels):
    """To the size of a frame: fluxes are averaged, as preprocessing does with a survey's pictures, not grey levels."""
    blocks = linearise(pixels).reshape(len(pixels), FRAME_SIZE, _PICTURE_PIXELS, FRAME_SIZE, _PICTURE_PIXELS)
    return np.rint(np.clip(_lupton(blocks.mean((2, 4))), 0, 1) * 255).astype(np.uint8)
