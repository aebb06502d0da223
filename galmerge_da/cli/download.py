"""``galmerge download``: the data of the published studies."""

from pathlib import Path

import click

from galmerge_da.cli._host import Command

__all__ = ["download"]


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), show_default="astropy's cache",
    help="Folder for the files.",
)  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="List the data sets and their files.")
@click.option("--verify", is_flag=True, help="Compare files that are there already with what is published too.")
@click.option("--progress/--no-progress", default=True, help="Show progress bars.")
def download(name, output, listing, verify, progress):
    """Fetch the published data set NAME; an interrupted download goes on where it ended."""
    if (name is None) != listing:
        raise click.UsageError("give either NAME or --list.")
    from galmerge_da.io import DATASETS
    from galmerge_da.io import download as run

    if listing:
        for dataset in DATASETS.values():
            click.echo(f"{dataset.name}: {dataset.summary}\n    {dataset.reference}")
            for file in dataset.files:
                click.echo(f"    {dataset.url(file)}")
        return
    paths = run(name, output, verify=verify, progress=progress)
    size = sum(path.stat().st_size for path in paths)
    click.echo(f"{paths[0].parent}: {len(paths)} files, {size / 1e6:.1f} MB: {', '.join(path.name for path in paths)}")
