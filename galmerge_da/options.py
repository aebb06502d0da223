"""Options: dataclasses that check themselves and can say what they take.

A plugin's config class may be any frozen dataclass. One that derives from
`Options` and writes its fields with `option` needs no checks of its own, and
``galmerge plugins show`` can list its defaults, ranges and meanings.
"""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Self, TypeVar

from galmerge_da.exceptions import ConfigError

__all__ = ["NoOptions", "Options", "describe_options", "make_config", "option", "suggest"]

_Config = TypeVar("_Config")

_KEY = "galmerge_da"
_BOUNDS = {
    "above": ("above", lambda value, bound: value > bound),
    "at_least": ("of at least", lambda value, bound: value >= bound),
    "below": ("below", lambda value, bound: value < bound),
    "at_most": ("of at most", lambda value, bound: value <= bound),
}
_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", tuple: "numbers"}


class _OptionError(ConfigError):
    """A refused value; `make_config` says whose it is."""


@dataclass(frozen=True)
class Options:
    """Base class of configs whose fields are made by `option`.

    Parameters
    ----------
    *values, **options
        Fields of the class that derives from it.

    Raises
    ------
    ConfigError
        If a value has another type than its field, or is out of range, or a
        keyword is not known (the closest one is suggested).
    """

    def __new__(cls, *values: Any, **options: Any) -> Self:
        _check_names(cls, options, cls.__name__)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if _KEY in field.metadata:
                object.__setattr__(self, field.name, _checked(field, getattr(self, field.name)))


@dataclass(frozen=True)
class NoOptions(Options):
    """Config of a plugin that has nothing to set."""


def option(
    default: object,
    doc: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] | None = None,
    optional: bool = False,
) -> Any:
    """A field of an `Options` class. Its annotation is int, float, bool, str or tuple (of numbers).

    Parameters
    ----------
    default : object
    doc : str
        One line: what it does.
    above, at_least, below, at_most : float, optional
        Bounds of a number, or of each number of a tuple.
    choices : tuple of str, optional
        The texts that are allowed.
    optional : bool, optional
        Whether None is a value too.

    Returns
    -------
    `dataclasses.Field`
    """
    bounds = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    bounds = {name: bound for name, bound in bounds.items() if bound is not None}
    about = {"doc": doc, "bounds": bounds, "choices": choices, "optional": optional}
    return dataclasses.field(default=default, metadata={_KEY: about})


def describe_options(config_class: type[Any]) -> list[dict[str, Any]]:
    """What can be set in a config class.

    Parameters
    ----------
    config_class : type
        A dataclass; of one that does not use `~galmerge_da.plugins.option`, less is known.

    Returns
    -------
    list of dict
        For each option: ``name``, ``default`` (None also if there is none),
        ``values`` (what is allowed, in words) and ``doc``.
    """
    described = []
    for field in dataclasses.fields(config_class):
        if not field.init:
            continue
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        kind = getattr(field.type, "__name__", str(field.type))
        known = _KEY in field.metadata
        described.append(
            {
                "name": field.name,
                "default": None if default is dataclasses.MISSING else default,
                "values": _expected(field) if known else kind,
                "doc": field.metadata[_KEY]["doc"] if known else "",
            }
        )
    return described


def make_config(config_class: type[_Config], options: Mapping[str, Any] | None, owner: str) -> _Config:
    """Make a config dataclass from a user's options.

    Parameters
    ----------
    config_class : type
        A dataclass that checks its values in ``__post_init__``.
    options : mapping or None
        Names and values; None means all defaults.
    owner : str
        What is being configured, for the message.

    Returns
    -------
    object
        An instance of ``config_class``.

    Raises
    ------
    ConfigError
        If the options are no mapping, or one is not known (the closest one is
        suggested), is missing, or is refused by the class.
    """
    if options is not None and not isinstance(options, Mapping):
        raise ConfigError(f"{owner}: options must map names to values, got {options!r}")
    options = dict(options or {})
    _check_names(config_class, options, owner)
    try:
        return config_class(**options)
    except _OptionError as error:
        raise ConfigError(f"{owner}: {error}") from None
    except ConfigError as error:
        raise error if str(error).startswith(owner) else ConfigError(f"{owner}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{owner}: {error}") from error


def _check_names(config_class, options, owner):
    known = [field.name for field in dataclasses.fields(config_class) if field.init]
    for name in options:
        if name not in known:
            raise ConfigError(f"{owner} has no option {name!r}{suggest(name, known)}")


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name.

    Parameters
    ----------
    name : str
        What was asked for.
    known : iterable of str
        What there is.

    Returns
    -------
    str
        ``"; did you mean 'x'?"`` where something is close, else the known names.
    """
    known = sorted(known)
    lowered = {each.lower(): each for each in reversed(known)}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1)
    return f"; did you mean {lowered[close[0]]!r}?" if close else f"; known: {', '.join(known) or 'none'}"


def _checked(field, value):
    """The value of a field in the field's own type; `_OptionError` if it is refused."""
    about = field.metadata[_KEY]
    if value is None and about["optional"]:
        return None
    if field.type is tuple:
        value = value.tolist() if hasattr(value, "tolist") else value
        numbers = tuple(value) if isinstance(value, list | tuple) else ()
        valid = numbers and all(_is_number(number) and _in_bounds(number, about) for number in numbers)
        made = tuple(float(number) for number in numbers) if valid else None
    elif field.type is bool or field.type is str:
        valid = isinstance(value, field.type) and (about["choices"] is None or value in about["choices"])
        made = value
    else:
        whole = field.type is int
        valid = _is_number(value) and (not whole or isinstance(value, Integral)) and _in_bounds(value, about)
        made = field.type(value) if valid else None
    if not valid:
        raise _OptionError(f"{field.name} must be {_expected(field)}, got {value!r}")
    return made


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _in_bounds(value, about):
    return all(_BOUNDS[name][1](value, bound) for name, bound in about["bounds"].items())


def _expected(field):
    """What a field takes, in words."""
    about = field.metadata[_KEY]
    words = " or ".join(map(repr, about["choices"])) if about["choices"] else _NOUNS[field.type]
    bounds = " and ".join(f"{_BOUNDS[name][0]} {bound:g}" for name, bound in about["bounds"].items())
    return " ".join(filter(None, (words, bounds))) + (" or none" if about["optional"] else "")
