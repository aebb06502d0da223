"""``galmerge preprocess``: the frames that a network sees, or how one of them came about."""

from pathlib import Path

import click

from galmerge_da.cli import _options
from galmerge_da.cli._host import Command, check_output

__all__ = ["preprocess"]

_PICTURES = (".png", ".pdf", ".svg")


@click.command(cls=Command)
@click.argument("cutouts", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Data set or picture to write.")
@click.option("--explain", metavar="ID", help="Draw this galaxy through each step instead of writing frames.")
@click.option("--column", default="id", help="Column of IDs; without one, an ID is a row number, from 0.")
@click.option("--model", type=click.Path(path_type=Path), show_default="the packaged one", help="Model file.")
@click.option("--recipe", type=click.Path(path_type=Path), help="TOML file with [preprocessing], instead of a model.")
@_options.reading
@click.option("--mask", help="Column of masks, True where a pixel must not be used.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
def preprocess(cutouts, output, explain, column, model, recipe, mask, overwrite, **options):
    """Turn CUTOUTS into the frames that a network sees.

    CUTOUTS is what galmerge classify takes. The frames go into OUTPUT, a data
    set (.fits). With --explain, OUTPUT is a picture (.png, .pdf or .svg) of one
    galaxy after each step, with what the step changed and, for a model, the
    channels that its network sees.
    """
    if model is not None and recipe is not None:
        raise click.UsageError("give --model or --recipe, not both.")
    check_output(output, overwrite, (".fits", ".fit") if explain is None else _PICTURES)
    from galmerge_da.evaluation import explain_galaxy, frames_table
    from galmerge_da.inference import MergerClassifier, default_model_path
    from galmerge_da.io import save_cutouts
    from galmerge_da.preprocessing import PreprocessingRecipe
    from galmerge_da.training import read_tables

    options = {"mask": mask, **_options.take_reading(options)}
    if recipe is None:
        model = MergerClassifier.load(model or default_model_path())
    else:
        model = PreprocessingRecipe.from_dict(read_tables(recipe).get("preprocessing", {}))
    if explain is None:
        table = frames_table(getattr(model, "preprocessing", model), cutouts, **options)
        save_cutouts(table, output, overwrite=overwrite)
        click.echo(f"{output}: {len(table)} frames of {' x '.join(map(str, table['image'].shape[1:]))}")
        return
    from galmerge_da.visualization import plot_steps

    explanation = explain_galaxy(model, cutouts, explain, column=column, **options)
    plot_steps(explanation)[0, 0].figure.savefig(output, dpi=200)
    click.echo(f"{output}: {explanation.id} in {len(explanation.steps) - 1} steps")
