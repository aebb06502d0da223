"""What the page on input shows is what can be done."""

import re
import textwrap
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from input_forms import ON_DISK, PROPERTIES, ROWS, matrix

PAGE = Path(__file__).parents[1] / "docs" / "input.rst"


def test_the_example_of_a_mosaic_runs(tmp_path, monkeypatch):
    (block,) = re.findall(r"code-block:: python\n\n((?:    ?.*\n|\n)+)", PAGE.read_text(encoding="utf-8"))
    code = textwrap.dedent(block)
    assert "cutouts = extract_cutouts(" in code and "mergers = classify(cutouts)" in code
    monkeypatch.chdir(tmp_path)
    Table({"name": ["a", "b"], "x": [90, 100], "y": [80, 110]}).write("catalog.csv")
    for band in "gri":
        fits.writeto(f"{band}.fits", np.random.default_rng(0).normal(size=(180, 200)).astype(np.float32))
    names = {}
    exec(code.replace("mergers = classify(cutouts)", ""), names)  # the packaged model has tests of its own
    assert names["cutouts"]["image"].shape == (2, 3, 151, 151)
    assert names["cutouts"].meta["BANDS"] == "g,r,i"


def test_the_matrix_of_forms_is_what_is_tested():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index(".. list-table::")
    assert lines[start : start + len(list(matrix()))] == list(matrix())


def test_every_form_of_the_matrix_is_tested_and_so_is_all_that_it_carries():
    assert set(PROPERTIES) == set(ROWS) >= ON_DISK
    assert all(ROWS.values()) and {name for made in PROPERTIES.values() for name in made} == {"mask", "wcs", "unit"}
