"""What the README says is so, and every command on every page has the options that it is given."""

import re
import shlex
from pathlib import Path

import click
import pytest
from page_blocks import blocks, run_page

from galmerge_da.cli import main
from galmerge_da.io import read_catalog

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.rst", ROOT / "CONTRIBUTING.rst", *DOCS.glob("*.rst"), *DOCS.glob("development/*.rst")]


@pytest.fixture(scope="module")
def readme():
    return (ROOT / "README.rst").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength", "ignore:the classifier puts")
def test_its_python_and_its_commands_run_in_their_order_in_one_folder(tmp_path, monkeypatch):
    quick = {
        "simulate(500,": "simulate(20,",
        "n=2000": "n=60, epochs=1",
        "-n 500 ": "-n 20 ",
        "-n 2000 ": "-n 60 ",
        "--epochs 20": "--epochs 1",
    }
    monkeypatch.chdir(tmp_path)
    names, outputs = run_page(ROOT / "README.rst", quick)
    assert len(outputs) == 5 and len(read_catalog("mergers.fits")) == len(names["mergers"]) == 20
    assert 0 <= names["mergers"]["merger_prob"].min() <= names["mergers"]["merger_prob"].max() <= 1
    ((_, code),) = [block for block in blocks(ROOT / "README.rst", quick) if block[0] == "python"]
    exec(code[: code.index("mine =")], {})  # a second time in the same folder


def test_its_python_has_ten_lines():
    ((_, code),) = [block for block in blocks(ROOT / "README.rst") if block[0] == "python"]
    assert len([line for line in code.splitlines() if line and not line.startswith("#")]) <= 10


def test_its_scores_are_those_of_the_studies(readme):
    scores = r"\.\d{3} (?:± \.\d{3}|\[\.\d{3}, \.\d{3}\])"
    studies = " ".join((DOCS / "studies.rst").read_text(encoding="utf-8").split())
    claimed = re.findall(scores, " ".join(readme.split()))
    assert len(claimed) >= 9
    assert not [each for each in claimed if each not in studies]


def test_scores_of_the_front_page_are_those_of_the_studies():
    studies = (DOCS / "studies.rst").read_text(encoding="utf-8")
    claimed = re.findall(r"(?<![\w.])\.\d{3}\b", (DOCS / "index.rst").read_text(encoding="utf-8"))
    assert len(claimed) == 6 and not [each for each in claimed if each not in studies]


def test_its_picture_and_its_pages_are_there(readme):
    (picture,) = re.findall(r"\.\. image:: (\S+)", readme)
    assert (ROOT / picture).is_file()
    named = re.findall(r"``((?:docs/)?[\w/]+\.(?:rst|cff|jsonl))``", readme)
    assert len(named) > 5 and not [name for name in named if not (ROOT / name).is_file()]


def commands(path):
    """The words of each ``galmerge`` command of a page; a backslash goes on to the next line."""
    lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [shlex.split(line.split("$ ", 1)[1], comments=True) for line in lines if re.match(r" +\$ galmerge ", line)]


@pytest.mark.parametrize("path", [path for path in PAGES if commands(path)], ids=lambda path: path.stem)
def test_its_commands_have_the_options_they_are_given(path):
    for _, *words in commands(path):
        command = main
        while isinstance(command, click.Group) and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        known = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {
            "--help",
            "--version",
        }
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= known, f"{' '.join(words)}: {sorted(given - known)}"
