"""Orbits and test particles against independent integrators and conserved quantities."""

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from galmerge_da.simulation.encounter import Halo, draw_orbit, follow_particles, snapshot_times
from galmerge_da.simulation.population import N_AZIMUTH, N_RINGS, RINGS, draw_galaxy, launch
from galmerge_da.simulation.render import sersic
from galmerge_da.simulation.stellar import attenuation, band_fluxes


class Still:
    """Two centres, the second far away, that do not move."""

    times = np.array([0.0, 1e3])
    centers = np.array([[[0.0, 0, 0], [1e6, 0, 0]]] * 2)


def test_a_halo_encloses_its_mass():
    halo = Halo()
    r = 1e5
    assert halo.pull(r * r) * r**3 == pytest.approx(halo.mass, rel=1e-3)
    assert Halo.of_mass(0.3).mass == pytest.approx(0.3 * halo.mass)


def test_particles_follow_the_path_of_an_independent_integrator():
    halo = Halo()
    x0, v0 = np.array([2.0, 0.0, 0.5]), np.array([0.1, 0.7, 0.0])

    def right_hand_side(t, state):
        x = state[:3]
        return np.r_[state[3:], -x * halo.pull(x @ x)]

    end = 20.0
    exact = solve_ivp(right_hand_side, (0, end), np.r_[x0, v0], rtol=1e-9, atol=1e-9).y[:3, -1]
    (kept,) = follow_particles(x0[None, None], v0[None, None], [(halo, halo)], [Still()], [[end]])
    assert kept[0][0] == pytest.approx(exact, abs=0.06)


def test_a_disc_left_alone_stays_a_disc():
    rng = np.random.default_rng(3)
    galaxy = draw_galaxy(rng, {"spiral": 1.0})
    x, v = launch(galaxy)
    (kept,) = follow_particles(x[None], v[None], [(galaxy.halo, galaxy.halo)], [Still()], [[0.0, 40.0]])
    np.testing.assert_array_equal(kept[0], x)
    before, after = (np.hypot(*(k @ galaxy.axes.T)[:, :2].T) for k in kept)
    outside = before > 0.3
    assert np.percentile(np.abs(after / before - 1)[outside], 95) < 0.1
    assert before.reshape(N_RINGS, N_AZIMUTH).mean(1) == pytest.approx(RINGS * galaxy.length, rel=0.02)


def test_orbits_sink_and_stages_come_in_order():
    rng = np.random.default_rng(5)
    for _ in range(20):
        ratio = rng.uniform(0.15, 1)
        orbit = draw_orbit(rng, ratio, Halo(), Halo.of_mass(ratio))
        assert 0 < orbit.first < orbit.apocentre <= orbit.second <= orbit.coalescence
        apart = np.linalg.norm(orbit.centers[:, 1] - orbit.centers[:, 0], axis=1)
        assert apart[-1] < 0.01 < apart[0]
        np.testing.assert_allclose(orbit.centers[:, 0] + ratio * orbit.centers[:, 1], 0, atol=1e-9)
        times = snapshot_times(rng, orbit)
        assert list(times) == ["approach", "first passage", "apocentre", "coalescence", "post-merger"]
        assert times["approach"] <= times["first passage"] <= times["apocentre"] + 1e-9
        assert times["coalescence"] < times["post-merger"]


def test_an_encounter_pulls_out_tails_that_a_lone_disc_has_not():
    rng = np.random.default_rng(8)
    galaxy = draw_galaxy(rng, {"spiral": 1.0})
    x, v = launch(galaxy)
    orbit = draw_orbit(rng, 1.0, Halo(), Halo())
    start = (x + orbit.centers[0, 0]).astype(np.float32), (v + orbit.velocities[0]).astype(np.float32)
    when = orbit.first + 8.0
    (kept,) = follow_particles(start[0][None], start[1][None], [(Halo(), Halo())], [orbit], [[when]])
    center = [np.interp(when, orbit.times, orbit.centers[:, 0, axis]) for axis in range(3)]
    far = np.linalg.norm(kept[0] - center, axis=1) > 1.5 * RINGS[-1] * galaxy.length
    assert far.mean() > 0.02


@pytest.mark.parametrize("index", [1.0, 2.5])
def test_a_sersic_profile_has_its_flux_and_its_half_light_radius(index):
    image = sersic((401, 401), (200.0, 200.0), 5.0, 12.0, index, 1.0, 0.3)
    assert image.sum() == pytest.approx(5.0, rel=0.04)
    y, x = np.mgrid[:401, :401] - 200.0
    assert image[np.hypot(x, y) < 12].sum() == pytest.approx(2.5, rel=0.06)


def test_a_sersic_profile_is_elongated_along_its_angle():
    image = sersic((101, 101), (50.0, 50.0), 1.0, 10.0, 1.0, 0.5, 0.0)
    assert image[50, 70] == pytest.approx(image[60, 50], rel=0.01)


def test_colours_are_those_of_real_galaxies():
    wavelength = [0.477, 0.623, 0.763]
    old, young = (band_fluxes(p, wavelength, 0.0, 1) for p in ("old", "young"))
    g_minus_r = lambda flux: -2.5 * np.log10(flux[0] / flux[1])  # noqa: E731
    assert 0.65 < g_minus_r(old) < 0.85  # Strateva et al. 2001
    assert 0.0 < g_minus_r(young) < 0.3
    assert g_minus_r(band_fluxes("old", wavelength, 0.1, 1)) > g_minus_r(old)
    assert np.all(np.diff(attenuation(wavelength, 0.0)) < 0)


def test_the_speed_of_a_parabolic_start_is_the_escape_speed():
    rng = np.random.default_rng(2)
    orbit = draw_orbit(rng, 0.5, Halo(), Halo.of_mass(0.5))
    speed2 = np.sum((orbit.velocities[1] - orbit.velocities[0]) ** 2)
    start = np.linalg.norm(orbit.centers[0, 1] - orbit.centers[0, 0])
    total = lambda r: (Halo().pull(r * r) + Halo.of_mass(0.5).pull(r * r)) * r  # noqa: E731
    escape2 = 2 * quad(total, start, np.inf)[0]
    assert 0.7 * escape2 < speed2 < escape2
