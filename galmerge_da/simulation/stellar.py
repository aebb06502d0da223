"""Colours of stellar populations and of dust, for any band at any redshift.

Two spectra, old and young, as relative flux density per unit frequency; rough
fits by eye to the shapes of Bruzual & Charlot (2003, MNRAS 344, 1000) models.
"""

import numpy as np

__all__ = ["attenuation", "band_fluxes"]

_WAVELENGTH = np.array([0.10, 0.15, 0.25, 0.35, 0.40, 0.477, 0.623, 0.763, 0.92, 1.2, 1.6, 2.2, 3.6, 5.0])
_FLUX = {
    "old": np.array([0.002, 0.006, 0.03, 0.14, 0.27, 0.49, 1.0, 1.42, 1.85, 2.4, 2.9, 2.2, 1.1, 0.6]),
    "young": np.array([0.50, 0.65, 0.68, 0.64, 0.84, 0.87, 1.0, 1.09, 1.12, 1.1, 1.05, 0.78, 0.42, 0.3]),
}


def band_fluxes(population, wavelength, redshift, reference, tilt=0.0):
    """Fluxes in several bands, relative to one of them.

    Parameters
    ----------
    population : {"old", "young"}
    wavelength : array_like, shape (C,)
        Observed wavelengths in micrometres.
    redshift : float
    reference : int
        Index of the band whose flux is 1.
    tilt : float, optional
        Exponent of an extra power law in wavelength: scatter in age and metallicity.

    Returns
    -------
    `~numpy.ndarray`, shape (C,)
    """
    rest = np.asarray(wavelength, float) / (1.0 + redshift)
    log_flux = np.interp(np.log(rest), np.log(_WAVELENGTH), np.log(_FLUX[population])) + tilt * np.log(rest)
    return np.exp(log_flux - log_flux[reference])


def attenuation(wavelength, redshift):
    """Optical depth in each band over that at 0.55 micrometres (Charlot & Fall 2000, ApJ 539, 718).

    Parameters
    ----------
    wavelength : array_like, shape (C,)
        Observed wavelengths in micrometres.
    redshift : float

    Returns
    -------
    `~numpy.ndarray`, shape (C,)
    """
    return (np.asarray(wavelength, float) / (1.0 + redshift) / 0.55) ** -0.7
