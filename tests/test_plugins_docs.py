"""The page for authors of plugins: every hook with its exact signature, and code that runs."""

import inspect
import re
import textwrap
from pathlib import Path

import pytest
import torch

from galmerge_da import plugins
from galmerge_da.adaptation import AdaptationLoss, LossContext, StepContext, weighted
from galmerge_da.exceptions import ConfigError
from galmerge_da.models import build_network, network
from galmerge_da.plugins import GROUPS, LossSpec
from galmerge_da.testing import backbones, losses, surveys

PAGE = Path(__file__).parents[1] / "docs" / "development" / "plugins.rst"


@pytest.fixture(scope="module")
def page():
    if not PAGE.is_file():
        pytest.skip("the documentation is not in this source tree")
    return PAGE.read_text()


@pytest.fixture
def example(page):
    """Names that the page's examples define, by a word that one of them contains."""

    def run(word):
        blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", page)
        (code,) = [block for block in blocks if word in block]
        names = {"__name__": "example"}
        exec(compile(textwrap.dedent(code), str(PAGE), "exec"), names)
        return names

    return run


HOOKS = [
    pytest.param(group, name, function, hook, spec_type, id=name)
    for group, hooks, hook, spec_type in GROUPS.values()
    for name, function in inspect.getmembers(hooks, inspect.isfunction)
]


@pytest.mark.parametrize("group, name, function, hook, spec_type", HOOKS)
def test_every_hook_is_documented_with_its_exact_signature(page, group, name, function, hook, spec_type):
    assert name == hook, "a hook that nobody asks"
    signature = inspect.signature(function)
    arguments = ", ".join(str(p) for p in list(signature.parameters.values())[1:])
    assert signature.return_annotation.__args__ == (spec_type,)
    assert f"``{name}({arguments}) -> Iterable[{spec_type.__name__}]``" in page
    assert f"``{group}``" in page
    assert inspect.getdoc(function)


@pytest.mark.parametrize("group, name, function, hook, spec_type", HOOKS)
def test_every_hook_has_a_test(group, name, function, hook, spec_type):
    tests = [path.read_text() for path in Path(__file__).parent.glob("test_plugins_*.py") if path != Path(__file__)]
    assert any(f"def {name}(" in text for text in tests)


def test_what_a_loss_sees_is_documented(page):
    assert "``batch_coupled``" in page
    for cls in (LossContext, StepContext):
        for name in cls.__dataclass_fields__:
            assert f"``{name}``" in page, f"{cls.__name__}.{name}"
    for name, method in inspect.getmembers(AdaptationLoss, inspect.isfunction):
        if method.__module__ == AdaptationLoss.__module__ and not name.startswith("_"):
            arguments = list(inspect.signature(method).parameters)[1:]
            assert f"``{name}({', '.join(arguments)})``" in page


@pytest.mark.parametrize(
    "tester, checks",
    [
        (losses.check_loss_plugin, losses._CHECKS),
        (backbones.check_backbone_plugin, backbones._CHECKS),
        (surveys.check_survey_plugin, surveys._CHECKS),
    ],
)
def test_a_tester_documents_its_checks(page, tester, checks):
    assert tester.__name__ in page
    for check in checks:
        assert f"``{check}``" in tester.__doc__


def test_the_example_loss_keeps_the_contract(example):
    (spec,) = example("ClassCentersConfig")["galmerge_da_losses"]()
    assert isinstance(spec, LossSpec)
    losses.check_loss_plugin(spec)
    losses.check_loss_plugin(spec, {"target": 0.5})


def test_the_example_loss_is_asked_for_as_the_page_says(page, example, monkeypatch):
    (spec,) = example("ClassCentersConfig")["galmerge_da_losses"]()
    found = plugins.get_loss
    monkeypatch.setattr(weighted, "get_loss", lambda name: spec if name == spec.name else found(name))
    (call,) = re.findall(r"^   result = train\(source, target, adapt=(.*)\)$", page, re.M)
    weighted.check_losses(eval(call))
    with pytest.raises(ConfigError, match="goal"):
        weighted.check_losses({"class-centers": {"goal": 0.5}})


def test_the_example_backbone_makes_a_network(example, monkeypatch):
    (spec,) = example("MeanColors")["galmerge_da_backbones"]()
    backbones.check_backbone_plugin(spec)
    monkeypatch.setattr(network, "get_backbone", lambda name: spec)
    features, logits = build_network(spec.name, in_channels=3, image_size=8)(torch.rand(2, 3, 8, 8))
    assert (features.shape, logits.shape) == ((2, 3), (2, 2))


def test_the_example_survey_is_one(example):
    (spec,) = example("my-camera")["galmerge_da_surveys"]()
    surveys.check_survey_plugin(spec)
    assert spec.n_bands == 2
