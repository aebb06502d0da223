"""What a user asks of the losses, in one form, whether it was a dict, a recipe or words of a command line."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import Options, option

__all__ = ["SCHEDULES", "AdaptLike", "WeightOptions", "parse_adapt"]

SCHEDULES = ("constant", "linear", "sigmoid")

#: What is asked of the losses, as `parse_adapt` takes it.
AdaptLike = Mapping[str, float | Mapping[str, object]] | Iterable[str] | None


@dataclass(frozen=True)
class WeightOptions(Options):
    """What every loss has beside its own options: how much it counts, and when.

    Parameters
    ----------
    weight : float, optional
        Weight in the total loss, at its full height; at least 0.
    schedule : {"constant", "linear", "sigmoid"}, optional
        ``"constant"``: from the first step. ``"linear"``: rises evenly from 0.
        ``"sigmoid"``: ``2 / (1 + exp(-10 t)) - 1``, as for the reversal of
        gradients in Ganin et al. 2016 (JMLR 17, 59).
    warmup : float, optional
        Fraction of the training over which it rises; ``t`` goes from 0 to 1
        in it. The whole training by default.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    weight: float = option(1.0, "weight of the loss in the total", at_least=0)
    schedule: str = option("constant", "how the weight rises during training", choices=SCHEDULES)
    warmup: float = option(1.0, "fraction of the training over which it rises", above=0, at_most=1)


def parse_adapt(adapt: AdaptLike) -> dict[str, float | dict[str, Any]]:
    """What is asked of the losses, as one mapping.

    Parameters
    ----------
    adapt : mapping, iterable of str, or None
        ``{"mmd": 1.0, "dann": {"weight": 1.0, "max_lambda": 0.5}}``, or
        the words ``["mmd=1.0", "dann", "dann.max_lambda=0.5"]``, where a
        name alone has weight 1.

    Returns
    -------
    dict of str to float or dict
        Name of a loss -> its weight, or its options with ``weight`` among
        them. Whether there is such a loss, and such an option, is not
        looked up.

    Raises
    ------
    ConfigError
        If it is neither, a word is malformed, or something is given twice.
    """
    if adapt is None:
        return {}
    if isinstance(adapt, Mapping):
        for name, value in adapt.items():
            if not isinstance(name, str):
                raise ConfigError(f"adapt must map names of losses to weights, got the name {name!r}")
            if isinstance(value, Mapping) and not all(isinstance(key, str) for key in value):
                raise ConfigError(f"loss {name!r}: options must have names, got {value!r}")
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in adapt.items()}
    if isinstance(adapt, str | bytes) or not hasattr(adapt, "__iter__"):
        raise ConfigError(f"adapt must map names of losses to weights, as {{'mmd': 1.0}}, got {adapt!r}")
    asked: dict[str, dict[str, Any]] = {}
    for word in adapt:
        name, key, value = _split(word)
        options = asked.setdefault(name, {})
        if key in options:
            raise ConfigError(f"adapt: {name if key == 'weight' else f'{name}.{key}'} is given twice")
        if key is not None:
            options[key] = value
    return {
        name: options["weight"] if list(options) == ["weight"] else options or 1.0 for name, options in asked.items()
    }


def _split(word):
    """``name``, ``name=weight`` or ``name.option=value`` as name, option (or None) and value."""
    if not isinstance(word, str):
        raise ConfigError(f"adapt: {word!r} is not NAME, NAME=WEIGHT or NAME.OPTION=VALUE")
    left, equals, value = (part.strip() for part in word.partition("="))
    name, dot, key = left.partition(".")
    if not name or (dot and not key) or (equals and not value) or (dot and not equals):
        raise ConfigError(f"adapt: {word!r} is not NAME, NAME=WEIGHT or NAME.OPTION=VALUE")
    if not equals:
        return name, None, None
    if key:
        return name, key, _value(value)
    try:
        return name, "weight", float(value)
    except ValueError:
        raise ConfigError(f"adapt: the weight of {name!r} must be a number, got {value!r}") from None


def _value(text):
    """A value as TOML reads it, or ``none``, or as Python writes a number, True or False; anything else is text."""
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for read in (lambda: tomllib.loads(f"value = {text}")["value"], lambda: float(text)):
        try:
            return read()
        except ValueError:
            continue
    return text
