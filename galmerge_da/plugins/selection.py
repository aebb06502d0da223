"""Which of the installed plugins are used: the environment variable ``GALMERGE_DA_PLUGINS``."""

import os
import re
import warnings
from dataclasses import dataclass
from importlib.metadata import entry_points

from galmerge_da.exceptions import PluginWarning
from galmerge_da.options import suggest
from galmerge_da.plugins.hookspecs import GROUPS, PROJECT

__all__ = ["VARIABLE", "Selection", "read_selection"]

VARIABLE = "GALMERGE_DA_PLUGINS"


@dataclass(frozen=True)
class Selection:
    """What a user wants of the installed plugins; made by `read_selection`.

    Parameters
    ----------
    wanted, blocked : frozenset of str
        Normalised names of distributions or entry points. If any is wanted, no
        other is used, save the built-in ones; what is blocked never is.
    """

    wanted: frozenset = frozenset()
    blocked: frozenset = frozenset()

    def allows(self, point):
        """Whether an entry point is to be used.

        Parameters
        ----------
        point : `importlib.metadata.EntryPoint`

        Returns
        -------
        bool
            Always true for the built-in ones.
        """
        if _is_builtin(point):
            return True
        names = _names(point)
        return not names & self.blocked and (not self.wanted or bool(names & self.wanted))


def read_selection():
    """The selection that ``GALMERGE_DA_PLUGINS`` makes.

    Returns
    -------
    Selection
        Of everything, if the variable is not set, or empty.

    Warns
    -----
    PluginWarning
        For each name that no installed plugin has, and if the built-in ones are blocked.
    """
    words = [word.strip() for word in os.environ.get(VARIABLE, "").split(",")]
    wanted = {_normalise(word) for word in words if word and not word.startswith("-")}
    blocked = {_normalise(word[1:]) for word in words if word.startswith("-") and word[1:].strip()}
    points = [point for group, *_ in GROUPS.values() for point in entry_points(group=group)]
    known = {_normalise(PROJECT)}.union(*map(_names, points))
    for name in sorted((wanted | blocked) - known):
        _warn(f"no installed plugin comes from, or is the entry point, {name!r}{suggest(name, known)}")
    if _normalise(PROJECT) in blocked:
        _warn("the built-in plugins cannot be blocked")
    return Selection(frozenset(wanted), frozenset(blocked))


def _is_builtin(point):
    distribution = getattr(point, "dist", None)
    return distribution is not None and _normalise(distribution.name) == _normalise(PROJECT)


def _names(point):
    """The normalised names that an entry point goes by: its own and its distribution's."""
    distribution = getattr(point, "dist", None)
    return {_normalise(name) for name in (point.name, distribution and distribution.name) if name}


def _normalise(name):
    """As PEP 503 does it: ``-``, ``_`` and ``.`` are one, case does not count."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _warn(message):
    warnings.warn(f"{VARIABLE}: {message}", PluginWarning, stacklevel=3)
