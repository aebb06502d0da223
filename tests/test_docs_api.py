"""Every public name is in the reference."""

import doctest
import enum
import importlib
import inspect
import re
from pathlib import Path

import pytest

import galmerge_da

DOCS = Path(__file__).parents[1] / "docs"
PACKAGE = Path(galmerge_da.__file__).parent

#: What users import from; ``cli`` is documented by its commands.
ROOMS = sorted(
    {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    - {"__init__", "__main__", "cli"}
) + ["adaptation.functional", "metrics.selection"]

#: A hook that the host calls, and a module whose functions are listed.
NOT_FOR_CALLING = {"surveys.galmerge_da_surveys", "adaptation.functional"}

#: Checks of numpydoc on public names: a docstring, parameters as they are and in their order, what is returned.
CHECKS = {"GL08", "PR01", "PR02", "PR03", "RT01", "YD01"}

#: Methods that every step of preprocessing has, in one line each.
STEP_METHODS = {"apply", "check", "note"}


def find(name):
    """The object of a dotted name; a function wins over the module of the same name that it lives in."""
    first, *parts = name.split(".")
    found, path = importlib.import_module(first), first
    for part in parts:
        path += f".{part}"
        if not hasattr(found, part):
            importlib.import_module(path)
        found = getattr(found, part)
    return found


@pytest.fixture(scope="module")
def documented():
    """What the pages list, by name."""
    names = {}
    for path in [*DOCS.glob("*.rst"), *DOCS.glob("development/*.rst")]:
        module, listing = "", False
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith(".. "):
                module = line.split()[-1] if line.startswith(".. currentmodule::") else module
                listing = line.startswith(".. autosummary::")
            elif listing and re.fullmatch(r"   [\w.]+", line):
                names[f"{module}.{line.strip()}"] = find(f"{module}.{line.strip()}")
    if not names:
        pytest.skip("the documentation is not in this source tree")
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_in_the_reference(room, documented):
    module = importlib.import_module(f"galmerge_da.{room}")
    known = {id(found) for found in documented.values()}
    missing = [
        name
        for name in module.__all__
        if f"{room}.{name}" not in NOT_FOR_CALLING and id(getattr(module, name)) not in known
    ]
    assert not missing, f"galmerge_da.{room}: list {', '.join(missing)} in docs/api.rst"


def test_every_name_of_the_front_page_is_in_the_reference(documented):
    assert {f"galmerge_da.{name}" for name in galmerge_da.__all__} - {"galmerge_da.__version__"} <= set(documented)


def test_each_name_is_listed_once():
    listed, module = [], ""
    for line in (DOCS / "api.rst").read_text(encoding="utf-8").splitlines():
        if line.startswith(".. currentmodule::"):
            module = line.split()[-1]
        elif re.fullmatch(r"   [a-z_.]*[A-Za-z_]\w*", line):
            listed.append(f"{module}.{line.strip()}")
    assert len(listed) == len(set(listed)) > 100


def test_only_the_reference_makes_pages_of_functions():
    """A chapter that did would have them among its pages, one by one, on the way to the next chapter."""
    makers = [path.name for path in DOCS.glob("**/*.rst") if ":toctree: api" in path.read_text(encoding="utf-8")]
    assert makers == ["api.rst"]


def test_every_page_is_in_a_table_of_contents():
    pages = {path.relative_to(DOCS): path for path in [*DOCS.glob("*.rst"), *DOCS.glob("development/*.rst")]}
    listed = {Path("index.rst")}
    for name, path in pages.items():
        text = path.read_text(encoding="utf-8")
        for entries in re.findall(r"\.\. toctree::\n(?:   :.*\n)*\n((?:   \S+\n)+)", text):
            listed |= {name.parent / f"{entry}.rst" for entry in entries.split()}
    assert set(pages) - listed <= {Path("sg_execution_times.rst")}


def members(room):
    """Public functions, classes and their methods that are the package's own: (dotted name, object)."""
    module = importlib.import_module(f"galmerge_da.{room}")
    for name in module.__all__:
        found = getattr(module, name)
        if not getattr(found, "__module__", "").startswith("galmerge_da"):
            continue
        if inspect.isclass(found) and issubclass(found, enum.Enum):
            continue
        yield f"galmerge_da.{room}.{name}", found
        for method, each in vars(found).items() if inspect.isclass(found) else ():
            if method.startswith("_") or room == "preprocessing" and method in STEP_METHODS:
                continue
            if inspect.isfunction(each) or isinstance(each, classmethod | staticmethod | property):
                yield f"galmerge_da.{room}.{name}.{method}", each


def is_called(cls, message):
    """Whether users must know the parameters in a message: not if a function makes it, or they are attributes."""
    attributes = importlib.import_module("numpydoc.docscrape").ClassDoc(cls)["Attributes"]
    known = {name for each in attributes for name in each.name.split(", ")} | {"*args", "**kwargs"}
    return "Made by `" not in cls.__doc__ and not set(re.findall(r"'(\S+)'", message)) <= known


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_name_what_is_taken_and_returned(room):
    validate = pytest.importorskip("numpydoc.validate").validate
    wrong = []
    for name, found in members(room):
        errors = dict(validate(name)["errors"])
        if inspect.isclass(found) and "PR01" in errors and not is_called(found, errors["PR01"]):
            del errors["PR01"]
        wrong += [f"{name}: {errors[code]}" for code in sorted(CHECKS & set(errors))]
    assert not wrong, "\n".join(wrong)


def examples():
    """Docstrings with examples, by the name of function or method."""
    found = {}
    for room in ROOMS:
        for name, each in members(room):
            for test in doctest.DocTestFinder(recurse=False).find(each, name):
                if test.examples:
                    found[name.removeprefix(f"galmerge_da.{room}.")] = test
    return found


@pytest.mark.filterwarnings("ignore:the classifier puts")  # 80 galaxies, one epoch
def test_the_examples_of_docstrings_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, test in examples().items():
        failed, _ = doctest.DocTestRunner(verbose=False).run(test)
        assert not failed, name


def test_what_the_front_page_has_people_call_has_an_example():
    assert {
        "classify", "train", "simulate", "extract_cutouts", "find_sources", "read_catalog", "write_catalog",
        "decode_flags", "MergerClassifier.load", "MergerClassifier.save",
    } <= set(examples())  # fmt: skip
