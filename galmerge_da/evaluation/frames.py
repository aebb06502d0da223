"""The frames that a classifier sees, for whatever wants to look at its inside."""

from typing import Any

import numpy as np
from astropy.table import Column, Table

from galmerge_da.flags import Flag
from galmerge_da.inference import MergerClassifier
from galmerge_da.inference.api import name_bands
from galmerge_da.inference.catalogue import append_columns, flags_column
from galmerge_da.io import open_cutouts, prefetch
from galmerge_da.preprocessing import Frames, PreprocessingRecipe, preprocess, warn_of_mismatch

__all__ = ["frames_table", "iterate_frames", "make_frames", "usable_rows"]

#: Keys of a header that are no longer true of frames.
_ABOUT_IMAGES = ("SURVEY", "BANDS", "STRETCH", "RADPIX", "PIXSCALE", "MAGZERO", "ZEROPNT", "FLUXUNIT")

#: Galaxies read at once.
_CHUNK = 256


def make_frames(classifier: MergerClassifier, cutouts: object, **options: Any) -> Frames:
    """What a classifier makes of cutouts before its network sees them.

    Parameters
    ----------
    classifier : `~galmerge_da.MergerClassifier`
    cutouts : object
        Whatever `galmerge_da.classify` takes; `~galmerge_da.preprocessing.Frames`
        are taken as they are.
    **options
        Keywords of `galmerge_da.io.open_cutouts` that say how to read them.

    Returns
    -------
    `~galmerge_da.preprocessing.Frames`
        One row per galaxy.

    Raises
    ------
    InputError
        If the cutouts cannot be read or do not fit the classifier.
    """
    parts = list(iterate_frames(classifier, cutouts, **options))
    if len(parts) == 1:
        return parts[0]
    size = classifier.preprocessing.size
    nothing = Frames(
        np.zeros((0, classifier.network.in_channels, size, size), np.float32), np.zeros(0, np.int32), np.zeros(0)
    )
    parts = parts or [nothing]
    return Frames(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("data", "flags", "radius")))


def iterate_frames(classifier, cutouts, **options):
    """`make_frames` a chunk at a time.

    Parameters
    ----------
    classifier, cutouts, **options
        As for `make_frames`.

    Yields
    ------
    `~galmerge_da.preprocessing.Frames`
    """
    if isinstance(cutouts, Frames):
        yield cutouts
        return
    source = open_cutouts(cutouts, chunk_size=_CHUNK, **options)
    for chunk in prefetch(name_bands(source, classifier.bands)):
        yield preprocess(chunk, classifier.preprocessing)


def usable_rows(frames):
    """Row numbers of the frames that can be classified, shape (M,)."""
    return np.flatnonzero((frames.flags & Flag.NOT_CLASSIFIED) == 0)


def frames_table(recipe: PreprocessingRecipe, cutouts: object, **options: Any) -> Table:
    """The frames that a recipe makes of cutouts, as a data set to look at or to keep.

    Parameters
    ----------
    recipe : `~galmerge_da.preprocessing.PreprocessingRecipe`
        That of a classifier is its ``preprocessing``.
    cutouts : object
        Whatever `galmerge_da.classify` takes.
    **options
        Keywords of `galmerge_da.io.open_cutouts` that say how to read them.

    Returns
    -------
    `~astropy.table.Table`
        The columns without pixels, ``image`` (C, size, size), linear and without
        sky, ``image_radius`` (Petrosian radius in pixels of the image), ``flags``, and
        where it is known ``pixel_scale`` (that of the frame). The meta is what `galmerge_da.io.save_cutouts` knows.

    Raises
    ------
    InputError
        If the cutouts cannot be read or do not fit the recipe.

    Warns
    -----
    InputWarning
        If they do not fit it in a way that a flag tells, or a column had to be renamed.
    """
    source = open_cutouts(cutouts, chunk_size=_CHUNK, **options)
    n_bands = len(recipe.bands or range(source.n_bands))
    images = np.zeros((len(source), n_bands, recipe.size, recipe.size), np.float32)
    flags, (radius, scale) = np.zeros(len(source), np.int32), np.full((2, len(source)), np.nan)
    for chunk in prefetch(name_bands(source, recipe.bands)):
        frames = preprocess(chunk, recipe)
        images[chunk.row], flags[chunk.row], radius[chunk.row] = frames.data, frames.flags, frames.radius
        scale[chunk.row] = _frame_scale(chunk, frames, recipe)
    warn_of_mismatch(flags, source, recipe)
    columns = [
        Column(images, name="image", description="linear frame without sky (band, y, x)", copy=False),
        Column(radius, name="image_radius", unit="pix", description="Petrosian radius in pixels of the image"),
        flags_column(flags),
    ]
    table = source.table.copy(copy_data=False)
    if np.isfinite(scale).any():
        if "pixel_scale" in table.colnames:  # that of the images
            table.remove_column("pixel_scale")
        columns.append(Column(scale, name="pixel_scale", unit="arcsec", description="of a pixel of the frame"))
    table = append_columns(table, columns, stacklevel=3)
    for key in [key for key in table.meta if str(key).upper() in _ABOUT_IMAGES]:
        del table.meta[key]
    bands = recipe.bands or source.bands
    about = {
        "BANDS": bands and ",".join(bands),
        "STRETCH": False,
        "RADPIX": recipe.frame_radii / recipe.size if recipe.scale == "radius" else None,
        "PIXSCALE": recipe.pixel_scale,
        "ZEROPNT": recipe.flux and f"{recipe.flux.zero_point:g}",
    }
    table.meta.update({key: value for key, value in about.items() if value is not None})
    return table


def _frame_scale(cutouts, frames, recipe):
    """Arcsec per pixel of each frame, shape (N,); NaN where unknown."""
    if cutouts.pixel_scale is None:
        return np.full(len(cutouts), np.nan)
    scale = np.broadcast_to(cutouts.pixel_scale.to_value("arcsec"), len(cutouts))
    if recipe.scale == "pixels":
        return scale if recipe.pixel_scale is None else np.where(np.isnan(scale), np.nan, recipe.pixel_scale)
    width = np.array([max(image.shape[1:]) for image in cutouts.data], float)
    if recipe.scale == "radius":
        width = np.where(np.isnan(frames.radius), width, recipe.frame_radii * frames.radius)
    return scale * width / recipe.size
