"""What the pages of the guide show can be done, and their lists have everything that there is."""

import ast
import importlib
import re
import runpy
import shlex
import textwrap
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from galmerge_da import MergerClassifier, simulate, train
from galmerge_da.adaptation import functional
from galmerge_da.cli import main
from galmerge_da.flags import Flag
from galmerge_da.inference import default_model_path
from galmerge_da.plugins import list_plugins

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not (DOCS / "tables.py").is_file(), reason="the documentation is not in this tree")


def blocks(page):
    """The Python code of a page, in its order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [textwrap.dedent(block) for block in re.findall(r"code-block:: python\n\n((?:   .*\n|\n)+)", text)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where ``cutouts.fits`` lies, made as the quick start says."""
    monkeypatch.chdir(tmp_path)
    (line,) = re.findall(r"\$ galmerge (simulate .*)", (DOCS / "quickstart.rst").read_text(encoding="utf-8"))
    assert line.count("-n 500") == 1
    done = CliRunner().invoke(main, shlex.split(line.replace("-n 500", "-n 30")))
    assert done.exit_code == 0, done.output
    return tmp_path


@pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength")
def test_the_quick_start_classifies_and_writes(folder):
    names = {}
    for block in blocks("quickstart.rst")[:3]:
        exec(block, names)
    mergers = names["mergers"]
    assert len(mergers) == 30 and np.isfinite(mergers["merger_prob"]).all()
    assert (folder / "mergers.fits").is_file() and (folder / "mergers.png").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the classifier puts")  # one epoch is too short to tell the classes apart
def test_the_quick_start_trains(folder):
    code = blocks("quickstart.rst")[3]
    assert code.count("simulate(2000,") == 2 and code.count('"epochs": 20') == 1
    code = code.replace("simulate(2000,", "simulate(60,").replace('"epochs": 20', '"epochs": 1')
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


def test_the_picture_of_the_house_shows_its_floors():
    rules = runpy.run_path(Path(__file__).with_name("test_architecture.py"))
    picture = (DOCS / "_static" / "house.svg").read_text(encoding="utf-8")
    rooms = re.findall(
        r'fill="(#\w+)" stroke="#777777"/>\n<text class="room" x="\d+" y="(\d+)".*>(\w+)</text>', picture
    )
    assert {room for _, _, room in rooms} == set(rules["FLOORS"])
    heights = sorted({int(y) for _, y, _ in rooms}, reverse=True)
    assert {room: heights.index(int(y)) for _, y, room in rooms} == rules["FLOORS"]
    colours = {room: colour for colour, _, room in rooms}
    assert len({colours[room] for room in rules["TORCH_FREE"]}) == 1
    assert not {colours[room] for room in set(colours) - set(rules["TORCH_FREE"])} & {colours["flags"]}


def tables(n, *surveys):
    return [simulate(n, survey, seed=seed) for seed, survey in enumerate(surveys)]


#: Page, number of the block -> words that make it quick, and names that the page takes for granted.
EXAMPLES = {
    ("surveys.rst", 0): ({"600": "12"}, dict),
    ("simulation.rst", 0): ({"600": "60"}, dict),
    ("baselines.rst", 0): ({}, lambda: {"cutouts": simulate(12, "decals", seed=1)}),
    ("baselines.rst", 1): ({"1000": "60"}, lambda: {"cutouts": simulate(12, "sdss-jpeg", seed=2)}),
    ("studies.rst", 0): (
        {
            "9000": "100",
            "3000": "20",
            "train(source, seed=1)": 'train(source, seed=1, recipe={"training": {"epochs": 1}})',
        },
        lambda: {"cutouts": simulate(16, "sdss-jpeg", seed=2, classes="nonmerger")},
    ),
    ("adaptation.rst", 0): (
        {"train(source": 'train(recipe={"training": {"epochs": 1}}, source=source', ", target, ": ", target=target, "},
        lambda: (
            dict(zip(("source", "target"), tables(60, "deepmerge-z2-pristine", "deepmerge-z2"), strict=True))
            | {"train": train}
        ),
    ),
    ("selection.rst", 0): (
        {'{"training": {"selector"': '{"training": {"epochs": 2, "selector"'},
        lambda: (
            dict(zip(("source", "target"), tables(100, "deepmerge-z2-pristine", "deepmerge-z2"), strict=True))
            | {"train": train}
        ),
    ),
}
QUICK = {"surveys.rst", "simulation.rst", "baselines.rst"}


@pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength", "ignore:the classifier puts")
@pytest.mark.filterwarnings("ignore:no epoch")
@pytest.mark.parametrize(
    "page, number",
    [
        pytest.param(*key, marks=() if key[0] in QUICK else pytest.mark.slow, id=f"{key[0]}-{key[1]}")
        for key in EXAMPLES
    ],
)
def test_the_examples_of_a_page_run(page, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes, given = EXAMPLES[page, number]
    code = blocks(page)[number]
    for shown, quick in changes.items():
        assert shown in code
        code = code.replace(shown, quick)
    exec(code, given())


def test_no_page_has_an_example_that_is_not_run():
    """Pages with tests of their own, and these."""
    others = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for path in [*DOCS.glob("*.rst"), *DOCS.glob("development/*.rst")]:
        if blocks(path.relative_to(DOCS)):
            assert path.name in others, f"no test runs the code of {path.name}"
