"""Colour composites, montages and contact sheets."""

import numpy as np
import pytest
from astropy.table import Table

from galmerge_da.exceptions import InputError
from galmerge_da.visualization import color_composite, plot_contact_sheet, plot_montage


def galaxies(n=3, n_bands=3, size=40, flux=(1.0, 1.0, 1.0)):
    y, x = np.mgrid[:size, :size] - size / 2
    blob = np.exp(-(x**2 + y**2) / 30)
    return np.array(flux)[:n_bands, None, None] * np.broadcast_to(blob, (n, n_bands, size, size)) + 5.0


def test_composite_is_a_picture_between_black_and_white():
    pictures = color_composite(galaxies())
    assert pictures.shape == (3, 40, 40, 3)
    assert pictures.dtype == np.float32
    assert pictures.min() == 0
    assert 0.9 < pictures.max() <= 1


def test_composite_does_not_depend_on_the_unit_of_flux_or_the_sky():
    images = galaxies()
    np.testing.assert_allclose(color_composite(images), color_composite(1e-3 * images + 2), atol=1e-4)


def test_a_set_of_equal_colours_is_grey_and_the_odd_one_is_not():
    images = np.concatenate([galaxies(4, flux=(1, 2, 3)), galaxies(1, flux=(3, 2, 1))])
    pictures = color_composite(images)
    centre = pictures[:, 20, 20]
    np.testing.assert_allclose(np.ptp(centre[:4], axis=1), 0, atol=0.02)
    assert centre[4, 0] > centre[4, 2] + 0.3


def test_hue_does_not_depend_on_brightness():
    """The ratio of two bands survives the stretch, bright or faint."""
    images = np.concatenate([galaxies(2, flux=(1, 1, 1)), galaxies(1, flux=(2, 1, 1))])
    picture = color_composite(images)[2]
    row = picture[20, 21:30]
    np.testing.assert_allclose(row[:, 0] / row[:, 1], row[0, 0] / row[0, 1], rtol=1e-3)
    assert row[0, 0] / row[0, 1] > 1.5


def test_order_says_which_band_is_red():
    images = np.concatenate([galaxies(4), galaxies(1, flux=(3, 1, 1))])
    np.testing.assert_allclose(color_composite(images, order=(2, 1, 0)), color_composite(images)[..., ::-1])


def test_eight_bit_pictures_are_shown_as_they_are():
    images = np.random.default_rng(0).integers(256, size=(2, 3, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(np.round(color_composite(images) * 255), np.moveaxis(images, 1, -1))


@pytest.mark.parametrize("n_bands", [1, 2, 5])
def test_any_number_of_bands_gives_three_colours(n_bands):
    assert color_composite(galaxies(n_bands=n_bands, flux=np.ones(n_bands))).shape[-1] == 3


def test_bad_pixels_are_black_and_harm_nothing_else():
    images = galaxies(flux=(1, 1, 1))
    images[0, :, 3, 4] = np.nan
    pictures = color_composite(images)
    assert np.all(pictures[0, 3, 4] == 0)
    np.testing.assert_allclose(pictures[0, 10:], pictures[1, 10:], atol=1e-6)


def test_a_blank_image_is_black():
    assert np.all(color_composite(np.zeros((2, 3, 9, 9))) == 0)


def test_three_axes_are_refused():
    with pytest.raises(InputError, match="N, C, H, W"):
        color_composite(np.zeros((3, 9, 9)))


def test_montage_puts_each_image_in_its_place():
    images = np.zeros((3, 3, 10, 10), np.uint8)
    images[:] = np.array([50, 100, 150])[:, None, None, None]
    ax = plot_montage(images, ["a", "b", "c"], n_columns=2)
    canvas = ax.images[0].get_array()
    assert canvas.shape == (22, 22, 3)
    np.testing.assert_allclose([canvas[5, 5, 0], canvas[5, 17, 0], canvas[17, 5, 0]], np.array([50, 100, 150]) / 255)
    assert np.all(canvas[17, 17] == 1)
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c"]


def test_montage_needs_a_title_per_image():
    with pytest.raises(InputError, match="2 titles for 3 images"):
        plot_montage(galaxies(), ["a", "b"])


def test_montage_needs_an_image():
    with pytest.raises(InputError, match="none of them 0"):
        plot_montage(galaxies(0))


@pytest.fixture
def table():
    return Table({"image": galaxies(7).astype(np.float32), "stage": list("aabbbba")}, meta={"SURVEY": "deepmerge-z2"})


def test_contact_sheet_has_a_row_per_stage(table):
    ax = plot_contact_sheet(table, n=3)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.images[0].get_array().shape == (82, 124, 3)


def test_contact_sheet_shows_the_longest_wavelength_as_red(table):
    table["image"][0, 1] *= 5  # F356W is the second band of this survey
    ax = plot_contact_sheet(table[:2], n=2)
    canvas = np.asarray(ax.images[0].get_array())
    assert canvas[..., 0].sum() > canvas[..., 2].sum()


def test_contact_sheet_is_the_same_each_time(table):
    first, second = (plot_contact_sheet(table, n=2, seed=5).images[0].get_array() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_contact_sheet_names_the_column_that_is_missing(table):
    with pytest.raises(InputError, match="'phase'"):
        plot_contact_sheet(table, by="phase")


def test_contact_sheet_shows_the_kinds_that_are_asked_for_in_that_order(table):
    ax = plot_contact_sheet(table, values=["b", "a"], n=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    with pytest.raises(InputError, match="no row has 'stage' in"):
        plot_contact_sheet(table, values=["c"])


def test_noise_is_kept_dark():
    generator = np.random.default_rng(2)
    images = galaxies(4, size=60) + generator.normal(scale=0.2, size=(4, 3, 60, 60))
    pictures = color_composite(images)
    assert np.percentile(pictures[:, :15], 95) < 0.5
    assert pictures[:, 29:32, 29:32].mean() > 0.4
