"""tests/plugin_example, a real distribution: found by its entry points, it keeps its contracts, trains and observes."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from click.testing import CliRunner

from galmerge_da import MergerClassifier, simulate, train
from galmerge_da.cli import main
from galmerge_da.exceptions import ModelFileError, PluginError
from galmerge_da.plugins import get_backbone, get_loss, get_survey
from galmerge_da.plugins.selection import VARIABLE
from galmerge_da.testing import check_backbone_plugin, check_loss_plugin, check_survey_plugin

NAME = "galmerge-da-example"
PLUGINS = {("loss", "example-moments"), ("backbone", "example-pooled"), ("survey", "example-camera")}


@pytest.fixture(scope="module", autouse=True)
def installed():
    try:
        return distribution(NAME)
    except PackageNotFoundError:
        pytest.skip(f"{NAME} is not installed: python -m pip install --no-deps tests/plugin_example")


def listed():
    rows = json.loads(CliRunner().invoke(main, ["plugins", "--json"]).stdout)
    return {(row["kind"], row["name"]) for row in rows if row["distribution"] == NAME}


def test_it_is_installed_and_not_read_from_the_source_tree(installed):
    code = "import galmerge_da_example; print(galmerge_da_example.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert Path(__file__).parent not in Path(done.stdout).parents


def test_the_command_lists_it(installed):
    assert listed() == PLUGINS
    text = CliRunner().invoke(main, ["plugins"]).stdout
    assert f"example-moments {NAME} {installed.version}" in " ".join(text.split())


def test_the_loss_keeps_its_contract():
    check_loss_plugin(get_loss("example-moments"))
    check_loss_plugin(get_loss("example-moments"), {"variance": 0.0})


def test_the_backbone_keeps_its_contract():
    check_backbone_plugin(get_backbone("example-pooled"))
    check_backbone_plugin(get_backbone("example-pooled"), {"cells": 1, "width": 2})


def test_the_survey_keeps_its_contract():
    check_survey_plugin(get_survey("example-camera"))


def test_its_survey_needs_no_torch():
    code = (
        "import sys\nfrom galmerge_da.plugins import get_survey\nget_survey('example-camera')\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def result():
    """A short training with all three."""
    source, target = (simulate(60, "example-camera", seed=seed, n_jobs=1) for seed in (1, 2))
    return train(
        source,
        target,
        adapt={"example-moments": {"weight": 0.5, "variance": 0.2}},
        recipe={
            "model": {"backbone": "example-pooled", "options": {"cells": 2}},
            "training": {"epochs": 2, "batch_size": 16},
        },
        device="cpu",
    )


@pytest.mark.filterwarnings("ignore:the classifier puts")
def test_it_trains_and_the_model_comes_back_from_its_file(result, tmp_path):
    assert (result.history["example-moments"] > 0).all()
    assert result.classifier.network.feature_dim == 8 * 2**2
    path = tmp_path / "model.safetensors"
    result.classifier.save(path)
    catalogue = MergerClassifier.load(path).classify(simulate(4, "example-camera", seed=3, n_jobs=1))
    assert ((catalogue["merger_prob"] >= 0) & (catalogue["merger_prob"] <= 1)).all()


@pytest.mark.filterwarnings("ignore:the classifier puts")
def test_blocked_it_is_gone_and_its_model_cannot_be_read(result, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    result.classifier.save(path)
    monkeypatch.setenv(VARIABLE, f"-{NAME}")
    assert not listed()
    with pytest.raises(PluginError, match="no loss is called 'example-moments'"):
        get_loss("example-moments")
    with pytest.raises((PluginError, ModelFileError), match="example-pooled"):
        MergerClassifier.load(path)
