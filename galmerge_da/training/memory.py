"""Memory of a process that trains for hours and does nothing else."""

import ctypes
import sys

__all__ = ["keep_memory"]

#: Of glibc's ``mallopt``: when memory at the top goes back, how much more is taken there, how many blocks are mapped.
_OPTIONS = ((-1, 2**31 - 1), (-2, 2**28), (-4, 0))


def keep_memory():
    """Let this process keep what it has freed: the next training step takes it again.

    A large tensor is otherwise mapped and given back in every step, and the system
    fills its pages with zeros each time (``benchmarks/bench_memory.py``). Without
    the GNU C library nothing happens.

    Returns
    -------
    bool
        Whether anything happened.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(option, value) for option, value in _OPTIONS)
