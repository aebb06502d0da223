"""``galmerge demo``: the whole way, on simulated galaxies."""

from pathlib import Path

import click

from galmerge_da.cli._host import Command

__all__ = ["demo"]


@click.command(cls=Command)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="galmerge-demo",
    help="Folder to write to; files of an earlier demo are replaced.",
)  # fmt: skip
@click.option(
    "-n", "--number", type=click.IntRange(min=60), show_default="2000; quick: 200", help="Galaxies per domain."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, help="Same seed, same outcome.")
@click.option("--quick", is_flag=True, help="Small and short: shows that everything runs, not how well.")
@click.option("--progress/--no-progress", default=True, help="Show progress bars.")
def demo(output, number, seed, quick, progress):
    """Simulate two domains, train without and with adaptation, classify, report."""
    from galmerge_da.experiments import format_scores, run_demo

    size = {"n": 200, "epochs": 2} if quick else {}
    if number is not None:
        size["n"] = number
    scores = run_demo(output, seed=seed, progress=progress, **size)
    click.echo(format_scores(scores))
    click.echo(f"catalogue, ROC curves and montage: {output}")
