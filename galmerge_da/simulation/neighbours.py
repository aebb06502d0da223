"""Stars and unrelated galaxies in the frames: those of a scene, and the faint ones that a survey adds."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Neighbour", "draw_faint_sources", "draw_neighbours"]

#: Flux of a scene's faintest neighbour over that of its galaxy; fainter ones are the survey's.
_FAINTEST = 0.01
#: AB magnitude to which all sources together grow in number by 10^(0.4 m).
_FLATTENING = 24.5


@dataclass(frozen=True)
class Neighbour:
    """A star or an unrelated galaxy: position in primary Petrosian radii, flux in primary fluxes."""

    x: float
    y: float
    flux: float
    is_star: bool
    radius: float
    index: float
    axis_ratio: float
    angle: float
    tilt: float


def draw_neighbours(rng):
    """Stars and unrelated galaxies in a frame, the same for every class.

    The numbers give 35-40 % of the frames a neighbour above a tenth, 10 % one
    above the whole of the galaxy's flux, and a few per cent a bright star on it.

    Parameters
    ----------
    rng : `~numpy.random.Generator`

    Returns
    -------
    list of Neighbour
    """
    neighbours = []
    faintest, slope, reach = _FAINTEST, 0.66, 4.6
    for _ in range(rng.poisson(1.45 * (faintest / 0.1) ** -slope * 0.45)):
        flux = min(faintest * rng.uniform() ** (-1 / slope), 6.0)
        x, y = rng.uniform(-reach, reach, 2)
        neighbours.append(_neighbour(rng, x, y, flux, is_star=rng.uniform() < 0.5))
    if rng.uniform() < 0.04:
        r, angle = 0.9 * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
        flux = rng.uniform(0.05, 1.0)
        neighbours.append(_neighbour(rng, r * np.cos(angle), r * np.sin(angle), flux, is_star=True))
    return neighbours


def _neighbour(rng, x, y, flux, is_star):
    """A star or galaxy with size, shape and colour; its place is in primary Petrosian radii."""
    return Neighbour(
        float(x),
        float(y),
        float(flux),
        bool(is_star),
        radius=float(0.45 * min(flux, 2.0) ** 0.35 * rng.lognormal(0, 0.3)),
        index=float(rng.choice([1.0, rng.uniform(1.5, 4.5)])),
        axis_ratio=float(rng.uniform(0.25, 1.0)),
        angle=float(rng.uniform(0, np.pi)),
        tilt=float(rng.normal(0.3, 1.2) if is_star else rng.normal(0.0, 0.5)),
    )


def draw_faint_sources(rng, survey, n_pixels, reach, magnitude):
    """Unrelated sources fainter than a scene's own neighbours, down to a magnitude below a survey's depth.

    Their numbers follow the survey's ``source_density``; all are taken for points.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    survey : `~galmerge_da.specs.SurveySpec`
        With a depth and a density of sources.
    n_pixels : int
        Side of the image in native pixels.
    reach : float
        Half of it in Petrosian radii of the primary.
    magnitude : float
        Of the primary, AB, in the middle band.

    Returns
    -------
    list of Neighbour
    """
    bright = magnitude - 2.5 * np.log10(_FAINTEST)
    faint = min(survey.depth[survey.n_bands // 2].value + 1.0, _FLATTENING)
    if faint <= bright:
        return []
    area = (n_pixels * survey.pixel_scale.to_value("arcmin")) ** 2
    brighter = area * survey.source_density.to_value("arcmin-2") * 10 ** (0.4 * (np.array([bright, faint]) - 22.5))
    n = rng.poisson(brighter[1] - brighter[0])
    flux = _FAINTEST / rng.uniform(1, brighter[1] / brighter[0], n)
    places = rng.uniform(-reach, reach, (n, 2))
    return [_neighbour(rng, x, y, each, is_star=True) for (x, y), each in zip(places, flux, strict=True)]
