"""Recipes that say what to simulate."""

import numpy as np
import pytest
from astropy.table import Table

from galmerge_da.exceptions import ConfigError, GalmergeError
from galmerge_da.experiments import recipes, run_recipe

RECIPE = """
[data]
simulate = {n = 30, survey = "deepmerge-z2-pristine", seed = 7}
simulate_target = {n = 20, seed = 8}
label = "label"

[training]
epochs = 2
"""


@pytest.fixture
def calls(monkeypatch):
    """What `simulate` and `train` were asked for."""
    calls = []

    def simulate(n, survey, *, seed, progress):
        calls.append(("simulate", n, survey, seed))
        return Table({"id": np.arange(n)})

    def train(source, target=None, **options):
        calls.append(("train", source, target, options))
        return "result"

    monkeypatch.setattr(recipes, "simulate", simulate)
    monkeypatch.setattr(recipes, "train", train)
    return calls


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def test_both_domains_are_simulated_and_the_rest_is_handed_on(calls, path):
    assert run_recipe(path, seed=3, adapt={"mmd": 1.0}) == "result"
    assert calls[:2] == [("simulate", 30, "deepmerge-z2-pristine", 7), ("simulate", 20, "deepmerge-z2", 8)]
    _, source, target, options = calls[2]
    assert (len(source), len(target)) == (30, 20)
    assert options == {
        "recipe": {"data": {"label": "label"}, "training": {"epochs": 2}},
        "progress": False, "seed": 3, "adapt": {"mmd": 1.0},
    }  # fmt: skip


def test_data_that_are_given_are_not_simulated(calls, path):
    run_recipe(path, "mine.fits", "theirs.fits")
    ((kind, source, target, _),) = calls
    assert (kind, source, target) == ("train", "mine.fits", "theirs.fits")


def test_a_mapping_is_a_recipe_and_is_not_changed(calls):
    recipe = {"data": {"simulate": {"n": 5}}}
    run_recipe(recipe)
    assert calls[0] == ("simulate", 5, "deepmerge-z2", 0)
    assert calls[1][2] is None
    assert recipe == {"data": {"simulate": {"n": 5}}}


def test_without_any_source_the_recipe_is_refused(calls):
    with pytest.raises(ConfigError, match="no source"):
        run_recipe({"data": {"simulate_target": {"n": 5}}})


def test_a_misspelt_option_is_named(calls):
    with pytest.raises(ConfigError, match=r"\[data\] simulate has no option 'servey'; did you mean 'survey'"):
        run_recipe({"data": {"simulate": {"n": 5, "servey": "sdss"}}})


@pytest.mark.parametrize(
    "tables, options, message",
    [
        ({"trainnig": {}}, {}, "no table .trainnig.; did you mean 'training'"),
        ({"adapt": {"mdm": 1.0}}, {}, "'mdm'.*'mmd'"),
        ({}, {"adapt": {"mmd": 1.0}}, "mmd: losses that adapt need a target"),
        ({}, {"backbone": "deepmerg"}, "'deepmerg'.*'deepmerge'"),
        ({"data": {"simulate": {"n": 5, "survey": "decal"}}}, {}, "'decal'.*'decals'"),
        ({"model": {"entrance": {"rotaton_residual": True}}}, {}, "'rotaton_residual'.*'rotation_residual'"),
        ({"model": {"entrance": {"stretch": "asin"}}}, {}, "'asin'.*'asinh'"),
        ({"model": {"backbone": "resnet18", "options": {"botleneck": 8}}}, {}, "'botleneck'.*'bottleneck'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_simulated(calls, tables, options, message):
    with pytest.raises(GalmergeError, match=message):
        run_recipe({"data": {"simulate": {"n": 5}}, **tables}, **options)
    assert not calls


@pytest.mark.parametrize("content", [b"[data\n", b"\xff\xfe\x00"])
def test_a_file_that_is_not_toml_is_named(calls, tmp_path, content):
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"recipe\.toml is not a TOML file"):
        run_recipe(path)


def test_a_recipe_that_does_not_exist_is_named(calls, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        run_recipe(tmp_path / "absent.toml")
