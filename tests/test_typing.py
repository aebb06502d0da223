"""What is public has types, and the stub says where the names of the front page are; mypy, in tox, checks the types."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from pathlib import Path

import pytest

import galmerge_da
from galmerge_da.preprocessing import MatchPSF, PreprocessingRecipe

STUB = Path(galmerge_da.__file__).parent / "__init__.pyi"


def test_the_stub_and_the_marker_are_installed():
    assert STUB.is_file() and (STUB.parent / "py.typed").is_file()


def test_the_stub_has_every_public_name():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    (listed,) = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    assert set(ast.literal_eval(listed)) == set(galmerge_da.__all__)
    imported = {
        alias.asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported == galmerge_da._HOME


def public_callables():
    """(where, function) of all that a room offers: functions, and what classes have of their own."""
    names = [module.name for module in pkgutil.iter_modules(galmerge_da.__path__) if not module.name.startswith("_")]
    for name in (*names, "adaptation.functional", "metrics.selection"):
        room = importlib.import_module(f"galmerge_da.{name}")
        for name in getattr(room, "__all__", ()):
            thing = getattr(room, name)
            if inspect.isfunction(thing):
                yield f"{room.__name__}.{name}", thing
            elif inspect.isclass(thing):
                for key, value in vars(thing).items():
                    value = getattr(value, "fget", None) or getattr(value, "__func__", value)
                    if inspect.isfunction(value) and (key in ("__init__", "__call__") or not key.startswith("_")):
                        yield f"{room.__name__}.{name}.{key}", value


def test_every_public_function_and_method_has_types():
    found = dict(public_callables())
    assert len(found) > 200
    bare = {}
    for where, function in found.items():
        signature = inspect.signature(function)
        names = [
            name
            for name, each in signature.parameters.items()
            if each.annotation is each.empty and name not in ("self", "cls")
        ]
        if names or signature.return_annotation is signature.empty:
            bare[where] = names
    assert bare == {}


@pytest.mark.parametrize("kind", [PreprocessingRecipe, MatchPSF])
def test_what_type_checkers_see_of_a_constructor_has_its_fields_and_defaults(kind):
    (written,) = [
        node
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(kind))))
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    real = list(inspect.signature(kind).parameters.values())
    assert [each.arg for each in written.args.args] == ["self", *(each.name for each in real)]
    assert [ast.literal_eval(each) for each in written.args.defaults] == [each.default for each in real]
