"""``galmerge download``: the data of the published studies, and what the packaged model has seen."""

from pathlib import Path

import click

from galmerge_da.cli._host import Command

__all__ = ["download"]

_PICTURES = "sdss-pictures"


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for the files.",
    show_default="astropy's cache, or sdss-pictures",
)  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="List the data sets and their files.")
@click.option("--verify", is_flag=True, help="Compare files that are there already with what is published too.")
@click.option("--progress/--no-progress", default=True, help="Show progress bars.")
def download(name, output, listing, verify, progress):
    """Fetch the published data set NAME; an interrupted download goes on where it ended.

    sdss-pictures are the unlabelled pictures that the packaged model is adapted to.
    """
    if (name is None) != listing:
        raise click.UsageError("give either NAME or --list.")
    from galmerge_da.io import DATASETS
    from galmerge_da.io import download as run

    if listing:
        for dataset in DATASETS.values():
            click.echo(f"{dataset.name}: {dataset.summary}\n    {dataset.reference}")
            for file in dataset.files:
                click.echo(f"    {dataset.url(file)}")
        click.echo(f"{_PICTURES}: the pictures that the packaged model is adapted to\n    SDSS DR7, SkyServer")
        return
    if name == _PICTURES:
        return _download_pictures(output or Path(_PICTURES), progress)
    paths = run(name, output, verify=verify, progress=progress)
    size = sum(path.stat().st_size for path in paths)
    click.echo(f"{paths[0].parent}: {len(paths)} files, {size / 1e6:.1f} MB: {', '.join(path.name for path in paths)}")


def _download_pictures(folder, progress):
    """Those whose ids are packaged beside the model."""
    from astropy.table import Table

    from galmerge_da.inference import default_model_path
    from galmerge_da.io import fetch_sdss_pictures

    seen = Table.read(default_model_path().with_name("default_galaxies.ecsv"))
    table = fetch_sdss_pictures(seen, folder, progress=progress)
    n_there = sum(bool(name) for name in table["filename"])
    n_same = table["same"].sum()
    click.echo(f"{folder / 'pictures.ecsv'}: {n_there} of {len(table)} pictures, {n_same} with the expected pixels")
