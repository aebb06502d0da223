"""``galmerge convert``: a model file from a checkpoint of the published code."""

from pathlib import Path

import click

from galmerge_da.cli._host import Command, check_output

__all__ = ["convert"]


@click.command(cls=Command)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model file to write.")
@click.option(
    "--statistics", default="simsim-target",
    help="Domain of the paper whose images the model will see: simsim-source, simsim-target, simreal-source or "
    "simreal-target.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
def convert(checkpoint, output, statistics, overwrite):
    """Make a model file from CHECKPOINT, as the code of Ciprijanovic et al. 2021 saves it.

    No code in CHECKPOINT is run. It does not say how images were normalised:
    --statistics does.
    """
    check_output(output, overwrite, (".safetensors",))
    from galmerge_da.inference import convert_checkpoint

    classifier = convert_checkpoint(checkpoint, statistics=statistics)
    classifier.save(output)
    network = classifier.provenance["published_network"]
    click.echo(f"{output}: {network} for bands {','.join(classifier.bands)}, normalised as {statistics}")
