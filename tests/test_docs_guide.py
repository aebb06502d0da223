"""What the pages of the guide show can be done, and their lists have everything that there is."""

import ast
import importlib
import re
import runpy
import textwrap
from pathlib import Path

import numpy as np
import pytest

from galmerge_da import MergerClassifier, simulate
from galmerge_da.adaptation import functional
from galmerge_da.flags import Flag
from galmerge_da.inference import default_model_path
from galmerge_da.io import save_cutouts
from galmerge_da.plugins import list_plugins

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not (DOCS / "tables.py").is_file(), reason="the documentation is not in this tree")


def blocks(page):
    """The Python code of a page, in its order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [textwrap.dedent(block) for block in re.findall(r"code-block:: python\n\n((?:   .*\n|\n)+)", text)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where ``cutouts.fits`` lies, as the quick start expects it."""
    cutouts = simulate(30, "decals", seed=2)
    cutouts.remove_columns(["label", "stage"])
    save_cutouts(cutouts, tmp_path / "cutouts.fits")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength")
def test_the_quick_start_classifies_and_writes(folder):
    names = {}
    for block in blocks("quickstart.rst")[:2]:
        exec(block, names)
    mergers = names["mergers"]
    assert len(mergers) == 30 and np.isfinite(mergers["merger_prob"]).all()
    assert (folder / "mergers.fits").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the classifier puts")  # one epoch is too short to tell the classes apart
def test_the_quick_start_trains(folder):
    code = blocks("quickstart.rst")[2]
    assert code.count("simulate(2000,") == 2 and code.count('adapt={"mmd": 1.0}, ') == 1
    code = code.replace("simulate(2000,", "simulate(120,")
    code = code.replace('adapt={"mmd": 1.0}, ', 'adapt={"mmd": 1.0}, recipe={"training": {"epochs": 1}}, ')
    exec(code, {})
    assert (folder / "my_survey.safetensors").is_file()


def test_the_gap_is_measured_as_the_page_says():
    (code,) = blocks("gap.rst")
    names = {
        "classifier": MergerClassifier.load(default_model_path()),
        "source": simulate(24, "sdss", seed=1),
        "target": simulate(24, "sdss", seed=2),
    }
    exec(code, names)
    assert names["gap"]["n_source"][0] == 24 and 0 <= names["gap"]["domain_auc"][0] <= 1


def test_the_corrected_probability_is_right():
    text = (DOCS / "claims.rst").read_text(encoding="utf-8")
    found = re.search(r"of (\d+) per cent in the survey, a ``merger_prob`` of (\.\d+) becomes (\.\d+)", text)
    share, given, corrected = found.groups()
    odds = float(given) / (1 - float(given)) * (int(share) / 100) / (1 - int(share) / 100)
    assert round(odds / (1 + odds), 2) == float(corrected)


def test_every_loss_has_its_formula():
    text = (DOCS / "science.rst").read_text(encoding="utf-8")
    _, *entries = re.split(r"^``(?=\w+``, `~galmerge_da)", text, flags=re.M)
    heads = [re.match(r"(\w+)``, `~galmerge_da\.adaptation\.functional\.(\w+)`", entry).groups() for entry in entries]
    built_in = {record.spec.name for record in list_plugins("loss") if record.distribution == "galmerge_da"}
    assert {name for name, _ in heads} == built_in
    assert all(callable(getattr(functional, function)) for _, function in heads)
    assert all("math:" in entry for entry in entries)


def test_every_flag_is_on_the_page_with_its_bit(tmp_path):
    runpy.run_path(DOCS / "tables.py")["write_tables"](tmp_path)
    rows = re.findall(r"\* - ``(\w+)``\n +- (\d+)\n +- (\S.*)", (tmp_path / "flags.rst").read_text(encoding="utf-8"))
    assert {name: int(bit) for name, bit, _ in rows} == {flag.name: flag.value for flag in Flag}
    assert "_generated/flags.rst" in (DOCS / "flags.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((DOCS / "gallery").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_imports_what_exists(path):
    """That it runs is seen when the pages are built."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "galmerge_da":
            module = importlib.import_module(node.module)
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]
    if path.stem.startswith("plot_"):
        assert ast.get_docstring(tree).splitlines()[1].startswith("====")
        stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        assert "figure" in stored, "it ends in no picture"
