"""Checkpoints of the published code become classifiers that say the same; nothing in a file is run."""

import collections
import os

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.nn import functional

from galmerge_da.cli import main
from galmerge_da.exceptions import ConfigError, ModelFileError
from galmerge_da.inference import MergerClassifier, convert_checkpoint
from galmerge_da.inference.convert import STATISTICS

PUBLISHED = {
    "conv": ("conv1", "conv2", "conv3"),
    "norm": ("batchn1", "batchn2", "batchn3"),
    "fc": ("fc1", "fc2", "fc3"),
}
OTHERS = {"conv": ("a.0", "a.3", "a.6"), "norm": ("a.1", "a.4", "a.7"), "fc": ("z.0", "z.2", "z.4")}


def weights(generator, *shape):
    return torch.randn(*shape, generator=generator) / max(1, np.prod(shape[1:])) ** 0.5


def norm_layer(generator, n):
    return {
        "weight": 1 + 0.1 * torch.randn(n, generator=generator),
        "bias": 0.1 * torch.randn(n, generator=generator),
        "running_mean": 0.1 * torch.randn(n, generator=generator),
        "running_var": 0.5 + torch.rand(n, generator=generator),
        "num_batches_tracked": torch.tensor(7),
    }


def deepmerge_state(names=PUBLISHED, n_classes=2, seed=0):
    """A state dict with random weights, in the order of the names."""
    generator = torch.Generator().manual_seed(seed)
    state = collections.OrderedDict()
    for name, (n_in, n_out, k) in zip(names["conv"], [(3, 8, 5), (8, 16, 3), (16, 32, 3)], strict=True):
        state[f"{name}.weight"] = weights(generator, n_out, n_in, k, k)
        state[f"{name}.bias"] = weights(generator, n_out)
    for name, n in zip(names["norm"], (8, 16, 32), strict=True):
        state |= {f"{name}.{part}": value for part, value in norm_layer(generator, n).items()}
    for name, (n_in, n_out) in zip(names["fc"], [(2592, 64), (64, 32), (32, n_classes)], strict=True):
        state[f"{name}.weight"] = weights(generator, n_out, n_in)
        state[f"{name}.bias"] = weights(generator, n_out)
    return state


