"""A ledger of every look at real labels: one JSON line each, only ever appended."""

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from galmerge_da.exceptions import InputError

__all__ = ["append_look", "check_ledger", "read_ledger"]

_TEXT = ("date", "version", "dataset", "command", "model_sha256", "note")


def append_look(
    path: str | PathLike[str],
    *,
    dataset: str,
    command: str,
    model_sha256: str | None = None,
    figures: Mapping[str, float | np.integer[Any] | np.floating[Any]],
    note: str = "",
) -> dict[str, Any]:
    """Record one look at real labels.

    Parameters
    ----------
    path : str or path-like
        The ledger; made if it is not there.
    dataset : str
        Which labels were looked at.
    command : str
        How the figures were made.
    model_sha256 : str or None, optional
        Hash of the model's weights; None for what needs no model.
    figures : dict of str to number
        What was seen.
    note : str, optional
        Anything a reader should know.

    Returns
    -------
    dict
        The line as written, with the date (UTC) and the version of the package.

    Raises
    ------
    InputError
        If a figure is no number, or is called like a column of the ledger.
    """
    for name, value in figures.items():
        if name in _TEXT:
            raise InputError(f"ledger: a figure cannot be called {name!r}; that is a column of the ledger")
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise InputError(f"ledger: figure {name!r} must be a number, got {value!r}")
    look = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version("galmerge_da"),
        "dataset": str(dataset),
        "command": str(command),
        "model_sha256": model_sha256,
        "figures": {str(name): _plain(value) for name, value in figures.items()},
        "note": str(note),
    }
    line = (json.dumps(look, ensure_ascii=False, allow_nan=False) + "\n").encode()
    # One write to a file opened for appending: lines of processes that write at once do not mix.
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        end = os.lseek(handle, 0, os.SEEK_END)
        broken = end > 0 and os.pread(handle, 1, end - 1) != b"\n"
        os.write(handle, b"\n" + line if broken else line)
        os.fsync(handle)
    finally:
        os.close(handle)
    return look


def check_ledger(path: str | PathLike[str]) -> None:
    """Check that a look can be written down, before it is prepared for hours.

    Parameters
    ----------
    path : str or path-like
        The ledger; it need not be there yet.

    Raises
    ------
    InputError
        If the file or its folder cannot be written to, or a line is not a look.
    """
    path = Path(path)
    if path.exists():
        read_ledger(path)
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        reason = "no permission" if path.absolute().parent.is_dir() else "no such folder"
        raise InputError(f"ledger {path} cannot be written to: {reason}")


def read_ledger(path: str | PathLike[str]) -> Table:
    """Every look, in the order of the file.

    Parameters
    ----------
    path : str or path-like
        A ledger that `append_look` wrote.

    Returns
    -------
    `~astropy.table.Table`
        ``date``, ``version``, ``dataset``, ``command``, ``model_sha256``
        (empty where there is no model), ``note``, and one column per figure,
        NaN where a look has none of that name.

    Raises
    ------
    InputError
        If the file is missing or a line is not a look.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [(number, line) for number, line in enumerate(file, start=1) if line.strip()]
    except OSError as error:
        raise InputError(f"ledger {path} cannot be read: {error.strerror}") from error
    looks = []
    for number, line in lines:
        try:
            look = json.loads(line)
            looks.append({**{key: look[key] for key in _TEXT}, "figures": dict(look["figures"])})
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"ledger {path}, line {number}: not a look ({error})") from error
    names = list(dict.fromkeys(name for look in looks for name in look["figures"]))
    table = Table({key: np.array([look[key] or "" for look in looks], dtype=str) for key in _TEXT})
    for name in names:
        values = [look["figures"].get(name) for look in looks]
        table[name] = np.array([np.nan if value is None else value for value in values], float)
    return table


def _plain(value):
    """A figure as JSON has it: null where it is not finite."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if math.isfinite(value) else None
