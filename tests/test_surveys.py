"""The built-in surveys: there, consistent, and in the right range."""

import astropy.units as u
import numpy as np
import pytest

from galmerge_da.plugins import get_survey
from galmerge_da.surveys import galmerge_da_surveys

SURVEYS = galmerge_da_surveys()
IDS = [survey.name for survey in SURVEYS]


def test_the_presets_that_the_documentation_names_are_there():
    assert {"deepmerge-z2", "deepmerge-z2-pristine", "sdss", "sdss-jpeg", "decals"} <= set(IDS)
    assert get_survey("deepmerge-z2").bands == ("F814W", "F356W", "F160W")
    assert get_survey("sdss").bands == ("g", "r", "i")
    assert get_survey("decals").bands == ("g", "r", "z")


@pytest.mark.parametrize("survey", SURVEYS, ids=IDS)
def test_numbers_are_those_of_a_survey_of_galaxies(survey):
    assert survey.reference
    assert 0.01 * u.arcsec < survey.pixel_scale < 1 * u.arcsec
    assert np.all(survey.psf_fwhm > survey.pixel_scale)
    assert np.all((survey.wavelength > 0.3 * u.um) & (survey.wavelength < 5 * u.um))
    assert np.all((survey.zero_point.value > 20) & (survey.zero_point.value < 35))
    assert survey.magnitude[0] < survey.magnitude[1]
    assert survey.pixel_scale < survey.radius[0] < survey.radius[1]


@pytest.mark.parametrize("survey", [s for s in SURVEYS if s.depth is not None], ids=lambda survey: survey.name)
def test_typical_galaxies_are_well_above_the_noise(survey):
    assert np.all(survey.depth.value - survey.magnitude[1].value > 2)
    assert survey.gain is not None


def test_the_idealised_survey_differs_from_its_noisy_twin_by_noise_alone():
    pristine, noisy = get_survey("deepmerge-z2-pristine"), get_survey("deepmerge-z2")
    assert pristine.depth is None
    assert pristine.gain is None
    for key in ("bands", "pixel_scale", "psf_fwhm", "zero_point", "wavelength", "magnitude", "radius", "redshift"):
        assert np.all(getattr(pristine, key) == getattr(noisy, key)), key


def test_pictures_are_sdss_red_to_blue():
    picture, sdss = get_survey("sdss-jpeg"), get_survey("sdss")
    assert picture.stretched
    assert picture.bands == ("i", "r", "g") == tuple(reversed(sdss.bands))
    assert np.all(np.diff(picture.wavelength) < 0)
    assert picture.radii_per_pixel == 0.024
    np.testing.assert_allclose(picture.psf_fwhm[::-1].value, sdss.psf_fwhm.value)


@pytest.mark.parametrize("name", ["sdss", "decals"])
def test_photon_noise_is_that_of_the_exposure(name):
    """Electrons per second and unit of flux stay within what a 2.5 to 4 m mirror gives."""
    survey = get_survey(name)
    photons = survey.gain.value / survey.exposure.value
    assert np.all((photons > 2) & (photons < 50))
