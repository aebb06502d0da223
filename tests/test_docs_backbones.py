"""What the page on backbones shows is what can be done, and what it counts is so."""

import re
import textwrap
from pathlib import Path

import pytest

from galmerge_da.models import build_network
from galmerge_da.plugins import list_plugins

PAGE = Path(__file__).parents[1] / "docs" / "backbones.rst"
NAMES = [record.spec.name for record in list_plugins("backbone") if record.distribution == "galmerge_da"]


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def examples(page):
    """The code of the page's examples, in their order."""
    blocks = re.findall(r"code-block:: python\n\n((?:    ?.*\n|\n)+)", page)
    return [textwrap.dedent(block) for block in blocks]


def run(code, names, changes):
    """Run an example with other words in it, that it is done sooner."""
    for shown, quick in changes.items():
        assert code.count(shown) == 1
        code = code.replace(shown, quick)
    exec(code, names)


def test_the_example_of_a_network_runs(examples):
    names = {}
    run(examples[0], names, {})
    assert names["features"].shape == (8, 64) and names["logits"].shape == (8, 3)


@pytest.mark.slow
def test_the_examples_of_choosing_run(examples):
    names = {}
    epochs = '"training": {"epochs": 1}'
    run(
        examples[1],
        names,
        {"simulate(2000,": "simulate(100,", '"resnet-rings", ': f'"resnet-rings", recipe={{{epochs}}}, '},
    )
    description = names["result"].classifier.network.describe()
    assert (description["backbone"], description["n_classes"]) == ("resnet-rings", 2)
    run(examples[2], names, {'"model": {': epochs + ', "model": {'})
    classifier = names["result"].classifier
    description = classifier.network.describe()
    assert (description["options"]["width"], description["options"]["rings"]) == (8, 3)
    assert classifier.classes == ("isolated", "pair", "remnant")
    catalogue = classifier.classify(names["galaxies"][:4])
    assert {"prob_isolated", "prob_pair", "prob_remnant"} <= set(catalogue.colnames)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_features_are_counted_right(page, name):
    (row,) = re.findall(rf"^``{name}`` +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+)$", page, re.M)
    counted = []
    for channels, size in ((3, 75), (1, 28)):
        network = build_network(name, in_channels=channels, image_size=size)
        counted += [sum(each.numel() for each in network.parameters()), network.feature_dim]
    assert [int(cell.replace(",", "")) for cell in row] == counted
