"""The built-in surveys: there, consistent, and in the right range."""

import astropy.units as u
import numpy as np
import pytest

from galmerge_da.plugins import get_survey
from galmerge_da.simulation import simulate
from galmerge_da.simulation.observe import sky_noise
from galmerge_da.surveys import galmerge_da_surveys
from galmerge_da.testing import check_survey_plugin

SURVEYS = galmerge_da_surveys()
IDS = [survey.name for survey in SURVEYS]

#: Diameter (m) of a filled circle with the light-collecting area of the telescope.
MIRROR = {
    "panstarrs": 1.6,
    "hsc": 8.0,
    "des": 3.5,
    "kids": 2.4,
    "cosmos-acs": 2.4,
    "candels-wfc3": 2.4,
    "ceers": 5.7,
    "euclid": 1.1,
    "lsst": 6.4,
    "roman": 2.2,
}
GROUND = {"sdss", "sdss-jpeg", "decals", "decals-jpeg", "panstarrs", "hsc", "des", "kids", "lsst"}


def test_the_presets_that_the_documentation_names_are_there():
    assert {"deepmerge-z2", "deepmerge-z2-pristine", "sdss", "sdss-jpeg", "decals"} <= set(IDS)
    assert set(MIRROR) <= set(IDS) and len(set(IDS)) == len(IDS)
    assert get_survey("deepmerge-z2").bands == ("F814W", "F356W", "F160W")
    assert get_survey("sdss").bands == ("g", "r", "i")
    assert get_survey("decals").bands == ("g", "r", "z")


@pytest.mark.parametrize("survey", SURVEYS, ids=IDS)
def test_numbers_are_those_of_a_survey_of_galaxies(survey):
    assert survey.reference
    assert 0.01 * u.arcsec < survey.pixel_scale < 1 * u.arcsec
    assert np.all(survey.psf_fwhm > survey.pixel_scale)
    assert np.all(survey.psf_fwhm > 0.5 * u.arcsec) == (survey.name in GROUND)
    assert np.all((survey.wavelength > 0.3 * u.um) & (survey.wavelength < 5 * u.um))
    # KiDS hands out fluxes in units of magnitude 0
    assert np.all((survey.zero_point.value > 20) & (survey.zero_point.value < 35)) or survey.name == "kids"
    assert survey.magnitude[0] < survey.magnitude[1]
    assert survey.pixel_scale < survey.radius[0] < survey.radius[1]


@pytest.mark.parametrize("survey", [s for s in SURVEYS if s.name in MIRROR], ids=lambda survey: survey.name)
def test_bands_depths_and_electrons_are_those_of_the_telescope(survey):
    assert np.all(np.diff(survey.wavelength) > 0)
    assert np.all((survey.depth.value > 21) & (survey.depth.value < 30))
    # 5.48e10 photons / s / m2 from magnitude 0 in each unit of dlambda / lambda (3631 Jy over Planck's constant)
    area = np.pi / 4 * MIRROR[survey.name] ** 2
    electrons = survey.gain.value * 10 ** (0.4 * survey.zero_point.value) / survey.exposure.value
    share = electrons / (5.48e10 * area)  # of the light: throughput times relative width of the band
    assert np.all((share > 0.01) & (share < 0.35)), share


@pytest.mark.parametrize("survey", [s for s in SURVEYS if s.name in MIRROR], ids=lambda survey: survey.name)
def test_space_and_ground_are_limited_by_diffraction_and_air(survey):
    diffraction = (1.03 * survey.wavelength / (MIRROR[survey.name] * u.m)).to(u.arcsec, u.dimensionless_angles())
    ratio = (survey.psf_fwhm / diffraction).to_value("")
    assert np.all(ratio > (3 if survey.name in GROUND else 0.8))
    assert survey.name in GROUND or np.all(ratio < 3)


@pytest.mark.parametrize("survey", [s for s in SURVEYS if s.name in MIRROR], ids=lambda survey: survey.name)
def test_typical_galaxies_are_resolved_and_their_frames_fit(survey):
    """Radii are drawn to 1.8 standard deviations; frames of 7.2 radii are at most 300 native pixels wide."""
    low, high = np.log(survey.radius.value)
    smallest, largest = np.exp((low + high) / 2 + 1.8 * (high - low) / 2 * np.array([-1, 1]))
    assert smallest > 1.1 * survey.psf_fwhm.value.max()
    assert 7.2 * largest / survey.pixel_scale.value < 300


@pytest.mark.slow
@pytest.mark.parametrize("survey", SURVEYS, ids=IDS)
def test_presets_keep_the_contract_of_survey_plugins(survey):
    check_survey_plugin(survey)


@pytest.mark.slow
@pytest.mark.parametrize("survey", [s for s in SURVEYS if s.name in MIRROR], ids=lambda survey: survey.name)
def test_simulated_galaxies_stand_out_and_have_the_noise_of_the_depth(survey):
    table = simulate(18, survey.name, seed=2, n_jobs=1)
    image, sky = table["image"], sky_noise(survey)
    assert image.shape == (18, survey.n_bands, 75, 75) and np.all(np.isfinite(image))
    middle = image[:, :, 32:43, 32:43].max((2, 3))
    assert np.all(np.median(middle, 0) > 5 * sky)
    corner = np.concatenate([image[:, :, :12, :12], image[:, :, -12:, -12:]], axis=2)
    spread = np.median(np.abs(corner - np.median(corner, (2, 3), keepdims=True)), (0, 2, 3)) * 1.4826
    assert np.all((spread > 0.1 * sky) & (spread < 3 * sky)), spread / sky
    median_radius = np.sqrt(np.prod(survey.radius.value))
    assert 0.6 < np.median(table["petrosian_radius"]) / median_radius < 1.8
    assert np.all(table["pixel_scale"] * 75 <= 300 * survey.pixel_scale.value)


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
