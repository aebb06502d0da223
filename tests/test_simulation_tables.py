"""`simulate`: reproducible, honest tables in every survey's look."""

from importlib.metadata import version

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from galmerge_da.exceptions import InputError, PluginError
from galmerge_da.io import open_cutouts, save_cutouts
from galmerge_da.plugins import SurveySpec, get_survey, list_plugins
from galmerge_da.simulation import STAGES, simulate
from galmerge_da.simulation.observe import sky_noise

SURVEYS = [record.spec.name for record in list_plugins("survey") if record.distribution == "galmerge_da"]


@pytest.mark.parametrize("survey", SURVEYS)
def test_every_preset_gives_frames_with_units_and_header(survey):
    table = simulate(12, survey, seed=3)
    spec = get_survey(survey)
    assert table["image"].shape == (12, spec.n_bands, 75, 75)
    assert table["image"].dtype == (np.uint8 if spec.stretched else np.float32)
    assert np.all(np.isfinite(table["image"]))
    assert table.meta["SURVEY"] == survey and table.meta["BANDS"] == ",".join(spec.bands)
    assert table.meta["FLUXUNIT"] == {"sdss": "3.631e-06 Jy", "deepmerge-z2": "1e-09 Jy"}.get(
        survey, table.meta["FLUXUNIT"]
    )
    assert table.meta["RADPIX"] * table["radius"][0] == pytest.approx(1.0)
    assert table["petrosian_radius"].unit == u.arcsec and table["time"].unit == u.Myr
    assert list(table["label"]) == [0, 1] * 6
    assert set(table["stage"]) <= set(STAGES)
    assert len(set(table["id"])) == 12


def test_the_same_seed_gives_the_same_table_in_one_or_two_processes():
    one, two = simulate(30, "sdss", seed=5, n_jobs=1), simulate(30, "sdss", seed=5, n_jobs=2)
    np.testing.assert_array_equal(one["image"], two["image"])
    assert list(one["id"]) == list(two["id"])
    assert not np.array_equal(one["image"], simulate(30, "sdss", seed=6)["image"])


@settings(deadline=None, max_examples=6)
@given(short=st.integers(0, 15), long=st.integers(15, 27))
def test_a_longer_table_starts_with_the_shorter_one(short, long):
    a, b = (simulate(n, "deepmerge-z2", seed=1, n_jobs=1) for n in (short, long))
    assert len(a) == short and len(b) == long
    np.testing.assert_array_equal(a["image"], b["image"][:short])


def test_the_same_galaxies_are_seen_by_two_surveys():
    a, b = simulate(18, "deepmerge-z2-pristine", seed=2), simulate(18, "sdss", seed=2)
    for name in ("id", "group", "stage", "kind", "label"):
        assert list(a[name]) == list(b[name])
    np.testing.assert_array_equal(a["mass_ratio"], b["mass_ratio"])


def test_moments_of_one_encounter_share_a_group_and_non_mergers_do_not():
    table = simulate(60, "sdss", seed=4)
    groups = {label: [g for g, k in zip(table["group"], table["label"], strict=True) if k == label] for label in (0, 1)}
    assert len(set(groups[0])) == 30 and len(set(groups[1])) == 10
    assert not set(groups[0]) & set(groups[1])


def test_one_class_alone():
    mergers = simulate(9, "sdss", seed=1, classes="merger")
    assert set(mergers["label"]) == {1} and len(mergers) == 9
    both = simulate(18, "sdss", seed=1)
    np.testing.assert_array_equal(mergers["image"], both["image"][np.asarray(both["label"]) == 1])


def test_the_sky_has_the_depth_of_the_survey():
    spec = get_survey("sdss")
    rng = np.random.default_rng(0)
    fwhm = (spec.psf_fwhm / spec.pixel_scale).to_value("")[0]
    y, x = np.mgrid[-15:16, -15:16]
    psf = np.exp(-4 * np.log(2) * (x**2 + y**2) / fwhm**2)
    psf /= psf.sum()
    faintest = 10 ** (0.4 * (spec.zero_point - spec.depth).value[0])
    # significance of a star of limiting magnitude in an optimally weighted fit
    noise = rng.normal(0, sky_noise(spec)[0], (400, 31, 31))
    fitted = np.tensordot(noise + faintest * psf, psf, 2) / np.sum(psf**2)
    assert fitted.mean() / fitted.std() == pytest.approx(5.0, rel=0.12)


