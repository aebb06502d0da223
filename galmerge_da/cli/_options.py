"""Options that several commands share, and what the package's functions are called with for them."""

from pathlib import Path

import click

from galmerge_da.cli._host import split_bands

__all__ = ["bands", "catalog", "mask", "parse_images", "reading", "size", "take_reading", "weight"]


def parse_images(ctx, param, values):
    """Paths, one or several, or a dict of band to path, or to a list of them where there are tiles."""
    if not any("=" in value for value in values):
        return values[0] if len(values) == 1 else list(values)
    if not all("=" in value for value in values):
        raise click.BadParameter("give all with their band, as g=first.fits r=second.fits, or none.")
    images = {}
    for value in values:
        band, path = value.split("=", 1)
        images.setdefault(band, []).append(path)
    return {band: paths[0] if len(paths) == 1 else paths for band, paths in images.items()}


bands = click.option("--bands", callback=split_bands, help="Names of the bands in order, as g,r,z.")
catalog = click.option("--catalog", type=click.Path(path_type=Path), help="Catalogue of positions to cut out.")
size = click.option(
    "--size", default="151",
    help='Side of a cutout: pixels, "75x61" (height x width), an angle, "30 arcsec", or "8 radius", eight times a '
    "column of the catalogue.",
)  # fmt: skip
weight = click.option(
    "--weight", multiple=True, callback=parse_images,
    help="Map of inverse variance, as the images; repeatable. A band may have none.",
)  # fmt: skip
mask = click.option(
    "--mask", multiple=True, callback=parse_images,
    help="Map that is not 0 on bad pixels, as the images; repeatable. A band may have none.",
)  # fmt: skip

_READING = (
    click.option("--image", default="image", help="Column of images, or of their paths; g,r,z: a column per band."),
    bands,
    click.option("--axes", type=click.Choice(["CHW", "HWC"]), default="CHW", help="Order of the image axes."),
    click.option("--survey", help="Survey the cutouts come from; see galmerge plugins."),
    click.option("--pixel-scale", type=click.FloatRange(min=0, min_open=True), help="Arcseconds per pixel."),
    click.option("--psf-fwhm", type=click.FloatRange(min=0, min_open=True), help="Width of the PSF in arcseconds."),
    click.option("--zero-point", type=float, help="AB magnitude of one unit of flux."),
    click.option("--radius", help="Column of Petrosian radii, in pixels or an angle; or measure."),
)


def reading(command):
    """Add the options that say how cutouts are read."""
    for option in reversed(_READING):
        command = option(command)
    return command


def take_reading(options):
    """Take what `reading` added out of the options of a command.

    Parameters
    ----------
    options : dict
        Changed in place.

    Returns
    -------
    dict
        Keywords of `galmerge_da.io.open_cutouts`.
    """
    import astropy.units as u

    names = ("image", "bands", "axes", "survey", "pixel_scale", "psf_fwhm", "zero_point", "radius")
    taken = {name: options.pop(name) for name in names}
    columns = tuple(taken["image"].split(","))
    taken["image"] = columns[0] if len(columns) == 1 else columns
    for name in ("pixel_scale", "psf_fwhm"):
        taken[name] = None if taken[name] is None else taken[name] * u.arcsec
    return taken
