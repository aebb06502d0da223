"""What a survey adds to a scene: faint sources, and the way its pictures are made."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from scipy import ndimage

from galmerge_da.exceptions import ConfigError
from galmerge_da.plugins import get_survey
from galmerge_da.preprocessing import linearise
from galmerge_da.simulation import simulate
from galmerge_da.simulation.neighbours import draw_faint_sources
from galmerge_da.simulation.observe import stretch_picture


def test_faint_sources_are_as_many_as_the_density_says_and_ten_times_more_per_two_and_a_half_magnitudes():
    rng, survey = np.random.default_rng(0), get_survey("sdss")
    magnitude, n_pixels, n_frames = 15.0, 200, 300
    fluxes = np.array(
        [s.flux for _ in range(n_frames) for s in draw_faint_sources(rng, survey, n_pixels, 4.0, magnitude)]
    )
    area = (n_pixels * 0.396 / 60) ** 2 * n_frames
    for limit in (21.0, 22.5, 23.5):
        expected = 8.5 * area * (10 ** (0.4 * (limit - 22.5)) - 10 ** (0.4 * (20.0 - 22.5)))
        brighter = np.count_nonzero(fluxes > 10 ** (-0.4 * (limit - magnitude)))
        assert abs(brighter - expected) < 5 * np.sqrt(expected)
    assert fluxes.max() <= 0.01


def test_a_bright_limit_leaves_no_faint_sources():
    assert draw_faint_sources(np.random.default_rng(0), get_survey("sdss"), 200, 4.0, 19.0) == []


def test_faint_sources_are_the_survey_s_and_leave_the_galaxies_alone():
    survey = get_survey("sdss")
    without = simulate(60, replace(survey, source_density=None), seed=4, n_jobs=1)
    with_them = simulate(60, replace(survey, source_density=40 / u.arcmin**2), seed=4, n_jobs=1)
    assert list(with_them["id"]) == list(without["id"]) and list(with_them["kind"]) == list(without["kind"])

    def count(table):
        image = np.asarray(table["image"])[:, 1]
        smooth = ndimage.gaussian_filter(image, (0, 1, 1))
        sigma = 1.4826 * np.median(np.abs(smooth - np.median(smooth, (1, 2), keepdims=True)), (1, 2), keepdims=True)
        peak = (ndimage.maximum_filter(smooth, (0, 5, 5)) == smooth) & (smooth > 6 * sigma)
        return np.count_nonzero(peak)

    assert count(with_them) > count(without) + 3 * 60


@pytest.mark.parametrize("density", [-1 / u.arcmin**2, 3.0, 1 / u.arcmin, np.nan / u.arcsec**2])
def test_a_density_that_is_none_is_refused(density):
    with pytest.raises(ConfigError, match="source_density"):
        replace(get_survey("sdss"), source_density=density)


@pytest.mark.parametrize("n_bands", [2, 3, 4])
def test_a_picture_gives_the_mean_flux_of_the_pixels_it_was_shrunk_from(n_bands):
    rng = np.random.default_rng(n_bands)
    fluxes = ndimage.gaussian_filter(rng.gamma(0.3, 1.0, (n_bands, 300, 300)), (0, 1, 1)).astype(np.float32)
    fluxes *= 0.5 / np.percentile(fluxes, 99)
    np.minimum(fluxes, 0.5, out=fluxes)
    blocks = fluxes.reshape(n_bands, 75, 4, 75, 4).mean((2, 4))
    back = linearise(stretch_picture(fluxes.copy()))
    jpeg = n_bands == 3
    assert np.median(np.abs(back - blocks)) < (0.02 if jpeg else 0.004)
    assert back.mean() == pytest.approx(blocks.mean(), rel=0.02 if jpeg else 0.005)
