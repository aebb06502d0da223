"""What the page on cutouts shows is what can be done."""

import re
import shlex
import textwrap
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from click.testing import CliRunner

from galmerge_da.cli import main
from galmerge_da.io import open_cutouts
from galmerge_da.io.servers import SERVICES

TEXT = (Path(__file__).parents[1] / "docs" / "cutouts.rst").read_text(encoding="utf-8")


def make_field(folder):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -0.5 / 3600, 0.5 / 3600
    wcs.wcs.crval, wcs.wcs.crpix = (150.0, 2.0), (70, 50)
    y, x = np.indices((100, 140))
    spots = sum(np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / 9) for x0, y0 in ((50, 50), (66, 50), (110, 60)))
    for number, band in enumerate("gri"):
        noise = np.random.default_rng(number).normal(0, 0.1, spots.shape)
        fits.writeto(folder / f"{band}.fits", (30 * spots + noise).astype(np.float32), wcs.to_header())
    ra, dec = wcs.pixel_to_world_values([50.0, 110.0], [50.0, 60.0])
    Table({"ra": ra, "dec": dec}).write(folder / "catalog.csv")


def test_the_examples_in_python_run(tmp_path, monkeypatch):
    make_field(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"code-block:: python\n\n((?:   .*\n|\n)+)", TEXT):
        exec(textwrap.dedent(block), names)
    assert open_cutouts("cutouts.fits").read().data.shape == (2, 3, 120, 120)
    assert len(names["cutouts"]) == 3 and names["cutouts"]["image"].dtype == object
    assert any(mark.any() for mark in names["cutouts"]["neighbours"])


def test_the_examples_of_the_command_line_run_or_parse(tmp_path, monkeypatch):
    make_field(tmp_path)
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"\$ galmerge (.*)", TEXT)
    assert len(lines) == 3
    for line in lines:
        if "--service" in line:
            command = main.commands["cutouts"]
            assert command.make_context("cutouts", shlex.split(line)[1:]).params["service"] in SERVICES
            continue
        done = CliRunner().invoke(main, shlex.split(line))
        assert done.exit_code == 0, done.output


def test_every_service_is_on_the_page_with_its_default():
    for name, server in SERVICES.items():
        row = re.search(rf"\* - ``{name}``\n(?:     - .*\n){{3}}", TEXT)[0]
        assert f"``{server.survey}``" in row
