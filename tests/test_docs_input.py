"""What the page on input shows is what can be done."""

import re
import textwrap
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

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
