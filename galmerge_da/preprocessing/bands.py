"""Which band of the input becomes which channel of a frame."""

import warnings
from collections.abc import Iterable, Sequence

import astropy.units as u

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io.bands import single_band_hint
from galmerge_da.plugins import list_plugins

__all__ = ["match_bands", "wavelengths"]

#: Effective wavelength of common filters in micrometres.
_WAVELENGTH = {
    "FUV": 0.153, "NUV": 0.231,
    "u": 0.355, "g": 0.477, "r": 0.623, "i": 0.763, "z": 0.913, "y": 1.0,
    "U": 0.365, "B": 0.445, "G": 0.53, "V": 0.551, "R": 0.658, "I": 0.806, "Z": 0.877, "Y": 1.02,
    "J": 1.25, "H": 1.65, "K": 2.2, "Ks": 2.16, "VIS": 0.72, "W1": 3.4, "W2": 4.6,
    "F275W": 0.27, "F336W": 0.336, "F390W": 0.39, "F435W": 0.43, "F438W": 0.433, "F475W": 0.475, "F555W": 0.536,
    "F606W": 0.592, "F625W": 0.631, "F775W": 0.769, "F814W": 0.806, "F850LP": 0.905,
    "F105W": 1.05, "F110W": 1.15, "F125W": 1.25, "F140W": 1.39, "F160W": 1.54,
    "F070W": 0.70, "F090W": 0.90, "F115W": 1.15, "F150W": 1.50, "F200W": 1.99, "F277W": 2.77, "F356W": 3.56,
    "F410M": 4.08, "F444W": 4.42, "F770W": 7.6,
    "F062": 0.62, "F087": 0.87, "F106": 1.06, "F129": 1.29, "F158": 1.58, "F184": 1.84, "F213": 2.13,
}  # fmt: skip


def match_bands(given: Sequence[str] | int, wanted: Sequence[str] | None) -> list[int]:
    """Positions, in the input, of the bands of a frame.

    Bands of the same name are taken, whatever else the input has. Otherwise
    as many bands as wanted are matched by the order of their wavelengths, and
    if one of them is unknown, in the order given.

    Parameters
    ----------
    given : tuple of str, or int
        Names of the input's bands, or their number where they have no names.
    wanted : tuple of str or None
        Names of the frame's bands; None takes the input as it is.

    Returns
    -------
    list of int
        Position in the input of each band of the frame.

    Raises
    ------
    InputError
        If the input has another number of bands and does not have all the names.

    Warns
    -----
    InputWarning
        If bands of other names stand for the wanted ones.
    """
    names, n_given = (None, given) if isinstance(given, int) else (tuple(given), len(given))
    if wanted is None:
        return list(range(n_given))
    if names is not None and set(wanted) <= set(names):
        return [names.index(band) for band in wanted]
    described = "without names" if names is None else ", ".join(names) or "none"
    case = _case_differs(names or (), wanted)
    if n_given != len(wanted):
        raise InputError(
            f"the images have {n_given} band(s) ({described}); expected the {len(wanted)} band(s) "
            f"{', '.join(wanted)}{case}{single_band_hint(n_given, wanted)}"
        )
    order, how = list(range(n_given)), "in the order given"
    if names is not None:
        have, need = ([value for value in wavelengths(each) if value is not None] for each in (names, wanted))
        if len(have) == len(need) == n_given:
            by_wavelength = sorted(range(n_given), key=have.__getitem__)
            for rank, position in enumerate(sorted(range(n_given), key=need.__getitem__)):
                order[position] = by_wavelength[rank]
            how = "by wavelength"
    pairs = ", ".join(f"{position if names is None else names[position]} as {band}"
                      for position, band in zip(order, wanted, strict=True))  # fmt: skip
    taken = f"{n_given} bands without names" if names is None else f"bands {described}"
    warnings.warn(f"{taken} were taken {how}: {pairs}{case}", InputWarning, stacklevel=3)
    return order


def _case_differs(given, wanted):
    """What to say of names that are wanted ones but for their case; they may be other filters."""
    pairs = [(name, band) for name in given for band in wanted if name != band and name.lower() == band.lower()]
    if not pairs:
        return ""
    own, meant = (", ".join(names) for names in zip(*pairs, strict=True))
    return (
        f"; {own} differ from {meant} only by case, which are other filters in some surveys: where they are the same, "
        f"name the bands {meant}; colours of a picture are none of them: name its survey"
    )


def wavelengths(bands: Iterable[str]) -> list[float | None]:
    """Effective wavelengths of bands, as common names and installed surveys have them.

    Parameters
    ----------
    bands : iterable of str

    Returns
    -------
    list of float or None
        In micrometres; None for a name that nobody knows.
    """
    known = _installed() | _WAVELENGTH
    return [known.get(band) for band in bands]


def _installed():
    """Band -> wavelength of every installed survey."""
    surveys = [record.spec for record in list_plugins("survey")]
    return {
        band: value
        for survey in surveys
        for band, value in zip(survey.bands, survey.wavelength.to_value(u.um), strict=True)
    }
