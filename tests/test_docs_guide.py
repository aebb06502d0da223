"""What the pages of the guide show can be done, and their lists have everything that there is."""

import ast
import dataclasses
import doctest
import importlib
import re
import runpy
import shlex
import textwrap
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from page_blocks import run_page
from PIL import Image

from galmerge_da import classify, decode_flags, simulate
from galmerge_da.adaptation import functional
from galmerge_da.cli import main
from galmerge_da.experiments import score
from galmerge_da.experiments.recipes import SimulateOptions
from galmerge_da.flags import DOUBTFUL, FATAL, Flag
from galmerge_da.models import EntranceConfig
from galmerge_da.options import make_config
from galmerge_da.plugins import list_plugins
from galmerge_da.preprocessing import PreprocessingRecipe
from galmerge_da.training import Augmentation, DataOptions, ModelOptions, Recipe, TrainingOptions, read_recipe
from galmerge_da.training.recipe import check_request
from galmerge_da.visualization import color_composite

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
    line, *_ = re.findall(r"\$ galmerge (simulate .*)", (DOCS / "quickstart.rst").read_text(encoding="utf-8"))
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
@pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength")
@pytest.mark.filterwarnings("ignore:the classifier puts")  # one epoch is too short to tell the classes apart
def test_the_quick_start_runs_in_its_order(tmp_path, monkeypatch):
    quick = {"simulate(2000,": "simulate(60,", '"epochs": 20': '"epochs": 1', "-n 500": "-n 20", "-n 2000": "-n 60"}
    quick |= {"--epochs 20": "--epochs 1", "demo -o galmerge-demo": "demo -o galmerge-demo --quick -n 60"}
    monkeypatch.chdir(tmp_path)
    _, outputs = run_page(DOCS / "quickstart.rst", quick)
    assert len(outputs) == 5 and Path("adapted.safetensors").is_file()
    text = (DOCS / "quickstart.rst").read_text(encoding="utf-8")
    written = re.findall(r"^(?:- )?``([\w.]+)``, ", text[text.index("$ galmerge demo") :], re.M)
    assert len(written) == 4 and all(Path("galmerge-demo", name).is_file() for name in written)


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


def test_every_column_and_key_of_a_catalogue_is_on_the_page(tmp_path):
    runpy.run_path(DOCS / "tables.py")["write_tables"](tmp_path)
    catalogue = classify(simulate(2, "sdss-jpeg", seed=1, n_jobs=1), morphology=True)
    columns = re.findall(r"^   \* - ``(\w+)``", (tmp_path / "columns.rst").read_text(encoding="utf-8"), re.M)
    assert columns == catalogue.colnames[-len(columns) :] and "merger_prob" in columns
    keys = re.findall(r"^   \* - ``(\w+)``", (tmp_path / "header.rst").read_text(encoding="utf-8"), re.M)
    assert keys == [key for key in catalogue.meta if key.startswith("GM")]
    page = (DOCS / "flags.rst").read_text(encoding="utf-8")
    assert "_generated/columns.rst" in page and "_generated/header.rst" in page
    assert not [name for name in (*decode_flags(FATAL), *decode_flags(DOUBTFUL)) if f"``{name}``" not in page]


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


#: Words of a page's examples -> words that make them quick. Nothing else is given to a page than the file of the
#: quick start, ``cutouts.fits``, and a folder of ``pictures``.
EXAMPLES = {
    "surveys.rst": {"600": "12"},
    "simulation.rst": {"600": "60"},
    "recipe.rst": {},
    "gap.rst": {"500": "24"},
    "baselines.rst": {"1000": "60"},
    "adaptation.rst": {
        "simulate(200,": "simulate(12,",
        "n=9000": "n=60, epochs=1",
        "simulate(9000,": "simulate(100,",
        "6000": "20",
        '"epochs": 10': '"epochs": 1',
        "2000": "60",
        '"epochs": 20': '"epochs": 1',
    },
    "selection.rst": {"2000": "100", '"epochs": 20': '"epochs": 2'},
}
SLOW = {"adaptation.rst", "selection.rst"}


@pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength", "ignore:the classifier puts")
@pytest.mark.filterwarnings("ignore:no epoch")
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow if page in SLOW else ()) for page in EXAMPLES]
)
def test_the_examples_of_a_page_run_as_they_are_copied(page, folder):
    if '"pictures"' in (DOCS / page).read_text(encoding="utf-8"):
        Path("pictures").mkdir()
        galaxies = simulate(16, "sdss-jpeg", seed=2, classes="nonmerger", n_jobs=1)
        for row, picture in enumerate(color_composite(galaxies["image"])):
            Image.fromarray(np.uint8(255 * picture)).resize((120, 120)).save(f"pictures/{row:02}.jpeg")
    codes = blocks(page)
    for shown, quick in EXAMPLES[page].items():
        assert any(shown in code for code in codes)
        codes = [code.replace(shown, quick) for code in codes]
    names = {}
    for code in codes:
        exec(code, names)
    if page == "gap.rst":
        assert names["gap"]["n_source"][0] == 24 and 0 <= names["gap"]["domain_auc"][0] <= 1


def commands(pattern):
    """Page and words of each command line of the pages and the README."""
    for path in [*DOCS.glob("*.rst"), *DOCS.glob("development/*.rst"), DOCS.parent / "README.rst"]:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(pattern, text, re.MULTILINE):
            yield path.name, shlex.split(" ".join(line.split()), comments=True)


def find_command(words):
    """A command, its name and what follows it."""
    command, (name, *words) = main, words
    while name in command.commands:
        command = command.commands[name]
        if not hasattr(command, "commands") or not words:
            break
        name, *words = words
    return command, name, words


