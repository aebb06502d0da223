"""From a scene to what reaches the detector: colours, dust and the PSF, without noise.

Particles are spread by Gaussians whose width follows their crowding, so that
a disc is smooth and a tail is not a string of dots.
"""

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.special import gamma

from galmerge_da.simulation.stellar import attenuation, band_fluxes

__all__ = ["render", "sersic"]

_LEVELS = (1.0, 2.0, 4.0)
_BETA = 3.5  # of the Moffat PSF


def sersic(shape, center, flux, radius, index, axis_ratio, angle):
    """A Sersic profile on a pixel grid.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx).
    center : tuple of float
        In pixels, x and y, 0 at the middle of the first pixel.
    flux : float
        Total flux of the profile to infinity.
    radius : float
        Half-light radius along the major axis, in pixels.
    index : float
        Sersic index.
    axis_ratio, angle : float
        Minor over major axis; position angle from +x, in radians.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (ny, nx)
    """
    image = np.zeros(shape, np.float32)
    reach = radius * (4.0 + 2.0 * index)
    x0, x1 = _span(center[0], reach, shape[1])
    y0, y1 = _span(center[1], reach, shape[0])
    if x0 >= x1 or y0 >= y1:
        return image
    b = 2.0 * index - 1.0 / 3.0 + 0.009876 / index  # Prugniel & Simien 1997
    x = np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(center[0])
    y = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(center[1])
    cos, sin = np.cos(angle), np.sin(angle)
    along, across = x * cos + y * sin, (y * cos - x * sin) / axis_ratio
    r = np.sqrt(along * along + across * across + np.float32(0.09)) / np.float32(radius)
    total = 2 * np.pi * index * radius**2 * axis_ratio * np.exp(b) * b ** (-2 * index) * gamma(2 * index)
    image[y0:y1, x0:x1] = np.exp(-b * (r ** np.float32(1 / index) - 1.0)) * (flux / total)
    return image


def _span(center, reach, size):
    return max(int(center - reach), 0), min(int(center + reach) + 2, size)


def render(scene, survey, *, n_pixels, scale, flux, seeing=1.0):
    """Image of a scene in every band, after the PSF.

    Parameters
    ----------
    scene : Scene
    survey : `~galmerge_da.specs.SurveySpec`
    n_pixels : int
        Side of the image; the listed nucleus is at its centre.
    scale : float
        Native pixels per unit of length of the scene.
    flux : `~numpy.ndarray`, shape (C,)
        Flux of luminosity 1 and a flat spectrum in every band.
    seeing : float, optional
        Width of the PSF over the survey's typical one.

    Returns
    -------
    `~numpy.ndarray` of float32, shape (C, n_pixels, n_pixels)
    """
    middle = (n_pixels - 1) / 2
    origin = scene.bodies[1 if scene.on_second else 0].center
    wavelength = survey.wavelength.to_value("um")
    reference = survey.n_bands // 2
    spectrum = {
        name: band_fluxes(name, wavelength, survey.redshift, reference, scene.bodies[0].galaxy.tilt)
        for name in ("old", "young")
    }
    unit = scene.bodies[0].galaxy.petrosian_radius * scale
    big = next_fast_len(n_pixels + int(4 * max(_LEVELS) * 0.1 * scale) + 8)
    frequency = np.fft.rfftfreq(big)[None, :] ** 2 + np.fft.fftfreq(big)[:, None] ** 2
    planes = _spread(scene, origin, scale, middle, n_pixels, big, frequency)
    old, young, gas = planes
    image = np.empty((survey.n_bands, n_pixels, n_pixels), np.float32)
    bulges, bulge_colour = _bulges(scene, origin, scale, middle, n_pixels, wavelength, survey)
    others = _neighbours(scene, unit, middle, n_pixels, wavelength, survey, reference)
    burst, burst_depth = scene.burst
    if burst > 0:
        nucleus = sersic(old.shape, (middle, middle), 1.0, 0.25 * scale, 1.0, 0.8, 0.0)
        young += burst * nucleus
        gas += burst_depth * nucleus / nucleus.max()
    depth = attenuation(wavelength, survey.redshift)
    dusty = gas.max() > 0.01
    fwhm = np.round(20 * seeing * (survey.psf_fwhm / survey.pixel_scale).to_value("")) / 20
    for band in range(survey.n_bands):
        light = old * spectrum["old"][band] + young * spectrum["young"][band]
        for bulge, colour in zip(bulges, bulge_colour, strict=True):
            light += bulge * colour[band]
        if dusty:
            light *= 0.4 + 0.6 * np.exp(-depth[band] * gas)
        light += others[band]
        image[band] = _convolve(light, fwhm[band]) * flux[band]
    return image


