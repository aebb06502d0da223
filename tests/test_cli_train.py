"""``galmerge train``: what it hands to the training, and what it says."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

import galmerge_da.experiments
from galmerge_da.cli import main
from galmerge_da.exceptions import ConfigError
from galmerge_da.inference import MergerClassifier
from galmerge_da.simulation import simulate


def run(*arguments):
    return CliRunner().invoke(main, ["train", *(str(argument) for argument in arguments)])


@pytest.fixture
def calls(monkeypatch):
    """What `run_recipe` was asked for."""
    calls = []

    def run_recipe(recipe, source=None, target=None, **options):
        calls.append((recipe, source, target, options))
        classifier = SimpleNamespace(save=lambda path: path.write_bytes(b"model"))
        scores = Table({"domain": ["source"], "auc": [0.9]})
        return SimpleNamespace(classifier=classifier, scores=scores, selected="epoch 3")

    monkeypatch.setattr(galmerge_da.experiments, "run_recipe", run_recipe)
    return calls


def test_only_what_is_given_overrides_the_recipe(calls, tmp_path):
    path = tmp_path / "model.safetensors"
    done = run("--recipe", "r.toml", "-o", path, "--no-progress")
    assert done.exit_code == 0, done.stderr
    assert [str(calls[0][0]), *calls[0][1:]] == ["r.toml", None, None, {"progress": False}]
    assert path.read_bytes() == b"model"
    assert "0.9" in done.stdout


def test_every_option_arrives(calls, tmp_path):
    done = run(
        "s.fits", "--target", "t.fits", "--adapt", "mmd=0.5", "--adapt", "entropy", "--backbone", "deepmerge",
        "--epochs", 3, "--seed", 7, "--init", "old.safetensors", "--device", "cpu", "-o", tmp_path / "m.safetensors",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    recipe, source, target, options = calls[0]
    assert (recipe, str(source), str(target)) == ({"training": {"epochs": 3}}, "s.fits", "t.fits")
    assert str(options.pop("init")) == "old.safetensors"
    assert options == {
        "adapt": {"mmd": 0.5, "entropy": 1.0}, "backbone": "deepmerge", "seed": 7, "device": "cpu", "progress": True,
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["s.fits", "--adapt", "mmd=much"], ["s.fits", "--seed", "-1"]])
def test_wrong_usage(calls, tmp_path, arguments):
    assert run(*arguments, "-o", tmp_path / "m.safetensors").exit_code == 2
    assert not calls


def test_an_existing_model_is_refused_before_the_training(calls, tmp_path):
    path = tmp_path / "m.safetensors"
    path.touch()
    done = run("s.fits", "-o", path)
    assert done.exit_code == 1
    assert "exists; give --overwrite" in done.stderr
    assert not calls
    assert run("s.fits", "-o", path, "--overwrite").exit_code == 0


def test_an_error_of_the_recipe_is_one_line(monkeypatch, tmp_path):
    def run_recipe(*args, **kwargs):
        raise ConfigError("recipe: no table [trainig]")

    monkeypatch.setattr(galmerge_da.experiments, "run_recipe", run_recipe)
    done = run("s.fits", "-o", tmp_path / "m.safetensors")
    assert (done.exit_code, done.stderr) == (1, "Error: recipe: no table [trainig]\n")


def test_a_recipe_trains_on_what_it_simulates(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[data]\nsimulate = {n = 48, survey = "deepmerge-z2", seed = 1}\n[training]\nepochs = 1\nbatch_size = 16\n'
    )
    path = tmp_path / "m.safetensors"
    done = run("--recipe", recipe, "-o", path, "--no-progress", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    catalogue = MergerClassifier.load(path).classify(simulate(4, "deepmerge-z2", seed=2, n_jobs=1))
    assert np.all(np.isfinite(catalogue["merger_prob"]))
