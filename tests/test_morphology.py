"""Concentration, smoothness, Gini and M20: against loops, closed forms and another implementation."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from statmorph_aperture import on_its_aperture

from galmerge_da.morphology import (
    MEASURES,
    concentration,
    gini,
    lotz_merger,
    m20,
    measure_morphology,
    segment_galaxies,
    smoothness,
)
from galmerge_da.photometry import edge_background, find_nucleus
from galmerge_da.resampling import resample
from galmerge_da.simulation import simulate

SIZE = 61
Y, X = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2


def galaxy(seed=0, noise=0.0):
    """An inclined exponential disc with a clump, off its centre by less than a pixel."""
    rng = np.random.default_rng(seed)
    y, x = Y - rng.uniform(-0.4, 0.4), X - rng.uniform(-0.4, 0.4)
    light = np.exp(-np.hypot(y, x / rng.uniform(0.5, 1)) / 4)
    light += rng.uniform(0, 0.3) * np.exp(-np.hypot(y - rng.uniform(-8, 8), x - rng.uniform(-8, 8)) / 2)
    return light + rng.normal(0, noise, light.shape) if noise else light


def gini_by_loop(values):
    """Mean difference of all pairs over twice the mean, for a sample: the definition that the sorted sum stands for."""
    values = np.abs(values)
    n = len(values)
    pairs = sum(abs(a - b) for a in values for b in values)
    return pairs / (2 * n * (n - 1) * values.mean())


def m20_by_loop(image, mask):
    pixels = [(image[i, j], i, j) for i, j in zip(*np.nonzero(mask), strict=True)]
    total = sum(f for f, _, _ in pixels)
    row, column = (sum(pixel[0] * pixel[k] for pixel in pixels) / total for k in (1, 2))
    moment = {pixel: pixel[0] * ((pixel[1] - row) ** 2 + (pixel[2] - column) ** 2) for pixel in pixels}
    bright, so_far = 0.0, 0.0
    for pixel in sorted(pixels, reverse=True):
        if so_far >= 0.2 * total:
            break
        bright += moment[pixel]
        so_far += pixel[0]
    return np.log10(bright / sum(moment.values()))


def test_gini_and_m20_are_those_of_plain_loops():
    images = np.stack([galaxy(seed, noise=0.01) for seed in range(4)])
    masks = np.stack([np.hypot(Y - seed, X) < 5 + 2 * seed for seed in range(4)])
    expected = [gini_by_loop(image[mask]) for image, mask in zip(images, masks, strict=True)]
    np.testing.assert_allclose(gini(images, masks), expected, rtol=1e-10)
    expected = [m20_by_loop(image, mask) for image, mask in zip(images, masks, strict=True)]
    np.testing.assert_allclose(m20(images, masks), expected, rtol=1e-10)


def test_gini_of_equal_pixels_is_0_and_of_a_single_bright_one_1():
    images = np.ones((2, 9, 9))
    images[1] = 0
    images[1, 4, 4] = 3
    np.testing.assert_allclose(gini(images, np.ones((2, 9, 9), bool)), [0, 1], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(arrays(float, (2, 6, 7), elements=st.floats(-1, 100)), arrays(bool, (2, 6, 7)))
def test_gini_is_between_0_and_1_whatever_the_pixels(images, masks):
    values = gini(images, masks)
    known = np.isfinite(values)
    assert np.all((values[known] >= -1e-9) & (values[known] <= 1 + 1e-9))
    assert np.all(known == ((masks.sum(axis=(1, 2)) > 1) & (np.abs(images * masks).sum(axis=(1, 2)) > 0)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-6, 1e6), st.integers(1, 3))
def test_no_measure_knows_the_unit_of_flux_or_the_orientation(seed, factor, turns):
    image = galaxy(seed)
    values = measure_morphology(
        np.stack([image, factor * image, np.rot90(image, turns), image[::-1]]), np.full(4, 12.0)
    )
    for name, measured in values.items():
        np.testing.assert_allclose(measured[1:], measured[0], rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize(
    ("profile", "reach", "expected"),
    [
        (lambda r: r <= 20.0, 28, 5 * np.log10(2)),  # an even disc: r80 = 2 r20
        (lambda r: np.exp(-r / 3), 28, 5 * np.log10(2.9943 / 0.8244)),
        (lambda r: np.exp(-(r**2) / 72), 28, 5 * np.log10(np.sqrt(np.log(0.2) / np.log(0.8)))),
    ],
    ids=["disc", "exponential", "Gaussian"],
)
def test_concentration_of_known_profiles(profile, reach, expected):
    fine = np.arange(-2, 3) / 5
    image = np.mean([profile(np.hypot(Y + dy, X + dx)).astype(float) for dy in fine for dx in fine], axis=0)
    middle = np.full((1, 2), (SIZE - 1) / 2)
    assert concentration(image[None], middle, reach)[0] == pytest.approx(expected, abs=0.03)
    holed = image.copy()
    holed[35:40, 33:41] = np.nan
    assert concentration(holed[None], middle, reach)[0] == pytest.approx(expected, abs=0.05)


def test_smoothness_sees_fine_structure_and_not_noise():
    rng = np.random.default_rng(0)
    smooth = 50 * np.exp(-((Y**2 + X**2) / 162))
    clumpy = smooth * (1 + 0.5 * ((Y.astype(int) // 2 + X.astype(int) // 2) % 2))
    images = np.stack([smooth, smooth + rng.normal(0, 1, smooth.shape), clumpy])
    values = smoothness(images, np.full((3, 2), (SIZE - 1) / 2), 16.0)
    assert values[0] == pytest.approx(0, abs=0.01)
    assert values[1] == pytest.approx(values[0], abs=0.015)
    assert values[2] > 0.05


def test_a_neighbour_is_not_the_galaxy_even_if_it_outshines_it():
    disc = np.exp(-np.hypot(Y, X) / 3)
    star = np.exp(-((Y - 18) ** 2 + (X - 12) ** 2) / 4)
    images = np.stack([disc, disc + star, disc + 500 * star])
    middle = np.full((3, 2), (SIZE - 1) / 2)
    own, others = segment_galaxies(images, middle, 10.0)
    assert own[:, 30, 30].all() and not own[:, 48, 42].any()
    np.testing.assert_array_equal(others[:, 48, 42], [False, True, True])
    alone, beside, hidden = (measure_morphology(image[None], [10.0]) for image in images)
    for name in ("gini", "m20", "concentration"):
        assert beside[name][0] == pytest.approx(alone[name][0], abs=0.1), name
        assert np.isfinite(hidden[name][0])


def test_bad_pixels_are_left_out():
    image = galaxy(3)
    holed = image.copy()
    holed[20:23, 40:44] = np.nan
    holed[33, 33] = np.inf
    whole, flawed = measure_morphology(image[None], [12.0]), measure_morphology(holed[None], [12.0])
    for name in MEASURES:
        assert flawed[name][0] == pytest.approx(whole[name][0], abs=0.1), name


def test_what_cannot_be_measured_is_nan_and_spoils_no_other_row():
    image = galaxy(1)
    images = np.stack([image, image, image, np.zeros_like(image), np.full_like(image, np.nan), -image, image])
    values = measure_morphology(images, [12.0, np.nan, 1.0, 12.0, 12.0, 12.0, np.inf])
    alone = measure_morphology(image[None], [12.0])
    for name, measured in values.items():
        assert measured[0] == alone[name][0]
        absolute = name == "asymmetry"  # of absolute fluxes: negative light has one
        assert np.isnan(measured[[1, 2, 3, 4, 6]]).all() and (absolute or np.isnan(measured[5])), name
    assert {name: len(measured) for name, measured in measure_morphology(images[:0], []).items()} == dict.fromkeys(
        MEASURES, 0
    )


def test_the_line_of_mergers_is_that_of_lotz_2008():
    np.testing.assert_allclose(lotz_merger([0.6, 0.5], [-1.5, -2.0]), [0.06, -0.11])


@pytest.fixture(scope="module")
def oracle():
    """Simulated galaxies, three times finer, and what statmorph makes of them."""
    statmorph = pytest.importorskip("statmorph")
    from scipy.ndimage import binary_dilation

    images = np.asarray(simulate(20, "deepmerge-z2-pristine", seed=5, n_jobs=1)["image"], float).mean(axis=1)
    images = resample(images - edge_background(images[:, None])[0][..., None], 225)
    petrosian = 3 * 75 / 7.2
    nuclei = find_nucleus(images, max_offset=petrosian / 4)
    own, others = segment_galaxies(images, nuclei, petrosian)
    measured = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of galaxies that it finds irregular
        for image, mine, masked in zip(images, own, others, strict=True):
            segment = binary_dilation(mine, iterations=6).astype(int)
            measured.append(statmorph.SourceMorphology(image, segment, 1, mask=masked, gain=1e4))
            assert np.isfinite([getattr(measured[-1], name) for name in MEASURES]).all()
    return np.where(others, np.nan, images), measured, measure_morphology(images, np.full(20, petrosian))


@pytest.mark.slow
def test_on_one_aperture_the_measures_are_those_of_statmorph(oracle):
    images, others = (part[:10] for part in oracle[:2])
    ours = [on_its_aperture(image, other) for image, other in zip(images, others, strict=True)]
    differences = {
        name: np.abs([mine[name] - getattr(other, name) for mine, other in zip(ours, others, strict=True)])
        for name in MEASURES
    }
    assert differences["gini"].max() < 0.005  # it masks neighbours with zeros, we leave them out
    assert differences["m20"].max() < 0.005
    assert differences["concentration"].max() < 0.03
    odd = [int(0.25 * other.rpetro_circ) % 2 == 1 for other in others]  # an even box is off by half a pixel
    assert sum(odd) >= 2
    assert differences["smoothness"][odd].max() < 0.003
    assert np.median(differences["asymmetry"]) < 0.03  # its centre is free and it interpolates; the sky's is subtracted


@pytest.mark.slow
def test_with_our_own_aperture_galaxies_are_ordered_as_by_statmorph(oracle):
    _, others, ours = oracle
    for name, least in (("gini", 0.6), ("m20", 0.8), ("concentration", 0.6), ("asymmetry", 0.6)):
        theirs = [getattr(other, name) for other in others]
        assert spearmanr(ours[name], theirs)[0] > least, name
