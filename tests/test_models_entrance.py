"""The entrance: flux scale, stretch, rotation residual, frozen statistics."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.models import Entrance, EntranceConfig, rotation_residual

RESIDUAL = EntranceConfig(rotation_residual=True)


def frames(n=4, channels=3, size=20, seed=0):
    """Noisy blobs, not centred, in (N, C, H, W)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    offsets = generator.normal(0, 1, (n, 2, 1, 1))
    blob = np.exp(-((y - offsets[:, 0]) ** 2 + (x - offsets[:, 1]) ** 2) / 18)[:, None]
    gains = generator.uniform(0.5, 2, (n, channels, 1, 1))
    return (20 * gains * blob + generator.normal(0, 1, (n, channels, size, size))).astype(np.float32)


def bands_by_numpy(images, softening=0.05):
    """Scale and stretch of each image, one at a time."""
    out = []
    for image in images.astype(np.float64):
        brightest = np.sort(image.mean(0).ravel())[::-1]
        scale = np.clip(brightest[: max(1, len(brightest) // 100)], 0, None).mean()
        out.append(np.arcsinh(image / (scale or 1.0) / softening) / np.arcsinh(1 / softening))
    return np.array(out)


def test_bands_match_numpy():
    images = frames()
    result = Entrance(EntranceConfig(), 3)(torch.from_numpy(images))
    np.testing.assert_allclose(result.numpy(), bands_by_numpy(images), rtol=1e-4, atol=1e-5)


def test_the_residual_is_that_of_the_stretched_band_mean():
    images = frames()
    result = Entrance(RESIDUAL, 3)(torch.from_numpy(images))
    assert result.shape == (4, 4, 20, 20)
    torch.testing.assert_close(result[:, 3], rotation_residual(result[:, :3].mean(1)))


@pytest.mark.parametrize("unit", [1e-17, 1e12])
def test_the_unit_of_flux_does_not_matter(unit):
    images = torch.from_numpy(frames())
    entrance = Entrance(RESIDUAL, 3)
    torch.testing.assert_close(entrance(images * unit), entrance(images), rtol=1e-4, atol=1e-5)


def test_without_a_flux_scale_the_unit_matters():
    images = torch.from_numpy(frames())
    entrance = Entrance(EntranceConfig(flux_scale="none", stretch="none"), 3)
    assert torch.equal(entrance(images), images)
    stretched = Entrance(EntranceConfig(flux_scale="none", softening=0.5), 3)(images)
    np.testing.assert_allclose(stretched.numpy(), np.arcsinh(images.numpy() / 0.5) / np.arcsinh(2), rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, -3.0, -1e30, 1e30, 1e-40])
def test_featureless_frames_stay_finite(value):
    result = Entrance(RESIDUAL, 3)(torch.full((2, 3, 9, 9), value))
    assert torch.isfinite(result).all()
    assert not result[:, 3].any()


def test_rows_do_not_depend_on_their_batch():
    images = torch.from_numpy(frames(n=7))
    entrance = Entrance(RESIDUAL, 3)
    alone = torch.cat([entrance(image[None]) for image in images])
    torch.testing.assert_close(entrance(images), alone, rtol=1e-6, atol=1e-7)


def test_the_gradient_passes_and_agrees_with_the_fast_way():
    images = torch.from_numpy(frames())
    entrance = Entrance(RESIDUAL, 3)
    traced = entrance(images.clone().requires_grad_())
    torch.testing.assert_close(traced.detach(), entrance(images), rtol=1e-4, atol=1e-5)
    smooth = images.double().requires_grad_()
    assert torch.autograd.gradcheck(Entrance(RESIDUAL, 3).double(), smooth[:1, :, :6, :6])


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int16, np.uint8])
def test_any_real_type_is_taken(kind):
    images = np.abs(frames()).astype(kind)
    result = Entrance(EntranceConfig(), 3)(torch.from_numpy(images))
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), bands_by_numpy(images), rtol=1e-4, atol=1e-5)


