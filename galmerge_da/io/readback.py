"""What a file gives back of a catalogue: compared before the file takes its place."""

import json

import astropy.units as u
import numpy as np

from galmerge_da.exceptions import InputError

__all__ = ["lost"]

#: Values that are compared at a time.
_AT_ONCE = 2**20

#: What may differ, in the order in which it is said.
_ASPECTS = ("columns", "names", "units", "descriptions", "UCDs", "types", "masked values", "values", "meta")

_KINDS = {"b": "bool", "i": "whole numbers", "u": "whole numbers", "f": "numbers", "c": "complex numbers", "U": "text"}


def lost(table, meta, again):
    """What is not the same in a table that was read back.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Plain columns, as they were written.
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
    found = {what: [] for what in _ASPECTS}
    if len(again.colnames) == len(table.colnames):
        pairs = dict(zip(table.colnames, again.colnames, strict=True))
    else:
        pairs = {name: name for name in table.colnames if name in again.colnames}
        found["columns"] = [name for name in table.colnames if name not in pairs]
    for name, other in pairs.items():
        if name != other:
            found["names"].append(f"{name!r} is {other!r}")
        for what, how in _differences(table[name], again[other]):
            found[what].append(f"{name}: {how}" if how else name)
    there = again.meta
    found["meta"] = [key for key, value in meta.items() if key not in there or _json(there[key]) != _json(value)]
    return "; ".join(f"{what} ({', '.join(names)})" for what, names in found.items() if names)


def _json(value):
    return json.dumps(json.loads(json.dumps(value)), sort_keys=True)  # keys are text after the first way


def _differences(old, new):
    """Pairs: what is not the same of two columns, and how it is changed or None."""
    if _unit(old) != _unit(new):
        yield "units", None
    if (old.description or None) != (new.info.description or None):
        yield "descriptions", None
    if old.meta.get("ucd") != (new.info.meta or {}).get("ucd"):
        yield "UCDs", None
    if not len(old):
        return
    kinds = [_KINDS.get(each.dtype.kind, str(each.dtype)) for each in (old, new)]
    if kinds[0] != kinds[1] or old.shape != new.shape:
        yield "types", f"{kinds[0]}{_per_row(old)} is {kinds[1]}{_per_row(new)}"
        return
    masked, apart = _compare(old, new)
    if masked:
        yield "masked values", None
    if apart:
        yield "values", f"{apart[0]!r} is {apart[1]!r}"


def _unit(column):
    """None also where it is that of a number without one."""
    return None if column.unit == u.dimensionless_unscaled else column.unit


def _per_row(column):
    return "" if column.ndim == 1 else f" {column.shape[1:]}"


def _compare(old, new):
    """Whether other values are masked, and the first pair that differs, or None; some rows at a time."""
    step = max(1, _AT_ONCE // max(1, old[0].size if old.ndim > 1 else 1))
    otherwise, apart, masked_nan = False, None, [False, False]
    for start in range(0, len(old), step):
        masks, values = zip(*(_parts(each[start : start + step]) for each in (old, new)), strict=True)
        nan = [each != each for each in values]
        otherwise |= not np.array_equal(*masks)
        masked_nan[0] |= not np.array_equal(*(mask | each for mask, each in zip(masks, nan, strict=True)))
        masked_nan[1] |= bool(np.any(nan[0] & ~masks[0]))
        different = ~masks[0] & ~masks[1] & (values[0] != values[1]) & ~(nan[0] & nan[1])
        if apart is None and different.any():
            apart = [each[different][0].item() for each in values]
    return otherwise and any(masked_nan), apart


def _parts(column):
    """Mask and values."""
    return np.ma.getmaskarray(column), np.asarray(np.ma.getdata(column))
