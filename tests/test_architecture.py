"""The floors of the house, kept by reading imports and by looking at `sys.modules`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import galmerge_da

ROOT = Path(galmerge_da.__file__).parent

FLOORS = {
    "exceptions": 0, "flags": 0, "options": 0, "specs": 0,
    "io": 1, "photometry": 1, "plugins": 1, "resampling": 1, "surveys": 1,
    "augmentation": 2, "morphology": 2, "preprocessing": 2, "scaffold": 2, "simulation": 2,
    "adaptation": 3, "models": 3,
    "metrics": 4,
    "inference": 5,
    "testing": 6, "training": 6,
    "evaluation": 7,
    "visualization": 8,
    "experiments": 9,
    "__main__": 10, "cli": 10,
}  # fmt: skip

#: Rooms on one floor that may look at each other, in one direction.
NEIGHBOURS = {("surveys", "plugins"), ("specs", "exceptions"), ("specs", "options"), ("options", "exceptions"),
              ("io", "plugins"), ("io", "photometry"), ("simulation", "preprocessing"),
              ("testing", "training"), ("__main__", "cli")}  # fmt: skip

FORBIDDEN = {
    "adaptation": {"io", "preprocessing", "models"},
    "inference": {"training", "adaptation"},
}

TORCH_FREE = [
    "options",
    "specs",
    "flags",
    "exceptions",
    "plugins",
    "surveys",
    "io",
    "morphology",
    "photometry",
    "resampling",
    "preprocessing",
    "scaffold",
    "metrics",
]


def modules():
    return sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Dotted names that a module imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
            if node.module == "galmerge_da":
                yield from (f"galmerge_da.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_lower_floors(path):
    here = room(path)
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "click":
            assert here == "cli", f"{path} imports click"
        if top == "matplotlib":
            assert here == "visualization", f"{path} imports matplotlib"
        if name.startswith("astropy.visualization"):
            assert here == "visualization", f"{path} imports matplotlib through {name}"
        if top == "torch":
            assert here not in TORCH_FREE, f"{path} imports torch"
        if top != "galmerge_da" or not rest:
            continue
        there = galmerge_da._HOME.get(rest, f"galmerge_da.{rest}").split(".")[1]
        if there in (here, "__version__"):
            continue
        assert there not in FORBIDDEN.get(here, ()), f"{path}: {here} must not import {there}"
        lower = FLOORS[there] < FLOORS[here]
        assert lower or (here, there) in NEIGHBOURS, f"{path}: {here} must not import {there}"


def test_every_room_has_a_floor():
    assert {room(path) for path in modules()} <= set(FLOORS)


def loaded_by(statement):
    code = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_top_level_import_is_lazy():
    heavy = {"torch", "matplotlib", "sklearn", "astropy", "numpy", "scipy", "photutils"}
    assert not loaded_by("import galmerge_da") & heavy


@pytest.mark.parametrize("name", TORCH_FREE)
def test_the_numpy_rooms_do_not_load_torch_or_matplotlib(name):
    assert not loaded_by(f"import galmerge_da.{name}") & {"torch", "matplotlib"}


def test_looking_up_a_survey_loads_no_torch():
    assert "torch" not in loaded_by("from galmerge_da.plugins import get_survey; get_survey('sdss')")


def test_public_names_resolve():
    for name in galmerge_da.__all__:
        assert getattr(galmerge_da, name) is not None


def test_no_file_is_two_rooms():
    long = {str(path): n for path in modules() if (n := len(path.read_text().splitlines())) > 400}
    assert not long
