"""``galmerge plugins``: what it lists, shows and writes."""

import json
import runpy
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import galmerge_da
from galmerge_da.cli import main
from galmerge_da.options import describe_options
from galmerge_da.plugins import GROUPS, WeightOptions, get_loss, get_survey, list_plugins

BUILTIN = {"distribution": "galmerge_da", "version": galmerge_da.__version__}
DOCS = Path(__file__).parents[1] / "docs"


def run(*arguments, columns=100):
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, ["plugins", *(str(each) for each in arguments)])


def read(*arguments):
    done = run(*arguments)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_list_has_kind_name_distribution_version_summary_and_reference():
    done = run("--kind", "loss")
    assert done.exit_code == 0
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["kind", "name", "distribution", "version"]
    number = [line.split() for line in lines].index(["loss", "mmd", *BUILTIN.values()])
    assert lines[number + 1].strip() == get_loss("mmd").summary
    assert lines[number + 2].strip().startswith("Gretton et al. 2012")
    assert {line.split()[0] for line in lines if not line.startswith(" ")} == {"loss"}


def test_the_list_in_json_has_all_of_it():
    rows = read("--json")
    assert [(row["kind"], row["name"]) for row in rows] == [(each.kind, each.spec.name) for each in list_plugins()]
    for row in rows:
        keys = ["kind", "name", "summary", "reference", "distribution", "version"]
        assert list(row) == (keys + ["bands"] if row["kind"] == "survey" else keys)
    assert {"kind": "survey", "name": "sdss", "summary": "g, r, i", "bands": ["g", "r", "i"],
            "reference": get_survey("sdss").reference, **BUILTIN} in rows  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["show", "mmd"], ["show", "dann"], ["show", "deepmerge"], ["show", "sdss"]])
def test_text_fits_a_terminal(arguments):
    lines = run(*arguments, columns=90).stdout.splitlines()
    assert max(map(len, lines)) <= 90
    assert not [line for line in lines if line != line.rstrip()]


def test_show_tells_the_options_of_a_loss_and_of_every_loss():
    (shown,) = read("show", "mmd", "--json")
    assert {key: shown[key] for key in BUILTIN} == BUILTIN
    assert shown["options"] == json.loads(json.dumps(describe_options(get_loss("mmd").config_class)))
    assert shown["weight_options"] == describe_options(WeightOptions)
    text = " ".join(run("show", "mmd", columns=200).stdout.split())
    assert text.startswith(f"loss mmd, from galmerge_da {galmerge_da.__version__} {get_loss('mmd').summary}")
    for each in (*shown["options"], *shown["weight_options"]):
        assert f"{each['doc']} ({each['values']})" in text


def test_show_tells_the_quantities_of_a_survey_band_by_band():
    (shown,) = read("show", "decals", "--json")
    quantities = {each["name"]: each for each in shown["quantities"]}
    assert quantities["psf_fwhm"] == {"name": "psf_fwhm", "unit": "arcsec", "value": {"g": 1.29, "r": 1.18, "z": 1.11}}
    assert quantities["pixel_scale"] == {"name": "pixel_scale", "unit": "arcsec", "value": 0.262}
    assert quantities["magnitude"]["value"] == [15.0, 17.5]
    rows = [line.split() for line in run("show", "decals").stdout.splitlines()]
    assert ["name", "unit", "g", "r", "z"] in rows
    assert ["psf_fwhm", "arcsec", "1.29", "1.18", "1.11"] in rows
    assert ["read_noise", "none"] in rows


def test_a_range_is_not_taken_for_a_value_a_band(site):
    site("two-bands", "two_bands_plugin", TWO_KINDS.replace("KIND", "survey"))
    (shown,) = read("show", "both-kinds", "--json")
    quantities = {each["name"]: each["value"] for each in shown["quantities"]}
    assert quantities["magnitude"] == [14.5, 17.5]
    assert quantities["depth"] is None
    assert quantities["psf_fwhm"] == {"V": 1.5, "I": 1.5}


TWO_KINDS = """
import astropy.units as u

from galmerge_da.plugins import LossSpec, SurveySpec, hookimpl

if "KIND" == "loss":

    @hookimpl
    def galmerge_da_losses():
        return [LossSpec("both-kinds", print, summary="one of two")]

else:

    @hookimpl
    def galmerge_da_surveys():
        return [
            SurveySpec(
                "both-kinds",
                ("V", "I"),
                pixel_scale=0.5 * u.arcsec,
                psf_fwhm=1.5 * u.arcsec,
                zero_point=25 * u.ABmag,
                wavelength=[0.55, 0.8] * u.um,
            )
        ]
"""


def test_a_name_of_several_kinds_is_shown_for_each(site):
    site("a-survey", "a_survey_plugin", TWO_KINDS.replace("KIND", "survey"))
    site("a-loss", "a_loss_plugin", TWO_KINDS.replace("KIND", "loss"), group="galmerge_da.losses")
    assert [each["kind"] for each in read("show", "both-kinds", "--json")] == ["loss", "survey"]
    text = run("show", "both-kinds").stdout
    assert "loss both-kinds, from a-loss 4.5\none of two\n\nNo options of its own\n" in text
    assert "survey both-kinds, from a-survey 4.5" in text
    assert "survey" not in run("show", "both-kinds", "--kind", "loss").stdout


@pytest.mark.parametrize("kind, name", [("plugin", "decal"), ("survey", "decal"), ("backbone", "deepmerg")])
def test_an_unknown_name_is_one_line_with_the_nearest(kind, name):
    done = run("show", name, *(() if kind == "plugin" else ("--kind", kind)))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: no {kind} is called {name!r}; did you mean '{name[:5]}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--kind", "telescope"], ["--json", "show", "mmd"], ["show"], ["new"]])
def test_wrong_usage_exits_with_2(arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("kind", GROUPS)
def test_new_writes_a_package_and_says_what_to_do_with_it(kind, tmp_path):
    done = run("new", "my-thing", "--kind", kind, "-o", tmp_path / "here")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "here" / "src" / "my_thing" / "__init__.py").is_file()
    assert "pyproject.toml, README.rst, LICENSE.rst, src/my_thing/__init__.py, tests/test_my_thing.py" in done.stdout
    assert f"pip install -e '{tmp_path / 'here'}[test]'" in done.stdout
    again = run("new", "my-thing", "--kind", kind, "-o", tmp_path / "here")
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)


def contexts(parent):
    yield parent
    for name, command in getattr(parent.command, "commands", {}).items():
        yield from contexts(click.Context(command, parent, info_name=name))


def test_the_documentation_has_every_command_and_option(tmp_path):
    if not (DOCS / "tables.py").is_file():
        pytest.skip("the documentation is not in this source tree")
    runpy.run_path(DOCS / "tables.py")["write_tables"](tmp_path)
    sections = (tmp_path / "commands.rst").read_text(encoding="utf-8")
    for context in contexts(click.Context(main, info_name="galmerge")):
        _, found, section = sections.partition(f"{context.command_path}\n---")
        assert found, context.command_path
        for parameter in context.command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[-1] in section.partition("\n---")[0], (context.command_path, parameter.opts)
