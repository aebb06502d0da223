"""`new_plugin` writes packages that install, pass their own tests, and are found."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest

from galmerge_da.exceptions import ConfigError, InputError, PluginError
from galmerge_da.plugins import GROUPS, get_backbone, get_loss, get_survey
from galmerge_da.scaffold import new_plugin
from galmerge_da.testing import check_backbone_plugin, check_loss_plugin, check_survey_plugin

KINDS = {
    "loss": (get_loss, check_loss_plugin),
    "backbone": (get_backbone, check_backbone_plugin),
    "survey": (get_survey, check_survey_plugin),
}


def test_there_is_a_template_for_every_kind():
    assert set(KINDS) == set(GROUPS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_package_is_complete(kind, tmp_path):
    paths = new_plugin("my-new-thing", kind, tmp_path / "made" / "here")
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(paths)
    names = [str(path.relative_to(tmp_path / "made" / "here")) for path in paths]
    assert names == [
        "pyproject.toml",
        "README.rst",
        "LICENSE.rst",
        "src/my_new_thing/__init__.py",
        "tests/test_my_new_thing.py",
    ]
    for path in paths:
        assert not re.search(r"\$\{?[a-z]", path.read_text()), f"{path} has a placeholder"
    project = tomllib.loads(paths[0].read_text())["project"]
    assert project["name"] == "my-new-thing"
    assert project["entry-points"] == {GROUPS[kind][0]: {"my-new-thing": "my_new_thing"}}
    assert f"galmerge_da>={version('galmerge_da')}" in project["dependencies"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_plugin_is_found_and_keeps_its_contract(kind, tmp_path, site):
    get, check = KINDS[kind]
    paths = new_plugin("scaffolded-thing", kind, tmp_path / "package")
    site("scaffolded-thing", "scaffolded_thing", paths[3].read_text(), group=GROUPS[kind][0])
    spec = get("scaffolded-thing")
    check(spec)
    assert kind == "survey" or spec.summary


@pytest.mark.skipif(shutil.which("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize("name", ["a", "my-new-thing"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_code_is_clean(kind, name, tmp_path):
    folder = new_plugin(name, kind, tmp_path / "package")[0].parent
    for words in (["check", "--select", "B,C4,D1,E,F,I,NPY,UP,W", "--ignore", "D103,D107"], ["format", "--check"]):
        done = subprocess.run(["ruff", *words, "--isolated"], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_installs_and_its_own_tests_pass(kind, tmp_path):
    pytest.importorskip("setuptools")
    folder, installed = tmp_path / "package", tmp_path / "installed"
    new_plugin("installed-thing", kind, folder)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", installed, folder], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
    done = subprocess.run(tests, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    listing = [sys.executable, "-m", "galmerge_da", "plugins", "--kind", kind, "--json"]
    done = subprocess.run(listing, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    (row,) = [row for row in json.loads(done.stdout) if row["name"] == "installed-thing"]
    assert (row["distribution"], row["version"]) == ("installed-thing", "0.1.0")


@pytest.mark.parametrize("name", ["", "My-Loss", "my loss", "2d", "a.b", "-a", "../a", None])
def test_a_malformed_name_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="a name is lower-case"):
        new_plugin(name, "survey", tmp_path / "here")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["class", "json", "astropy", "galmerge-da"])
def test_a_name_that_python_has_is_refused(name, tmp_path):
    with pytest.raises(ConfigError, match="which Python has already"):
        new_plugin(name, "survey", tmp_path / "here")
    assert not list(tmp_path.iterdir())


def test_a_name_that_another_plugin_has_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="a survey called 'sdss' is installed already"):
        new_plugin("sdss", "survey", tmp_path / "here")


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(PluginError, match="no kind of plugin called 'telescope'"):
        new_plugin("mine", "telescope", tmp_path / "here")


def test_nothing_is_ever_overwritten(tmp_path, monkeypatch):
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for given in (folder, folder / "notes.txt"):
        with pytest.raises(InputError, match="exists and is not an empty folder"):
            new_plugin("full", "survey", given)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        new_plugin("full", "survey")


def test_the_default_folder_is_named_for_the_plugin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide-field").mkdir()  # empty: it may be used
    assert new_plugin("wide-field", "survey")[0].resolve() == tmp_path / "wide-field" / "pyproject.toml"
