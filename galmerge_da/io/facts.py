"""What is known about images beside their pixels: bands, scale, PSF, radius.

The caller's word comes first, then a column or the header, then the survey.
"""

import warnings
from dataclasses import dataclass

import astropy.units as u
import numpy as np

from galmerge_da.exceptions import InputError, InputWarning, PluginError
from galmerge_da.io.bands import compare_order, parse_bands, single_band_hint
from galmerge_da.io.pictures import numbers
from galmerge_da.options import suggest
from galmerge_da.plugins import get_survey
from galmerge_da.specs import SurveySpec

__all__ = [
    "Facts",
    "ab_magnitude",
    "angle",
    "column_of",
    "gather_facts",
    "radii",
    "stated",
    "survey_of",
]


#: Flux of magnitude 0 on the AB scale.
_AB_ZERO = (0 * u.ABmag).to(u.Jy)


@dataclass(frozen=True, eq=False)
class Facts:
    """Facts about all rows; the attributes are those of `Cutouts`."""

    bands: tuple[str, ...] | None
    survey: str | None
    pixel_scale: u.Quantity | None
    psf_fwhm: u.Quantity | None
    radii_per_pixel: float | None
    stretched: bool
    zero_point: u.Quantity | None
    depth: u.Quantity | None


def column_of(table, name, what):
    """A column of a table; InputError with the closest name if it is missing."""
    if name not in table.colnames:
        same = [column for column in table.colnames if column.lower() == str(name).lower()]
        hint = f"; did you mean {same[0]!r}?" if same else suggest(name, table.colnames)
        raise InputError(f"there is no column {name!r} for {what}{hint}")
    return table[name]


def stated(mapping, key):
    """The value of a key in a header or table meta, whatever its case; None if it is not there."""
    return next((value for name, value in mapping.items() if str(name).upper() == key), None)


def survey_of(survey: str | SurveySpec | None) -> SurveySpec | None:
    """The `SurveySpec` of the caller's name or spec, or None; InputError if there is none of that name."""
    if survey is None or isinstance(survey, SurveySpec):
        return survey
    try:
        return get_survey(survey)
    except PluginError as error:
        raise InputError(str(error)) from None


def _survey_of_header(name, n_bands):
    """The preset that a header names; None unless there is one with as many bands."""
    try:
        spec = get_survey(name)
    except (PluginError, TypeError):
        return None
    return spec if spec.n_bands == n_bands else None


def angle(value, what, table, n_rows, n_bands):
    """Angles per row or band.

    Parameters
    ----------
    value : `~astropy.units.Quantity` or str
        One value, one a row, or the name of a column; an angle or an angle per pixel.
    what : str
        What it is, for the message.
    table : `~astropy.table.Table`
    n_rows, n_bands : int

    Returns
    -------
    `~astropy.units.Quantity`
        In arcsec, not broadcast.

    Raises
    ------
    InputError
        If the column is missing, there is no unit, or it is not an angle; if
        the shape is wrong, or a single value is not positive.
    """
    if isinstance(value, str):
        value, what = column_of(table, value, what), f"column {value!r} ({what})"
    unit = getattr(value, "unit", None)
    if unit is None:
        got = "" if what.startswith("column") else f"; got {value!r:.60}"
        raise InputError(f"{what} needs a unit of angle, such as 0.396 * u.arcsec{got}")
    values = numbers(value)
    for wanted in (u.arcsec, u.arcsec / u.pix):
        if u.Unit(unit).is_equivalent(wanted):
            values = u.Quantity(values * u.Unit(unit).to(wanted), u.arcsec)
            break
    else:
        raise InputError(f"{what} must be an angle, got unit {unit}")
    if values.shape not in ((), (n_rows,), (n_bands,), (n_rows, n_bands)):
        raise InputError(f"{what} has shape {values.shape}; there are {n_rows} rows and {n_bands} bands")
    if values.ndim == 0 and not values > 0:
        raise InputError(f"{what} must be positive, got {values}")
    return values


def _pixel_scale(value, table, n_rows, n_bands):
    """Scalar or one a row."""
    values = angle(value, "pixel_scale", table, n_rows, n_bands)
    if values.shape in ((), (n_rows,)):
        return values
    if np.all(values == values.flat[0]):
        return values.flat[0]
    raise InputError(f"pixel_scale differs between bands ({values}): bring the bands to one grid first")


def _psf_fwhm(value, table, n_rows, n_bands):
    """Scalar, one a band, or one a row and band."""
    values = angle(value, "psf_fwhm", table, n_rows, n_bands)
    if values.ndim == 1 and values.shape != (n_bands,) or isinstance(value, str) and values.ndim == 1:
        return np.repeat(values[:, None], n_bands, axis=1)
    return values


