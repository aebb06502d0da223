"""Stretches and normalisations of the entrance, against astropy's and torch's own."""

import numpy as np
import pytest
import torch
from astropy.visualization import AsinhStretch, AsymmetricPercentileInterval, LogStretch, make_lupton_rgb

from galmerge_da.inference import MergerClassifier
from galmerge_da.models import Entrance, EntranceConfig, build_network
from galmerge_da.preprocessing import PreprocessingRecipe
from galmerge_da.training import read_recipe

STRETCHES = ("asinh", "log", "lupton", "percentile", "linear", "none")


def frames(n=4, channels=3, size=24, seed=0):
    """Fluxes from 0 to 1, a peak of exactly 1 in the mean of the bands of each frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    light = np.exp(-np.hypot(y, x) / 4) * rng.uniform(0.2, 1, (n, channels, 1, 1))
    return (light / light.max()).astype(np.float32)


def stretched(images, **options):
    """What comes out of the stretch alone."""
    entrance = Entrance(EntranceConfig(flux_scale="none", **options), images.shape[1])
    return entrance(torch.from_numpy(images)).numpy()


def test_asinh_is_that_of_astropy():
    images = frames()
    expected = AsinhStretch(a=0.07)(images.astype(float), clip=False)
    np.testing.assert_allclose(stretched(images, softening=0.07), expected, rtol=1e-5)


def test_log_is_that_of_astropy_and_odd():
    images = frames()
    expected = LogStretch(a=1 / 0.02)(images.astype(float), clip=False)
    got = stretched(images, stretch="log", softening=0.02)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    np.testing.assert_array_equal(stretched(-images, stretch="log", softening=0.02), -got)


def test_percentiles_are_those_of_astropy():
    images = frames() + np.random.default_rng(1).normal(0, 0.05, (4, 3, 24, 24)).astype(np.float32)
    interval = AsymmetricPercentileInterval(5, 97)
    expected = [interval(image.astype(float)) for image in images]
    np.testing.assert_allclose(stretched(images, stretch="percentile", percentiles=(5, 97)), expected, atol=2e-6)


def test_lupton_is_that_of_astropy_but_for_a_factor():
    images = frames()
    for image, got in zip(images, stretched(images, stretch="lupton", softening=0.05), strict=True):
        theirs = make_lupton_rgb(*image.astype(float), stretch=1, Q=20, output_dtype=float)  # Q / stretch is 1 / 0.05
        ratio = np.moveaxis(theirs, -1, 0) / got
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-4)


def test_lupton_keeps_colours_where_asinh_bleaches_them():
    images = frames()
    ratio = images[:, 0] / images[:, 1]
    kept = stretched(images, stretch="lupton")
    np.testing.assert_allclose(kept[:, 0] / kept[:, 1], ratio, rtol=1e-4)
    bleached = stretched(images)
    assert np.abs(bleached[:, 0] / bleached[:, 1] - ratio).max() > 0.1


def test_lupton_of_nothing_is_nothing_and_of_the_negative_the_negative():
    images = frames()
    got = stretched(images, stretch="lupton")
    np.testing.assert_allclose(stretched(-images, stretch="lupton"), -got, rtol=1e-6)
    assert not stretched(np.zeros((1, 3, 8, 8), np.float32), stretch="lupton").any()
    faint = np.float32(1e-9) * images
    np.testing.assert_allclose(stretched(faint, stretch="lupton"), faint / 0.05 / np.arcsinh(20), rtol=1e-5)


def test_linear_and_none_are_the_flux_as_it_is():
    images = frames()
    for name in ("linear", "none"):
        np.testing.assert_array_equal(stretched(images, stretch=name), images)


def test_each_frame_by_itself_is_normalised_as_torch_does_it():
    images = torch.from_numpy(frames())
    plain = Entrance(EntranceConfig(rotation_residual=True), 3)
    entrance = Entrance(EntranceConfig(rotation_residual=True, normalisation="image"), 3).fit(images)
    assert not entrance.mean.any() and torch.equal(entrance.std, torch.ones(4))
    expected = torch.nn.functional.instance_norm(plain(images), eps=0.0)
    torch.testing.assert_close(entrance(images)[:, :3], expected[:, :3], rtol=1e-4, atol=1e-4)
    assert torch.isfinite(entrance(torch.zeros(1, 3, 8, 8))).all()


@pytest.mark.parametrize("normalisation", ["frozen", "image"])
@pytest.mark.parametrize("stretch", STRETCHES)
def test_every_choice_is_finite_has_gradients_and_treats_rows_alone(stretch, normalisation):
    config = EntranceConfig(stretch=stretch, normalisation=normalisation, rotation_residual=True, unsharp=True)
    images = torch.from_numpy(frames(n=6))
    images[5] = 0
    entrance = Entrance(config, 3).fit(images)
    out = entrance(images)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(entrance(images[2:3]), out[2:3], rtol=1e-4, atol=1e-5)
    leaf = images.clone().requires_grad_()
    entrance(leaf).square().sum().backward()
    assert torch.isfinite(leaf.grad).all() and leaf.grad[:5].abs().sum() > 0


@pytest.mark.parametrize("stretch", STRETCHES)
def test_the_choice_travels_with_the_model(tmp_path, stretch):
    options = {"stretch": stretch, "normalisation": "image", "percentiles": [2, 98]}
    recipe = read_recipe({"model": {"entrance": options}})
    network = build_network(in_channels=3, image_size=40, entrance=dict(recipe.model.entrance)).eval()
    classifier = MergerClassifier(network, PreprocessingRecipe(size=40))
    classifier.save(tmp_path / "model.safetensors")
    again = MergerClassifier.load(tmp_path / "model.safetensors")
    assert again.network.entrance.config == EntranceConfig(
        stretch=stretch, normalisation="image", percentiles=(2.0, 98.0)
    )
    data = frames(size=40)
    np.testing.assert_array_equal(again.predict(data)[0], classifier.predict(data)[0])


def test_models_of_before_have_the_stretch_and_statistics_they_were_trained_with():
    stored = {"stretch": "asinh", "softening": 0.05, "flux_scale": "peak", "rotation_residual": True}
    network = build_network(in_channels=3, image_size=40, entrance=stored)
    assert network.entrance.config == EntranceConfig(rotation_residual=True)
    assert network.entrance.config.normalisation == "frozen"