def _spread(scene, origin, scale, middle, n_pixels, big, frequency):
    """Old light, young light and gas of all particles as smooth planes, shape (3, n, n)."""
    margin = (big - n_pixels) // 2
    base = max(0.10 * scale, 0.6)
    cell = max(int(3 * base), 1)
    stacks = np.zeros((3, len(_LEVELS), big * big))
    for body in scene.bodies:
        x = (body.points - origin.astype(np.float32)) * np.float32(scale) + np.float32(middle + margin)
        column, line = np.rint(x[:, 0]).astype(np.int64), np.rint(x[:, 1]).astype(np.int64)
        inside = (column >= 0) & (column < big) & (line >= 0) & (line < big)
        column, line = column[inside], line[inside]
        n_cells = big // cell + 1
        crowd_index = (line // cell) * n_cells + column // cell
        crowd = np.bincount(crowd_index, minlength=n_cells**2)[crowd_index]
        level = np.where(body.compact[inside], len(_LEVELS) - 1, np.digitize(crowd, (4, 14), right=False))
        pixel = line * big + column + (len(_LEVELS) - 1 - level) * big * big
        for plane, weights in enumerate((body.old, body.young, body.gas)):
            if weights.any():
                stacks[plane].ravel()[:] += np.bincount(pixel, weights[inside], minlength=len(_LEVELS) * big * big)
    planes = np.zeros((3, n_pixels, n_pixels), np.float32)
    for plane in range(3):
        total = 0
        for stack, level in zip(stacks[plane], _LEVELS, strict=True):
            if stack.any():
                transfer = np.exp(-2 * (np.pi * base * level) ** 2 * frequency)
                total = total + rfft2(stack.reshape(big, big).astype(np.float32)) * transfer.astype(np.float32)
        if np.ndim(total):
            smooth = irfft2(total, s=(big, big))
            planes[plane] = smooth[margin : margin + n_pixels, margin : margin + n_pixels]
    planes[2] /= scale**2
    np.clip(planes, 0, None, out=planes)
    return planes


def _bulges(scene, origin, scale, middle, n_pixels, wavelength, survey):
    images, colours = [], []
    for body in scene.bodies:
        galaxy = body.galaxy
        if galaxy.bulge <= 0:
            continue
        x, y = (body.center - origin) * scale + middle
        axis_ratio, angle = body.bulge_axis
        images.append(
            sersic(
                (n_pixels, n_pixels), (x, y), galaxy.luminosity * galaxy.bulge, galaxy.bulge_radius * scale,
                galaxy.bulge_index, axis_ratio, angle,
            )
        )  # fmt: skip
        colours.append(band_fluxes("old", wavelength, survey.redshift, survey.n_bands // 2, galaxy.tilt))
    return images, colours


def _neighbours(scene, unit, middle, n_pixels, wavelength, survey, reference):
    """Light of stars and unrelated galaxies, shape (C, n_pixels, n_pixels)."""
    light = np.zeros((survey.n_bands, n_pixels, n_pixels), np.float32)
    for other in scene.neighbours:
        x, y = middle + other.x * unit, middle + other.y * unit
        population = "old" if other.index > 1 or other.is_star else "young"
        colour = band_fluxes(population, wavelength, survey.redshift, reference, other.tilt)
        if other.is_star:
            column, line = int(round(x)), int(round(y))
            if 0 <= column < n_pixels and 0 <= line < n_pixels:
                light[:, line, column] += other.flux * colour
        else:
            radius = max(other.radius * unit, 0.3)
            shape = other.index, other.axis_ratio, other.angle
            image = sersic((n_pixels, n_pixels), (x, y), other.flux, radius, *shape)
            light += image * colour.astype(np.float32)[:, None, None]
    return light


def _convolve(image, fwhm):
    """Convolve with a Moffat PSF of the given width in pixels, by FFT with a margin."""
    n = image.shape[0]
    margin = int(2.5 * fwhm) + 1
    big = next_fast_len(n + margin)
    return irfft2(rfft2(image, s=(big, big)) * _psf_transfer(big, float(fwhm)), s=(big, big))[:n, :n]


_TRANSFERS: dict[tuple[int, float], np.ndarray] = {}


def _psf_transfer(big, fwhm):
    """Transfer function of the PSF; the few that one survey needs are kept."""
    key = big, fwhm
    if key not in _TRANSFERS:
        if len(_TRANSFERS) > 300:
            _TRANSFERS.clear()
        axis = np.minimum(np.arange(big), big - np.arange(big))
        alpha = fwhm / (2 * np.sqrt(2 ** (1 / _BETA) - 1))
        kernel = (1 + (axis[:, None] ** 2 + axis[None, :] ** 2) / alpha**2) ** -_BETA
        _TRANSFERS[key] = rfft2((kernel / kernel.sum()).astype(np.float32))
    return _TRANSFERS[key]
