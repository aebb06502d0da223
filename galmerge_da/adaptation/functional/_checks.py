"""What every loss does with its arguments first."""

import torch

from galmerge_da.exceptions import ConfigError, InputError

__all__ = ["check_choice", "check_labels", "check_pair", "check_rows", "in_full_precision", "row_weights"]


def in_full_precision(*tensors):
    """Tensors of half precision in float32, the others as they are."""
    made = [each.float() if each.dtype in (torch.float16, torch.bfloat16) else each for each in tensors]
    return made[0] if len(made) == 1 else made


def check_rows(name, rows):
    """InputError unless ``rows`` has shape (N, D), N and D at least 1."""
    if rows.ndim != 2 or 0 in rows.shape:
        raise InputError(f"{name}: expected rows of shape (N, D), not empty, got {tuple(rows.shape)}")


def check_pair(name, source, target):
    """InputError unless the samples have shapes (N, D) and (M, D), N and M at least 1."""
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        shapes = f"{tuple(source.shape)} and {tuple(target.shape)}"
        raise InputError(f"{name}: samples must have shapes (N, D) and (M, D), got {shapes}")
    if 0 in (*source.shape, *target.shape):
        raise InputError(f"{name}: a sample is empty: {tuple(source.shape)} and {tuple(target.shape)}")


def check_labels(name, labels, n, n_classes):
    """InputError unless ``labels`` are N whole numbers from 0 to K - 1."""
    if labels is None:
        raise InputError(f"{name}: labels are None: a target has none")
    if labels.shape != (n,) or labels.dtype.is_floating_point or labels.dtype == torch.bool:
        raise InputError(f"{name}: labels must be whole numbers of shape ({n},), got {tuple(labels.shape)}")
    if labels.device.type == "cpu" and (int(labels.min()) < 0 or int(labels.max()) >= n_classes):
        raise InputError(f"{name}: labels must be 0 to {n_classes - 1}, got {int(labels.min())} to {int(labels.max())}")


def check_choice(name, option, value, known):
    """ConfigError unless ``value`` is one of ``known``."""
    if value not in known:
        raise ConfigError(f"{name}: {option} must be {' or '.join(map(repr, known))}, got {value!r}")


def row_weights(name, weight, rows):
    """How much each of N rows counts, adding up to 1; equally if ``weight`` is None."""
    n = len(rows)
    if weight is None:
        return rows.new_full((n,), 1 / n)
    if weight.shape != (n,):
        raise InputError(f"{name}: weights must have shape ({n},), got {tuple(weight.shape)}")
    weight = weight.detach().to(rows)
    total = weight.sum()
    if weight.device.type == "cpu" and not (bool((weight >= 0).all()) and 0 < float(total) < float("inf")):
        raise InputError(f"{name}: weights must be finite and at least 0, and not all be 0")
    return weight / total
