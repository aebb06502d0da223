"""The plugin that the guide grows runs after every step, and ends as a package."""

import importlib
import re
import sys
import textwrap
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from page_blocks import run_lines

from galmerge_da import simulate, train
from galmerge_da.exceptions import PluginError
from galmerge_da.plugins import GROUPS, get_loss, list_plugins
from galmerge_da.testing import check_loss_plugin

PAGE = Path(__file__).parents[1] / "docs" / "plugin_guide.rst"
MODULE = "mean_distance"


@pytest.fixture(scope="module")
def blocks():
    """(caption, code) of the page, in its order."""
    if not PAGE.is_file():
        pytest.skip("the documentation is not in this source tree")
    found = re.findall(
        r"code-block:: \w+\n(?:   :caption: (.*)\n)?\n((?:   .*\n|\n)+)", PAGE.read_text(encoding="utf-8")
    )
    return [(caption, textwrap.dedent(code).strip() + "\n") for caption, code in found]


@pytest.fixture
def grown(blocks):
    """The module after each step: first, with the hook, with the mistake, with the option, with classes."""
    code = {}
    for caption, block in blocks:
        code.setdefault(caption, []).append(block)
    first, option = code[f"{MODULE}.py"]
    head, hook = option.split("@hookimpl\n")
    classes = head[: head.index("    def forward")] + textwrap.indent(
        code[f"{MODULE}.py, in place of forward"][0], "    "
    )
    helper = code[f"{MODULE}.py, above the class"][0]
    with_hook = f"{first}\n\n{code[f'{MODULE}.py, at the end'][0]}"
    mistake = textwrap.indent(code["a mistake"][0], "    ")
    return SimpleNamespace(
        first=first,
        hook=with_hook,
        mistake=re.sub(r"    def forward(?:.*\n(?=    ))+.*\n", lambda _: mistake, with_hook),
        option=option,
        classes=classes.replace("class MeanDistance(", f"{helper}\n\nclass MeanDistance(") + "\n\n@hookimpl\n" + hook,
    )


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write the module of the guide, and import it anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(source):
        (tmp_path / f"{MODULE}.py").write_text(source, encoding="utf-8")
        sys.modules.pop(MODULE, None)
        importlib.invalidate_caches()
        return importlib.import_module(MODULE)

    yield write
    sys.modules.pop(MODULE, None)


def unnamed(blocks, word):
    """The one block to be typed in that has a word."""
    (code,) = [block for caption, block in blocks if not caption and word in block]
    return code


def test_the_first_steps_run(blocks, grown, module):
    module(grown.first)
    exec(unnamed(blocks, "def batch"), {})
    module(grown.hook)
    exec(unnamed(blocks, "check_loss_plugin(galmerge_da_losses()"), {})


@pytest.mark.filterwarnings("ignore:std")  # torch's own word about one row
def test_the_mistake_is_found_as_the_page_says(blocks, grown, module):
    with pytest.raises(PluginError) as error:
        check_loss_plugin(module(grown.mistake).galmerge_da_losses()[0])
    assert unnamed(blocks, "PluginError").split() == f"PluginError: {error.value}".split()


def test_the_option_keeps_the_contract(grown, module):
    (spec,) = module(grown.option).galmerge_da_losses()
    check_loss_plugin(spec)
    check_loss_plugin(spec, {"floor": 0.01})


def test_its_own_tests_pass(blocks, grown, module):
    module(grown.classes)
    (code,) = [block for caption, block in blocks if caption == f"test_{MODULE}.py"]
    names = {"__name__": "guide"}
    exec(code, names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        (mark,) = test.pytestmark
        keys = mark.args[0].split(", ")
        for values in mark.args[1]:
            test(**dict(zip(keys, values if len(keys) > 1 else [values], strict=True)))


def test_the_package_names_its_module_and_its_group(blocks):
    project = tomllib.loads(next(block for caption, block in blocks if caption == "pyproject.toml"))
    assert project["project"]["entry-points"] == {GROUPS["loss"][0]: {"mean-distance": MODULE}}
    assert project["tool"]["setuptools"]["py-modules"] == [MODULE]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the classifier puts")
def test_the_commands_of_the_package_run(blocks, grown, site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    site("mean-distance", MODULE, grown.hook, group=GROUPS["loss"][0], entry="mean-distance")  # as pip installs it
    (code,) = [block for _, block in blocks if block.startswith("$ python -m pip install -e .")]
    assert code.count("-n 300") == 2 and code.count("--epochs 3") == 1
    shown, *_, trained = run_lines(code.replace("-n 300", "-n 60").replace("--epochs 3", "--epochs 1"))
    assert "distance of the mean features" in shown and "model.safetensors" in trained


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the classifier puts")  # an epoch is too short to tell the classes apart
def test_training_finds_it_by_its_name(grown, site):
    site("mean-distance", MODULE, grown.classes, group=GROUPS["loss"][0], entry="mean-distance")
    assert get_loss("mean-distance").summary
    assert {record.distribution for record in list_plugins("loss")} >= {"galmerge_da", "mean-distance"}
    source, target = simulate(60, "deepmerge-z2-pristine", seed=1), simulate(60, "deepmerge-z2", seed=2)
    options = {"weight": 1.0, "floor": 0.01}
    result = train(source, target, adapt={"mean-distance": options}, recipe={"training": {"epochs": 1}}, seed=1)
    assert result.history["mean-distance"][0] > 0
