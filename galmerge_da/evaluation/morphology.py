"""The classical measures of a galaxy's shape, as columns beside a catalogue's others."""

from contextlib import closing
from typing import Any

import numpy as np
from astropy.table import Table
from tqdm import tqdm

from galmerge_da.evaluation.asymmetry import galaxy_image
from galmerge_da.flags import Flag
from galmerge_da.inference.catalogue import append_columns, flags_column, morphology_columns
from galmerge_da.io import Cutouts, CutoutSource, open_cutouts, prefetch
from galmerge_da.morphology import MEASURES, measure_morphology
from galmerge_da.preprocessing import given_radii

__all__ = ["morphology_table"]


def morphology_table(source: object, *, progress: bool = False, **options: Any) -> Table:
    """Asymmetry, Gini, M20, concentration and smoothness of every galaxy.

    They are measured as `rotational_asymmetry_table` does: on the mean of the
    bands, linearised where they are 8-bit pictures, less the median along the
    frame's edge, with the radius that is given or else measured. Images with
    more than 62 pixels in a Petrosian radius are binned first.

    Parameters
    ----------
    source : object
        Cutouts in any form that `~galmerge_da.io.open_cutouts` takes, a
        `~galmerge_da.io.CutoutSource`, or `~galmerge_da.Cutouts`.
    progress : bool, optional
        Show a progress bar.
    **options
        Further keywords of `~galmerge_da.io.open_cutouts`.

    Returns
    -------
    `~astropy.table.Table`
        The columns of the input without pixels, same rows, same order, and
        those of `~galmerge_da.morphology.MEASURES` and ``flags``. What could
        not be measured is NaN; the row then has ``NO_MORPHOLOGY`` among its
        flags, and ``RADIUS_MEASURED`` or ``RADIUS_UNKNOWN`` where none was given.

    Raises
    ------
    InputError
        If the cutouts cannot be opened.

    Warns
    -----
    InputWarning
        If the input has a column of one of these names; it is renamed.

    See Also
    --------
    galmerge_da.morphology.measure_morphology : The measurement itself.
    """
    if not isinstance(source, Cutouts | CutoutSource):
        source = open_cutouts(source, chunk_size=64, **options)
    reading = prefetch([source] if isinstance(source, Cutouts) else source)
    with tqdm(total=len(source), disable=not progress, unit="galaxy") as bar, closing(reading) as chunks:
        measured = [_measure(cutouts, bar) for cutouts in chunks]
    values = {name: np.concatenate([np.zeros(0), *(chunk[name] for chunk, _ in measured)]) for name in MEASURES}
    flags = np.concatenate([np.zeros(0, np.int32), *(chunk for _, chunk in measured)])
    return append_columns(source.table, [*morphology_columns(values), flags_column(flags)])


def _measure(cutouts, bar):
    """Values and flags of some cutouts, images of one shape together."""
    given = given_radii(cutouts)
    flags = np.array(cutouts.flags, np.int32)
    values = {name: np.full(len(cutouts), np.nan) for name in MEASURES}
    radii, by_shape = np.full(len(cutouts), np.nan), {}
    for row in range(len(cutouts)):
        image, radii[row] = galaxy_image(cutouts, row, given[row])
        if image is not None:
            by_shape.setdefault(image.shape, []).append((row, image))
    for stack in by_shape.values():
        rows = [row for row, _ in stack]
        for name, measured in measure_morphology(np.stack([image for _, image in stack]), radii[rows]).items():
            values[name][rows] = measured
    bar.update(len(cutouts))
    unknown = np.isnan(given)
    flags[unknown] |= np.where(np.isnan(radii[unknown]), Flag.RADIUS_UNKNOWN, Flag.RADIUS_MEASURED)
    flags[np.isnan(list(values.values())).any(axis=0)] |= Flag.NO_MORPHOLOGY
    return values, flags
