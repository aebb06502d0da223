"""Galaxies of two domains as figures: nothing is lost, mixed up or off its scale."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from galmerge_da.exceptions import InputError
from galmerge_da.visualization import plot_examples, plot_gradcam, plot_tsne

SIZE = 12


@pytest.fixture
def images():
    """Galaxies whose number is in the value of a corner, a decade below the peak at most."""
    made = {}
    for k, domain in enumerate(("source", "target")):
        pixels = np.full((8, 2, SIZE, SIZE), 1e-9)
        pixels[:, :, 6, 6] = 1
        pixels[:, :, 0, 0] = 10.0 ** -(0.1 * np.arange(8) + 0.05 * k)[:, None]
        made[domain] = 1e4 * pixels
    return made, dict.fromkeys(made, np.arange(8) % 2)


def test_examples_are_of_their_domain_and_class_in_decades_below_the_peak(images):
    pixels, labels = images
    grid = plot_examples(pixels, labels, n=3)
    assert grid.shape == (2, 2)
    for k, domain in enumerate(pixels):
        for value in (0, 1):
            (picture,) = grid[k, value].images
            shown = picture.get_array()
            assert shown.shape == (SIZE, 3 * SIZE + 4) and picture.get_clim() == (-3, 0)
            corners = -shown[0, :: SIZE + 2].data
            rows = np.rint((corners - 0.05 * k) / 0.1).astype(int)
            np.testing.assert_allclose(corners, 0.1 * rows + 0.05 * k, atol=1e-9)
            assert len(set(rows)) == 3 and set(rows % 2) == {value}, domain
            assert shown.min() == -3 and shown.max() == 0
    assert [ax.get_title() for ax in grid[0]] == ["non-mergers", "mergers"]
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["source", "target"]


def test_examples_survive_pixels_that_are_not_finite(images):
    pixels, labels = images
    pixels["source"][:, :, 3, 3] = np.nan
    grid = plot_examples(pixels, labels)
    assert np.isfinite(grid[0, 0].images[0].get_array()[3, 3])


def test_tsne_tells_domain_and_class_apart():
    rng = np.random.default_rng(0)
    panel = {
        "source": (rng.normal(size=(30, 2)), np.arange(30) % 2),
        "target": (rng.normal(size=(20, 2)), np.arange(20) // 10),
    }
    axes = plot_tsne(dict.fromkeys(("untrained", "noDA", "MMD", "MMD+F"), panel))
    assert [ax.get_title() for ax in axes] == ["untrained", "noDA", "MMD", "MMD+F"]
    points = axes[2].collections
    assert [len(each.get_offsets()) for each in points] == [15, 15, 10, 10]
    np.testing.assert_array_equal(points[3].get_offsets(), panel["target"][0][10:])
    looks = [(to_hex(each.get_facecolor()[0]), each.get_alpha(), len(each.get_paths()[0])) for each in points]
    assert looks[0][0] == looks[2][0] != looks[1][0] == looks[3][0]
    assert looks[0][1:] == looks[1][1:] and looks[2][1:] == looks[3][1:] and looks[0][1] < looks[2][1]
    (legend,) = axes[0].figure.legends
    assert len(legend.get_texts()) == 4


@pytest.mark.parametrize("n", [1, 3, 5])
def test_tsne_has_as_many_panels_as_networks(n):
    panel = {"source": (np.zeros((2, 2)), np.array([0, 1]))}
    axes = plot_tsne({str(k): panel for k in range(n)})
    assert len(axes) == n == len(axes[0].figure.axes)


def make_maps(n=2):
    maps = {(run, name): np.zeros((n, SIZE, SIZE)) for run in ("noDA", "MMD") for name in ("merger", "non-merger")}
    maps["noDA", "merger"][0, 2, 3] = 8
    maps["noDA", "non-merger"][0, 4, 4] = 2
    maps["MMD", "merger"][0, 5, 5] = 0.1
    return maps


def test_heat_of_a_network_and_a_galaxy_has_one_scale():
    images = np.random.default_rng(0).random((2, 3, SIZE, SIZE))
    probs = {"noDA": [0.25, np.nan], "MMD": [0.5, 0.75]}
    grid = plot_gradcam(images, make_maps(), rows=["a", "b"], probs=probs)
    assert grid.shape == (2, 5)
    heat = [ax.images[1].get_array() for ax in grid[0, 1:]]
    assert [each.max() for each in heat] == [1, 0.25, 1, 0]
    assert heat[0][2, 3] == 1 and heat[1][4, 4] == 0.25
    assert grid[0, 1].images[1].get_alpha()[2, 3] > 0 == grid[0, 1].images[1].get_alpha()[0, 0]
    assert [ax.get_title() for ax in grid[0]] == [
        "image", "noDA\nmerger", "noDA\nnon-merger", "MMD\nmerger", "MMD\nnon-merger",
    ]  # fmt: skip
    assert grid[0, 1].texts[0].get_text() == "$p$ = 0.25" and grid[1, 3].texts[0].get_text() == "$p$ = 0.75"
    assert not grid[0, 2].texts


def test_figures_draw_on_the_axes_they_are_given(images):
    axes = Figure().subplots(2, 2)
    assert plot_examples(*images, axes)[1, 0] is axes[1, 0]
    axes = Figure().subplots(1, 5)
    assert plot_gradcam(np.ones((1, 3, SIZE, SIZE)), make_maps(1), axes, rows=["a"])[0, 4] is axes[4]
    axes = Figure().subplots()
    assert plot_tsne({"noDA": {"source": (np.zeros((2, 2)), np.array([0, 1]))}}, axes)[0] is axes


def test_what_does_not_fit_is_said(images):
    pixels, labels = images
    with pytest.raises(InputError, match="source: images and labels do not fit"):
        plot_examples(pixels, labels | {"source": [0, 1]})
    with pytest.raises(InputError, match="target has no galaxy of the class 'mergers'"):
        plot_examples(pixels, labels | {"target": np.zeros(8, int)})
    with pytest.raises(InputError, match="at least one panel"):
        plot_tsne({})
    with pytest.raises(InputError, match="do not fit"):
        plot_gradcam(np.ones((2, 3, SIZE, SIZE)), make_maps(1), rows=["a", "b"])
