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


def learning(forward):
    """A module with a loss that has a parameter."""
    return loss(forward).replace(
        "super().__init__()", "super().__init__(); self.weight = torch.nn.Parameter(torch.ones(3))"
    )


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
        "loss 'mine' failed: .*labels of the target\\? There are none",
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
    "detached from the network": (
        learning("return (source.features.detach().mean() - target.features.detach().mean()) * self.weight.sum()"),
        PluginError,
        "loss 'mine' has no gradient that reaches the network",
    ),
    "unused parameter": (
        learning("return source.features.mean() - target.features.mean()"),
        PluginError,
        "loss 'mine': its parameter weight had no gradient in the whole first epoch",
    ),
    "parameter without effect": (
        learning("return source.features.mean() - target.features.mean() + 0 * self.weight.sum()"),
        PluginError,
        "loss 'mine': its parameter weight had no gradient in the whole first epoch",
    ),
    "changes the network": (
        loss("[weight.data.zero_() for weight in step.model.parameters()]; return source.features.mean()"),
        PluginError,
        "loss 'mine' changed weights of the network or the batch itself, in place",
    ),
    "changes the batch": (
        loss("source.features.data.mul_(0); return source.features.mean()"),
        PluginError,
        "loss 'mine' changed weights of the network or the batch itself",
    ),
    "freezes the network": (
        loss("step.model.requires_grad_(False); return source.features.mean()"),
        PluginError,
        "loss 'mine' froze the network",
    ),
    "holds the network": (
        loss().replace("super().__init__()", "super().__init__(); self.net = context.model"),
        PluginError,
        "loss 'mine' holds the network among its own modules",
    ),
    "breaks the gradient": (
        loss("value = source.logits.exp(); source.logits.add_(1); value.add_(1); return value.mean()"),
        GalmergeError,
        "in place|the gradient of cross_entropy, mine failed",
    ),
    "after_step fails": (
        loss().replace("    def forward", "    def after_step(self, step):\n        {}['q']\n\n    def forward"),
        PluginError,
        "loss 'mine' failed in after_step: KeyError: 'q'",
    ),
    "on_epoch_start fails": (
        loss().replace("    def forward", "    def on_epoch_start(self, step):\n        {}['q']\n\n    def forward"),
        PluginError,
        "loss 'mine' failed in on_epoch_start: KeyError: 'q'",
    ),
    "no parameter groups": (
        loss().replace("    def forward", "    def parameter_groups(self, lr):\n        pass\n\n    def forward"),
        PluginError,
        "loss 'mine': parameter_groups must give a list of dicts, got None",
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


def test_a_loss_that_switches_the_network_to_evaluation_does_not_stop_its_batch_normalisation(tables, site):
    source = loss("step.model.eval(); return source.features.mean() - target.features.mean()")
    site("my-loss", "my_loss_plugin", source, group="galmerge_da.losses")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = train(*tables, adapt={"mine": 1.0}, recipe=RECIPE, device="cpu")
    seen = [value for name, value in result.classifier.network.state_dict().items() if "num_batches" in name]
    assert seen and all(int(value) == result.selected.epoch * 2 for value in seen)


def test_a_plugin_that_exits_when_it_is_loaded_is_a_warning(site):
    site("my-loss", "my_loss_plugin", "import sys; sys.exit(3)", group="galmerge_da.losses")
    with pytest.warns(PluginWarning, match="from my-loss 4.5 could not be loaded: SystemExit: 3"):
        assert get_loss("mmd").name == "mmd"
