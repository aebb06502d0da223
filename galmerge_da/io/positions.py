"""Where the objects of a catalogue are on an image, under the names that catalogues use."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from galmerge_da.exceptions import InputError
from galmerge_da.io.pictures import numbers

__all__ = ["positions"]

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
        NaN where unknown.

    Raises
    ------
    InputError
        If the columns are missing or have other units, or are on the sky where
        there is no WCS.
    """
    coordinates = next((column for column in catalog.itercols() if isinstance(column, SkyCoord)), None)
    sky = coordinates is not None or _find(catalog, _SKY)
    if wcs is not None and sky:
        return _on_sky(catalog, wcs, coordinates)
    pair = _find(catalog, _PIXELS)
    if pair:
        first = pair[2]
        return tuple(_numbers(catalog[name], name, u.pix) - first for name in pair[:2])
    if sky:
        raise InputError(
            "the catalogue has positions on the sky, but the images have no WCS; give x and y, or (array, WCS)"
        )
    wanted = "; ".join(f"{x}, {y}" for x, y, *_ in (*_SKY, *_PIXELS))
    raise InputError(
        f"the catalogue has no positions: a column of SkyCoord, or one of the pairs {wanted}; "
        f"it has {', '.join(catalog.colnames) or 'no columns'}"
    )


def _find(catalog, pairs):
    """The first pair that the catalogue has, with its own names; None if it has none."""
    names = {name.lower(): name for name in reversed(catalog.colnames)}
    for first, second, *rest in pairs:
        if {first.lower(), second.lower()} <= set(names):
            return names[first.lower()], names[second.lower()], *rest
    return None


def _on_sky(catalog, wcs, coordinates):
    if coordinates is None:
        ra, dec = (_numbers(catalog[name], name, u.deg) for name in _find(catalog, _SKY))
    else:
        coordinates = coordinates.icrs
        ra, dec = (np.asarray(numbers(angle)) for angle in (coordinates.ra.to(u.deg), coordinates.dec.to(u.deg)))
    x, y = np.full((2, len(catalog)), np.nan)
    good = np.isfinite(ra) & np.isfinite(dec)
    if good.any() and wcs.wcs.lngtyp == "RA":
        x[good], y[good] = wcs.world_to_pixel_values(ra[good], dec[good])
    elif good.any():  # galactic or ecliptic axes
        x[good], y[good] = wcs.world_to_pixel(SkyCoord(ra[good], dec[good], unit=u.deg))
    return x, y


def _numbers(column, name, unit):
    own = getattr(column, "unit", None)
    try:
        factor = 1.0 if own is None else u.Unit(own).to(unit)
        return numbers(column) * factor
    except (TypeError, ValueError):
        dtype = getattr(column, "dtype", type(column).__name__)
        raise InputError(f"column {name!r} must be numbers in {unit}, got {dtype} in {own}") from None
