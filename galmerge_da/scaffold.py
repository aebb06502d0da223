"""A new plugin package, written from the templates inside this one: `new_plugin`."""

import datetime
import importlib.util
import keyword
import re
import sys
from importlib.metadata import version
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.plugins import GROUPS, list_plugins

__all__ = ["new_plugin"]

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")

#: Kind -> (what its module imports beside galmerge_da, how a user asks for it).
_KINDS = {
    "loss": ("torch", "galmerge train source.fits --target target.fits --adapt {}=0.1 -o model.safetensors"),
    "backbone": ("torch", "galmerge train source.fits --backbone {} -o model.safetensors"),
    "survey": ("astropy", "galmerge simulate --survey {} -n 12 -o galaxies.fits"),
}


def new_plugin(name: str, kind: str = "loss", folder: str | PathLike[str] | None = None) -> list[Path]:
    """Write a package that can be installed and offers one plugin.

    It works as it is, and its tests pass: an author changes it step by step.

    Parameters
    ----------
    name : str
        Of the plugin and of the distribution: lower-case letters and digits,
        joined by ``-`` or ``_``. The module has ``_`` throughout.
    kind : str, optional
        A key of `~galmerge_da.plugins.GROUPS`.
    folder : path-like, optional
        Where to write: a new or empty folder, by default one of that name in
        the current folder.

    Returns
    -------
    list of `~pathlib.Path`
        The files that were written; the first is ``pyproject.toml``.

    Raises
    ------
    ConfigError
        If the name is malformed, a module has it already, or Python does not
        allow it for one.
    InputError
        If the folder is a file, or is not empty.
    PluginError
        If there is no such kind.
    """
    installed = {record.spec.name for record in list_plugins(kind)}
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"a name is lower-case letters and digits joined by '-' or '_', got {name!r}")
    module = name.replace("-", "_")
    if name in installed:
        raise ConfigError(f"a {kind} called {name!r} is installed already")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or importlib.util.find_spec(module):
        raise ConfigError(f"the module of {name!r} would be {module!r}, which Python has already; take another name")
    folder = Path(name if folder is None else folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder")
    needs, usage = _KINDS[kind]
    values = {
        "name": name,
        "kind": kind,
        "module": module,
        "class": "".join(part.capitalize() for part in module.split("_")),
        "group": GROUPS[kind][0],
        "needs": needs,
        "usage": usage.format(name),
        "underline": "=" * len(name),
        "version": version("galmerge_da"),
        "year": datetime.date.today().year,
    }
    templates = files("galmerge_da") / "templates"
    paths = []
    for source, path in {
        "pyproject.toml": "pyproject.toml",
        "README.rst": "README.rst",
        "LICENSE.rst": "LICENSE.rst",
        f"{kind}.py": f"src/{module}/__init__.py",
        f"test_{kind}.py": f"tests/test_{module}.py",
    }.items():
        text = Template((templates / f"{source}.in").read_text(encoding="utf-8")).substitute(values)
        paths.append(folder / path)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_text(text, encoding="utf-8")
    return paths
