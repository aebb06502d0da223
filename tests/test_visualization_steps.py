"""The strip of one galaxy, read back from its Axes."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from galmerge_da import simulate
from galmerge_da.evaluation import Explanation, explain_galaxy
from galmerge_da.exceptions import InputError
from galmerge_da.inference import MergerClassifier
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe
from galmerge_da.visualization import plot_steps


@pytest.fixture(scope="module")
def explanation():
    galaxies = simulate(2, "sdss-jpeg", seed=2, n_jobs=1)
    network = build_network(in_channels=3, image_size=40, entrance={"unsharp": True}).eval()
    recipe = PreprocessingRecipe(bands=("g", "r", "i"), size=40, background={"method": "mesh", "boxes": 4})
    return explain_galaxy(MergerClassifier(network, recipe), galaxies, galaxies["id"][1])


def test_there_is_a_panel_a_step_what_it_changed_and_the_channels(explanation):
    grid = plot_steps(explanation)
    assert grid.shape == (3, 6)
    titles = [ax.get_title() for ax in grid[0]]
    assert titles == ["input", "linearise", "pick bands", "fill bad pixels", "subtract background", "make frame"]
    assert [ax.get_xlabel() for ax in grid[0]][:2] == ["75 x 75 pixels", "8-bit picture made linear"]
    assert [ax.get_title() for ax in grid[2]][:5] == [f"network: {name}" for name in ("g", "r", "i", "unsharp")] + [""]
    words = [ax.texts[0].get_text() if ax.texts else ax.get_xlabel() for ax in grid[1]]
    assert words[1:4] == ["new unit of flux", "bands reordered", "no change"] and words[5] == "new pixels"
    assert explanation.id in words[0] and "p(merger) = 0." in words[0] and "STRETCHED" in words[0]


def test_a_picture_is_shown_as_it_is(explanation):
    grid = plot_steps(explanation)
    shown = grid[0, 0].images[0].get_array()
    np.testing.assert_allclose(shown, np.moveaxis(explanation.steps[0].image, 0, -1) / 255, atol=1e-6)


def test_what_a_step_changed_is_drawn_with_its_sign(explanation):
    grid = plot_steps(explanation)
    before, after = explanation.steps[3].image, explanation.steps[4].image
    change = (after.astype(float) - before).mean(axis=0)
    drawn = grid[1, 4].images[0].get_array()
    assert np.array_equal(np.sign(drawn), np.sign(change)) and drawn.min() < 0
    assert grid[1, 4].get_xlabel() == f"{change.min():+.3g} to {change.max():+.3g}"


def test_frame_and_radius_are_outlined(explanation):
    grid = plot_steps(explanation)
    first, last = explanation.steps[0], explanation.steps[-1]
    (circle,) = [patch for patch in grid[0, 0].patches if isinstance(patch, Circle)]
    (frame,) = [patch for patch in grid[0, 0].patches if isinstance(patch, Rectangle)]
    assert circle.radius == first.radius and frame.get_width() == first.width
    assert [type(patch) for patch in grid[0, -1].patches] == [Circle] and grid[0, -1].patches[0].radius == last.radius


def test_filled_pixels_are_outlined():
    image = simulate(2, "sdss", seed=2, n_jobs=1)["image"][:1].copy()
    image[0, :, 10:14, 60:66] = np.nan
    grid = plot_steps(explain_galaxy(PreprocessingRecipe(size=40), image, 0))
    drawn = [bool(ax.collections) for ax in grid[0]]
    assert drawn == [False, False, False, True, True, False]
    assert np.isfinite(grid[0, 0].images[0].get_array()).all()
    assert grid[1, 3].texts[0].get_text() == "only filled pixels"


@pytest.mark.parametrize("n_bands", [1, 2, 5])
def test_any_number_of_bands_is_drawn(n_bands):
    images = np.random.default_rng(0).normal(5, 1, (1, n_bands, 60, 60)).astype(np.float32)
    assert plot_steps(explain_galaxy(PreprocessingRecipe(size=40), images, 0)).shape == (2, 6)


def test_uniform_changes_are_told_in_words():
    images = np.float32(7) + np.random.default_rng(0).normal(0, 1, (1, 1, 60, 60)).astype(np.float32)
    grid = plot_steps(explain_galaxy(PreprocessingRecipe(size=40), images, 0))
    assert grid[1, 4].texts[0].get_text().startswith("-7") and not grid[1, 4].images


def test_axes_of_the_caller_are_drawn_into_and_must_be_enough(explanation):
    axes = Figure().subplots(3, 6)
    assert plot_steps(explanation, axes)[0, 0] is axes[0, 0]
    with pytest.raises(InputError, match="3 x 6 axes, got 4"):
        plot_steps(explanation, Figure().subplots(2, 2))
    with pytest.raises(InputError, match="at least one step"):
        plot_steps(Explanation("a", [], {}, 0, {}))


def test_panels_have_one_size_where_the_frame_is_wider_than_the_image():
    y, x = np.mgrid[:60, :60] - 29.5
    image = 500 * np.exp(-np.hypot(x, y) / 5) + 400 * np.exp(-((x - 24) ** 2 + (y + 24) ** 2) / 4)
    images = (image + np.random.default_rng(0).normal(0, 1, image.shape))[None, None].astype(np.float32)
    recipe = PreprocessingRecipe(size=40, frame_radii=10.0, neighbours={"sources": "all"})
    explanation = explain_galaxy(recipe, images, 0)
    assert explanation.steps[0].width > 60
    grid = plot_steps(explanation)
    assert any(ax.collections for ax in grid[0])
    for ax, step in zip(grid[0], explanation.steps, strict=True):
        assert np.abs(np.diff(ax.get_xlim())) == step.image.shape[2]
        assert np.abs(np.diff(ax.get_ylim())) == step.image.shape[1]
