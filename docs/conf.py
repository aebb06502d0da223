"""Sphinx configuration; the tables of commands, flags, surveys and plugins are made from the code."""

from pathlib import Path

import click

import galmerge_da
from galmerge_da.cli import main
from galmerge_da.flags import describe_flags
from galmerge_da.options import describe_options
from galmerge_da.plugins import WeightOptions, list_plugins

project = "galmerge_da"
author = "The galmerge_da developers"
copyright = f"2026, {author}"
version = release = galmerge_da.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc"]
exclude_patterns = ["_build", "_generated"]
html_theme = "alabaster"
html_theme_options = {"description": "Merging galaxies in surveys that have no labels", "fixed_sidebar": True}
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False

GENERATED = Path(__file__).parent / "_generated"


def table(header, rows):
    """A reStructuredText list-table."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def contexts(parent):
    """The context of a command, and of all commands below it."""
    yield parent
    for name, command in getattr(parent.command, "commands", {}).items():
        yield from contexts(click.Context(command, parent, info_name=name))


def commands():
    """A section per command with what its ``--help`` says."""
    sections = []
    for context in contexts(click.Context(main, info_name="galmerge", **main.context_settings)):
        title = context.command_path
        text = "\n".join(f"   {line}".rstrip() for line in context.get_help().splitlines())
        sections.append(f"{title}\n{'-' * len(title)}\n\n.. code-block:: text\n\n{text}\n")
    return "\n".join(sections)


def survey_rows():
    """A row per installed survey."""
    for record in list_plugins("survey"):
        spec = record.spec
        scale = f"{spec.radii_per_pixel} Petrosian radii" if spec.radii_per_pixel else f'{spec.pixel_scale.value:g}"'
        fwhm = ", ".join(f"{value:g}" for value in spec.psf_fwhm.value)
        depth = "no noise" if spec.depth is None else ", ".join(f"{value:g}" for value in spec.depth.value)
        yield f"``{spec.name}``", ", ".join(spec.bands), scale, fwhm, depth, spec.reference


def option_rows(config_class):
    """A row per option of a config class."""
    for each in describe_options(config_class):
        yield f"``{each['name']}``", f"``{each['default']}``", each["values"], each["doc"]


def plugin_rows(kind):
    """A row per installed loss or backbone."""
    for record in list_plugins(kind):
        yield f"``{record.spec.name}``", record.spec.summary, record.spec.reference


GENERATED.mkdir(exist_ok=True)
(GENERATED / "commands.rst").write_text(commands())
(GENERATED / "flags.rst").write_text(
    table(("Flag", "Bit", "Meaning"), [(f"``{name}``", bit, meaning) for name, bit, meaning in describe_flags()])
)
(GENERATED / "surveys.rst").write_text(
    table(("Survey", "Bands", "Pixel", 'PSF FWHM (")', "Depth (AB mag, 5 sigma)", "Reference"), survey_rows())
)
(GENERATED / "weight_options.rst").write_text(
    table(("Option", "Default", "Values", "What it does"), option_rows(WeightOptions))
)
for kind in ("loss", "backbone"):
    (GENERATED / f"{kind}.rst").write_text(table(("Name", "What it is", "Reference"), plugin_rows(kind)))
