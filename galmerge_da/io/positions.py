"""Where the objects of a catalogue are on an image, under the names that catalogues use."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs.utils import proj_plane_pixel_scales

from galmerge_da.exceptions import InputError
from galmerge_da.io.files import quiet
from galmerge_da.io.pictures import numbers

__all__ = ["are_on_sky", "has_sky", "positions", "sky_of", "sky_positions"]

#: Columns on the sky, preferred ones first; VizieR computes those with an underscore in degrees.
_SKY = [("ra", "dec"), ("_RAJ2000", "_DEJ2000"), ("RAJ2000", "DEJ2000"), ("ALPHA_J2000", "DELTA_J2000")]

#: Columns in pixels, and the number of the first pixel.
_PIXELS = [
    ("x", "y", 0),
    ("xcentroid", "ycentroid", 0),
    ("x_centroid", "y_centroid", 0),
    ("X_IMAGE", "Y_IMAGE", 1),
]


def positions(catalog, wcs):
    """Where the objects of a catalogue are.

    Parameters
    ----------
    catalog : `~astropy.table.Table`
        With a column of `~astropy.coordinates.SkyCoord`, or with two columns:
        on the sky ``ra``, ``dec`` or ``_RAJ2000``, ``_DEJ2000`` or ``RAJ2000``,
        ``DEJ2000`` or ``ALPHA_J2000``, ``DELTA_J2000`` (degrees where there is
        no unit), or in pixels ``x``, ``y`` or ``xcentroid``, ``ycentroid`` or
        ``x_centroid``, ``y_centroid`` (the first pixel is 0) or ``X_IMAGE``,
        ``Y_IMAGE`` (it is 1). The case does not matter. The sky comes first
        where there is a WCS.
    wcs : celestial `~astropy.wcs.WCS` or None

    Returns
    -------
    x, y : `~numpy.ndarray` of float64, shape (N,)
        NaN where unknown, or the declination is none.

    Raises
    ------
    InputError
        If the columns are missing or have other units, or are on the sky where
        there is no WCS.
    """
    if are_on_sky(catalog, wcs):
        return _on_sky(catalog, wcs)
    pair = _find(catalog, _PIXELS)
    if pair:
        first = pair[2]
        return tuple(_numbers(catalog[name], name, u.pix) - first for name in pair[:2])
    if has_sky(catalog):
        raise InputError(
            "the catalogue has positions on the sky, but the images have no WCS; give x and y, or (array, WCS)"
        )
    wanted = "; ".join(f"{x}, {y}" for x, y, *_ in (*_SKY, *_PIXELS))
    raise InputError(
        f"the catalogue has no positions: a column of SkyCoord, or one of the pairs {wanted}; "
        f"it has {', '.join(catalog.colnames) or 'no columns'}"
    )


def are_on_sky(catalog, wcs):
    """Whether `positions` takes coordinates on the sky, and not pixels."""
    return wcs is not None and has_sky(catalog)


def has_sky(catalog):
    """Whether a catalogue has coordinates on the sky."""
    return _coordinates(catalog) is not None or _find(catalog, _SKY) is not None


def _coordinates(catalog):
    """The first column of `~astropy.coordinates.SkyCoord`, or None."""
    return next((column for column in catalog.itercols() if isinstance(column, SkyCoord)), None)


def _find(catalog, pairs):
    """The first pair that the catalogue has, with its own names; None if it has none."""
    names = {name.lower(): name for name in reversed(catalog.colnames)}
    for first, second, *rest in pairs:
        if {first.lower(), second.lower()} <= set(names):
            return names[first.lower()], names[second.lower()], *rest
    return None


def sky_positions(catalog):
    """Where the objects of a catalogue are on the sky.

    Parameters
    ----------
    catalog : `~astropy.table.Table`
        As for `positions`, with coordinates on the sky.

    Returns
    -------
    ra, dec : `~numpy.ndarray` of float64, shape (N,)
        Degrees, ICRS; NaN where unknown.

    Raises
    ------
    InputError
        If there are none, or they have other units.
    """
    coordinates = _coordinates(catalog)
    if coordinates is not None:
        coordinates = coordinates.icrs
        return tuple(np.asarray(numbers(angle.to(u.deg))) for angle in (coordinates.ra, coordinates.dec))
    pair = _find(catalog, _SKY)
    if pair is None:
        wanted = "; ".join(f"{ra}, {dec}" for ra, dec in _SKY)
        raise InputError(f"the catalogue has no positions on the sky: a column of SkyCoord, or one of {wanted}")
    return tuple(_numbers(catalog[name], name, u.deg) for name in pair)


def _on_sky(catalog, wcs):
    ra, dec = sky_positions(catalog)
    x, y = np.full((2, len(catalog)), np.nan)
    good = np.isfinite(ra) & (np.abs(dec) <= 90)
    if good.any():
        with quiet():  # a distorted WCS warns where it is solved for positions far away
            x[good], y[good] = _pixels_of(ra[good], dec[good], wcs)
    if wcs.has_distortion and good.any():
        x[good], y[good] = _where_solved(x[good], y[good], ra[good], dec[good], wcs)
    return x, y


def _pixels_of(ra, dec, wcs):
    if _is_j2000(wcs):
        return wcs.world_to_pixel_values(ra, dec)
    return wcs.world_to_pixel(SkyCoord(ra, dec, unit=u.deg))  # galactic or ecliptic axes, or another equinox


def _where_solved(x, y, ra, dec, wcs):
    """Pixels of a distorted WCS that lead back to where they come from; NaN for the others, which lie far away."""
    with quiet():
        back = SkyCoord(*sky_of(x, y, wcs), unit=u.deg)
        miss = back.separation(SkyCoord(ra, dec, unit=u.deg)).deg
    solved = miss < np.mean(proj_plane_pixel_scales(wcs))
    return np.where(solved, x, np.nan), np.where(solved, y, np.nan)


def sky_of(x, y, wcs):
    """Right ascension and declination of pixels in degrees; the inverse of what `positions` does.

    Parameters
    ----------
    x, y : `~numpy.ndarray`, shape (N,)
    wcs : celestial `~astropy.wcs.WCS`

    Returns
    -------
    ra, dec : `~numpy.ndarray` of float64, shape (N,)
    """
    if _is_j2000(wcs) or not len(x):
        return wcs.pixel_to_world_values(x, y)
    sky = wcs.pixel_to_world(x, y).icrs
    return sky.ra.deg, sky.dec.deg


def _is_j2000(wcs):
    """Whether axes are right ascension and declination of ICRS or, which is the same to 0.03 arcsec, of FK5, J2000."""
    frame = wcs.wcs.radesys.strip().upper()
    equinox = wcs.wcs.equinox
    j2000 = frame in ("", "ICRS") or (frame == "FK5" and (np.isnan(equinox) or equinox == 2000))
    return wcs.wcs.lngtyp == "RA" and j2000


def _numbers(column, name, unit):
    own = getattr(column, "unit", None)
    try:
        factor = 1.0 if own is None else u.Unit(own).to(unit)
        return numbers(column) * factor
    except (TypeError, ValueError):
        dtype = getattr(column, "dtype", type(column).__name__)
        raise InputError(f"column {name!r} must be numbers in {unit}, got {dtype} in {own}") from None
