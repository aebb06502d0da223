"""``galmerge classify``: a catalogue of merger probabilities."""

from pathlib import Path

import click

from galmerge_da.cli._host import Command, check_output, count_flags, split_bands

__all__ = ["classify"]


def _by_band(ctx, param, values):
    """A path, or a dict of band to path."""
    if len(values) == 1 and "=" not in values[0]:
        return values[0]
    if not all("=" in value for value in values):
        raise click.BadParameter("several need a band each, as --mosaic g=first.fits --mosaic r=second.fits.")
    images = dict(value.split("=", 1) for value in values)
    if len(images) < len(values):
        raise click.BadParameter("every band can be given once only.")
    return images


@click.command(cls=Command)
@click.argument("cutouts", type=click.Path(path_type=Path), required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Catalogue to write.")
@click.option("--model", type=click.Path(path_type=Path), show_default="the packaged one", help="Model file.")
@click.option("--image", default="image", help="Column of images, or of their paths; g,r,z: a column per band.")
@click.option("--bands", callback=split_bands, help="Names of the bands in order, as g,r,z.")
@click.option("--axes", type=click.Choice(["CHW", "HWC"]), default="CHW", help="Order of the image axes.")
@click.option("--survey", help="Survey the cutouts come from; see galmerge plugins.")
@click.option("--pixel-scale", type=click.FloatRange(min=0, min_open=True), help="Arcseconds per pixel.")
@click.option("--psf-fwhm", type=click.FloatRange(min=0, min_open=True), help="Width of the PSF in arcseconds.")
@click.option("--zero-point", type=float, help="AB magnitude of one unit of flux.")
@click.option("--mask", help="Column of masks, True where a pixel must not be used.")
@click.option("--radius", help="Column of Petrosian radii, in pixels or an angle.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Probability from which a row counts as a merger.")
@click.option("--device", show_default="the best there is", help="cpu, cuda or mps.")
@click.option("--n-threads", type=click.IntRange(min=1), help="CPU threads of the network.")
@click.option("--turns", is_flag=True, help="Mean over turns and flips of each frame; eight times the work.")
@click.option("--morphology", is_flag=True, help="Also measure asymmetry, Gini, M20, concentration and smoothness.")
@click.option("--catalog", type=click.Path(path_type=Path), help="Catalogue of positions to cut out of --mosaic.")
@click.option("--mosaic", multiple=True, callback=_by_band, help="FITS cube, or BAND=FILE once per band.")
@click.option("--size", type=click.IntRange(min=1), default=151, help="Side of what is cut out of a mosaic, in pixels.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def classify(cutouts, output, catalog, mosaic, size, bands, image, pixel_scale, psf_fwhm, overwrite, **options):
    """Give every galaxy of CUTOUTS the probability that it is merging.

    CUTOUTS is a data set of images (FITS, HDF5, Parquet or X.npy), a CSV or ECSV table with
    a column of image paths, or one image. With --catalog and --mosaic the
    cutouts are made first. OUTPUT ends in .fits, .ecsv, .vot, .parquet,
    .hdf5 or .csv.
    """
    if (cutouts is None) == (catalog is None):
        raise click.UsageError("give either CUTOUTS, or --catalog with --mosaic.")
    if (catalog is None) != (not mosaic):
        raise click.UsageError("--catalog and --mosaic go together.")
    if catalog is not None and options["mask"] is not None:
        raise click.UsageError("--mask names a column of CUTOUTS; there is none with --mosaic.")
    check_output(output, overwrite, (".fits", ".fit", ".ecsv", ".vot", ".xml", ".parquet", ".hdf5", ".h5", ".csv"))
    import astropy.units as u

    from galmerge_da.inference import classify as run
    from galmerge_da.io import open_field, read_catalog, write_catalog
    from galmerge_da.io.catalogs import check_format

    check_format(output)
    if pixel_scale is not None:
        options["pixel_scale"] = pixel_scale * u.arcsec
    if psf_fwhm is not None:
        options["psf_fwhm"] = psf_fwhm * u.arcsec
    if catalog is not None:
        names = ("survey", "pixel_scale", "psf_fwhm", "zero_point", "radius")
        reading = {name: options.pop(name) for name in names if name in options}
        cutouts = open_field(read_catalog(catalog), mosaic, size, bands=bands, **reading)
    else:
        options["bands"] = bands
    columns = tuple(image.split(","))
    table = run(cutouts, image=columns[0] if len(columns) == 1 else columns, **options)
    write_catalog(table, output, overwrite=overwrite)
    click.echo(f"{output}: {summarise(table)}")


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

    from galmerge_da.flags import Flag

    flags = np.asarray(table["flags"])
    n_classified = int(np.sum((flags & Flag.NOT_CLASSIFIED) == 0))
    parts = [f"{len(table)} rows", f"{n_classified} classified"]
    if "merger_prob" in table.colnames:
        threshold = table.meta["GMTHRESH"]
        probability = np.ma.filled(np.ma.asarray(table["merger_prob"], dtype=float), np.nan)
        parts.append(f"{int(np.sum(probability >= threshold))} with merger_prob of at least {threshold:g}")
    return ", ".join(parts) + count_flags(flags)
