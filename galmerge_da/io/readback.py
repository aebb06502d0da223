"""What a file gives back of a catalogue: compared before the file takes its place."""

import json

import numpy as np

from galmerge_da.exceptions import InputError

__all__ = ["lost"]

_KINDS = {"b": "bool", "i": "whole numbers", "u": "whole numbers", "f": "numbers", "c": "complex numbers", "U": "text"}


def lost(table, meta, again):
    """What is not the same in a table that was read back.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Columns of one value a row, as they were written.
    meta : dict
        As it was written.
    again : `~astropy.table.Table`
        As it was read.

    Returns
    -------
    str
        Such as ``"units (ra, dec); types (code: text is whole numbers)"``; empty if nothing is lost.
        A masked number that is NaN counts as lost only where others are NaN.

    Raises
    ------
    InputError
        If rows are gone.
    """
    if len(again.colnames) and len(again) != len(table):
        raise InputError(f"{len(again)} rows would come back of {len(table)}")
    found = {"meta": [key for key, value in meta.items() if _json(again.meta.get(key)) != _json(value)]}
    if len(again.colnames) == len(table.colnames):
        pairs = dict(zip(table.colnames, again.colnames, strict=True))
    else:
        pairs = {name: name for name in table.colnames if name in again.colnames}
        found["columns"] = [name for name in table.colnames if name not in pairs]
    for name, other in pairs.items():
        if name != other:
            found.setdefault("names", []).append(f"{name!r} is {other!r}")
        for what, how in _differences(table[name], again[other]):
            found.setdefault(what, []).append(f"{name}: {how}" if how else name)
    return "; ".join(f"{what} ({', '.join(names)})" for what, names in found.items() if names)


def _json(value):
    return json.dumps(value, sort_keys=True)


def _differences(old, new):
    """Pairs: what is not the same of two columns, and how it is changed or None."""
    if (old.unit or None) != (new.unit or None):
        yield "units", None
    if (old.description or None) != (new.info.description or None):
        yield "descriptions", None
    if old.meta.get("ucd") != (new.info.meta or {}).get("ucd"):
        yield "UCDs", None
    if not len(old):
        return
    kinds = [_KINDS.get(each.dtype.kind, str(each.dtype)) for each in (old, new)]
    if kinds[0] != kinds[1]:
        yield "types", f"{kinds[0]} is {kinds[1]}"
        return
    masks, values = zip(*map(_parts, (old, new)), strict=True)
    if not np.array_equal(*masks):
        blank = [mask | (value != value) for mask, value in zip(masks, values, strict=True)]
        if not np.array_equal(*blank) or np.any(blank[0] & ~masks[0]):
            yield "masked values", None
    apart = ~masks[0] & ~masks[1] & (values[0] != values[1]) & ~((values[0] != values[0]) & (values[1] != values[1]))
    if apart.any():
        row = np.flatnonzero(apart)[0]
        yield "values", f"{values[0][row].item()!r} is {values[1][row].item()!r}"


def _parts(column):
    """Mask and values; text as numpy compares it."""
    return np.ma.getmaskarray(column), np.asarray(np.ma.getdata(column))
