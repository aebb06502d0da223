"""The survey ``example-camera``; no torch here, since this is read when any survey is."""

import astropy.units as u

from galmerge_da.plugins import SurveySpec, hookimpl

__all__ = ["galmerge_da_surveys"]


@hookimpl
def galmerge_da_surveys():
    """Offer the survey."""
    return [
        SurveySpec(
            "example-camera",
            ("V", "I"),
            pixel_scale=0.5 * u.arcsec,
            psf_fwhm=[1.4, 1.2] * u.arcsec,
            zero_point=25.0 * u.ABmag,
            wavelength=[0.55, 0.80] * u.um,
            depth=[23.0, 22.4] * u.ABmag,
            gain=800 * u.electron,
            reference="made up",
        )
    ]
