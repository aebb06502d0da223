"""Resampling matrices against plain averages and interpolation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from galmerge_da.resampling import resample


def test_the_same_grid_is_the_identity():
    image = np.random.default_rng(0).normal(size=(2, 3, 31, 31)).astype(np.float32)
    np.testing.assert_array_equal(resample(image, 31), image)
    np.testing.assert_array_equal(resample(image, 11, width=11), image[..., 10:21, 10:21])
    assert resample(image, 31).dtype == np.float32


@pytest.mark.parametrize("factor", [2, 3, 7])
def test_shrinking_by_a_whole_factor_averages_blocks(factor):
    image = np.random.default_rng(0).normal(size=(5 * factor, 5 * factor))
    blocks = image.reshape(5, factor, 5, factor).mean(axis=(1, 3))
    np.testing.assert_allclose(resample(image, 5), blocks, atol=1e-12)


def test_shrinking_averages_over_the_area_of_a_pixel():
    image = np.random.default_rng(1).normal(size=(37, 37))
    fine = np.repeat(np.repeat(image, 10, axis=0), 10, axis=1)  # 370 = 10 x 37
    expected = fine.reshape(10, 37, 10, 37).mean(axis=(1, 3))
    np.testing.assert_allclose(resample(image, 10), expected, atol=1e-12)


def test_enlarging_interpolates_linearly():
    image = np.random.default_rng(2).normal(size=(12, 12))
    positions = (np.arange(30) + 0.5) * 12 / 30 - 0.5
    expected = map_coordinates(image, np.meshgrid(positions, positions, indexing="ij"), order=1, mode="nearest")
    np.testing.assert_allclose(resample(image, 30), expected, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(8, 60),
    length=st.integers(8, 60),
    size=st.integers(8, 60),
    fraction=st.floats(0.05, 1.0),
    shift=st.floats(-3, 3),
)
def test_a_constant_stays_constant_inside_the_image(height, length, size, fraction, shift):
    width = fraction * (min(height, length) - 6)
    center = ((height - 1) / 2 + shift, (length - 1) / 2 - shift)
    got = resample(np.full((height, length), 3.0), size, width=width, center=center)
    np.testing.assert_allclose(got, 3, rtol=1e-9)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(8, 50), size=st.integers(8, 50), factor=st.floats(1.0, 30))
def test_flux_is_kept_when_the_window_holds_the_whole_image(n, size, factor):
    image = np.random.default_rng(n).random((n, n))
    width = factor * max(n, size)
    got = resample(image, size, width=width)
    assert got.sum() * (width / size) ** 2 == pytest.approx(image.sum(), rel=1e-9)


def test_beyond_the_image_there_is_nothing():
    image = np.ones((10, 20))
    got = resample(image, 40, width=40)
    expected = np.zeros((40, 40))
    expected[15:25, 10:30] = 1
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert not resample(image, 8, width=4, center=(100.0, 100.0)).any()
    np.testing.assert_allclose(resample(image, 40, width=40, background=1.0), 0)


def test_each_band_has_its_background():
    image = np.stack([np.full((9, 9), 2.0), np.full((9, 9), 5.0)])
    got = resample(image, 9, background=np.array([2.0, 5.0])[:, None, None])
    assert not got.any()
