"""The built-in surveys, as one plugin.

The numbers are rounded from the surveys' own papers. The depth and gain of a
preset decide its noise, its wavelengths and redshift the colours of simulated
galaxies.
"""

import astropy.units as u

from galmerge_da.plugins import SurveySpec, hookimpl

__all__ = ["galmerge_da_surveys"]

_Z2 = dict(
    bands=("F814W", "F356W", "F160W"),
    pixel_scale=0.06 * u.arcsec,
    psf_fwhm=[0.10, 0.12, 0.18] * u.arcsec,
    zero_point=31.4 * u.ABmag,  # nanojansky
    wavelength=[0.81, 3.56, 1.54] * u.um,
    magnitude=[20.6, 22.2] * u.ABmag,
    radius=[0.5, 0.9] * u.arcsec,
    redshift=2.0,
    reference="Ciprijanovic et al. 2020, A&C 32, 100390; STScI instrument handbooks",
)

_SDSS = dict(
    pixel_scale=0.396 * u.arcsec,
    zero_point=22.5 * u.ABmag,
    exposure=53.9 * u.s,
    magnitude=[14.5, 16.9] * u.ABmag,
    radius=[4.6, 11.3] * u.arcsec,
    redshift=0.05,
)

_SDSS_BANDS = {
    # band: (PSF FWHM ", depth AB mag, electrons per nanomaggy, um)
    "g": (1.44, 23.15, 1000.0, 0.477),
    "r": (1.32, 22.7, 950.0, 0.623),
    "i": (1.26, 22.55, 700.0, 0.763),
}


def _sdss(name, bands, **extra):
    fwhm, depth, gain, wavelength = zip(*(_SDSS_BANDS[band] for band in bands), strict=True)
    return SurveySpec(
        name,
        bands,
        psf_fwhm=fwhm * u.arcsec,
        depth=depth * u.ABmag,
        gain=gain * u.electron,
        wavelength=wavelength * u.um,
        **_SDSS,
        **extra,
    )


@hookimpl
def galmerge_da_surveys():
    """Offer the built-in surveys."""
    return [
        SurveySpec("deepmerge-z2-pristine", **_Z2),
        SurveySpec(
            "deepmerge-z2",
            # deep as an ultra-deep field: a network trained on the pristine preset reaches a target AUC of about .73
            # without adaptation, the published .74; fixed before any adaptation was scored
            depth=[29.1, 29.4, 28.7] * u.ABmag,
            gain=[80.0, 380.0, 100.0] * u.electron,
            exposure=12600 * u.s,
            **_Z2,
        ),
        _sdss("sdss", ("g", "r", "i"), reference="York et al. 2000, AJ 120, 1579; sdss.org DR7 'scope'"),
        _sdss(
            "sdss-jpeg",
            ("i", "r", "g"),
            stretched=True,
            radii_per_pixel=0.024,
            reference="Lintott et al. 2008, MNRAS 389, 1179; Lupton et al. 2004, PASP 116, 133",
        ),
        SurveySpec(
            "decals",
            ("g", "r", "z"),
            pixel_scale=0.262 * u.arcsec,
            psf_fwhm=[1.29, 1.18, 1.11] * u.arcsec,
            zero_point=22.5 * u.ABmag,
            wavelength=[0.48, 0.64, 0.92] * u.um,
            depth=[24.0, 23.4, 22.5] * u.ABmag,
            gain=[2000.0, 1500.0, 1200.0] * u.electron,
            exposure=[166.0, 134.0, 200.0] * u.s,
            magnitude=[15.0, 17.5] * u.ABmag,
            radius=[4.0, 9.0] * u.arcsec,
            redshift=0.07,
            reference="Dey et al. 2019, AJ 157, 168",
        ),
    ]
