"""The frames that a classifier sees, for whatever wants to look at its inside."""

import numpy as np

from galmerge_da.flags import Flag
from galmerge_da.inference.api import name_bands
from galmerge_da.io import open_cutouts
from galmerge_da.preprocessing import Frames, preprocess

__all__ = ["iterate_frames", "make_frames", "usable_rows"]

#: Galaxies read at once.
_CHUNK = 256


def make_frames(classifier, cutouts, **options):
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
    for chunk in name_bands(source, classifier.bands):
        yield preprocess(chunk, classifier.preprocessing)


def usable_rows(frames):
    """Row numbers of the frames that can be classified, shape (M,)."""
    return np.flatnonzero((frames.flags & Flag.NOT_CLASSIFIED) == 0)
