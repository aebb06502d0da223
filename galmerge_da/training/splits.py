"""Splits by parent galaxy: the same group, the same split, in every domain and every row order."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SPLITS", "assign_splits"]

SPLITS = ("train", "validation", "test")


def assign_splits(
    groups: ArrayLike, fractions: Sequence[float] = (0.7, 0.1, 0.2), *, seed: int = 0
) -> NDArray[np.str_]:
    """Say for every row which split it belongs to.

    The split of a group follows from a hash of its name and the seed, and from
    nothing else: not from the other rows, their order or their number. So the
    two views that two surveys have of one galaxy share a split, and a galaxy
    keeps its split when others are added.

    Parameters
    ----------
    groups : array_like, shape (N,)
        Name of each row's parent galaxy; numbers or text.
    fractions : (float, float, float), optional
        Expected fraction of groups in training, validation and test; they add up to 1.
    seed : int, optional
        Another seed, other splits.

    Returns
    -------
    `~numpy.ndarray` of str, shape (N,)
        ``"train"``, ``"validation"`` or ``"test"``.
    """
    names, rows = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    edges = np.cumsum(fractions)[:-1]
    split = np.searchsorted(edges, [_position(name, seed) for name in names], side="right")
    return np.array(SPLITS)[split][rows] if len(names) else np.array([], dtype="<U10")


def _position(name, seed):
    """A number in [0, 1), as good as random."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
