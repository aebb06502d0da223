"""What the contract testers share: how checks are run, and what a failure says."""

import dataclasses

import torch

from galmerge_da.exceptions import ConfigError, PluginError
from galmerge_da.options import make_config

__all__ = ["agree", "check_options", "run_checks"]

#: How well two ways to the same numbers must agree.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


def run_checks(case, checks, plugin, setting=""):
    """Run checks until one finds a problem.

    Parameters
    ----------
    case : object
        What each check is given.
    checks : dict of str to callable
        Each gives None or the problem, in words.
    plugin : str
        Kind and name, for the message.
    setting : str, optional
        What is special about the case, for the message.

    Raises
    ------
    PluginError
        At the first problem, or the first exception in a check.
    """
    for name, check in checks.items():
        try:
            problem = check(case)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise PluginError(f"{plugin} fails the check {name!r}{setting}: {problem}") from error
        if problem:
            raise PluginError(f"{plugin} fails the check {name!r}{setting}: {problem}")


def check_options(config_class, options):
    """The problem of a config that takes any object for an option, or None.

    Parameters
    ----------
    config_class : type
    options : dict
        Options that are allowed.

    Returns
    -------
    str or None
    """
    for field in dataclasses.fields(config_class):
        if field.init:
            try:
                make_config(config_class, {**options, field.name: object()}, "it")
            except ConfigError:
                continue
            return f"{config_class.__name__} takes any object for {field.name!r}; check it in __post_init__"
    return None


def agree(first, second):
    """Whether two tensors are the same but for rounding: to 1e-4 of the larger norm.

    Parameters
    ----------
    first, second : `~torch.Tensor`
        Of the same shape.

    Returns
    -------
    bool
    """
    size = max(float(torch.linalg.vector_norm(each)) for each in (first, second))
    return float(torch.linalg.vector_norm(first - second)) <= _RELATIVE * size + _ABSOLUTE
