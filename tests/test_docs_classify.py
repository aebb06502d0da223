"""The page on classifying a survey: its recipes run, in Python and in the shell, and give the same catalogue."""

import re
from pathlib import Path

import numpy as np
import pytest
from page_blocks import blocks, run_lines

from galmerge_da import read_catalog
from galmerge_da.flags import Flag

PAGE = Path(__file__).parents[1] / "docs" / "classify.rst"

pytestmark = [
    pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is not in this tree"),
    pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength"),
]


@pytest.fixture
def codes(tmp_path, monkeypatch):
    """The Python and the console blocks of the page."""
    monkeypatch.chdir(tmp_path)
    found = blocks(PAGE, {"simulate(60,": "simulate(12,"})
    python, console = ([code for language, code in found if language == wanted] for wanted in ("python", "console"))
    assert len(python) == 4 and len(console) == 3
    return python, console


@pytest.mark.parametrize("part, folder", [(0, "images"), (1, "cubes"), (2, "bands")])
def test_a_recipe_runs_in_python_and_in_the_shell_and_its_result_is_cut(codes, part, folder):
    python, console = codes
    exec(python[part], {})
    in_python = read_catalog("mergers.fits")
    assert len(in_python) == 12 and np.isfinite(in_python["merger_prob"]).all()
    assert set(in_python["id"]) == {re.sub("-[grz]$", "", path.stem) for path in Path(folder).iterdir()}
    assert Path("mergers.png").stat().st_size > 10_000
    Path("mergers.png").unlink()
    first, *others = console[part].splitlines()
    run_lines(first)
    assert Path("mergers.png").stat().st_size > 10_000
    for column in ("id", "merger_prob", "flags"):
        assert read_catalog("mergers.fits")[column].tolist() == in_python[column].tolist()
    for line in others:
        run_lines(line)
        assert np.all(read_catalog("mergers.fits")["flags"] & Flag.RADIUS_MEASURED)
    names = {}
    exec(python[-1], names)
    assert read_catalog("candidates.ecsv")["id"].tolist() == names["candidates"]["id"].tolist()


def test_the_cut_leaves_out_rows_without_a_probability(codes):
    *_, recipe, _, reading = codes[0]
    assert recipe.count("\nhow =") == 1
    spoil = '\nnext(Path("cubes").iterdir()).write_bytes(b"")\nhow ='
    with pytest.warns(match="1 of 12 images could not be used"):
        exec(recipe.replace("\nhow =", spoil), {})
    names = {}
    exec(reading, names)
    mergers, good = names["mergers"], names["good"]
    assert np.sum(mergers["flags"] & Flag.NOT_CLASSIFIED != 0) == 1
    assert len(good) and np.isfinite(np.ma.filled(np.ma.asarray(good["merger_prob"]), np.nan)).all()
    assert np.all(np.diff(good["merger_prob"]) <= 0)
    assert len(names["candidates"]) == np.sum(good["merger_prob"] > 0.8)


def test_what_makes_files_to_try_with_is_marked(codes):
    for code in codes[0][:3]:
        own, *made = code.split("# instead of yours\n")
        assert len(made) == 1 and "simulate" in made[0] and "simulate" not in own