def test_the_meta_device_gives_the_shape():
    with torch.device("meta"):
        entrance = Entrance(RESIDUAL, 3)
    assert entrance(torch.zeros(5, 3, 8, 8, device="meta")).shape == (5, 4, 8, 8)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_fit_normalises_the_training_frames(as_tensor):
    images = frames(n=150, size=12)
    entrance = Entrance(RESIDUAL, 3)
    raw = entrance(torch.from_numpy(images)).double()
    assert entrance.fit(torch.from_numpy(images) if as_tensor else images) is entrance
    torch.testing.assert_close(entrance.mean.double(), raw.mean((0, 2, 3)), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(entrance.std.double(), raw.std((0, 2, 3), correction=0), rtol=1e-5, atol=1e-7)
    result = entrance(torch.from_numpy(images)).double()
    torch.testing.assert_close(result.mean((0, 2, 3)), torch.zeros(4).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(result.std((0, 2, 3), correction=0), torch.ones(4).double(), rtol=1e-5, atol=0)


def test_the_statistics_are_frozen_and_saved():
    entrance = Entrance(RESIDUAL, 3).fit(frames())
    before = entrance.mean.clone()
    entrance.train()(torch.from_numpy(frames(seed=9)))
    assert torch.equal(entrance.mean, before)
    assert list(entrance.parameters()) == []
    again = Entrance(RESIDUAL, 3)
    again.load_state_dict(entrance.state_dict())
    images = torch.from_numpy(frames(seed=5))
    assert torch.equal(again(images), entrance(images))


def test_a_constant_channel_is_only_shifted():
    images = frames()
    images[:, 1] = 0
    entrance = Entrance(EntranceConfig(), 3).fit(images)
    assert entrance.std[1] == 1
    assert torch.isfinite(entrance(torch.from_numpy(images))).all()


def test_fit_refuses_what_would_spoil_the_statistics():
    entrance = Entrance(EntranceConfig(), 3)
    with pytest.raises(InputError, match="no images"):
        entrance.fit(frames(n=0))
    images = frames(n=70)
    images[66, 1, 2, 3] = np.nan
    with pytest.raises(InputError, match="image 66 has pixels that are not finite"):
        entrance.fit(images)
    with pytest.raises(InputError, match=r"\(N, 3, H, W\), got \(4, 2, 20, 20\)"):
        entrance.fit(frames(channels=2))
    assert torch.equal(entrance.std, torch.ones(3))


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 4, 8, 8), (2, 3, 8)])
def test_a_wrong_shape_is_named(shape):
    with pytest.raises(InputError, match=r"\(N, 3, H, W\)"):
        Entrance(EntranceConfig(), 3)(torch.zeros(shape))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"stretch": "logarithmic"}, "stretch must be one of"),
        ({"stretch": "luptn"}, r"did you mean 'lupton'\?"),
        ({"normalisation": "batch"}, "normalisation must be one of frozen, image"),
        ({"percentiles": (99, 1)}, "two ascending numbers from 0 to 100"),
        ({"percentiles": (1, 101)}, "two ascending numbers"),
        ({"percentiles": 99}, "two ascending numbers"),
        ({"stretch": "percentile", "faint": True}, "faint needs a stretch with a softening"),
        ({"flux_scale": 3}, "flux_scale must be one of"),
        ({"softening": 0}, "softening must be a positive number"),
        ({"softening": float("nan")}, "softening must be a positive number"),
        ({"softening": True}, "softening must be a positive number"),
        ({"softening": "0.1"}, "softening must be a positive number"),
        ({"rotation_residual": 1}, "true or false"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(ConfigError, match=words):
        EntranceConfig(**options)


@pytest.mark.parametrize("size", [7, 20])
def test_unsharp_and_faint_match_scipy(size):
    images = frames(size=size)
    result = Entrance(EntranceConfig(unsharp=True, faint=True), 3)(torch.from_numpy(images)).numpy()
    mean = bands_by_numpy(images).mean(1)
    smooth = gaussian_filter(mean, (0, 2, 2), mode="nearest", truncate=3)
    np.testing.assert_allclose(result[:, 3], mean - smooth, rtol=1e-3, atol=2e-5)
    faint = [
        bands_by_numpy(np.repeat(image.mean(0)[None, None], 3, 1), softening=0.005)[0, 0]
        for image in images.astype(np.float64)
    ]
    np.testing.assert_allclose(result[:, 4], faint, rtol=1e-3, atol=1e-4)


def test_without_colour_there_is_the_mean_of_the_bands():
    images = frames()
    entrance = Entrance(EntranceConfig(colour=False, rotation_residual=True, unsharp=True, faint=True), 3)
    result = entrance(torch.from_numpy(images))
    assert result.shape[1] == entrance.out_channels == 4
    np.testing.assert_allclose(result[:, 0].numpy(), bands_by_numpy(images).mean(1), rtol=1e-4, atol=1e-5)
    full = Entrance(EntranceConfig(rotation_residual=True, unsharp=True, faint=True), 3)(torch.from_numpy(images))
    assert torch.equal(result[:, 1:], full[:, 3:])


@pytest.mark.parametrize("name", ["rotation_residual", "unsharp", "faint", "colour"])
def test_channels_are_asked_for_by_true_or_false(name):
    with pytest.raises(ConfigError, match=f"{name} must be true or false"):
        EntranceConfig(**{name: 1})
    assert EntranceConfig(**{name: True}) is not None
