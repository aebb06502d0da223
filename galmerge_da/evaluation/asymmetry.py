"""The sceptic's bar: rotational asymmetry of every cutout, without any training."""

from contextlib import closing
from typing import Any

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from galmerge_da.exceptions import InputError
from galmerge_da.io import Cutouts, CutoutSource, open_cutouts, prefetch
from galmerge_da.morphology import ASYMMETRY_RADII, SEARCH
from galmerge_da.photometry import edge_background, rotational_asymmetry
from galmerge_da.preprocessing import given_radii, linearise, measure_radii
from galmerge_da.resampling import resample

__all__ = ["galaxy_image", "rotational_asymmetry_table"]

#: Pixels per Petrosian radius at which asymmetry is measured; finer images are binned to it.
_SAMPLING = 1 / 0.024

#: Petrosian radii across the frame that a finer image is reduced to.
_FRAME = 10


def rotational_asymmetry_table(
    source: object, *, radii: float = ASYMMETRY_RADII, progress: bool = False, **options: Any
) -> Table:
    """Rotational asymmetry of every galaxy, as a column beside its others.

    Asymmetry needs no training, sees most mergers, and is fooled by face-on
    spirals and by stars on galaxies: the level that a network has to beat. It
    is measured on the mean of the bands, linearised where they are 8-bit
    pictures, less the median along the frame's edge.

    Parameters
    ----------
    source : object
        Cutouts in any form that `~galmerge_da.io.open_cutouts` takes, a
        `~galmerge_da.io.CutoutSource`, or `~galmerge_da.Cutouts`.
    radii : float, optional
        Radius of the circle it is measured in, in Petrosian radii.
    progress : bool, optional
        Show a progress bar.
    **options
        Further keywords of `~galmerge_da.io.open_cutouts`.

    Returns
    -------
    `~astropy.table.Table`
        The columns of the input without pixels, same rows, and ``asymmetry``:
        NaN where no radius is known and none could be measured, or where the
        image cannot be used.

    Raises
    ------
    InputError
        If ``radii`` is not positive, or the cutouts cannot be opened.

    See Also
    --------
    galmerge_da.photometry.rotational_asymmetry : The measurement itself.
    """
    if not 0 < radii < np.inf:
        raise InputError(f"radii must be a positive number, got {radii!r}")
    if not isinstance(source, Cutouts | CutoutSource):
        source = open_cutouts(source, chunk_size=64, **options)
    reading = prefetch([source] if isinstance(source, Cutouts) else source)
    with tqdm(total=len(source), disable=not progress, unit="galaxy") as bar, closing(reading) as chunks:
        values = [_measure(cutouts, radii, bar) for cutouts in chunks]
    table = source.table.copy()
    table["asymmetry"] = np.concatenate([np.zeros(0), *values])
    table["asymmetry"].description = f"rotational asymmetry within {radii:g} Petrosian radii"
    return table


def galaxy_image(cutouts, row, petrosian):
    """What the shape of a galaxy is measured on: the mean of the bands, not finer than needed.

    Parameters
    ----------
    cutouts : `~galmerge_da.Cutouts`
    row : int
        Position among them.
    petrosian : float
        Petrosian radius in pixels of the cutout; NaN to measure it.

    Returns
    -------
    image : `~numpy.ndarray` of float32, shape (H, W), or None
        Linear and background-subtracted, NaN where a pixel is bad; None where
        there is no image or no radius.
    petrosian : float
        In pixels of that image; NaN where unknown.
    """
    if cutouts.data[row].ndim != 3 or min(cutouts.data[row].shape) < 1:
        return None, np.nan
    flux = _flux(cutouts, row)
    if np.isnan(petrosian):
        petrosian = measure_radii(np.nan_to_num(flux)[None, None], np.zeros((1, 1)))[0]
    if not petrosian > 0 or not np.isfinite(flux).any():
        return None, np.nan
    if petrosian > 1.5 * _SAMPLING:
        flux = resample(np.nan_to_num(flux), round(_FRAME * _SAMPLING), width=_FRAME * petrosian)
        petrosian = _SAMPLING
    return flux, petrosian


def _measure(cutouts, radii, bar):
    values = np.full(len(cutouts), np.nan)
    given = given_radii(cutouts)
    for row in range(len(cutouts)):
        image, petrosian = galaxy_image(cutouts, row, given[row])
        if image is not None:
            search = max(1, round(SEARCH * petrosian))
            values[row] = rotational_asymmetry(image[None], radius=radii * petrosian, search=search)[0]
        bar.update()
    return values


def _flux(cutouts, row):
    """Mean of the bands of a cutout, linear and background-subtracted; NaN where a pixel is bad."""
    image = np.array(cutouts.data[row], dtype=np.float32)
    if cutouts.mask is not None:
        image[np.asarray(cutouts.mask[row], bool)] = np.nan
    image = linearise(image) if cutouts.stretched else image
    image = image[np.isfinite(image).any(axis=(1, 2))]
    flux = image.mean(axis=0) if len(image) else np.full(cutouts.data[row].shape[1:], np.nan)
    return flux - edge_background(flux[None, None])[0][0, 0]
