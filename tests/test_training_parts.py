"""Splits, augmentation and recipes: the parts of training that need no training."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter, map_coordinates

from galmerge_da.exceptions import ConfigError
from galmerge_da.training import Augmentation, Recipe, assign_splits, augment, read_recipe

GROUPS = st.lists(st.integers(0, 30), min_size=1, max_size=60)


# ------------------------------------------------------------------ splits


@settings(deadline=None, max_examples=50)
@given(GROUPS, st.integers(0, 5))
def test_a_group_is_in_one_split_whatever_stands_around_it(groups, seed):
    split = assign_splits(groups, seed=seed)
    assert set(split) <= {"train", "validation", "test"}
    found = {}
    for group, name in zip(groups, split, strict=True):
        assert found.setdefault(group, name) == name
    order = np.random.default_rng(seed).permutation(len(groups))
    assert np.array_equal(assign_splits(np.array(groups)[order], seed=seed), split[order])
    alone = [assign_splits([group], seed=seed)[0] for group in groups]
    assert np.array_equal(alone, split)


def test_fractions_are_roughly_right_and_depend_on_the_seed():
    groups = np.arange(20_000)
    split = assign_splits(groups, (0.6, 0.15, 0.25))
    for name, fraction in (("train", 0.6), ("validation", 0.15), ("test", 0.25)):
        assert_allclose(np.mean(split == name), fraction, atol=0.015)
    agree = np.mean(split == assign_splits(groups, (0.6, 0.15, 0.25), seed=1))
    assert_allclose(agree, 0.6**2 + 0.15**2 + 0.25**2, atol=0.015)


def test_names_of_any_type_are_groups():
    numbers, texts = assign_splits(np.arange(50)), assign_splits([str(i) for i in range(50)])
    assert np.array_equal(numbers, texts)
    assert len(assign_splits([])) == 0


# ------------------------------------------------------------ augmentation


def frames(n=6, n_bands=2, size=21, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, n_bands, size, size)).astype(np.float32))


def vary(images, seed=0, **options):
    return augment(images, Augmentation(**options), torch.Generator().manual_seed(seed))


def test_all_eight_orientations_come_equally_often():
    image = frames(1)[0]
    views = [
        np.rot90(np.fliplr(view) if flip else view, k)
        for view in [image[0].numpy()]
        for flip in (0, 1)
        for k in range(4)
    ]
    turned = vary(image.expand(800, *image.shape))
    counts = [sum(np.array_equal(out[0].numpy(), view) for out in turned) for view in views]
    assert sum(counts) == 800 and min(counts) > 60
    first = [np.array_equal(out[0].numpy(), image[0].numpy()) for out in turned]
    second = [np.array_equal(out[1].numpy(), image[1].numpy()) for out in turned]
    assert first == second


def test_nothing_asked_for_changes_nothing():
    assert torch.equal(vary(frames(), dihedral=False), frames())


@pytest.mark.parametrize("option", ["dihedral", "gain", "noise", "blur", "zoom"])
def test_every_option_varies_each_image_by_seed_and_leaves_the_input(option):
    options = {"dihedral": False, option: True if option == "dihedral" else 0.5}
    images = frames(20)
    first, again, other = (vary(images, seed, **options) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, frames(20))
    assert first.shape == images.shape and first.dtype == torch.float32


def test_gain_multiplies_each_band():
    images = frames(500)
    ratio = (vary(images, dihedral=False, gain=0.3) / images).log()
    assert_allclose(ratio.std(dim=(2, 3)), 0, atol=1e-4)
    assert_allclose(ratio.mean(dim=(2, 3)).std(dim=0), 0.3, rtol=0.1)
    assert abs(np.corrcoef(ratio.mean(dim=(2, 3)).T)[0, 1]) < 0.15


def test_noise_is_a_fraction_of_the_brightest_pixel():
    images = torch.zeros(300, 1, 31, 31)
    images[..., 15, 15] = 100
    sigma = (vary(images, dihedral=False, noise=0.1) - images).std(dim=(1, 2, 3))
    assert 9 < sigma.max() < 11 and sigma.min() < 1
    assert_allclose(sigma.mean(), 5, rtol=0.1)


def test_blur_agrees_with_scipy():
    from galmerge_da.augmentation import _resampling_matrices

    image = frames(1, 1, 41)[0, 0]
    matrix = _resampling_matrices(torch.ones(1), torch.full((1,), 1.7), 41)[0]
    ours = (matrix @ image @ matrix.T).numpy()
    theirs = gaussian_filter(image.numpy(), 1.7, truncate=8)
    assert_allclose(ours[12:-12, 12:-12], theirs[12:-12, 12:-12], atol=1e-5)


@pytest.mark.parametrize("scale", [0.85, 1.0, 1.2])
def test_zoom_agrees_with_bilinear_interpolation(scale):
    from galmerge_da.augmentation import _resampling_matrices

    image = frames(1, 1, 31)[0, 0]
    matrix = _resampling_matrices(torch.full((1,), scale), torch.zeros(1), 31)[0]
    at = 15 + (np.mgrid[:31, :31] - 15) / scale
    theirs = map_coordinates(image.numpy(), at, order=1, mode="nearest")
    assert_allclose((matrix @ image @ matrix.T).numpy(), theirs, atol=1e-5)


def test_blur_and_zoom_keep_a_flat_image_flat():
    flat = torch.full((10, 2, 15, 15), 3.0)
    assert_allclose(vary(flat, dihedral=False, blur=2.0, zoom=0.3), 3, rtol=1e-5)


@pytest.mark.parametrize(
    "options", [dict(gain=-1), dict(zoom=1), dict(noise="much"), dict(dihedral=1), dict(blur=float("nan"))]
)
def test_impossible_augmentation_is_refused(options):
    with pytest.raises(ConfigError, match=f"augmentation: {next(iter(options))}"):
        Augmentation(**options)


# ----------------------------------------------------------------- recipes

TOML = """
[data]
label = "merging"
source = {survey = "sdss-jpeg"}
[preprocessing]
size = 32
[model]
backbone = "deepmerge"
entrance = {rotation_residual = true}
[training]
epochs = 3
fractions = [0.5, 0.25, 0.25]
augmentation = {noise = 0.02}
[adapt]
entropy = 0.05
[adapt.mmd]
weight = 2.0
"""


def test_a_toml_file_and_its_content_are_the_same_recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(TOML)
    recipe = read_recipe(path)
    assert recipe.data.label == "merging" and recipe.data.source == {"survey": "sdss-jpeg"}
    assert recipe.preprocessing.size == 32
    assert recipe.training.epochs == 3 and recipe.training.fractions == (0.5, 0.25, 0.25)
    assert recipe.training.augmentation == Augmentation(noise=0.02)
    assert recipe.adapt == {"entropy": 0.05, "mmd": {"weight": 2.0}}
    assert read_recipe(str(path)) == recipe
    assert read_recipe(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert read_recipe(recipe) == recipe


def test_the_defaults_are_those_of_the_published_studies():
    options = Recipe().training
    assert (options.epochs, options.batch_size, options.patience) == (200, 128, 20)
    assert (options.learning_rate, options.betas, options.weight_decay) == (1e-3, (0.7, 0.8), 1e-3)
    assert options.fractions == (0.7, 0.1, 0.2)
    assert read_recipe() == Recipe()


def test_keywords_override_the_recipe():
    tables = {"training": {"seed": 3, "epochs": 2}, "model": {"options": {"x": 1}}, "adapt": {"mmd": 1.0}}
    recipe = read_recipe(tables, adapt={"coral": 2.0}, seed=5)
    assert recipe.training.seed == 5 and recipe.training.epochs == 2
    assert recipe.adapt == {"coral": 2.0}
    assert recipe.model.options == {"x": 1}
    assert read_recipe(tables).adapt == {"mmd": 1.0} and read_recipe(tables).training.seed == 3
    assert read_recipe(tables, adapt={}).adapt == {}
    other = read_recipe(tables, backbone="resnet18").model
    assert other.backbone == "resnet18" and other.options == {}
    assert tables["training"] == {"seed": 3, "epochs": 2}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"trainig": {}}, "no table .trainig.; did you mean 'training'"),
        ({"training": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"data": {"labels": "x"}}, "did you mean 'label'"),
        ({"preprocessing": {"sise": 3}}, "did you mean 'size'"),
        ({"model": {"backbon": "x"}}, "did you mean 'backbone'"),
        ({"data": {"source": {"surve": "x"}}}, "did you mean 'survey'"),
        ({"training": {"augmentation": {"nois": 1}}}, "did you mean 'noise'"),
        ({"training": 3}, "must be a table"),
        ({"training": {"epochs": 0}}, "epochs must be a whole number of at least 1"),
        ({"training": {"epochs": True}}, "epochs"),
        ({"training": {"batch_size": 1}}, "batch_size"),
        ({"training": {"learning_rate": -1}}, "learning_rate"),
        ({"training": {"learning_rate": "fast"}}, "learning_rate"),
        ({"training": {"weight_decay": float("inf")}}, "weight_decay"),
        ({"training": {"betas": [0.9]}}, "betas"),
        ({"training": {"fractions": [0.9, 0.2, 0.1]}}, "add up to 1"),
        ({"training": {"fractions": [0.9, 0.1, 0.0]}}, "fractions"),
        ({"training": {"selector": "oracle"}}, "selector must be one of source_validation, last, entropy"),
        ({"training": {"watch": ["oracle"]}}, "watch must be 'all' or a list of entropy"),
        ({"training": {"watch": "snd"}}, "watch must be 'all' or a list of entropy"),
        ({"training": {"trace": 1}}, "trace must be true or false"),
        ({"training": {"augmentation": 3}}, "augmentation must be a table"),
        ({"data": {"classes": ["merger"]}}, "two or more names"),
        ({"data": {"id": 3}}, "name of a column"),
        ({"model": {"options": 3}}, "options must be a table"),
        (3, "path or a dict"),
    ],
)
def test_a_wrong_entry_says_what_was_expected(tables, message):
    with pytest.raises(ConfigError, match=message):
        read_recipe(tables)


def test_losses_must_be_a_mapping():
    with pytest.raises(ConfigError, match="adapt"):
        read_recipe(adapt="mmd")


def test_a_file_that_is_no_recipe_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no recipe"):
        read_recipe(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    with pytest.raises(ConfigError, match="bad.toml is not a TOML file"):
        read_recipe(tmp_path / "bad.toml")


def test_a_recipe_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().training.epochs = 3
