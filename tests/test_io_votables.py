"""VOTables: what astropy writes for us stays in its own memory."""

import os
import subprocess
import sys

from galmerge_da.io import read_catalog


def test_a_votable_row_of_any_length_stays_in_its_own_memory(tmp_path):
    """astropy's fast writer of TABLEDATA writes one byte too many where a row fills its buffer."""
    code = (
        "import sys; from astropy.table import Table; from galmerge_da.io import write_catalog\n"
        "for n in range(380, 520):\n"
        "    write_catalog(Table({'id': ['x' * n]}), sys.argv[1], overwrite=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "t.vot")],
        env={**os.environ, "PYTHONMALLOC": "debug"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(read_catalog(tmp_path / "t.vot")["id"][0]) == 519
