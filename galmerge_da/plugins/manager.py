"""Discovery: entry points in, specs by name out.

Hooks run once, when a kind of plugin is first asked for. A plugin that
cannot be loaded costs a warning and nothing else; two plugins that claim one
name, or a hook that does not exist, are errors that name both sides.
"""

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from galmerge_da.exceptions import PluginError, PluginWarning
from galmerge_da.options import suggest
from galmerge_da.plugins.hookspecs import GROUPS, PROJECT
from galmerge_da.plugins.selection import VARIABLE, read_selection
from galmerge_da.specs import BackboneSpec, LossSpec, SurveySpec

__all__ = [
    "PluginRecord",
    "collect",
    "create_manager",
    "get_backbone",
    "get_loss",
    "get_survey",
    "list_plugins",
    "reset",
]


@dataclass(frozen=True, eq=False)
class PluginRecord:
    """A spec and where it came from.

    Parameters
    ----------
    kind : str
        ``"loss"``, ``"backbone"`` or ``"survey"``.
    spec : object
        The spec itself.
    distribution, version : str
        The installed distribution that offers it, and its version.
    """

    kind: str
    spec: Any
    distribution: str
    version: str


def create_manager(kind: str, *, points: Iterable[EntryPoint] | None = None) -> pluggy.PluginManager:
    """Make a plugin manager for one kind and load its entry points.

    Parameters
    ----------
    kind : str
        A key of `~galmerge_da.plugins.GROUPS`.
    points : iterable of `importlib.metadata.EntryPoint`, optional
        What to load; by default the installed entry points of the kind's group
        that ``GALMERGE_DA_PLUGINS`` leaves.

    Returns
    -------
    `pluggy.PluginManager`

    Raises
    ------
    PluginError
        If there is no such kind, or a plugin implements a hook that does not exist.

    Warns
    -----
    PluginWarning
        For each plugin that cannot be loaded, or does not implement the hook of
        its group, and for a name in ``GALMERGE_DA_PLUGINS`` that no plugin has.
    """
    group, _, hook_name, _ = _group(kind)
    manager = pluggy.PluginManager(PROJECT)
    for _, hooks, _, _ in GROUPS.values():  # one module may implement several hooks
        manager.add_hookspecs(hooks)
    if points is None:
        selection = read_selection()
        points = [point for point in entry_points(group=group) if selection.allows(point)]
    for point in points:
        label = _label(point)
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:
            _warn(f"plugin {label} could not be loaded: {type(error).__name__}: {error}")
            continue
        if manager.is_registered(plugin):
            continue
        try:
            manager.register(plugin, name=label)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"plugin {label}: {' '.join(str(error).split())}") from error
        if all(implementation.plugin is not plugin for implementation in _implementations(manager, hook_name)):
            _warn(f"plugin {label} does not implement {hook_name}: is it marked with @hookimpl?")
    return manager


def _records(kind):
    """Name -> `PluginRecord` of one kind."""
    return _collect_once(kind, os.environ.get(VARIABLE))


@cache
def _collect_once(kind, selected):
    """The records as long as ``GALMERGE_DA_PLUGINS`` does not change."""
    return collect(kind, create_manager(kind))


def collect(kind, manager):
    """Run the hook of a manager and gather what its plugins offer.

    Parameters
    ----------
    kind : str
        A key of `~galmerge_da.plugins.GROUPS`.
    manager : `pluggy.PluginManager`
        As `create_manager` makes it.

    Returns
    -------
    dict of str to PluginRecord

    Raises
    ------
    PluginError
        If there is no such kind, or two plugins offer the same name.

    Warns
    -----
    PluginWarning
        For each plugin whose hook fails or gives something else than specs.
    """
    _, _, hook_name, spec_type = _group(kind)
    records = {}
    for implementation in _implementations(manager, hook_name):
        label = implementation.plugin_name
        try:
            specs = list(implementation.function())
            wrong = [spec for spec in specs if not isinstance(spec, spec_type)]
            if wrong:
                raise TypeError(f"{hook_name} must give {spec_type.__name__}s, got {wrong[0]!r}")
        except (Exception, SystemExit) as error:
            _warn(f"plugin {label} could not be asked: {type(error).__name__}: {error}")
            continue
        _, _, origin = label.rpartition(" from ")
        distribution, _, version = origin.partition(" ")
        for spec in specs:
            if spec.name in records:
                other = records[spec.name]
                if other.distribution == distribution:
                    raise PluginError(
                        f"{kind} {spec.name!r} is offered twice by {distribution} {version}; its author must rename "
                        f"one, until then block it with {VARIABLE}"
                    )
                raise PluginError(
                    f"{kind} {spec.name!r} is offered by both {other.distribution} {other.version} "
                    f"and {distribution} {version}; uninstall one, or block it with {VARIABLE}"
                )
            records[spec.name] = PluginRecord(kind, spec, distribution, version)
    return records


def list_plugins(kind: str | None = None) -> list[PluginRecord]:
    """Everything that is installed.

    Parameters
    ----------
    kind : str, optional
        A key of `~galmerge_da.plugins.GROUPS`; all kinds by default.

    Returns
    -------
    list of PluginRecord
        Sorted by kind, then name.

    Raises
    ------
    PluginError
        If there is no such kind, two plugins offer the same name, or one
        implements an unknown hook.
    """
    kinds = GROUPS if kind is None else (kind,)
    return [record for each in kinds for _, record in sorted(_records(each).items())]


def get_loss(name: str) -> LossSpec:
    """The loss of a name.

    Parameters
    ----------
    name : str
        As ``galmerge plugins`` lists it.

    Returns
    -------
    `~galmerge_da.specs.LossSpec`

    Raises
    ------
    PluginError
        If there is none; the message has the closest name.
    """
    return _get("loss", name)


def get_backbone(name: str) -> BackboneSpec:
    """The backbone of a name.

    Parameters
    ----------
    name : str
        As ``galmerge plugins`` lists it.

    Returns
    -------
    `~galmerge_da.specs.BackboneSpec`

    Raises
    ------
    PluginError
        If there is none; the message has the closest name.
    """
    return _get("backbone", name)


def get_survey(name: str) -> SurveySpec:
    """The survey of a name.

    Parameters
    ----------
    name : str
        As ``galmerge plugins`` lists it.

    Returns
    -------
    `~galmerge_da.specs.SurveySpec`

    Raises
    ------
    PluginError
        If there is none; the message has the closest name.
    """
    return _get("survey", name)


def reset() -> None:
    """Forget what was discovered, so that newly installed plugins are seen."""
    _collect_once.cache_clear()


def _get(kind, name):
    records = _records(kind)
    if name not in records:
        selected = f" ({VARIABLE} is {os.environ[VARIABLE]!r})" if os.environ.get(VARIABLE) else ""
        raise PluginError(f"no {kind} is called {name!r}{suggest(name, records)}{selected}")
    return records[name].spec


def _group(kind):
    if kind not in GROUPS:
        raise PluginError(f"there is no kind of plugin called {kind!r}{suggest(kind, GROUPS)}")
    return GROUPS[kind]


def _implementations(manager, hook_name):
    return getattr(manager.hook, hook_name).get_hookimpls()


def _label(point):
    distribution = getattr(point, "dist", None)
    origin = f"{distribution.name} {distribution.version}" if distribution else "unknown 0"
    return f"{point.group}:{point.name} from {origin}"


def _warn(message):
    warnings.warn(message, PluginWarning, stacklevel=3)
