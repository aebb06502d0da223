"""``galmerge plugins``: what is installed."""

import click

from galmerge_da.cli._host import Command

__all__ = ["plugins"]

_COLUMNS = ("kind", "name", "version", "distribution", "summary")


@click.command(cls=Command)
@click.option("--kind", type=click.Choice(["loss", "backbone", "survey"]), help="List one kind only.")
def plugins(kind):
    """List the losses, backbones and surveys that are installed."""
    from galmerge_da.plugins import list_plugins

    rows = [
        (each.kind, each.spec.name, each.version, each.distribution, _summary(each.spec)) for each in list_plugins(kind)
    ]
    widths = [max(len(row[i]) for row in [_COLUMNS, *rows]) for i in range(len(_COLUMNS))]
    for row in [_COLUMNS, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _summary(spec):
    """The plugin's own summary; for a survey, its bands."""
    return spec.summary if hasattr(spec, "summary") else ", ".join(spec.bands)
