"""``galmerge simulate``: one FITS table of simulated galaxies."""

from pathlib import Path

import click

from galmerge_da.cli._host import Command, check_output

__all__ = ["simulate"]


@click.command(cls=Command)
@click.option("--survey", default="deepmerge-z2", help="How the galaxies are observed.")
@click.option("-n", "--number", type=click.IntRange(min=1), required=True, help="Number of galaxies.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Same seed, same galaxies.")
@click.option("--jobs", type=click.IntRange(min=1), show_default="one per core", help="Number of processes.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="FITS file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def simulate(survey, number, seed, jobs, output, overwrite, progress):
    """Simulate galaxies, half of them merging, as a survey sees them."""
    check_output(output, overwrite, (".fits", ".fit"))
    from galmerge_da.io import save_cutouts
    from galmerge_da.simulation import simulate as run

    table = run(number, survey, seed=seed, n_jobs=jobs, progress=progress)
    save_cutouts(table, output, overwrite=overwrite)
    click.echo(f"{output}: {len(table)} galaxies, {int(sum(table['label'] == 1))} mergers, survey {survey}")
