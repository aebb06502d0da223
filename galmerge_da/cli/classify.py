"""``galmerge classify``: a catalogue of merger probabilities."""

from pathlib import Path

import click

from galmerge_da.cli import _options
from galmerge_da.cli._host import Command, check_output, count_flags

__all__ = ["classify"]


@click.command(cls=Command)
@click.argument("cutouts", type=click.Path(path_type=Path), required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Catalogue to write.")
@click.option("--model", type=click.Path(path_type=Path), show_default="the packaged one", help="Model file.")
@_options.reading
@click.option(
    "--mask", multiple=True,
    help="Column of masks, True where a pixel must not be used; or maps for --mosaic, as in galmerge cutouts.",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0, 1), show_default="the model's own, of the packaged one 0.5",
    help="Probability from which a row counts as a merger.",
)  # fmt: skip
@click.option("--device", show_default="the best there is", help="cpu, cuda or mps.")
@click.option("--n-threads", type=click.IntRange(min=1), help="CPU threads of the network.")
@click.option("--turns", is_flag=True, help="Mean over turns and flips of each frame; eight times the work.")
@click.option("--morphology", is_flag=True, help="Also measure asymmetry, Gini, M20, concentration and smoothness.")
@_options.catalog
@click.option(
    "--mosaic", multiple=True, callback=_options.parse_images,
    help="FITS cube, or BAND=FILE once per band, to cut out of; a band given again is another tile.",
)  # fmt: skip
@_options.size
@_options.weight
@click.option(
    "--montage", type=click.Path(path_type=Path),
    help="Also draw the thirty most probable mergers: a .png, .pdf or .svg.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def classify(cutouts, output, catalog, mosaic, size, weight, mask, montage, overwrite, **options):
    """Give every galaxy of CUTOUTS the probability that it is merging.

    CUTOUTS is a folder of image files, a data set of images (FITS, HDF5, Parquet or X.npy), a CSV or
    ECSV table with a column of image paths, or one image. With --catalog and --mosaic the
    cutouts are made first, as galmerge cutouts makes them. OUTPUT ends in .fits, .ecsv, .vot, .parquet,
    .hdf5 or .csv.
    """
    if (cutouts is None) == (catalog is None):
        raise click.UsageError("give either CUTOUTS, or --catalog with --mosaic.")
    if (catalog is None) != (not mosaic):
        raise click.UsageError("--catalog and --mosaic go together.")
    if catalog is None and weight:
        raise click.UsageError("--weight goes with --mosaic.")
    check_output(output, overwrite, (".fits", ".fit", ".ecsv", ".vot", ".xml", ".parquet", ".hdf5", ".h5", ".csv"))
    if montage is not None:
        check_output(montage, overwrite, (".png", ".pdf", ".svg"))
    from galmerge_da.inference import classify as run
    from galmerge_da.io import open_field, read_catalog, write_catalog
    from galmerge_da.io.catalogs import check_format

    check_format(output)
    reading = _options.take_reading(options)
    if catalog is None:
        reading["mask"] = list(mask) or None
    else:
        maps = {"weights": weight or None, "masks": _options.parse_images(None, None, mask) or None}
        facts = {name: reading.pop(name) for name in list(reading) if name not in ("image", "axes")}
        cutouts = open_field(read_catalog(catalog), mosaic, size, **maps, **facts)
    table = run(cutouts, **reading, **options)
    write_catalog(table, output, overwrite=overwrite)
    click.echo(f"{output}: {summarise(table)}")
    if montage is not None:
        from galmerge_da.visualization import plot_candidates

        plot_candidates(table, cutouts, model=options["model"], **reading).figure.savefig(montage, dpi=200)
        click.echo(f"{montage}: the most probable mergers, each with its probability and row")


def summarise(table):
    """What a catalogue holds, in one line.

    Parameters
    ----------
    table : `~astropy.table.Table`
        As `galmerge_da.classify` gives it, for two classes or more.

    Returns
    -------
    str
    """
    import numpy as np

    from galmerge_da.flags import DOUBTFUL, Flag

    flags = np.asarray(table["flags"])
    n_classified = int(np.sum((flags & Flag.NOT_CLASSIFIED) == 0))
    parts = [f"{len(table)} rows", f"{n_classified} classified"]
    if "merger_prob" in table.colnames:
        threshold = table.meta["GMTHRESH"]
        probability = np.ma.filled(np.ma.asarray(table["merger_prob"], dtype=float), np.nan)
        mergers = probability >= threshold
        part = f"{int(np.sum(mergers))} with merger_prob of at least {threshold:g}"
        doubtful = int(np.sum(mergers & ((flags & DOUBTFUL) != 0)))
        parts.append(f"{part} ({doubtful} of them doubtful, see flags)" if doubtful else part)
    return ", ".join(parts) + count_flags(flags)
