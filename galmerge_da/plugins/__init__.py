"""The plugin host: hook specifications, discovery and look-up.

Authors of plugins need only what is listed here, and
`galmerge_da.adaptation` for losses. Built-in losses, backbones and surveys
come in by the same entry points as everyone else's.
"""

from galmerge_da.options import NoOptions, Options, option
from galmerge_da.plugins.describe import describe_plugin, describe_plugins
from galmerge_da.plugins.hookspecs import GROUPS, hookimpl, hookspec
from galmerge_da.plugins.manager import (
    PluginRecord,
    create_manager,
    get_backbone,
    get_loss,
    get_survey,
    list_plugins,
    reset,
)
from galmerge_da.plugins.requests import WeightOptions, parse_adapt
from galmerge_da.specs import BackboneSpec, LossSpec, SurveySpec

__all__ = [
    "GROUPS",
    "BackboneSpec",
    "LossSpec",
    "NoOptions",
    "Options",
    "PluginRecord",
    "SurveySpec",
    "WeightOptions",
    "create_manager",
    "describe_plugin",
    "describe_plugins",
    "get_backbone",
    "get_loss",
    "get_survey",
    "hookimpl",
    "hookspec",
    "list_plugins",
    "option",
    "parse_adapt",
    "reset",
]
