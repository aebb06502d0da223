"""The tables of commands, flags, surveys and plugins, made from the code: they cannot fall behind it."""

import click
import numpy as np
from astropy.table import Table

from galmerge_da.cli import main
from galmerge_da.experiments.score import make_parser
from galmerge_da.flags import describe_flags
from galmerge_da.inference.catalogue import HEADER, build_catalogue
from galmerge_da.morphology import MEASURES
from galmerge_da.options import describe_options
from galmerge_da.plugins import WeightOptions, list_plugins


def write_tables(folder):
    """Write every table into a folder, which is made if need be."""
    folder.mkdir(exist_ok=True)
    flags = [(f"``{name}``", bit, meaning) for name, bit, meaning in describe_flags()]
    tables = {
        "flags": table(("Flag", "Bit", "Meaning"), flags),
        "columns": table(("Column", "What it is", "Unit", "UCD"), columns()),
        "header": table(("Key", "What it says"), [(f"``{key}``", meaning) for key, meaning in HEADER.items()]),
        "surveys": table(
            ("Survey", "Bands", "Pixel", "PSF FWHM (arcsec)", "Depth (AB mag, 5 sigma)", "Reference"), surveys()
        ),
        "weight_options": table(("Option", "Default", "Values", "What it does"), options(WeightOptions)),
        **{kind: table(("Name", "What it is", "Reference"), plugins(kind)) for kind in ("loss", "backbone")},
        "commands": commands(),
    }
    for name, text in tables.items():
        (folder / f"{name}.rst").write_text(text, encoding="utf-8")


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
    title = "python -m galmerge_da.experiments.score"
    text = "\n".join(f"   {line}".rstrip() for line in make_parser().format_help().splitlines())
    sections.append(f"{title}\n{'-' * len(title)}\n\n.. code-block:: text\n\n{text}\n")
    return "\n".join(sections)


def columns():
    """A row per column that `galmerge_da.classify` adds."""
    names = ("merger", "nonmerger")
    values, flags = np.zeros((1, 2)), np.zeros(1, np.int32)
    measured = dict.fromkeys(MEASURES, values[:, 0])
    made = build_catalogue(Table({"id": [0]}), values, values, values[:, 0], flags, names, {}, morphology=measured)
    for name in made.colnames[1:]:
        when = "; with ``morphology=True``" if name in MEASURES else ""
        unit, ucd = made[name].unit or "", made[name].meta["ucd"]
        yield f"``{name}``", f"{made[name].info.description}{when}", unit, f"``{ucd}``"


def surveys():
    """A row per installed survey."""
    for record in list_plugins("survey"):
        spec = record.spec
        radii = spec.radii_per_pixel
        scale = f"{radii} Petrosian radii" if radii else f"{spec.pixel_scale.value:g} arcsec"
        fwhm = ", ".join(f"{value:g}" for value in spec.psf_fwhm.value)
        depth = "no noise" if spec.depth is None else ", ".join(f"{value:g}" for value in spec.depth.value)
        yield f"``{spec.name}``", ", ".join(spec.bands), scale, fwhm, depth, spec.reference


def options(config_class):
    """A row per option of a config class."""
    for each in describe_options(config_class):
        yield f"``{each['name']}``", f"``{each['default']}``", each["values"], each["doc"]


def plugins(kind):
    """A row per installed loss or backbone."""
    for record in list_plugins(kind):
        yield f"``{record.spec.name}``", record.spec.summary, record.spec.reference
