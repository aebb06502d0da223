"""GALMERGE_DA_PLUGINS selects and blocks plugins before they are imported."""

import subprocess
import sys
import warnings

import pytest

from galmerge_da.exceptions import PluginError, PluginWarning
from galmerge_da.plugins import get_survey, list_plugins
from galmerge_da.plugins.selection import VARIABLE

SOURCE = """
import astropy.units as u

from galmerge_da.plugins import SurveySpec, hookimpl


@hookimpl
def galmerge_da_surveys():
    return [
        SurveySpec(
            "NAME",
            ("V",),
            pixel_scale=0.5 * u.arcsec,
            psf_fwhm=1.5 * u.arcsec,
            zero_point=25 * u.ABmag,
            wavelength=[0.55] * u.um,
        )
    ]
"""


@pytest.fixture
def two(site):
    """Two distributions: Tiny.Sky, entry point ``small``, and wide-sky, entry point ``Wide_Field``."""
    site("Tiny.Sky", "tiny_sky_plugin", SOURCE.replace("NAME", "tiny-sky"), entry="small")
    site("wide-sky", "wide_sky_plugin", SOURCE.replace("NAME", "wide-sky"), entry="Wide_Field")


def names():
    """The surveys that are there, as (built in, not built in)."""
    records = list_plugins("survey")
    here = {record.spec.name for record in records if record.distribution == "galmerge_da"}
    return here, {record.spec.name for record in records} - here - {"example-camera"}


@pytest.mark.parametrize(
    "value, left",
    [
        ("", {"tiny-sky", "wide-sky"}),
        (" , ", {"tiny-sky", "wide-sky"}),
        ("-tiny-sky", {"wide-sky"}),
        ("-TINY_sky", {"wide-sky"}),
        ("-small", {"wide-sky"}),
        ("-wide.field , -tiny-sky", set()),
        ("Tiny-Sky", {"tiny-sky"}),
        ("wide-field", {"wide-sky"}),
        ("small,wide-sky", {"tiny-sky", "wide-sky"}),
        ("tiny-sky,wide-sky,-small", {"wide-sky"}),
        ("galmerge-da", set()),
    ],
)
def test_names_select_and_a_minus_blocks(two, monkeypatch, value, left):
    monkeypatch.setenv(VARIABLE, value)
    builtin, others = names()
    assert others == left
    assert "sdss" in builtin


def test_what_is_blocked_is_not_even_imported(two, monkeypatch):
    monkeypatch.setenv(VARIABLE, "-tiny-sky")
    get_survey("wide-sky")
    assert "wide_sky_plugin" in sys.modules
    assert "tiny_sky_plugin" not in sys.modules


def test_a_change_of_the_variable_is_seen(two, monkeypatch):
    monkeypatch.setenv(VARIABLE, "-tiny-sky")
    assert names()[1] == {"wide-sky"}
    monkeypatch.delenv(VARIABLE)
    assert names()[1] == {"tiny-sky", "wide-sky"}


def test_who_asks_for_a_blocked_plugin_is_told_of_the_variable(two, monkeypatch):
    monkeypatch.setenv(VARIABLE, "-tiny-sky")
    with pytest.raises(PluginError, match=f"no survey is called 'tiny-sky'.*{VARIABLE} is '-tiny-sky'"):
        get_survey("tiny-sky")


@pytest.mark.parametrize("value", ["tiny-ski", "-tiny-ski"])
def test_a_name_that_nothing_has_is_a_warning_with_the_nearest(two, monkeypatch, value):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.warns(PluginWarning, match=f"{VARIABLE}: no installed plugin .*'tiny-ski'; did you mean 'tiny-sky'"):
        names()


def test_a_plugin_of_another_kind_is_no_unknown_name(site, monkeypatch):
    site("some-loss", "some_loss_plugin", "", group="galmerge_da.losses")
    monkeypatch.setenv(VARIABLE, "some-loss")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names()


def test_the_builtin_plugins_stay(monkeypatch):
    monkeypatch.setenv(VARIABLE, "-galmerge_da")
    with pytest.warns(PluginWarning, match="built-in plugins cannot be blocked"):
        assert "sdss" in names()[0]


def test_of_two_that_collide_one_can_be_blocked(site, monkeypatch):
    site("other-sdss", "other_sdss_plugin", SOURCE.replace("NAME", "sdss"))
    with pytest.raises(PluginError, match=f"'sdss' is offered by both .*block it with {VARIABLE}"):
        get_survey("sdss")
    monkeypatch.setenv(VARIABLE, "-other-sdss")
    assert get_survey("sdss").n_bands == 3


def test_a_kind_is_loaded_only_when_it_is_asked_for():
    code = (
        "import sys\nfrom galmerge_da.plugins import list_plugins\n"
        "loaded = lambda: [name in sys.modules for name in "
        "('galmerge_da.surveys', 'galmerge_da.models.builtin', 'galmerge_da.adaptation.builtin')]\n"
        "print(loaded())\nlist_plugins('survey')\nprint(loaded())\nlist_plugins('backbone')\nprint(loaded())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[False, False, False]", "[True, False, False]", "[True, True, False]"]
