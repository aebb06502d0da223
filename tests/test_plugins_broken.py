"""Plugins broken on purpose: each gives one clear message, at the command line too, and never a model."""

import warnings

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

from galmerge_da import train
from galmerge_da.cli import main
from galmerge_da.exceptions import GalmergeError, PluginError, PluginWarning, TrainingError
from galmerge_da.io import save_cutouts
from galmerge_da.plugins import get_loss

LOSS = """
import torch

from galmerge_da.adaptation import AdaptationLoss
from galmerge_da.plugins import LossSpec, hookimpl


class Loss(AdaptationLoss):
    def __init__(self, config, context):
        super().__init__()

    def forward(self, source, target, step):
        {forward}


@hookimpl
def {hook}():
    return [LossSpec({name!r}, Loss)]
"""

RECIPE = {
    "preprocessing": {"size": 16, "scale": "pixels"},
    "training": {"epochs": 2, "batch_size": 32, "fractions": [0.5, 0.25, 0.25]},
}


def loss(forward="return source.features.mean() - target.features.mean()", hook="galmerge_da_losses", name="mine"):
    """A module with a loss."""
    return LOSS.format(forward=forward, hook=hook, name=name)


#: What is wrong -> (module, error, what the message says). "mine" comes from my-loss 4.5.
BROKEN = {
    "misspelt hook": (loss(hook="galmerge_da_loss"), PluginError, "from my-loss 4.5: .*galmerge_da_loss"),
    "duplicate name": (
        loss(name="mmd"),
        PluginError,
        "loss 'mmd' is offered by both .*(galmerge_da .* and my-loss 4.5|my-loss 4.5 and galmerge_da)",
    ),
    "NaN loss": (loss("return source.features.mean() * float('nan')"), TrainingError, "mine is nan in epoch 1"),
    "infinite loss": (loss("return source.features.mean() / 0"), TrainingError, "mine is -?inf in epoch 1"),
    "no gradient": (
        loss("return source.features.mean().detach()"),
        PluginError,
        "loss 'mine' gives a number without a gradient",
    ),
    "no tensor": (loss("return 1.0"), PluginError, r"loss 'mine' must give a tensor of shape \(\), got float"),
    "one number a row": (
        loss("return source.features.mean(1)"),
        PluginError,
        "loss 'mine' must give a tensor of shape",
    ),
    "exception": (loss("raise RuntimeError('bad luck')"), PluginError, "loss 'mine' failed: RuntimeError: bad luck"),
    "no forward": (
        loss().replace("def forward", "def backward"),
        PluginError,
        "loss 'mine' failed: .*must define forward",
    ),
    "labels of the target": (
        loss("return torch.nn.functional.cross_entropy(target.logits, target.labels)"),
        PluginError,
        "loss 'mine' failed: .*labels of the target: there are none",
    ),
    "other factory": (
        loss().replace("mine', Loss", "mine', print"),
        PluginError,
        "loss 'mine': its factory must give an AdaptationLoss, got None",
    ),
    "failing factory": (
        loss().replace("mine', Loss", "mine', int"),
        PluginError,
        "loss 'mine' could not be made: TypeError",
    ),
    "NaN gradient": (
        loss("return source.features.sum(1).sub(source.features.sum(1).detach()).abs().sqrt().mean()"),
        TrainingError,
        "a gradient is not finite in epoch 1, .* one of cross_entropy, mine has no derivative there",
    ),
}


@pytest.fixture(scope="module")
def tables():
    """A source and a target, too few and too small to learn anything."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(2):
        images = rng.normal(size=(80, 2, 16, 16)).astype(np.float32)
        images[:, :, 6:10, 6:10] += 5
        table = Table({"id": [f"g{number}-{k}" for k in range(80)], "image": images, "label": np.arange(80) % 2})
        table.meta["BANDS"] = "g,r"
        made.append(table)
    return made


@pytest.fixture(params=BROKEN)
def broken(request, site):
    source, error, words = BROKEN[request.param]
    site("my-loss", "my_loss_plugin", source, group="galmerge_da.losses")
    return error, words


def test_training_ends_with_one_clear_message(broken, tables, tmp_path):
    error, words = broken
    with pytest.raises(error, match=words) as caught:
        train(*tables, adapt={"mine": 1.0}, recipe=RECIPE, output=tmp_path / "run", device="cpu")
    assert isinstance(caught.value, GalmergeError)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("run/model*"))


@pytest.mark.parametrize("broken", ["misspelt hook", "duplicate name", "NaN loss", "no gradient"], indirect=True)
def test_the_command_ends_with_one_line_and_no_file(broken, tables, tmp_path):
    paths = [tmp_path / "source.fits", tmp_path / "target.fits"]
    for table, path in zip(tables, paths, strict=True):
        save_cutouts(table, path)
    model = tmp_path / "model.safetensors"
    words = ["train", paths[0], "--target", paths[1], "--adapt", "mine=1", "-o", model, "--no-progress"]
    done = CliRunner().invoke(main, [*map(str, words), "--device", "cpu"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    assert not model.exists()


@pytest.mark.parametrize(
    "source, words",
    [
        ("import nowhere_to_be_found", "could not be loaded: ModuleNotFoundError: .*nowhere_to_be_found"),
        ("this is no Python", "could not be loaded: SyntaxError"),
        ("raise SystemError('no')", "could not be loaded: SystemError: no"),
        (loss().replace("@hookimpl\n", ""), "does not implement galmerge_da_losses"),
        (loss().replace("return [LossSpec", "return [Loss"), "could not be asked: TypeError"),
        (loss(name="Not A Name"), "could not be asked: ConfigError: LossSpec: a name is lower-case"),
        (loss().replace("LossSpec('mine', Loss)", "LossSpec('mine', Loss, dict)"), "could not be asked: ConfigError"),
    ],
    ids=["import", "syntax", "raises", "no hookimpl", "other things", "name", "config class"],
)
def test_what_cannot_be_loaded_is_left_out_with_a_warning_that_names_it(site, tables, source, words):
    site("my-loss", "my_loss_plugin", source, group="galmerge_da.losses")
    with pytest.warns(PluginWarning, match=f"from my-loss 4.5 {words}") as caught:
        with pytest.raises(PluginError, match="no loss is called 'mine'"):
            train(*tables, adapt={"mine": 1.0}, recipe=RECIPE, device="cpu")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_loss("mmd").name == "mmd"


BACKBONE = """
from torch import nn

from galmerge_da.plugins import BackboneSpec, hookimpl


class Body(nn.Module):
    def __init__(self, config, in_channels, image_size):
        super().__init__()
        {dim}

    def forward(self, images):
        return images.mean((2, 3)){factor}


@hookimpl
def galmerge_da_backbones():
    return [BackboneSpec("body", Body)]
"""


@pytest.mark.parametrize(
    "dim, factor, error, words",
    [
        ("pass", "", PluginError, "backbone 'body' must be a torch module with an integer feature_dim"),
        ("self.feature_dim = in_channels", " * float('nan')", TrainingError, "cross_entropy is nan in epoch 1"),
    ],
)
def test_a_broken_backbone_gives_no_model_either(site, tables, tmp_path, dim, factor, error, words):
    source = BACKBONE.format(dim=dim, factor=factor)
    site("my-body", "my_body_plugin", source, group="galmerge_da.backbones")
    with pytest.raises(error, match=words):
        train(tables[0], backbone="body", recipe=RECIPE, output=tmp_path / "run", device="cpu")
    assert not list(tmp_path.glob("run/model*"))
