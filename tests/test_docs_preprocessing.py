"""The page on preprocessing: its example runs, its recipes are read, and it has every step, option and flag."""

import re
import textwrap
import tomllib
from pathlib import Path

import pytest
from page_blocks import run_lines

from galmerge_da import read_catalog
from galmerge_da.flags import Flag
from galmerge_da.models.entrance import EntranceConfig
from galmerge_da.options import make_config
from galmerge_da.preprocessing import PreprocessingRecipe
from galmerge_da.training import read_recipe

PAGE = Path(__file__).parents[1] / "docs" / "preprocessing.rst"


@pytest.fixture(scope="module")
def page():
    if not PAGE.is_file():
        pytest.skip("the documentation is not in this source tree")
    return PAGE.read_text(encoding="utf-8")


def blocks(page, language):
    found = re.findall(rf"code-block:: {language}\n\n((?:   .*\n|\n)+)", page)
    return [textwrap.dedent(block) for block in found]


def test_the_example_runs(page, tmp_path, monkeypatch, capsys):
    (code,) = blocks(page, "python")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "Input", "Linearise", "PickBands", "FillBadPixels", "SubtractBackground", "MatchPSF", "MakeFrame",
    ]  # fmt: skip
    assert lines[5].endswith('1.26, 1.32, 1.44" to 2"')
    assert (tmp_path / "strip.png").stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength")
def test_its_commands_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start = (PAGE.parent / "quickstart.rst").read_text(encoding="utf-8")
    (line,) = re.findall(r"^   (\$ galmerge simulate .* -o cutouts.fits)$", start, re.M)
    run_lines(line.replace("-n 500", "-n 6"))
    (tmp_path / "my.toml").write_text(blocks(page, "toml")[0], encoding="utf-8")
    (console,) = blocks(page, "console")
    assert len(run_lines(console)) == 3
    assert len(read_catalog("frames.fits")) == 6
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("strip.png", "mine.png"))


def test_its_recipes_are_read(page):
    preprocessing, model = (tomllib.loads(block) for block in blocks(page, "toml"))
    recipe = read_recipe(preprocessing).preprocessing
    assert recipe.psf.fwhm == (1.5, 1.4, 1.3) and recipe.neighbours.sources == "stars" and len(recipe.steps) == 8
    config = make_config(EntranceConfig, model["model"]["entrance"], "the entrance")
    assert (config.stretch, config.normalisation) == ("lupton", "image")
    defaults = {"size", "scale", "frame_radii", "background"}
    written = preprocessing["preprocessing"]
    assert {key: written[key] for key in defaults} == {key: PreprocessingRecipe().to_dict()[key] for key in defaults}


def test_it_has_every_step_stretch_and_flag_of_a_mismatch(page):
    full = PreprocessingRecipe(flux={}, neighbours={}, psf={})
    rows = re.findall(r"^   \* - ``(\w+)``$", page, re.M)
    assert [row for row in rows if row[0].isupper()] == [type(step).__name__ for step in full.steps]
    assert {"asinh", "log", "lupton", "percentile"} <= set(rows)
    for flag in (Flag.PIXEL_SCALE_UNKNOWN, Flag.PIXEL_SCALE_DIFFERS, Flag.PSF_UNMATCHED, Flag.UNIT_DOUBTFUL):
        assert f"``{flag.name}``" in page
