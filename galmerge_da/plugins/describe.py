"""What is known of the installed plugins, in plain values: for ``galmerge plugins``, in text or JSON."""

import dataclasses
from typing import Any

from galmerge_da.exceptions import PluginError
from galmerge_da.options import describe_options, suggest
from galmerge_da.plugins.manager import list_plugins
from galmerge_da.plugins.requests import WeightOptions

__all__ = ["describe_plugin", "describe_plugins"]

#: Fields of a survey that are no quantities, and those that are a range.
_NOT_QUANTITIES = {"name", "bands", "reference"}
_RANGES = {"magnitude", "radius"}


def describe_plugins(kind: str | None = None) -> list[dict[str, Any]]:
    """Everything that is installed, in plain values.

    Parameters
    ----------
    kind : str, optional
        A key of `~galmerge_da.plugins.GROUPS`; all kinds by default.

    Returns
    -------
    list of dict
        ``kind``, ``name``, ``summary`` (of a survey: its bands), ``reference``,
        ``distribution``, ``version``, and of a survey ``bands``.

    Raises
    ------
    PluginError
        As `~galmerge_da.plugins.list_plugins`.
    """
    return [_overview(record) for record in list_plugins(kind)]


def describe_plugin(name: str, kind: str | None = None) -> list[dict[str, Any]]:
    """All that is known of the plugins of one name.

    Parameters
    ----------
    name : str
    kind : str, optional
        A key of `~galmerge_da.plugins.GROUPS`; all kinds by default.

    Returns
    -------
    list of dict
        Of each kind that has the name, what `describe_plugins` gives; of a loss
        and a backbone also ``options``, as
        `galmerge_da.options.describe_options` lists them; of a loss
        ``weight_options``, those that every loss has; of a survey
        ``quantities``, a list of dicts with ``name``, ``unit`` and ``value``,
        which is itself a dict where each band has its own.

    Raises
    ------
    PluginError
        If no plugin has the name, and as `~galmerge_da.plugins.list_plugins`.
    """
    records = list_plugins(kind)
    found = [record for record in records if record.spec.name == name]
    if not found:
        names = {record.spec.name for record in records}
        raise PluginError(f"no {kind or 'plugin'} is called {name!r}{suggest(name, names)}")
    return [_overview(record) | _details(record) for record in found]


def _overview(record):
    spec = record.spec
    bands = {"bands": list(spec.bands)} if record.kind == "survey" else {}
    return {
        "kind": record.kind,
        "name": spec.name,
        "summary": ", ".join(spec.bands) if bands else spec.summary,
        "reference": spec.reference,
        "distribution": record.distribution,
        "version": record.version,
        **bands,
    }


def _details(record):
    if record.kind == "survey":
        return {"quantities": _quantities(record.spec)}
    details = {"options": describe_options(record.spec.config_class)}
    return details | ({"weight_options": describe_options(WeightOptions)} if record.kind == "loss" else {})


def _quantities(spec):
    described = []
    for field in dataclasses.fields(spec):
        if field.name in _NOT_QUANTITIES:
            continue
        value, unit = getattr(spec, field.name), ""
        if hasattr(value, "unit"):
            value, unit = value.value.tolist(), str(value.unit)
        if isinstance(value, list) and field.name not in _RANGES:
            value = dict(zip(spec.bands, value, strict=True))
        described.append({"name": field.name, "unit": unit, "value": value})
    return described