def test_a_survey_without_depth_has_no_noise():
    table = simulate(6, "deepmerge-z2-pristine", seed=1)
    corner = np.asarray(table["image"])[:, 0, :4, :4]
    assert (
        np.median(np.abs(corner - np.median(corner, (1, 2), keepdims=True))) < 1e-2 * np.asarray(table["image"]).max()
    )
    assert np.all(sky_noise(get_survey("deepmerge-z2-pristine")) == 0)


def test_a_third_party_survey_of_one_band():
    spec = SurveySpec(
        "mine", ("V",), pixel_scale=1 * u.arcsec, psf_fwhm=2 * u.arcsec, zero_point=25 * u.ABmag,
        wavelength=[0.55] * u.um, depth=22 * u.ABmag,
    )  # fmt: skip
    assert simulate(6, spec, seed=1)["image"].shape == (6, 1, 75, 75)


@pytest.mark.parametrize("bad", [dict(n=-1), dict(n=1.5), dict(n=4, seed=-2), dict(n=4, n_jobs=0), dict(n=4, seed="x")])
def test_a_bad_number_is_named(bad):
    with pytest.raises(InputError, match="must be an integer"):
        simulate(**bad)


def test_an_unknown_class_or_survey_is_named():
    with pytest.raises(InputError, match="classes"):
        simulate(4, classes=("merger", "starburst"))
    with pytest.raises(PluginError, match="did you mean 'sdss'"):
        simulate(4, "sdsss")


def simple_numbers(images):
    """Single numbers by which a class could give itself away."""
    images = images.astype(float)
    y, x = np.mgrid[:75, :75] - 37.0
    r = np.hypot(x, y)
    sky = np.median(images[:, :, r > 36], 2)
    noise = np.median(np.abs(images[:, :, r > 36] - sky[..., None]), 2).mean(1)
    mean = (images - sky[:, :, None, None]).mean(1)
    aperture = images[:, :, r < 10].mean(2) - sky
    smooth = sum(np.roll(mean, shift, axis) for shift in (-1, 1) for axis in (1, 2)) / 4
    growth = np.cumsum(np.stack([mean[:, (r >= k) & (r < k + 1)].sum(1) for k in range(15)], 1), 1)
    return {
        "centre over peak": mean[:, 35:40, 35:40].mean((1, 2)) / mean[:, r < 12].max(1),
        "flux": mean[:, r < 15].sum(1),
        "size": np.array([np.interp(0.5, g / g[-1], np.arange(15)) for g in growth]),
        "sky": sky.mean(1),
        "noise": noise,
        "red colour": aperture[:, 0] / aperture[:, 1],
        "blue colour": aperture[:, -1] / aperture[:, 1],
        "sharpness": np.abs(mean - smooth)[:, r < 12].mean(1) / mean[:, r < 12].mean(1),
    }


@pytest.mark.slow
@pytest.mark.parametrize("survey", ["deepmerge-z2-pristine", "sdss-jpeg"])
def test_no_single_number_gives_the_label_away(survey):
    table = simulate(1200, survey, seed=77)
    merger = np.asarray(table["label"]) == 1
    for name, values in simple_numbers(np.asarray(table["image"])).items():
        ranks = rankdata(values)
        auc = (ranks[merger].sum() - merger.sum() * (merger.sum() + 1) / 2) / (merger.sum() * (~merger).sum())
        # tidal tails and partners make a merger larger: that much is physics
        limit = 0.80 if name == "size" else 0.70
        assert 1 - limit < auc < limit, f"{name} alone reaches AUC {auc:.2f}"


def test_the_table_is_plain():
    assert type(simulate(2, "sdss", seed=1)) is Table


def test_the_header_says_how_to_make_the_galaxies_again(tmp_path):
    table = simulate(4, "sdss-jpeg", seed=17, n_jobs=1)
    save_cutouts(table, tmp_path / "a.fits")
    for meta in (table.meta, open_cutouts(tmp_path / "a.fits").table.meta):
        assert meta["SEED"] == 17
        assert f"galmerge_da {version('galmerge_da')}, numpy {np.__version__}, scipy" in meta["SIMVERS"]
