"""What is asked of the losses is the same from Python, a recipe and the command line."""

import tomllib
from dataclasses import dataclass

import pytest

from galmerge_da.adaptation import check_losses
from galmerge_da.exceptions import ConfigError, PluginError
from galmerge_da.plugins import LossSpec, Options, WeightOptions, option, parse_adapt

WANTED = {"mmd": 1.0, "dann": {"weight": 0.5, "max_lambda": 0.5, "lambda_schedule": "constant"}, "coral": 1.0}


def test_three_ways_of_asking_are_one():
    recipe = tomllib.loads(
        "[adapt]\nmmd = 1.0\ncoral = 1.0\n[adapt.dann]\nweight = 0.5\nmax_lambda = 0.5\nlambda_schedule = 'constant'"
    )
    words = ["mmd=1.0", "dann=0.5", "dann.max_lambda=0.5", "dann.lambda_schedule=constant", "coral"]
    assert parse_adapt(WANTED) == parse_adapt(recipe["adapt"]) == parse_adapt(words) == WANTED


def test_values_of_words_are_read_as_in_a_recipe():
    words = ["mmd.bandwidths=[1, 2.5]", "cdan.entropy=false", "dann.hidden=64", "mmd.variant='published'"]
    assert parse_adapt(words) == {
        "mmd": {"bandwidths": [1, 2.5], "variant": "published"}, "cdan": {"entropy": False}, "dann": {"hidden": 64},
    }  # fmt: skip


def test_nothing_is_nothing():
    assert parse_adapt(None) == parse_adapt({}) == parse_adapt([]) == {}


@pytest.mark.parametrize(
    "adapt, words",
    [
        ("mmd=1", "must map names of losses to weights"),
        (3, "must map names of losses to weights"),
        ([("mmd", 1.0)], "is not NAME, NAME=WEIGHT or NAME.OPTION=VALUE"),
        (["=1"], "'=1' is not NAME"),
        (["mmd="], "'mmd=' is not NAME"),
        (["mmd.variant"], "'mmd.variant' is not NAME"),
        (["mmd.=3"], "'mmd.=3' is not NAME"),
        (["mmd=much"], "the weight of 'mmd' must be a number, got 'much'"),
        (["mmd=1", "mmd=2"], "adapt: mmd is given twice"),
        (["dann.hidden=1", "dann.hidden=2"], "adapt: dann.hidden is given twice"),
        ({1: 2.0}, "got the name 1"),
        ({"mmd": {1: 2.0}}, "loss 'mmd': options must have names"),
    ],
)
def test_what_cannot_be_meant_is_refused(adapt, words):
    with pytest.raises(ConfigError, match=words):
        parse_adapt(adapt)


def test_what_was_given_is_left_as_it_was():
    asked = {"mmd": {"weight": 2.0}}
    parse_adapt(asked)["mmd"]["weight"] = 3.0
    assert asked == {"mmd": {"weight": 2.0}}


@pytest.mark.parametrize("name", WeightOptions.__dataclass_fields__)
def test_a_loss_cannot_take_the_name_of_an_option_that_all_have(name):
    config = dataclass(frozen=True)(
        type("Config", (Options,), {"__annotations__": {name: float}, name: option(1.0, "")})
    )
    with pytest.raises(ConfigError, match=f"x: its config must not have '{name}', which every loss has already"):
        LossSpec("x", print, config)


def test_words_take_what_the_list_of_options_offers_and_what_python_writes():
    words = ["mmd.bandwidths=none", "mmd.estimate_prior=True", "mmd.width=.5", "mmd.level=1e-3", "mmd.variant=biased"]
    assert parse_adapt(words) == {
        "mmd": {"bandwidths": None, "estimate_prior": True, "width": 0.5, "level": 1e-3, "variant": "biased"}
    }


@pytest.mark.parametrize(
    ("adapt", "words"),
    [
        ({"mmd": {"weigth": 2.0}}, "loss 'mmd' has no option 'weigth'; did you mean 'weight'"),
        ({"mmd": {"schedul": "linear"}}, "did you mean 'schedule'"),
        ({"dann": {"maxlambda": 1.0}}, "did you mean 'max_lambda'"),
        ({"MMD": 1.0}, "did you mean 'mmd'"),
        ({"mmd": {"target_prior": [0.9, 0.9]}}, "loss 'mmd': target_prior must be shares that add up to 1"),
        ({"coral": {"target_prior": [0.9, 0.1], "estimate_prior": True}}, "loss 'coral': target_prior is given"),
    ],
)
def test_what_is_refused_is_named_with_its_loss_and_the_nearest_name(adapt, words):
    with pytest.raises((ConfigError, PluginError), match=words):
        check_losses(adapt)