def _zero_point(value, n_bands):
    """The caller's zero points, one a band."""
    try:
        values = value.to_value(u.ABmag) if hasattr(value, "unit") else np.asarray(value)
        values = np.broadcast_to(values, (n_bands,))
    except (TypeError, ValueError, u.UnitsError):
        values = None
    if values is None or values.dtype.kind not in "iuf" or not np.all(np.isfinite(values)):
        raise InputError(
            f"zero_point must be the AB magnitude of one unit of flux, one number or one a band ({n_bands}); "
            f"got {value!r:.60}"
        )
    return values * u.ABmag


def ab_magnitude(unit):
    """AB magnitude of one unit of flux; None where the unit does not say it."""
    if unit is None or isinstance(unit, u.UnrecognizedUnit):
        return None
    try:
        flux = u.Unit(unit).to(u.Jy, equivalencies=u.zero_point_flux(_AB_ZERO))
    except u.UnitsError:
        return None
    return float((flux * u.Jy).to_value(u.ABmag))


def _known_zero_point(pixels, header, spec, names):
    """What the unit of the images says, else the header of the data set, of the images, the survey; or None."""
    of_unit = ab_magnitude(pixels.unit)
    if of_unit is not None:
        return np.full(pixels.n_bands, of_unit) * u.ABmag
    try:
        values = np.array([float(word) for word in str(header).split(",")])
    except ValueError:
        values = np.array([np.nan])
    if len(values) in (1, pixels.n_bands) and np.all(np.isfinite(values)):
        return np.broadcast_to(values, pixels.n_bands) * u.ABmag
    if pixels.zero_points is not None:
        return pixels.zero_points * u.ABmag
    # counts are not the fluxes that a survey publishes
    published = pixels.unit is None or isinstance(pixels.unit, u.UnrecognizedUnit)
    return spec and _of_bands(spec, spec.zero_point, names) if published else None


def gather_facts(pixels, table, meta, *, bands, columns=None, survey, pixel_scale, psf_fwhm, zero_point=None):
    """Settle what is known about the images.

    Parameters
    ----------
    pixels : object
        As in `galmerge_da.io.pixels`.
    table : `~astropy.table.Table`
        The columns.
    meta : mapping
        Header of the data set; that of the images is ``pixels.facts``.
    bands : tuple of str or None
    columns : tuple of str or None
        Bands as the columns are called, where there is one column a band.
    survey : SurveySpec or None
    pixel_scale, psf_fwhm : `~astropy.units.Quantity`, str or None
        As the caller gave them.
    zero_point : `~astropy.units.Quantity`, array_like, float or None
        As the caller gave it.

    Returns
    -------
    Facts

    Raises
    ------
    InputError
        If bands do not match the images, or a scale has no unit or a wrong shape.
    """
    n_rows, n_bands = pixels.n_rows, pixels.n_bands
    if _is_logarithmic(pixels.unit):
        raise InputError(f"the images are in {pixels.unit}: convert them to linear fluxes first")
    said = {key: stated(meta, key) for key in ("SURVEY", "BANDS", "RADPIX", "STRETCH", "PIXSCALE")}
    said = {key: stated(pixels.facts, key) if value is None else value for key, value in said.items()}
    spec = survey or _survey_of_header(said["SURVEY"], n_bands)
    header = parse_bands(said["BANDS"], n_bands)
    names = bands or _bands(columns, header, survey, spec, pixels)
    if names is not None and len(names) != n_bands and n_rows:
        origin = "bands" if bands else f"survey {spec.name!r}"
        raise InputError(
            f"{origin} names {len(names)} band(s) ({', '.join(names)}), but the images have {n_bands}"
            f"{single_band_hint(n_bands, names)}"
        )
    if bands:
        compare_order(bands, columns, header)
    # a data set knows its own frames better than the preset it was made with
    own = survey is None or said["SURVEY"] == survey.name
    radii_per_pixel = (_positive(said["RADPIX"]) if own else None) or (survey and survey.radii_per_pixel)
    if pixel_scale is not None:
        scale = _pixel_scale(pixel_scale, table, n_rows, n_bands)
    else:
        scale = _stated_scale(table, stated(meta, "PIXSCALE"), n_rows)
    if scale is None and not pixels.has_wcs:
        scale = _positive(said["PIXSCALE"])
        # where frames scale with the galaxy, the scale of the survey's camera is not theirs
        survey_scale = spec.pixel_scale if spec and radii_per_pixel is None else None
        scale = survey_scale if scale is None else scale * u.arcsec
    if psf_fwhm is None:
        fwhm = spec and _of_bands(spec, spec.psf_fwhm, names)
    else:
        fwhm = _psf_fwhm(psf_fwhm, table, n_rows, n_bands)
    stretched = pixels.stretched or _is_stretched(pixels, survey, said["STRETCH"])
    zero = None if zero_point is None else _zero_point(zero_point, n_bands)
    if zero is None and not stretched:
        said_zero = stated(meta, "ZEROPNT")
        zero = _known_zero_point(pixels, stated(meta, "MAGZERO") if said_zero is None else said_zero, spec, names)
    depth = None if spec is None or spec.depth is None else _of_bands(spec, spec.depth, names)
    return Facts(names, spec and spec.name, scale, fwhm, radii_per_pixel, stretched, zero, depth)