def test_every_command_of_a_page_is_one():
    """With its options and arguments; pages with tests of their own run them too."""
    lines = [*commands(r"^ +(?:\$ )?galmerge (.*)"), *commands(r"-m galmerge_da (.*)")]
    assert len(lines) > 40
    for page, words in lines:
        command, name, words = find_command(words)
        try:
            command.make_context(name, words)
        except click.ClickException as error:
            raise AssertionError(f"{page}: galmerge {name}: {error.format_message()}") from error
        except click.exceptions.Exit:
            pass  # --help


def test_every_command_in_a_sentence_is_one_with_its_options():
    lines = list(commands(r"``galmerge ([a-z][^`]*)``"))
    assert len(lines) > 20
    for page, words in lines:
        command, name, words = find_command(words)
        assert command.name == name, f"{page}: galmerge {name}"
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, f"{page}: galmerge {name}"


def test_the_options_of_the_scorer_are_those_of_the_pages(capsys):
    assert ".. include:: _generated/commands.rst" in (DOCS / "cli.rst").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        score.main(["--help"])
    known = set(re.findall(r"--\w+", capsys.readouterr().out))
    lines = list(commands(r"-m galmerge_da.experiments.score (.*)"))
    assert lines
    for page, words in lines:
        assert {word for word in words if word.startswith("--")} <= known, page


def test_every_recipe_of_a_page_is_read():
    tables = {"data", "preprocessing", "model", "training", "adapt"}
    read = set()
    for path in [*DOCS.glob("*.rst"), *DOCS.glob("development/*.rst")]:
        for block in re.findall(
            r"code-block:: toml\n(?:   :caption: .*\n)?\n((?:   .*\n|\n)+)", path.read_text("utf-8")
        ):
            written = tomllib.loads(textwrap.dedent(block))
            if set(written) <= tables:
                for key in ("simulate", "simulate_target"):
                    written.get("data", {}).pop(key, None)
                check_request(read_recipe(written), has_target=True)
                read.add(path.name)
            else:  # of a plugin
                assert "project" in written
    assert read == {"adaptation.rst", "preprocessing.rst", "recipe.rst", "selection.rst"}


def test_the_recipe_of_the_page_says_every_default():
    text = (DOCS / "recipe.rst").read_text(encoding="utf-8")
    (block,) = re.findall(r"code-block:: toml\n\n((?:   .*\n|\n)+)", text)
    written = tomllib.loads(textwrap.dedent(block))
    for key in ("simulate", "simulate_target"):
        assert {field.name for field in dataclasses.fields(SimulateOptions)} == set(written["data"].pop(key))
    assert set(written["adapt"]) == {"mmd", "dann"}
    recipe, default = read_recipe(written), Recipe()
    assert recipe.training == default.training and recipe.preprocessing == default.preprocessing
    entrance = make_config(EntranceConfig, recipe.model.entrance, "the entrance")
    assert entrance == EntranceConfig() and recipe.model.backbone == default.model.backbone
    assert recipe.data == default.data
    tables = {
        DataOptions: written["data"],
        ModelOptions: written["model"],
        EntranceConfig: written["model"]["entrance"],
        TrainingOptions: written["training"],
        Augmentation: written["training"]["augmentation"],
    }
    for options, table in tables.items():
        assert {field.name for field in dataclasses.fields(options)} == set(table)
    named = {field.name for field in dataclasses.fields(PreprocessingRecipe)} - {"trained_scales"}
    assert not [
        name for name in named if not re.search(rf"^   (# .*)?\b{name}\b|\[preprocessing.{name}\]", block, re.M)
    ]


#: Pages whose examples have tests of their own: the file, and those that run or read the code of the page.
ELSEWHERE = {
    "backbones.rst": "test_docs_backbones: the_example_of_a_network_runs, the_examples_of_choosing_run",
    "classify.rst": "test_docs_classify: a_recipe_runs_in_python_and_in_the_shell_and_its_result_is_cut",
    "cutouts.rst": "test_docs_cutouts: the_examples_in_python_run",
    "flags.rst": "test_docs_guide: the_example_of_flags_is_right",
    "input.rst": "test_docs_input: the_example_of_own_pictures_runs_in_python_and_in_the_shell, "
    "the_example_of_a_mosaic_runs, the_example_of_what_to_leave_out_leaves_out_what_has_no_probability_too",
    "plugin_guide.rst": "test_docs_plugin_guide: the_first_steps_run, its_own_tests_pass",
    "plugins.rst": "test_plugins_docs: the_example_loss_is_asked_for_as_the_page_says, "
    "the_example_backbone_makes_a_network, the_example_survey_is_one",
    "preprocessing.rst": "test_docs_preprocessing: the_example_runs",
    "published_data.rst": "test_docs_published: its_example_reads_what_is_downloaded",
    "quickstart.rst": "test_docs_guide: the_quick_start_classifies_and_writes, the_quick_start_runs_in_its_order",
}


def test_no_page_has_an_example_that_is_not_run():
    pages = {path.name for path in [*DOCS.glob("*.rst"), *DOCS.glob("development/*.rst")] if blocks(path)}
    assert pages == {*EXAMPLES, *ELSEWHERE}
    for page, tests in ELSEWHERE.items():
        file, names = tests.split(": ")
        text = (Path(__file__).parent / f"{file}.py").read_text(encoding="utf-8")
        used = text.replace(f'"{page}": "{file}:', "")  # where it is used, not where it is listed
        assert f'{page}"' in used and all(f"def test_{name}(" in text for name in names.split(", "))


def test_the_example_of_flags_is_right():
    assert not doctest.testfile(str(DOCS / "flags.rst"), module_relative=False).failed
