"""What a survey adds to a scene: faint sources, and the way its pictures are made."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from scipy import ndimage

from galmerge_da.exceptions import ConfigError
from galmerge_da.plugins import get_survey
from galmerge_da.preprocessing import linearise
from galmerge_da.simulation import artefacts, simulate
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


def test_artefacts_fall_on_few_frames_of_both_classes_and_leave_the_others_alone():
    """A star's halo or an edge changes a frame as a whole; nothing else of the scene changes."""
    survey = get_survey("sdss")
    without = simulate(300, replace(survey, artefacts=False), seed=5)
    with_them = simulate(300, survey, seed=5)
    assert survey.artefacts
    changed = np.any(with_them["image"] != without["image"], axis=(1, 2, 3))
    assert 3 <= changed.sum() <= 20
    assert set(without["label"][changed]) == {0, 1}
    for name in set(without.colnames) - {"image"}:
        np.testing.assert_array_equal(without[name], with_them[name])


@pytest.mark.parametrize("kind", ["_STAR_SHARE", "_EDGE_SHARE"])
def test_one_kind_of_artefact(monkeypatch, kind):
    """A star adds light that falls outwards from it; an edge takes the light of all bands away or changes the noise."""
    for name in ("_STAR_SHARE", "_EDGE_SHARE"):
        monkeypatch.setattr(artefacts, name, float(name == kind))
    changed = []
    for seed in range(20):
        image = np.zeros((3, 81, 95), np.float32)
        artefacts.add_artefacts(image, np.array([40.0, 47.0]), 75.0, np.full(3, 2.0), np.random.default_rng(seed))
        assert np.isfinite(image).all()
        changed.append(np.any(image != 0))
        if kind == "_STAR_SHARE":
            assert (image > 0).all()
            peak = np.unravel_index(image.sum(0).argmax(), image.shape[1:])
            assert np.hypot(*(np.array(peak) - [40, 47])) > 20
        else:
            assert not np.any(image[:, 38:43, 45:50]), "the galaxy itself is on this side of the edge"
    assert np.mean(changed) > 0.6
