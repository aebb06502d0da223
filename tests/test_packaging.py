"""What an installed copy promises: version, entry points, citation, extras, bounds."""

import ast
import configparser
import itertools
import re
import sys
from importlib.metadata import entry_points, metadata, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import galmerge_da
from galmerge_da.flags import Flag
from galmerge_da.plugins import GROUPS

ROOT = Path(__file__).parents[1]


def declared(section, *keys):
    """Requirements that setup.cfg declares."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = [line for key in keys for line in parser[section][key].split("\n")]
    return [Requirement(line) for line in lines if line]


def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_version_is_that_of_the_installed_distribution():
    assert galmerge_da.__version__ == version("galmerge_da")
    assert Version(galmerge_da.__version__) >= Version("0.1")


def test_the_command_is_an_entry_point():
    (point,) = entry_points(group="console_scripts", name="galmerge")
    assert point.value == "galmerge_da.cli:main"
    assert callable(point.load())


@pytest.mark.parametrize("kind", GROUPS)
def test_built_in_plugins_come_through_entry_points(kind):
    group, _, hook_name, _ = GROUPS[kind]
    points = [point for point in entry_points(group=group) if point.dist.name == "galmerge_da"]
    assert points
    assert all(callable(getattr(point.load(), hook_name)) for point in points)


def test_every_dependency_has_a_lower_bound():
    extras = declared("options.extras_require", "test", "docs", "all")
    own = [each for each in declared("options", "install_requires") + extras if each.name != "galmerge_da"]
    assert len(own) > 15
    assert not [each.name for each in own if [part.operator for part in each.specifier] != [">="]]


def test_the_oldest_versions_that_are_tried_are_the_lower_bounds():
    lines = (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    tried = {each.name: str(each.specifier) for each in map(Requirement, [line for line in lines if line[0] != "#"])}
    extras = ("hdf5", "morphology", "ot", "parquet", "query", "reproject", "test")
    bounds = declared("options", "install_requires") + declared("options.extras_require", *extras)
    assert tried == {each.name: str(each.specifier).replace(">", "=") for each in bounds if each.name != "galmerge_da"}


def test_every_import_of_the_package_is_a_declared_dependency():
    imports = set()
    for path in (ROOT / "galmerge_da").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            imports |= {name.partition(".")[0] for name in names}
    called = {"pillow": "PIL", "scikit-learn": "sklearn"}
    names = {called.get(each.name, each.name) for each in declared("options", "install_requires")}
    assert imports - set(sys.stdlib_module_names) - {"galmerge_da"} <= names


def test_the_source_declares_the_installed_version_and_licence():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    assert parser["metadata"]["version"] == version("galmerge_da")
    licences = [metadata("galmerge_da").get(name) for name in ("License", "License-Expression")]
    assert parser["metadata"]["license"] == "BSD-3-Clause"
    assert "BSD-3-Clause" in licences


def test_the_citation_is_complete_and_current():
    cff = citation()
    assert cff["cff-version"] == "1.2.0"
    assert cff["type"] == "software"
    assert {"title", "message", "authors"} <= set(cff)
    assert cff["version"] == galmerge_da.__version__
    assert cff["license"] == "BSD-3-Clause"


def test_the_citation_names_both_deepmerge_papers():
    dois = {reference.get("doi") for reference in citation()["references"]}
    assert {"10.1016/j.ascom.2020.100390", "10.1093/mnras/stab1677"} <= dois


def test_the_change_log_has_this_version():
    assert re.search(rf"^{re.escape(galmerge_da.__version__)}\b", (ROOT / "CHANGES.rst").read_text(), re.M)


def test_the_readme_has_both_set_up_lines():
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    for env in ("demo", "test"):
        assert f"$ python -m pip install tox && python -m tox run -e {env}\n" in text


def test_the_documented_example_of_flags_is_true():
    text = (ROOT / "docs" / "flags.rst").read_text(encoding="utf-8")
    value, shown = re.search(r"decode_flags\((\d+)\)\n\s+(\[.*\])", text).groups()
    assert str(galmerge_da.decode_flags(int(value))) == shown
    assert Flag.NOT_CLASSIFIED.name in shown


def test_workflows_and_pages_ask_for_environments_that_exist():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    there = set()
    for section in parser.sections():
        parts = re.split(r"\{(.*?)\}", section.removeprefix("testenv:"))
        choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
        there |= {"".join(words) for words in itertools.product(*choices)}
    asked = {}
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            asked |= {each["env"]: path.name for each in job["strategy"]["matrix"]["include"]}
    for path in [*ROOT.glob("*.rst"), *ROOT.glob("docs/**/*.rst")]:
        for names in re.findall(r"tox run -e ([\w,-]+)", path.read_text(encoding="utf-8")):
            asked |= dict.fromkeys(names.split(","), path.name)
    assert {"test", "pep517", "test-oldestdeps"} <= set(asked)
    assert not {name: page for name, page in asked.items() if name not in there}
