"""``galmerge train``: a classifier from labelled source and unlabelled target."""

from pathlib import Path

import click

from galmerge_da.cli._host import Command, check_output, show_table

__all__ = ["train"]


def _parse_adapt(ctx, param, words):
    """The losses that are asked for, or None."""
    from galmerge_da.exceptions import ConfigError
    from galmerge_da.plugins import parse_adapt

    try:
        return parse_adapt(words) or None
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None


@click.command(cls=Command)
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.option("--target", type=click.Path(path_type=Path), help="Unlabelled cutouts to adapt to.")
@click.option("--recipe", type=click.Path(path_type=Path), help="TOML file; the options here override it.")
@click.option(
    "--adapt", metavar="NAME[.OPTION]=VALUE", multiple=True, callback=_parse_adapt,
    help="A loss and its weight, or an option of it, as mmd=1.0 or dann.max_lambda=0.5; repeatable.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the source at most; 200 without a recipe.")
@click.option("--backbone", help="Name of the network.  [default: the recipe's, or deepmerge]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of everything random.  [default: the recipe's, or 0]")
@click.option("--init", type=click.Path(path_type=Path), help="Model file to start from.")
@click.option("--device", help="cpu, cuda or mps.  [default: the best there is]")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model file to write.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def train(source, target, recipe, adapt, epochs, backbone, seed, init, device, output, overwrite, progress):
    """Train a classifier on SOURCE, a data set of cutouts with a column of labels.

    SOURCE may be left out where the recipe says what to simulate. Several
    processes share the work if they are started by torchrun:
    torchrun --nproc-per-node 2 -m galmerge_da train ...
    """
    if source is None and recipe is None:
        raise click.UsageError("give SOURCE, or --recipe with what to simulate.")
    check_output(output, overwrite, (".safetensors",))
    from galmerge_da.experiments import run_recipe
    from galmerge_da.training import is_first_process, read_tables
    from galmerge_da.training.memory import keep_memory

    keep_memory()
    recipe = recipe or {}
    if epochs is not None:
        recipe = read_tables(recipe)
        recipe["training"] = {**recipe.get("training", {}), "epochs": epochs}
    given = {"adapt": adapt, "backbone": backbone, "seed": seed, "init": init, "device": device}
    given = {name: value for name, value in given.items() if value is not None}
    first = is_first_process()
    result = run_recipe(recipe, source, target, progress=progress and first, **given)
    if not first:
        return
    result.classifier.save(output)
    show_table(result.scores)
    click.echo(f"{output}: epoch {result.selected}")
