"""Names of bands: those of headers, of columns and of the caller."""

import re
import warnings

import numpy as np

from galmerge_da.exceptions import InputError, InputWarning

__all__ = ["bands_of_columns", "check_bands", "compare_order", "parse_bands", "single_band_hint"]


def parse_bands(value, n_bands):
    """Names of bands from a header: ``"i,r,g"`` or ``"grz"``; None if they are not ``n_bands`` names."""
    if not isinstance(value, str):
        return None
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if len(names) == 1 and n_bands > 1:
        names = tuple(names[0])
    return names if len(names) == n_bands and len(set(names)) == n_bands else None


def bands_of_columns(names):
    """Names of bands from the names of one column a band.

    Parameters
    ----------
    names : sequence of str
        As ``("image_g", "image_r")``; separators are ``_``, ``-``, ``.`` and space.

    Returns
    -------
    tuple of str, or None
        The words that not all of the columns share, ``("g", "r")``; None where
        they do not tell every column from the others, or only count them.
    """
    words = [[word for word in re.split(r"[_\-.\s]+", name) if word] for name in names]
    shared = set.intersection(*map(set, words))
    bands = tuple("_".join(word for word in each if word not in shared) for each in words)
    stems = {band.rstrip("0123456789") for band in bands}
    counted = len(stems) == 1 and len(*stems) != 1  # image1, image2; but W1, W2 and F062, F087 are bands
    return None if counted or not all(bands) or len(set(bands)) < len(bands) else bands


def check_bands(bands):
    """The caller's bands, names or ``"g,r,i"``, as a tuple or None; InputError if they are not different names."""
    if bands is None:
        return None
    given = bands.split(",") if isinstance(bands, str) else bands if np.iterable(bands) else ()
    names = tuple(name.strip() if isinstance(name, str) else name for name in given)
    if not names or len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"bands must be different names, such as ('g', 'r', 'i'), got {bands!r}")
    return names


def single_band_hint(n_bands, names):
    """What to say where images have one band and several are wanted: each band may have a file; empty otherwise."""
    if n_bands != 1 or len(names) < 2:
        return ""
    columns = ", ".join(map(repr, names))
    return (
        "; where every band has a file of its own, make a table with a column of files per band and name them, "
        f"image=({columns}) or --image {','.join(names)}"
    )


def compare_order(bands, columns, header):
    """Warn where the caller has the bands of the data in another order: columns and headers are seldom wrong."""
    stated, origin = (columns, "the columns are called") if columns else (header, "the header says")
    if stated and stated != bands and set(stated) == set(bands):
        warnings.warn(
            f"{origin} {', '.join(stated)}, bands says {', '.join(bands)}: the latter is believed; it names the bands "
            "in the order they have, and does not reorder them",
            InputWarning,
            stacklevel=4,
        )