def normalised(images, statistics):
    _, mean, std = STATISTICS[statistics]
    return (torch.from_numpy(images) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def batch_norm(maps, state, name):
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(maps, *parts)


def deepmerge_forward(state, maps):
    """The network as the first paper describes it, from the published names."""
    for i, padding in ((1, 2), (2, 1), (3, 1)):
        maps = functional.conv2d(maps, state[f"conv{i}.weight"], state[f"conv{i}.bias"], padding=padding)
        maps = functional.max_pool2d(functional.relu(batch_norm(maps, state, f"batchn{i}")), 2)
    values = maps.flatten(1)
    for i in (1, 2):
        values = functional.relu(functional.linear(values, state[f"fc{i}.weight"], state[f"fc{i}.bias"]))
    return functional.linear(values, state["fc3.weight"], state["fc3.bias"])


@pytest.fixture
def images():
    brightness = np.array([0.3, 1, 3, 10, 100])[:, None, None, None]
    return (brightness * np.random.default_rng(0).normal(0.1, 1.5, size=(5, 3, 75, 75))).astype(np.float32)


def saved(content, path):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_published_checkpoint_says_what_its_network_says(tmp_path, images, statistics):
    state = deepmerge_state()
    snapshot = {
        "epoch": 3.0,
        "base_network": state,
        "valid accuracy": torch.tensor(0.8),
        "center_criterion": {"centers": torch.zeros(2, 2592)},
    }
    classifier = convert_checkpoint(saved(snapshot, tmp_path / "best_model.pth.tar"), statistics=statistics)
    expected = functional.softmax(deepmerge_forward(state, normalised(images, statistics)), dim=1).numpy()
    probs, calibrated = classifier.predict(images)
    np.testing.assert_allclose(probs, expected, atol=2e-5)
    assert np.ptp(expected[:, 1]) > 0.01
    assert calibrated is probs
    assert classifier.provenance["published_network"] == "DeepMerge"
    assert classifier.provenance["statistics"] == statistics
    bands = ("g", "r", "i") if "simreal" in statistics else ("F814W", "F356W", "F160W")
    assert classifier.bands == bands


def test_it_classifies_arrays_as_they_are_and_survives_its_own_file(tmp_path, images):
    state = deepmerge_state(seed=1)
    classifier = convert_checkpoint(saved(state, tmp_path / "a.pth"))
    expected = functional.softmax(deepmerge_forward(state, normalised(images, "simsim-target")), dim=1)[:, 1]
    classifier.save(tmp_path / "a.safetensors")
    for each in (classifier, MergerClassifier.load(tmp_path / "a.safetensors")):
        table = each.classify(images, bands=each.bands)
        np.testing.assert_allclose(table["merger_prob"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "wrap", [lambda state: state, lambda state: {"model": state}, lambda state: {"state_dict": state}]
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_names_and_places_may_differ(tmp_path, images, wrap, prefix):
    state = deepmerge_state()
    values = list(state.values())
    other = {prefix + key: value for key, value in zip(deepmerge_state(OTHERS), values, strict=True)}
    one = convert_checkpoint(saved(state, tmp_path / "a.pth"))
    two = convert_checkpoint(saved(wrap(other), tmp_path / "b.pth"))
    assert one.weights_sha256 == two.weights_sha256


class Block(nn.Module):
    """A residual block with the names that are usual elsewhere."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        if n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, maps):
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(maps)))))
        return functional.relu(out + (self.downsample(maps) if hasattr(self, "downsample") else maps))


class ResNet(nn.Module):
    """ResNet-18 with a bottleneck, its layers in the state dict twice as in the published code."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        n_in = 64
        for number, n in enumerate((64, 128, 256, 512), 1):
            setattr(self, f"layer{number}", nn.Sequential(Block(n_in, n, 1 if n == n_in else 2), Block(n, n, 1)))
            n_in = n
        body = (
            self.conv1,
            self.bn1,
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            self.layer1,
            self.layer2,
            self.layer3,
            self.layer4,
        )
        self.feature_layers = nn.Sequential(*body)
        self.bottleneck, self.fc = nn.Linear(512, 256), nn.Linear(256, 2)

    def forward(self, images):
        return self.fc(self.bottleneck(self.feature_layers(images).mean((2, 3))))


def test_the_published_resnet_says_what_it_says(tmp_path, images):
    torch.manual_seed(0)
    network = ResNet().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = saved({"base_network": network.state_dict()}, tmp_path / "best_model.pth.tar")
    classifier = convert_checkpoint(path, statistics="simsim-source")
    with torch.no_grad():
        expected = functional.softmax(network(normalised(images, "simsim-source")), dim=1).numpy()
    np.testing.assert_allclose(classifier.predict(images)[0], expected, atol=1e-5)
    assert classifier.network.describe()["backbone"] == "resnet18"
    assert classifier.provenance["published_network"] == "ResNet18"


class Malicious:
    """Unpickled freely, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path, zipped):
    path, trace = tmp_path / "bad.pth", tmp_path / "it_ran"
    content = {"base_network": deepmerge_state(), "extra": Malicious(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelFileError, match=r"plain values, \w+.system, or .*nothing in it was run$"):
        convert_checkpoint(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists(), "the test's own file is harmless: it shows nothing"


def test_a_whole_pickled_network_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="more than tensors"):
        convert_checkpoint(saved(nn.Linear(2, 2), tmp_path / "whole.pth"))


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 broken", b"\x80\x04N."])
def test_files_of_other_kinds_are_refused(tmp_path, content):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"file\.pth"):
        convert_checkpoint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint .*none.pth"):
        convert_checkpoint(tmp_path / "none.pth")


def without(key):
    state = deepmerge_state()
    del state[key]
    return state


@pytest.mark.parametrize(
    "content, message",
    [
        (
            {"base_network": {"fc.weight": torch.zeros(2, 9), "fc.bias": torch.zeros(2)}},
            r"not the layers .* fc \(2, 9\)",
        ),
        ({**deepmerge_state(), "conv2.weight": torch.zeros(16, 8, 5, 5)}, r"not the layers .* conv2 \(16, 8, 5, 5\)"),
        (deepmerge_state(n_classes=1), r"not the layers .* fc3 \(1, 32\)"),
        (without("conv1.bias"), "not the layers"),
        (without("conv1.weight"), "conv1 has bias, but no weight"),
        ({"weight": torch.zeros(3)}, r"has weights of shape \(3,\)"),
        ({"epoch": 3}, "no state dict of a network, .*: epoch"),
        ([1, 2], "no state dict of a network, .*: list"),
        (torch.zeros(3), "no state dict of a network, .*: Tensor"),
    ],
)
def test_other_networks_are_refused_with_what_they_have(tmp_path, content, message):
    with pytest.raises(ModelFileError, match=message):
        convert_checkpoint(saved(content, tmp_path / "other.pth"))


def test_statistics_may_be_numbers(tmp_path, images):
    state = deepmerge_state()
    mean, std = (0.5, 0.1, -0.3), (2.0, 3.0, 0.5)
    classifier = convert_checkpoint(saved(state, tmp_path / "a.pth"), statistics=(mean, std))
    plain = (torch.from_numpy(images) - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    expected = functional.softmax(deepmerge_forward(state, plain), dim=1).numpy()
    np.testing.assert_allclose(classifier.predict(images)[0], expected, atol=1e-5)
    assert classifier.bands is None


@pytest.mark.parametrize(
    "statistics, message",
    [
        ("simsim-tarket", "did you mean 'simsim-target'"),
        (None, "must be a name, or means"),
        (((0, 0), (1, 1)), "3 bands"),
        (((0, 0, 0), (1, 0, 1)), "positive standard deviations"),
        (((0, 0, float("nan")), (1, 1, 1)), "finite means"),
        ((("a",), (1,)), "must be numbers"),
    ],
)
def test_wrong_statistics_are_refused(tmp_path, statistics, message):
    with pytest.raises(ConfigError, match=message):
        convert_checkpoint(saved(deepmerge_state(), tmp_path / "a.pth"), statistics=statistics)


def run(*arguments):
    return CliRunner().invoke(main, ["convert", *(str(argument) for argument in arguments)])


def test_the_command_writes_a_model_file(tmp_path):
    checkpoint, output = saved(deepmerge_state(), tmp_path / "a.pth"), tmp_path / "a.safetensors"
    done = run(checkpoint, "-o", output, "--statistics", "simreal-target")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{output}: DeepMerge for bands g,r,i, normalised as simreal-target\n"
    expected = convert_checkpoint(checkpoint, statistics="simreal-target")
    assert MergerClassifier.load(output).weights_sha256 == expected.weights_sha256
    again = run(checkpoint, "-o", output)
    assert again.exit_code == 1 and "give --overwrite" in again.stderr
    assert run(checkpoint, "-o", output, "--overwrite").exit_code == 0
    assert MergerClassifier.load(output).provenance["statistics"] == "simsim-target"


@pytest.mark.parametrize("arguments", [("none.pth",), ("a.pth", "--statistics", "nonsense")])
def test_the_command_fails_in_one_line(tmp_path, arguments):
    saved(deepmerge_state(), tmp_path / "a.pth")
    done = run(tmp_path / arguments[0], *arguments[1:], "-o", tmp_path / "a.safetensors")
    assert done.exit_code == 1 and done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "a.safetensors").exists()
