"""``galmerge cutouts``: a data set of cutouts from images of a field, or from a server."""

from pathlib import Path

import click

from galmerge_da.cli import _options
from galmerge_da.cli._host import Command, check_output, count_flags

__all__ = ["cutouts"]


@click.command(cls=Command)
@click.argument("images", nargs=-1, callback=_options.parse_images)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Data set to write.")
@_options.catalog
@click.option("--find", is_flag=True, help="Find the sources in IMAGES instead.")
@_options.size
@_options.bands
@_options.weight
@_options.mask
@click.option("--neighbours", is_flag=True, help="Also mark the pixels of other sources.")
@click.option("--service", help="Ask a server instead: legacy, hips2fits or sdss.")
@click.option("--survey", help="What the server calls the images: layer, HiPS with {band}, or data release.")
@click.option("--pixel-scale", type=click.FloatRange(min=0, min_open=True), help="Arcseconds per pixel, of a server.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), default=1.0, help="Requests a second to a server.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds to wait for a server.")
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False), show_default="OUTPUT.parts",
    help="Folder for what a server sent; it is not asked for again.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@click.option("--progress/--no-progress", default=True, help="Show a progress bar.")
def cutouts(images, output, catalog, find, size, bands, service, overwrite, **options):
    """Cut galaxies out of IMAGES of their field, or ask a server for them.

    IMAGES is a FITS cube, or a file a band: g=g.fits r=r.fits. A band given again is
    another tile of the field; so are several cubes. Single images without their band
    are told by what they cover. OUTPUT ends in .fits or .hdf5; where every galaxy has
    its own size, the smaller ones have a blank margin in it.
    """
    if service is not None and (images or find or catalog is None):
        raise click.UsageError("--service needs --catalog, and neither IMAGES nor --find.")
    if service is None and (not images or find == (catalog is not None)):
        raise click.UsageError("give IMAGES, with either --catalog or --find, or --service with --catalog.")
    check_output(output, overwrite, (".fits", ".fit", ".hdf5", ".h5"))
    import numpy as np

    from galmerge_da.io import save_cutouts
    from galmerge_da.io.catalogs import check_format
    from galmerge_da.io.uniform import one_size

    check_format(output)
    if service is None:
        table = _cut(images, catalog, size, bands, options)
    else:
        table = _ask(service, catalog, size, bands, options, options["cache"] or output.with_suffix(".parts"))
    table = one_size(table)
    save_cutouts(table, output, overwrite=overwrite)
    shape = " x ".join(map(str, table["image"].shape[1:]))
    click.echo(f"{output}: {len(table)} cutouts of {shape}{count_flags(np.asarray(table['flags']))}")


def _cut(images, catalog, size, bands, options):
    """Cutouts from images."""
    from galmerge_da.io import extract_cutouts, find_sources, read_catalog

    maps = {"weights": options["weight"] or None, "masks": options["mask"] or None, "bands": bands}
    segments = None
    if catalog is None or options["neighbours"]:
        found, segments = find_sources(images, return_segments=True, **maps)
    catalog = found if catalog is None else read_catalog(catalog)
    return extract_cutouts(catalog, images, size, segments=segments if options["neighbours"] else None, **maps)


def _ask(service, catalog, size, bands, options, folder):
    """Cutouts from a server."""
    import astropy.units as u

    from galmerge_da.io import fetch_cutouts, read_catalog

    scale = options["pixel_scale"] and options["pixel_scale"] * u.arcsec
    chosen = {name: options[name] for name in ("survey", "rate", "timeout", "progress")}
    return fetch_cutouts(read_catalog(catalog), service, size, folder, bands=bands, pixel_scale=scale, **chosen)