def _bands(columns, header, survey, spec, pixels):
    """Bands where the caller names none: the columns' names, the header (it may lie), the survey.

    A survey of the caller decides which bands there are, and the others only say in which order; but images of more or
    fewer bands have those that the others name. Colours of a picture are no such names.
    """
    if survey is None or (survey.n_bands != pixels.n_bands and not pixels.stretched):
        return columns or header or (spec and spec.bands)
    orders = [names for names in (columns, header) if names is not None and set(names) == set(survey.bands)]
    return orders[0] if orders else survey.bands


def _of_bands(spec, values, names):
    """Values of a survey's bands in the order of the names; None if it does not know one of them."""
    if names is None or not set(names) <= set(spec.bands):
        return None
    return values[[spec.bands.index(name) for name in names]]


def _positive(value):
    try:
        value = float(value)
    except (TypeError, ValueError):
        return None
    return value if value > 0 else None


def _stated_scale(table, header, n_rows):
    """Pixel scale of the data-set format, or None."""
    if "pixel_scale" in table.colnames and getattr(table["pixel_scale"], "unit", None) is not None:
        return _pixel_scale("pixel_scale", table, n_rows, 1)
    header = _positive(header)
    return None if header is None else header * u.arcsec


def _is_logarithmic(unit):
    """Whether a unit is of magnitudes, or anything else in dex."""
    physical = getattr(unit, "function_unit", unit)
    try:
        return physical is not None and u.dex in physical.decompose().bases
    except (AttributeError, u.UnitsError):  # a unit that astropy does not know
        return False


def _is_stretched(pixels, survey, header):
    if survey is None or not survey.stretched:
        if survey is None and header is None and pixels.eight_bit and pixels.n_bands == 3 and pixels.n_rows:
            warnings.warn(
                "8-bit images in three bands are taken as linear fluxes; if they are colour pictures, "
                "name a survey of such, as survey='sdss-jpeg'",
                InputWarning,
                stacklevel=4,
            )
        return bool(header) and survey is None
    if pixels.eight_bit is False and pixels.n_rows:
        warnings.warn(
            f"survey {survey.name!r} describes 8-bit pictures, but these pixels are not stored as bytes: "
            "they are taken as linear fluxes; hand over uint8 if they are not",
            InputWarning,
            stacklevel=4,
        )
    return bool(pixels.eight_bit)


def radii(radius, table, n_rows):
    """Radii as the caller gave them.

    Parameters
    ----------
    radius : str, `~astropy.units.Quantity`, array_like, float or None
        A column, or one value for all or one a row; pixels where there is no unit.
    table : `~astropy.table.Table`
    n_rows : int

    Returns
    -------
    values : `~numpy.ndarray` of float64, shape (n_rows,), or None
        In pixels or arcsec; NaN where unknown or not positive.
    in_pixels : bool

    Raises
    ------
    InputError
        If the column is missing, or unit or shape is wrong.
    """
    if radius is None:
        return None, True
    what = "radius"
    if isinstance(radius, str):
        radius, what = column_of(table, radius, what), f"column {radius!r} (radius)"
    unit = u.Unit(getattr(radius, "unit", None) or u.pix)
    factor = next((unit.to(wanted) for wanted in (u.pix, u.arcsec) if unit.is_equivalent(wanted)), None)
    if factor is None:
        raise InputError(f"{what} must be in pixels or an angle, got unit {unit}")
    try:
        values = np.broadcast_to(numbers(radius), (n_rows,)) * factor
    except (TypeError, ValueError):
        raise InputError(f"{what} must be one number, or one a row ({n_rows}); got {radius!r:.60}") from None
    return np.where(values > 0, values, np.nan), unit.is_equivalent(u.pix)
