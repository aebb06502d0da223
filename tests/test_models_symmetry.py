"""The centre of symmetry and the residual about it, against loops and scipy."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from galmerge_da.models import rotate_about_center, rotation_residual


def galaxy(shape, offset, axes=(4.0, 2.5), angle=0.6):
    """A smooth, point-symmetric galaxy; ``offset`` (y, x) pixels off the middle."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    y, x = y - (shape[0] - 1) / 2 - offset[0], x - (shape[1] - 1) / 2 - offset[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.exp(-((along / axes[0]) ** 2 + (across / axes[1]) ** 2) / 2).astype(np.float32)


def symmetry_by_loop(image):
    """Twice the centre, in whole pixels, to which the windowed image is most symmetric."""
    (height, width), best = image.shape, {}
    y, x = np.mgrid[:height, :width]
    window = np.exp(-((y - (height - 1) / 2) ** 2 + (x - (width - 1) / 2) ** 2) / (2 * 12.0**2))
    seen = (image * window).astype(float)
    for dy, dx in itertools.product(range(-2, 3), repeat=2):
        pairs = (
            seen[i, j] * seen[height - 1 + dy - i, width - 1 + dx - j]
            for i, j in np.ndindex(height, width)
            if 0 <= height - 1 + dy - i < height and 0 <= width - 1 + dx - j < width
        )
        best[dy, dx] = sum(pairs)
    return max(best, key=best.get)


@pytest.mark.parametrize("shape", [(11, 11), (12, 12), (9, 14)])
def test_the_centre_is_that_of_a_loop_to_the_pixel(shape):
    generator = np.random.default_rng(shape[1])
    images = [galaxy(shape, generator.normal(0, 0.6, 2)) + generator.normal(0, 0.1, shape) for _ in range(8)]
    images = np.array(images, np.float32)
    _, centers = rotate_about_center(torch.from_numpy(images))
    for image, center in zip(images, 2 * centers.numpy(), strict=True):
        assert np.all(np.abs(center - symmetry_by_loop(image)) <= 0.5 + 1e-4)


@pytest.mark.parametrize("shape", [(20, 20), (31, 24), (75, 75), (130, 130)])
def test_the_rotation_is_that_of_scipy_about_the_same_centre(shape):
    images = gaussian_filter(np.random.default_rng(1).normal(size=(3, *shape)), (0, 2, 2)).astype(np.float32)
    rotated, centers = rotate_about_center(torch.from_numpy(images))
    y, x = np.mgrid[: shape[0], : shape[1]]
    for image, turned, center in zip(images, rotated.numpy(), centers.numpy(), strict=True):
        there = shape[0] - 1 + 2 * center[0] - y, shape[1] - 1 + 2 * center[1] - x
        np.testing.assert_allclose(turned, map_coordinates(image, there, order=1, mode="nearest"), atol=2e-4)


@settings(deadline=None, max_examples=30)
@given(
    offset=st.tuples(st.floats(-0.8, 0.8), st.floats(-0.8, 0.8)),
    shape=st.tuples(st.integers(28, 70), st.integers(28, 70)),
    angle=st.floats(0, 3),
)
def test_a_symmetric_galaxy_is_found_to_a_fraction_of_a_pixel_and_leaves_little(offset, shape, angle):
    image = torch.from_numpy(galaxy(shape, offset, angle=angle))[None]
    _, center = rotate_about_center(image)
    np.testing.assert_allclose(center[0].numpy(), offset, atol=0.25)
    assert rotation_residual(image).sum() < 0.12 * image.sum()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), size=st.integers(3, 80))
def test_the_residual_turns_and_flips_with_the_image(seed, size):
    images = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, size, size)).astype(np.float32))
    images = images + torch.from_numpy(galaxy((size, size), (0.3, -0.2)))
    result = rotation_residual(images)
    assert bool(torch.isfinite(result).all())
    for change in (lambda a: a.rot90(1, (1, 2)), lambda a: a.flip(2), lambda a: a.flip(1)):
        torch.testing.assert_close(rotation_residual(change(images)), change(result), atol=2e-3, rtol=0)


def test_two_equal_nuclei_are_not_taken_for_the_sides_of_one_galaxy():
    y, x = np.mgrid[:75, :75] - 37
    one, other = (np.exp(-(y**2 + (x - place) ** 2) / 4) for place in (0, 6))
    image = torch.from_numpy((one + other).astype(np.float32))[None]
    _, center = rotate_about_center(image)
    assert center.abs().max() <= 1.25
    assert rotation_residual(image).sum() > 0.5 * image.sum()


def test_a_far_neighbour_does_not_move_the_centre():
    image = galaxy((75, 75), (0.2, 0.1)) + 3 * galaxy((75, 75), (25, 20))
    _, center = rotate_about_center(torch.from_numpy(image)[None])
    np.testing.assert_allclose(center[0].numpy(), [0.2, 0.1], atol=0.1)


def test_blank_and_batched_images_are_no_trouble():
    images = torch.from_numpy(np.stack([np.zeros((40, 40), np.float32), galaxy((40, 40), (0.3, 0))]))
    together = rotation_residual(images)
    assert together[0].max() == 0
    torch.testing.assert_close(together[1], rotation_residual(images[1:])[0], atol=1e-5, rtol=0)


def test_the_gradient_goes_through_the_residual_and_stays_finite():
    images = torch.from_numpy(np.stack([np.zeros((20, 20), np.float32), galaxy((20, 20), (0.3, 0))])).requires_grad_()
    rotation_residual(images).sum().backward()
    assert bool(torch.isfinite(images.grad).all()) and images.grad[1].abs().max() > 0
