"""The ``galmerge`` command: thin calls of the package's public functions.

The numbers are made elsewhere; here arguments come in and one line of text
goes out. Everything heavy is imported inside a command, so that ``--help`` is
quick and loads no torch.
"""

import click

from galmerge_da.cli._host import print_version, verbose_option
from galmerge_da.cli.classify import classify
from galmerge_da.cli.convert import convert
from galmerge_da.cli.cutouts import cutouts
from galmerge_da.cli.demo import demo
from galmerge_da.cli.download import download
from galmerge_da.cli.experiment import experiment
from galmerge_da.cli.plugins import plugins
from galmerge_da.cli.preprocess import preprocess
from galmerge_da.cli.simulate import simulate
from galmerge_da.cli.train import train

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help="Print the version."
)
def main():
    """Find merging galaxies in surveys that have no labels."""


main.params.append(verbose_option())
for command in (simulate, train, classify, cutouts, preprocess, demo, experiment, plugins, download, convert):
    main.add_command(command)
