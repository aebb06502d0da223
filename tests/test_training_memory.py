"""Memory that stays with a process is not asked for again."""

import platform
import subprocess
import sys

import pytest

from galmerge_da.training.memory import keep_memory

SCRIPT = """
import resource, sys
import numpy as np
from galmerge_da.training.memory import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
def faults():
    for _ in range(20):
        np.ones(2**22)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
start = faults()
print(faults() - start)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is for the GNU C library alone")
def test_large_arrays_take_the_same_pages_again():
    environment = {"PATH": ""}  # without settings of malloc
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", SCRIPT, how], env=environment))
        for how in ("return", "keep")
    }
    assert 4 * faults["keep"] < faults["return"] >= 20 * 16  # 32 MB are 16 pages at the least


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    assert keep_memory() is False
