"""Where a network runs, and in which precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from galmerge_da.exceptions import ConfigError

__all__ = ["autocast", "choose_device"]


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Check a device, or take the best there is.

    Parameters
    ----------
    device : str or `~torch.device`, optional
        By default a CUDA GPU, else Apple's ``mps``, else the CPU.

    Returns
    -------
    `~torch.device`

    Raises
    ------
    ConfigError
        If torch knows no such device, or this machine does not have it.
    """
    if device is None:
        device = next((kind for kind in ("cuda", "mps") if _count(kind)), "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        raise ConfigError(f"device must be 'cpu', 'cuda', 'cuda:<number>' or 'mps', got {device!r}") from None
    if found.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"device must be 'cpu', 'cuda', 'cuda:<number>' or 'mps', got {str(found)!r}")
    count = _count(found.type)
    if (found.index or 0) >= count:
        have = f"{count} of this kind" if count else "none of this kind"
        raise ConfigError(f"device {str(found)!r} is not available: torch sees {have} on this machine")
    return found


def autocast(
    device: torch.device, precision: Literal["auto", "full", "bfloat16"] = "auto"
) -> AbstractContextManager[Any]:
    """The precision to compute in on a device.

    Parameters
    ----------
    device : `~torch.device`
    precision : {"auto", "full", "bfloat16"}, optional
        ``"auto"`` is bfloat16 on CUDA, and full precision elsewhere. bfloat16 also
        pays on CPUs that multiply it in hardware.

    Returns
    -------
    context manager
    """
    if precision == "bfloat16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _count(kind):
    """How many devices of a kind this machine has."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    return int(torch.backends.mps.is_available()) if kind == "mps" else 1
