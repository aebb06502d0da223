"""Background, nucleus, mirror template, Petrosian radius and asymmetry, against independent answers."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.ndimage import rotate
from scipy.optimize import brentq
from scipy.special import gammaincinv

from galmerge_da.photometry import (
    edge_background,
    find_nucleus,
    mirror_template,
    petrosian_radius,
    rotational_asymmetry,
)

SHARED = Path(__file__).parents[1].parent / "shared"


def sersic(index, effective, center, size=161, amplitude=1.0, oversample=7):
    """A circular Sersic profile, averaged over each pixel."""
    b = gammaincinv(2 * index, 0.5)
    offsets = (np.arange(oversample) - (oversample - 1) / 2) / oversample
    y, x = np.mgrid[:size, :size]
    total = 0
    for dy in offsets:
        for dx in offsets:
            radius = np.hypot(y + dy - center[0], x + dx - center[1])
            total = total + np.exp(-b * ((radius / effective) ** (1 / index) - 1))
    return amplitude * total / oversample**2


def true_petrosian(index, effective, eta):
    b = gammaincinv(2 * index, 0.5)

    def mean(inner, outer):
        flux = quad(lambda r: 2 * np.pi * r * np.exp(-b * ((r / effective) ** (1 / index) - 1)), inner, outer)[0]
        return flux / (np.pi * (outer**2 - inner**2))

    return brentq(lambda r: mean(0.8 * r, 1.25 * r) / mean(0, r) - eta, 0.3 * effective, 6 * effective)


@pytest.mark.parametrize("index", [1, 4])
@pytest.mark.parametrize("effective", [6, 15])
@pytest.mark.parametrize("eta", [0.2, 0.3])
def test_the_petrosian_radius_of_a_sersic_profile_is_that_of_the_integral(index, effective, eta):
    center = (80.3, 79.6)
    image = sersic(index, effective, center)
    expected = true_petrosian(index, effective, eta)
    for deblend in (False, True):
        (radius,) = petrosian_radius(image[None], [center], eta=eta, deblend=deblend)
        assert radius == pytest.approx(expected, rel=0.03, abs=0.25)


@pytest.mark.parametrize("index", [1, 4])
def test_noise_and_companions_move_the_petrosian_radius_little(index):
    rng = np.random.default_rng(2)
    expected = true_petrosian(index, 12, 0.2)
    image = sersic(index, 12, (80, 80)) + rng.normal(0, 0.05, (20, 161, 161))
    crowded = image + sersic(1, 5, (48, 96), amplitude=3)
    centers = np.full((20, 2), 80.0)
    assert np.abs(petrosian_radius(image, centers) / expected - 1).max() < 0.06
    assert np.abs(petrosian_radius(crowded, centers) / expected - 1).max() < 0.12
    assert np.all(petrosian_radius(crowded, centers, deblend=False) / expected > 1.3)


def test_bad_pixels_do_not_move_the_petrosian_radius():
    image = sersic(1, 12, (80, 80))
    whole = petrosian_radius(image[None], [(80, 80)])
    image[np.random.default_rng(0).random(image.shape) < 0.1] = np.nan
    image[100, 50] = np.inf
    for deblend in (False, True):
        np.testing.assert_allclose(petrosian_radius(image[None], [(80, 80)], deblend=deblend), whole, rtol=0.01)


def test_a_radius_beyond_the_frame_is_not_invented():
    wide = sersic(1, 200, (80, 80))
    empty = np.zeros((161, 161))
    nothing = np.full((161, 161), np.nan)
    images = np.stack([wide, empty, nothing, np.ones((161, 161))])
    assert np.isnan(petrosian_radius(images, np.full((4, 2), 80.0))).all()


def test_a_stack_gives_what_its_images_give():
    images = np.stack([sersic(n, r, c) for n, r, c in ((1, 8, (80, 80)), (4, 12, (78, 83)), (2, 15, (81.5, 79)))])
    centers = find_nucleus(images, max_offset=10)
    for measure in (petrosian_radius, mirror_template):
        single = np.concatenate([measure(images[i : i + 1], centers[i : i + 1]) for i in range(3)])
        np.testing.assert_array_equal(measure(images, centers), single)


@settings(max_examples=20, deadline=None)
@given(st.floats(-6, 6), st.floats(-6, 6), st.booleans())
def test_the_nucleus_is_found_to_a_fraction_of_a_pixel(dy, dx, even):
    size = 64 if even else 65
    center = np.array([(size - 1) / 2 + dy, (size - 1) / 2 + dx])
    y, x = np.mgrid[:size, :size]
    image = np.exp(-((y - center[0]) ** 2 + (x - center[1]) ** 2) / (2 * 2.5**2))
    found = find_nucleus(image[None], max_offset=10)
    np.testing.assert_allclose(found[0], center, atol=0.02)


def test_the_wing_of_a_brighter_neighbour_is_not_the_nucleus():
    image = sersic(1, 8, (80, 80)) + sersic(1, 8, (80, 112), amplitude=45)
    assert image[80, 95] > image[80, 80]
    np.testing.assert_allclose(find_nucleus(image[None], max_offset=16)[0], (80, 80), atol=1.5)


def test_a_nucleus_is_found_among_bad_pixels_and_in_an_empty_image():
    image = sersic(1, 8, (78, 83))
    image[70:75, 80:90] = np.nan
    image[78, 83] = np.nan
    images = np.stack([image, np.full(image.shape, np.nan), np.zeros(image.shape)])
    found = find_nucleus(images, max_offset=16)
    np.testing.assert_allclose(found[0], (78, 83), atol=0.5)
    np.testing.assert_array_equal(found[1], (80, 80))
    assert np.isfinite(found[2]).all()


@pytest.mark.parametrize("center", [(10.0, 12.0), (9.5, 12.5), (11.0, 10.5)])
def test_the_mirror_template_is_the_smaller_of_opposite_pixels(center):
    rng = np.random.default_rng(0)
    image = rng.random((22, 25))
    expected = image.copy()
    for y in range(22):
        for x in range(25):
            v, w = int(2 * center[0]) - y, int(2 * center[1]) - x
            if 0 <= v < 22 and 0 <= w < 25:
                expected[y, x] = min(image[y, x], image[v, w])
    np.testing.assert_allclose(mirror_template(image[None], [center])[0], expected)


def test_the_mirror_template_interpolates_between_pixels():
    y, x = np.mgrid[:31, :31]
    image = 100 - np.hypot(y - 15.3, x - 14.8) ** 2 / 10
    template = mirror_template(image[None], [(15.3, 14.8)])[0]
    np.testing.assert_allclose(template, image, atol=0.06)


def test_the_mirror_template_removes_companions_and_mends_bad_pixels():
    galaxy = sersic(1, 8, (80, 80))
    image = galaxy + sersic(1, 3, (60, 100), amplitude=5)
    image[85, 90] = np.nan
    template = mirror_template(image[None], [(80, 80)])[0]
    assert np.isfinite(template).all()
    assert np.abs(template - galaxy).max() < 1e-3
    kept = mirror_template(image[None], [(80, 80)], threshold=[1e9])[0]
    np.testing.assert_array_equal(kept[np.isfinite(image)], image[np.isfinite(image)])


def test_the_background_is_the_median_of_the_edge():
    rng = np.random.default_rng(1)
    images = rng.normal(3, 0.5, (2, 3, 60, 50))
    images[:, 1] += 10
    images[:, :, 10:50, 10:40] += 1000
    level, sigma = edge_background(images, width=2)
    edge = np.ones((60, 50), bool)
    edge[2:-2, 2:-2] = False
    np.testing.assert_allclose(level, np.median(images[..., edge], axis=-1))
    np.testing.assert_allclose(sigma, 0.5, rtol=0.2)


def test_the_background_ignores_masked_and_bad_pixels():
    images = np.full((1, 2, 30, 30), 7.0)
    images[0, 0, 0] = np.nan
    images[0, 0, :, 0] = np.inf
    images[0, 1, :15] = 1e6
    mask = images > 1e5
    level, sigma = edge_background(images, mask)
    np.testing.assert_array_equal(level, [[7, 7]])
    np.testing.assert_array_equal(sigma, [[0, 0]])
    assert np.isnan(edge_background(np.full((1, 1, 9, 9), np.nan))[0]).all()


def test_a_large_frame_gives_the_same_background_as_all_of_its_edge():
    images = np.random.default_rng(3).normal(5, 1, (1, 1, 800, 700)).astype(np.float32)
    level, sigma = edge_background(images)
    assert level[0, 0] == pytest.approx(5, abs=0.08)
    assert sigma[0, 0] == pytest.approx(1, abs=0.08)


def brute_asymmetry(image, radius, search):
    height, width = image.shape
    smallest = np.inf
    for sy in range(-search, search + 1):
        for sx in range(-search, search + 1):
            cy, cx = (height - 1) / 2 + sy, (width - 1) / 2 + sx
            difference = flux = 0
            for y in range(height):
                for x in range(width):
                    v, w = int(2 * cy) - y, int(2 * cx) - x
                    if np.hypot(y - cy, x - cx) <= radius and 0 <= v < height and 0 <= w < width:
                        difference += abs(image[y, x] - image[v, w])
                        flux += abs(image[y, x])
            smallest = min(smallest, difference / flux)
    return smallest


@pytest.mark.parametrize("shape", [(21, 21), (20, 23)])
@pytest.mark.parametrize("radius", [5.5, 40])
def test_asymmetry_is_what_a_plain_loop_gives(shape, radius):
    image = np.random.default_rng(4).normal(1, 1, shape)
    got = rotational_asymmetry(image[None], radius=radius, search=2, mask_neighbours=False)
    assert got[0] == pytest.approx(brute_asymmetry(image, radius, 2), rel=1e-9)


def test_a_symmetric_galaxy_has_no_asymmetry_and_a_lopsided_one_has():
    round_one = sersic(1, 10, (80, 80))
    off_centre = sersic(1, 10, (82, 79))
    y, x = np.mgrid[:161, :161]
    tail = round_one * np.where((y > 80) & (x > 80), 3, 1)
    asymmetry = rotational_asymmetry(np.stack([round_one, off_centre, tail]), radius=30)
    np.testing.assert_allclose(asymmetry[:2], 0, atol=1e-6)
    assert asymmetry[2] > 0.2


def test_asymmetry_leaves_out_separate_neighbours_but_not_touching_ones():
    rng = np.random.default_rng(5)
    galaxy = sersic(1, 6, (80, 80)) + rng.normal(0, 0.03, (161, 161))
    apart = galaxy + sersic(1, 3, (80, 130))
    touching = galaxy + sersic(1, 3, (80, 92))
    images = np.stack([galaxy, apart, touching])
    alone, masked, merging = rotational_asymmetry(images, radius=55)
    _, unmasked, _ = rotational_asymmetry(images, radius=55, mask_neighbours=False)
    assert masked < alone + 0.1 < unmasked
    assert merging > alone + 0.1


def test_asymmetry_of_nothing_is_nan():
    images = np.stack([np.zeros((30, 30)), np.full((30, 30), np.nan), np.ones((30, 30)), np.ones((30, 30))])
    got = rotational_asymmetry(images, radius=[10, 10, np.nan, 10])
    assert np.isnan(got[:3]).all()
    assert got[3] == 0


def test_asymmetry_does_not_change_with_brightness_or_quarter_turns():
    image = np.random.default_rng(6).random((41, 41)) + sersic(1, 5, (20, 20), size=41)
    turned = rotate(image, 90, reshape=False, order=0)
    images = np.stack([image, 1e3 * image, np.rot90(image), turned])
    got = rotational_asymmetry(images, radius=15, mask_neighbours=False)
    np.testing.assert_allclose(got, got[0], rtol=1e-6)
