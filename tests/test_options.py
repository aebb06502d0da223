"""Options that check themselves and say what they take."""

import copy
import dataclasses
import inspect
import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import NoOptions, Options, describe_options, make_config, option
from galmerge_da.preprocessing import MatchPSF, PreprocessingRecipe, SubtractBackground


@dataclass(frozen=True)
class Config(Options):
    size: int = option(4, "how many", at_least=1)
    share: float = option(0.5, "how much of it", at_least=0, below=1)
    widths: tuple = option(None, "widths of all", above=0, optional=True)
    form: str = option("round", "its form", choices=("round", "square"))
    loud: bool = option(False, "whether it shouts")


@dataclass(frozen=True)
class Plain:
    size: int
    names: list = field(default_factory=list)
    hidden: int = field(default=1, init=False)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"size": 0}, "size must be a whole number of at least 1, got 0"),
        ({"size": 1.5}, "size must be a whole number of at least 1, got 1.5"),
        ({"size": True}, "size must be a whole number of at least 1, got True"),
        ({"size": None}, "size must be a whole number of at least 1, got None"),
        ({"share": 1}, "share must be a number of at least 0 and below 1, got 1"),
        ({"share": float("nan")}, "share must be"),
        ({"share": "0.5"}, "share must be"),
        ({"widths": [1, 0]}, r"widths must be numbers above 0 or none, got \[1, 0\]"),
        ({"widths": []}, "widths must be numbers above 0 or none"),
        ({"widths": 3}, "widths must be numbers above 0 or none"),
        ({"form": "oval"}, "form must be 'round' or 'square', got 'oval'"),
        ({"loud": 1}, "loud must be true or false, got 1"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(options, words):
    with pytest.raises(ConfigError, match=f"^{words}"):
        Config(**options)
    with pytest.raises(ConfigError, match=f"^loss 'x': {words}"):
        make_config(Config, options, "loss 'x'")


def test_values_come_in_their_own_type():
    config = make_config(Config, {"size": 3, "share": 0, "widths": [1, 2]}, "x")
    assert (config.size, config.share, config.widths) == (3, 0.0, (1.0, 2.0))
    assert isinstance(config.share, float)
    assert Config().widths is None


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_number_is_taken_exactly_where_its_bounds_say(value):
    if 0 <= value < 1:
        assert Config(share=value).share == value
    else:
        with pytest.raises(ConfigError):
            Config(share=value)


def test_options_describe_themselves():
    described = {each["name"]: each for each in describe_options(Config)}
    assert list(described) == ["size", "share", "widths", "form", "loud"]
    assert described["share"] == {
        "name": "share", "default": 0.5, "values": "a number of at least 0 and below 1", "doc": "how much of it",
    }  # fmt: skip
    assert described["widths"]["values"] == "numbers above 0 or none"
    assert describe_options(NoOptions) == []


def test_any_dataclass_can_be_described():
    assert describe_options(Plain) == [
        {"name": "size", "default": None, "values": "int", "doc": ""},
        {"name": "names", "default": [], "values": "list", "doc": ""},
    ]


def test_an_array_of_numbers_is_taken_as_a_list():
    @dataclass(frozen=True)
    class Widths(Options):
        widths: tuple = option((1.0,), "widths", above=0)

    assert make_config(Widths, {"widths": np.array([1, 2.5], np.float32)}, "it").widths == (1.0, 2.5)
    with pytest.raises(ConfigError, match="widths must be numbers above 0"):
        make_config(Widths, {"widths": np.ones((2, 2))}, "it")


@pytest.mark.parametrize(
    "kind, options, message",
    [
        (PreprocessingRecipe, {"sizes": 75}, r"PreprocessingRecipe has no option 'sizes'; did you mean 'size'\?"),
        (PreprocessingRecipe, {"qqq": 1}, "has no option 'qqq'; known: background, bands, .*, trained_scales"),
        (PreprocessingRecipe, {"bands": 3}, "bands must be a list of names, got 3"),
        (
            SubtractBackground,
            {"methods": "mesh"},
            r"SubtractBackground has no option 'methods'; did you mean 'method'\?",
        ),
        (MatchPSF, {"width": 1}, "MatchPSF has no option 'width'; known: .*fwhm"),
    ],
)
def test_an_unknown_keyword_is_named_like_one_of_a_recipe(kind, options, message):
    with pytest.raises(ConfigError, match=message):
        kind(**options)


def test_recipes_can_be_copied_changed_and_sent():
    recipe = PreprocessingRecipe(("g", "r"), psf={"fwhm": 1.5})
    assert copy.deepcopy(recipe) == pickle.loads(pickle.dumps(recipe)) == recipe
    assert dataclasses.replace(recipe, size=40).size == 40
    assert list(inspect.signature(PreprocessingRecipe).parameters)[:3] == ["bands", "size", "scale"]
