"""Every public constant says what it is, and the reference takes it from there."""

import importlib
import inspect
import sys
from pathlib import Path

import pytest

import galmerge_da

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = Path(galmerge_da.__file__).parent


@pytest.fixture
def find_comment(monkeypatch):
    pytest.importorskip("sphinx")
    if not (DOCS / "constants.py").is_file():
        pytest.skip("the documentation is not in this source tree")
    monkeypatch.syspath_prepend(DOCS)
    yield importlib.import_module("constants").find_comment
    del sys.modules["constants"]


def constants():
    """Dotted names of what is in the ``__all__`` of a room and is no class, function or module."""
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    for room in sorted(rooms - {"__init__", "__main__", "cli"}) + ["adaptation.functional", "metrics.selection"]:
        module = importlib.import_module(f"galmerge_da.{room}")
        for name in module.__all__:
            found = getattr(module, name)
            if not (inspect.isclass(found) or inspect.isroutine(found) or inspect.ismodule(found)):
                yield f"galmerge_da.{room}.{name}"


def test_every_constant_has_a_comment_that_the_reference_shows(find_comment):
    names = list(constants())
    assert {"galmerge_da.simulation.STAGES", "galmerge_da.io.DATASETS", "galmerge_da.flags.FATAL"} <= set(names)
    assert [name for name in names if not " ".join(find_comment(name)).strip()] == []


def test_what_has_no_comment_is_left_to_autodoc(find_comment):
    assert find_comment("galmerge_da.simulation.simulate") == []
