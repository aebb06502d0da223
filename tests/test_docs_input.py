"""What the page on input shows is what can be done."""

import re
import shlex
import textwrap
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from click.testing import CliRunner
from input_forms import ON_DISK, PROPERTIES, ROWS, matrix
from page_blocks import run_lines
from PIL import Image

from galmerge_da import read_catalog, simulate
from galmerge_da.cli import main
from galmerge_da.flags import Flag
from galmerge_da.visualization import color_composite

PAGE = Path(__file__).parents[1] / "docs" / "input.rst"


def blocks():
    found = re.findall(r"code-block:: python\n\n((?:   .*\n|\n)+)", PAGE.read_text(encoding="utf-8"))
    return [textwrap.dedent(block) for block in found]


def test_the_example_of_own_pictures_runs_in_python_and_in_the_shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    galaxies = simulate(3, "sdss-jpeg", seed=1, n_jobs=1)
    for row, picture in enumerate(color_composite(galaxies["image"])):
        Image.fromarray(np.uint8(255 * picture)).resize((120, 120)).save(f"images/{row}.jpeg")
    names = {}
    exec(blocks()[0], names)
    assert read_catalog("mergers.fits")["id"].tolist() == ["0", "1", "2"]
    assert len(names["mergers"]) == 3 and not np.ma.getmaskarray(names["mergers"]["merger_prob"]).any()
    assert Path("mergers.png").stat().st_size > 5_000
    (line,) = re.findall(r"\$ galmerge (classify images .*)", PAGE.read_text(encoding="utf-8").replace("\\\n", " "))
    done = CliRunner().invoke(main, shlex.split(f"{line} --no-progress"))
    assert done.exit_code == 0, done.output
    for column in ("id", "image", "merger_prob"):
        assert read_catalog("mergers.fits")[column].tolist() == names["mergers"][column].tolist()


def test_the_example_of_a_mosaic_runs(tmp_path, monkeypatch):
    code = blocks()[1]
    assert "cutouts = extract_cutouts(" in code and "mergers = classify(cutouts)" in code
    monkeypatch.chdir(tmp_path)
    Table({"name": ["a", "b"], "x": [90, 100], "y": [80, 110]}).write("catalog.csv")
    for band in "gri":
        fits.writeto(f"{band}.fits", np.random.default_rng(0).normal(size=(180, 200)).astype(np.float32))
    names = {}
    exec(code, names)
    assert names["cutouts"]["image"].shape == (2, 3, 151, 151)
    assert names["cutouts"].meta["BANDS"] == "g,r,i"
    assert len(names["mergers"]) == 2 and np.isfinite(names["mergers"]["merger_prob"]).all()


def test_the_commands_for_a_mosaic_run(tmp_path, monkeypatch):
    """In their order in one folder: the second replaces what the first wrote."""
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    (lines,) = [code for code in re.findall(r"console\n\n((?:   .*\n)+)", text) if "--mosaic" in code]
    Table({"name": ["a", "b"], "x": [90, 100], "y": [80, 110]}).write("catalog.csv")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ("RA---TAN", "DEC--TAN"), (-0.5 / 3600, 0.5 / 3600)
    cube = np.random.default_rng(0).normal(size=(3, 180, 200)).astype(np.float32)
    header = wcs.to_header()
    for band, image in zip("gri", cube, strict=True):
        fits.writeto(f"{band}.fits", image, header)
    fits.writeto("gmask.fits", np.uint8(cube[0] > 2), header)
    header["BANDS"] = "gri"
    fits.writeto("cube.fits", cube, header)
    outputs = run_lines(textwrap.dedent(lines))
    assert ["mergers.fits: 2 rows, 2 classified" in output for output in outputs] == [True, True], outputs
    assert np.all(read_catalog("mergers.fits")["flags"] & Flag.MASKED)


def test_the_example_of_what_to_leave_out_leaves_out_what_has_no_probability_too():
    flags = [0, Flag.RADIUS_MEASURED, Flag.NOT_CLASSIFIED | Flag.BLANK, Flag.OFF_EDGE]
    names = {"mergers": Table({"id": [0, 1, 2, 3], "flags": np.array(flags, dtype=np.int32)})}
    (code,) = [block for block in blocks() if "DOUBTFUL" in block]
    exec(code, names)
    assert names["good"]["id"].tolist() == [0, 1]


def test_the_matrix_of_forms_is_what_is_tested():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index(".. list-table::")
    assert lines[start : start + len(list(matrix()))] == list(matrix())


def test_every_form_of_the_matrix_is_tested_and_so_is_all_that_it_carries():
    assert set(PROPERTIES) == set(ROWS) >= ON_DISK
    assert all(ROWS.values()) and {name for made in PROPERTIES.values() for name in made} == {"mask", "wcs", "unit"}
