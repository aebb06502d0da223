"""DeepMerge as published, and networks that describe themselves."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from galmerge_da.exceptions import ConfigError, PluginError
from galmerge_da.models import Entrance, EntranceConfig, Network, autocast, build_network, choose_device, network
from galmerge_da.models.deepmerge import DeepMerge
from galmerge_da.plugins import BackboneSpec


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_deepmerge_has_the_published_size():
    net = build_network("deepmerge", in_channels=3, image_size=75, n_classes=2)
    assert n_parameters(net) == 174_626
    assert net.feature_dim == 2592
    assert n_parameters(net.backbone) == 608 + 16 + 1168 + 32 + 4640 + 64
    features, logits = net(torch.zeros(2, 3, 75, 75))
    assert features.shape == (2, 2592)
    assert logits.shape == (2, 2)


def test_deepmerge_computes_what_the_paper_says():
    """Against the same layers written out, in float64 and in evaluation mode."""
    torch.manual_seed(0)
    body = DeepMerge(3, 75).double()
    head = body.make_head(2).double()
    images = torch.randn(4, 3, 75, 75, dtype=torch.float64)
    body(images)  # moves the running statistics off 0 and 1
    body.eval()
    weights = list(body.state_dict().values())
    x = images
    for stage, padding in enumerate((2, 1, 1)):
        weight, bias, gamma, beta, mean, variance = weights[7 * stage : 7 * stage + 6]
        x = F.conv2d(x, weight, bias, padding=padding)
        x = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt() * gamma[:, None, None]
        x = (x + beta[:, None, None]).clamp_min(0)
        side = x.shape[-1] // 2
        x = x[:, :, : 2 * side, : 2 * side].reshape(4, -1, side, 2, side, 2).amax((3, 5))
    features = x.reshape(4, -1)
    torch.testing.assert_close(body(images), features)
    y = features
    dense = list(head.state_dict().values())
    for layer in range(3):
        y = y @ dense[2 * layer].T + dense[2 * layer + 1]
        y = y.clamp_min(0) if layer < 2 else y
    torch.testing.assert_close(head(features), y)


@pytest.mark.parametrize("channels, size, n_classes", [(1, 8, 2), (4, 64, 3), (5, 100, 7)])
def test_other_shapes_work(channels, size, n_classes):
    net = build_network(
        in_channels=channels, image_size=size, n_classes=n_classes, entrance={"rotation_residual": True}
    )
    features, logits = net(torch.rand(2, channels, size, size))
    assert features.shape == (2, net.feature_dim)
    assert logits.shape == (2, n_classes)
    assert (net.in_channels, net.image_size, net.n_classes) == (channels, size, n_classes)
    assert net.backbone.layers[0].in_channels == channels + 1


def test_the_rotation_residual_adds_only_the_weights_of_one_channel():
    net = build_network(in_channels=3, image_size=75, entrance=EntranceConfig(rotation_residual=True))
    assert n_parameters(net) == 174_626 + 8 * 25


def test_the_seed_decides_the_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.detach().flatten() for p in build_network(in_channels=3, image_size=16).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_a_description_survives_json():
    images = np.random.default_rng(0).normal(size=(4, 2, 20, 20)).astype(np.float32)
    entrance = {"rotation_residual": True, "softening": 0.1}
    net = build_network(in_channels=2, image_size=20, n_classes=3, entrance=entrance)
    net.entrance.fit(images)
    again = Network.from_description(json.loads(json.dumps(net.describe())))
    again.load_state_dict(net.state_dict())
    assert again.describe() == net.describe()
    for before, after in zip(net.eval()(torch.from_numpy(images)), again.eval()(torch.from_numpy(images)), strict=True):
        assert torch.equal(before, after)


def test_changing_a_description_does_not_change_the_network():
    net = build_network(in_channels=1, image_size=8)
    description = net.describe()
    description["options"]["x"] = description["entrance"]["stretch"] = "none"
    assert net.describe()["options"] == {}
    assert net.describe()["entrance"]["stretch"] == "asinh"


def test_a_backbone_without_a_head_gets_a_linear_one(monkeypatch):
    class Body(nn.Flatten):
        feature_dim = 64

    spec = BackboneSpec("flat", lambda config, in_channels, image_size: Body())
    monkeypatch.setattr(network, "get_backbone", lambda name: spec)
    net = build_network("flat", in_channels=1, image_size=8, n_classes=3)
    assert isinstance(net.head, nn.Linear)
    assert net(torch.zeros(2, 1, 8, 8))[1].shape == (2, 3)


@pytest.mark.parametrize("made", [None, nn.Flatten()], ids=["nothing", "no feature_dim"])
def test_a_backbone_that_breaks_its_contract_is_named(monkeypatch, made):
    spec = BackboneSpec("odd", lambda config, in_channels, image_size: made)
    monkeypatch.setattr(network, "get_backbone", lambda name: spec)
    with pytest.raises(PluginError, match="backbone 'odd' must be a torch module with an integer feature_dim"):
        build_network("odd", in_channels=1, image_size=8)


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"backbone": "deepmerg"}, PluginError, "did you mean 'deepmerge'"),
        ({"options": {"depth": 3}}, ConfigError, "backbone 'deepmerge' has no option 'depth'"),
        ({"entrance": {"softning": 1}}, ConfigError, "did you mean 'softening'"),
        ({"in_channels": 0}, ConfigError, "in_channels must be a whole number of at least 1, got 0"),
        ({"image_size": (75, 75)}, ConfigError, "image_size must be a whole number"),
        ({"image_size": 7}, ConfigError, "at least 8 pixels a side, got 7"),
        ({"n_classes": 1}, ConfigError, "n_classes must be a whole number of at least 2"),
        ({"n_classes": True}, ConfigError, "n_classes must be a whole number"),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, words):
    with pytest.raises(error, match=words):
        build_network(**{"in_channels": 3, "image_size": 75, **arguments})


@pytest.mark.parametrize("change", [{"n_layers": 3}, {"entrance": None}, {"in_channels": "3"}])
def test_a_damaged_description_is_refused(change):
    description = {**build_network(in_channels=3, image_size=16).describe(), **change}
    if change == {"entrance": None}:
        del description["entrance"]
    with pytest.raises(ConfigError):
        Network.from_description(description)


def test_the_default_device_is_the_best_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device() == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="'cuda:2' is not available: torch sees 2 of this kind"):
        choose_device("cuda:2")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_an_error(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"'{device}' is not available"):
        choose_device(device)


@pytest.mark.parametrize("device", ["gpu", "meta", "", 3.5, "cuda:x"])
def test_a_device_that_nobody_knows_is_an_error(device):
    with pytest.raises(ConfigError, match="device must be"):
        choose_device(device)


def test_a_device_object_is_taken():
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


def test_the_cpu_computes_in_full_precision():
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize(("precision", "dtype"), [("full", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_precision_that_is_asked_for_is_used(precision, dtype):
    torch.manual_seed(0)
    net = build_network(in_channels=3, image_size=75, entrance={"rotation_residual": True}).eval()
    images = torch.rand(4, 3, 75, 75)
    with autocast(torch.device("cpu"), precision):
        result = net(images)[1]
    assert result.dtype == dtype
    torch.testing.assert_close(result.float(), net(images)[1], rtol=0.05, atol=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cuda_computes_in_bfloat16_and_agrees_with_the_cpu():
    torch.manual_seed(0)
    net = build_network(in_channels=3, image_size=75, entrance={"rotation_residual": True}).eval()
    images = torch.rand(4, 3, 75, 75)
    expected = net(images)[1]
    device = choose_device("cuda")
    with autocast(device):
        result = net.to(device)(images.to(device))[1]
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float().cpu(), expected, rtol=0.05, atol=0.02)


def test_the_entrance_is_a_part_of_the_network():
    net = build_network(in_channels=3, image_size=16)
    assert isinstance(net.entrance, Entrance)
    assert {"entrance.mean", "entrance.std"} <= set(net.state_dict())
