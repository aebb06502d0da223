"""``galmerge plugins``: what is installed, what it takes, and how to start one."""

import json
import shutil
import textwrap
from pathlib import Path
from typing import Any

import click

from galmerge_da.cli._host import Group, one_line

__all__ = ["plugins"]

_KINDS = click.Choice(["loss", "backbone", "survey"])
_JSON: dict[str, Any] = {"is_flag": True, "help": "Print JSON."}
_GAP = "  "


@click.group(cls=Group, invoke_without_command=True)
@click.option("--kind", type=_KINDS, help="List one kind only.")
@click.option("--json", "as_json", **_JSON)
@click.pass_context
def plugins(ctx, kind, as_json):
    """List the losses, backbones and surveys that are installed.

    The environment variable GALMERGE_DA_PLUGINS selects among them: names of distributions, separated by commas, with
    a '-' before those to block.
    """
    if ctx.invoked_subcommand is not None:
        if kind or as_json:
            raise click.UsageError(f"give options after '{ctx.invoked_subcommand}'.")
    else:
        with one_line(ctx):
            _list(kind, as_json)


def _list(kind, as_json):
    from galmerge_da.plugins import describe_plugins

    described = describe_plugins(kind)
    if as_json:
        click.echo(json.dumps(described, indent=2))
        return
    columns = ("kind", "name", "distribution", "version")
    header, *lines = _table([columns, *([each[key] for key in columns] for each in described)])
    click.echo(header)
    for line, each in zip(lines, described, strict=True):
        click.echo(line)
        _paragraph(each["summary"], "    ")
        _paragraph(each["reference"], "    ")


@plugins.command()
@click.argument("name")
@click.option("--kind", type=_KINDS, help="Show the plugin of this kind only.")
@click.option("--json", "as_json", **_JSON)
def show(name, kind, as_json):
    """Show all that is known of the plugin NAME: its options, or its quantities if it is a survey."""
    from galmerge_da.plugins import describe_plugin

    described = describe_plugin(name, kind)
    if as_json:
        click.echo(json.dumps(described, indent=2, default=str))
        return
    for number, each in enumerate(described):
        click.echo(("\n" if number else "") + f"{each['kind']} {name}, from {each['distribution']} {each['version']}")
        _paragraph(each["summary"] if each["kind"] != "survey" else "")
        _paragraph(each["reference"] and f"Reference: {each['reference']}")
        if each["kind"] == "survey":
            _show_quantities(each)
        else:
            for title, key in (("Options", "options"), ("Options of every loss", "weight_options")):
                if key in each:
                    _show_options(title, each[key])


@plugins.command()
@click.argument("name")
@click.option("--kind", type=_KINDS, default="loss", help="What the plugin offers.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write.  [default: ./NAME]")
def new(name, kind, output):
    """Write a package with a working plugin NAME, to be changed into one's own."""
    from galmerge_da.scaffold import new_plugin

    paths = new_plugin(name, kind, output)
    folder = paths[0].parent
    click.echo(f"{folder}: {', '.join(str(path.relative_to(folder)) for path in paths)}")
    click.echo(f"Next: pip install -e '{folder}[test]' && pytest {folder} && galmerge plugins show {name}")


def _show_options(title, options):
    click.echo(f"\n{title}" if options else "\nNo options of its own")
    rows = [(each["name"], _text(each["default"]), f"{each['doc']} ({each['values']})".strip()) for each in options]
    for line in _table([("name", "default", "what it does (what it takes)"), *rows]) if rows else ():
        click.echo(f"{_GAP}{line}")


def _show_quantities(described):
    rows, facts = [["name", "unit", *described["bands"]]], []
    for each in described["quantities"]:
        if isinstance(each["value"], dict):
            rows.append([each["name"], each["unit"], *map(_text, each["value"].values())])
        else:
            facts.append([each["name"], each["unit"], _text(each["value"])])
    for title, table in (("Band by band", rows), ("For all bands", facts)):
        click.echo(f"\n{title}")
        for line in _table(table):
            click.echo(f"{_GAP}{line}")


def _table(rows):
    """Lines of aligned columns; the last one is wrapped to the terminal's width."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    offset = sum(widths) + len(_GAP) * len(widths)
    lines = []
    for row in rows:
        start = _GAP.join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), ""])
        text = textwrap.wrap(row[-1], max(30, _width() - offset - len(_GAP))) or [""]
        lines.append(f"\n{_GAP}{' ' * offset}".join([start + text[0], *text[1:]]).rstrip())
    return lines


def _paragraph(text, indent=""):
    if text:
        click.echo(textwrap.fill(text, _width(), initial_indent=indent, subsequent_indent=indent))


def _text(value):
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _width():
    return shutil.get_terminal_size((100, 24)).columns
