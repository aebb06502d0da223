"""The stub of the package says what the functions really take; mypy, in tox, checks calls against it."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import galmerge_da

STUB = Path(galmerge_da.__file__).parent / "__init__.pyi"


def functions():
    """Function -> its definitions in the stub; overloads are several."""
    found = {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(node)
    return found


def defaults(node):
    """Parameter -> its default in a definition; `inspect.Parameter.empty` where there is none."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    values = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults + arguments.kw_defaults
    return {
        each.arg: inspect.Parameter.empty if value is None else ast.literal_eval(value)
        for each, value in zip([*positional, *arguments.kwonlyargs], values, strict=True)
    }


def test_the_stub_and_the_marker_are_installed():
    assert STUB.is_file() and (STUB.parent / "py.typed").is_file()


def test_the_stub_has_every_public_name():
    tree = ast.parse(STUB.read_text(encoding="utf-8"))
    (listed,) = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    assert set(ast.literal_eval(listed)) == set(galmerge_da.__all__)
    imported = {
        alias.asname: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    for name in set(galmerge_da.__all__) - set(functions()) - {"__version__"}:
        assert imported[name] == galmerge_da._HOME[name]


@pytest.mark.parametrize("name", functions())
def test_a_function_takes_what_the_stub_says(name):
    real = inspect.signature(getattr(galmerge_da, name)).parameters
    keywords = [key for key, each in real.items() if each.kind is each.KEYWORD_ONLY]
    for node in functions()[name]:
        stated = defaults(node)
        assert list(stated) == list(real)
        assert [each.arg for each in node.args.kwonlyargs] == keywords
        assert node.returns is not None
        assert all(each.annotation is not None for each in [*node.args.args, *node.args.kwonlyargs])
    assert {key: each.default for key, each in real.items()} == defaults(functions()[name][0])


def public_callables():
    """(where, function) of all that a room offers: functions, and what classes have of their own."""
    for module in pkgutil.iter_modules(galmerge_da.__path__):
        if module.name.startswith("_"):
            continue
        room = importlib.import_module(f"galmerge_da.{module.name}")
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
