"""Checkpoints: everything a run needs to go on as if it had never stopped."""

import os
import pickle
from pathlib import Path

import torch

from galmerge_da.exceptions import TrainingError

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path, state):
    """Write a checkpoint; the file is complete or the one before it stays.

    Parameters
    ----------
    path : path-like
    state : dict
        Tensors, numbers, text, and lists and dicts of them.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    torch.save(state, part)
    os.replace(part, path)


def load_checkpoint(path, run):
    """Read a checkpoint of a certain run; nothing but plain data is unpickled.

    Parameters
    ----------
    path : path-like
    run : str
        Fingerprint that the checkpoint must have been written with, as ``state["run"]``.

    Returns
    -------
    dict or None
        None if there is no checkpoint.

    Raises
    ------
    TrainingError
        If the file is damaged or belongs to another run.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        same = state["run"] == run
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} is not a checkpoint that can be resumed: {error}") from error
    if not same:
        raise TrainingError(
            f"{path} belongs to a run with other data or another recipe; remove it, or choose another output"
        )
    return state
