"""Discovery: broken, misspelt, clashing and wrong plugins, and a real third-party distribution."""

import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import astropy.units as u
import pytest

from galmerge_da.exceptions import PluginError, PluginWarning
from galmerge_da.plugins import (
    GROUPS,
    BackboneSpec,
    LossSpec,
    SurveySpec,
    create_manager,
    get_backbone,
    get_loss,
    get_survey,
    hookimpl,
    list_plugins,
)
from galmerge_da.plugins.manager import collect


def survey(name):
    return SurveySpec(
        name,
        ("g",),
        pixel_scale=1 * u.arcsec,
        psf_fwhm=2 * u.arcsec,
        zero_point=25 * u.ABmag,
        wavelength=[0.5] * u.um,
    )


class FakePoint:
    """An entry point that needs no installed package."""

    group = "galmerge_da.surveys"

    def __init__(self, plugin, distribution="sample", version="1.2", name="entry"):
        self.plugin = plugin
        self.name = name
        self.dist = SimpleNamespace(name=distribution, version=version)

    def load(self):
        if isinstance(self.plugin, Exception):
            raise self.plugin
        return self.plugin


def plugin(offer):
    """An object whose hook gives (or does) ``offer``."""

    class Plugin:
        @hookimpl
        def galmerge_da_surveys(self):
            return offer() if callable(offer) else offer

    return Plugin()


def found(*points):
    return collect("survey", create_manager("survey", points=points))


def test_specs_are_collected_with_their_origin():
    records = found(
        FakePoint(plugin([survey("a"), survey("b")])), FakePoint(plugin(iter([survey("c")])), "other", "2.0")
    )
    origins = {name: (record.kind, record.distribution, record.version) for name, record in records.items()}
    assert origins == {
        "a": ("survey", "sample", "1.2"),
        "b": ("survey", "sample", "1.2"),
        "c": ("survey", "other", "2.0"),
    }


def test_the_origin_is_right_whatever_the_entry_is_called():
    (record,) = found(FakePoint(plugin([survey("a")]), name="x from y 3")).values()
    assert (record.distribution, record.version) == ("sample", "1.2")


def test_one_plugin_that_cannot_be_loaded_is_left_out_with_its_name():
    broken = FakePoint(ModuleNotFoundError("No module named 'nowhere'"), "broken-dist", "0.3")
    with pytest.warns(PluginWarning, match="from broken-dist 0.3 could not be loaded: ModuleNotFoundError.*'nowhere'"):
        records = found(broken, FakePoint(plugin([survey("a")])))
    assert set(records) == {"a"}


def raises():
    raise ZeroDivisionError("by zero")


@pytest.mark.parametrize(
    "offer, words",
    [
        (raises, "ZeroDivisionError: by zero"),
        ([LossSpec("loss", print)], "must give SurveySpecs, got LossSpec"),
        (["sdss"], "must give SurveySpecs, got 'sdss'"),
        (None, "not iterable"),
        (survey("alone"), "not iterable"),
    ],
    ids=["raises", "other spec", "string", "nothing", "bare spec"],
)
def test_one_plugin_that_answers_wrongly_is_left_out_with_its_name(offer, words):
    points = FakePoint(plugin(offer), "broken-dist", "0.3"), FakePoint(plugin([survey("a")]))
    with pytest.warns(PluginWarning, match=f"from broken-dist 0.3 could not be asked: .*{words}"):
        assert set(found(*points)) == {"a"}


def test_a_misspelt_hook_is_an_error_that_names_both():
    class Misspelt:
        @hookimpl
        def galmerge_da_survey(self):
            return []

    with pytest.raises(PluginError, match="from typo-dist 0.1.*galmerge_da_survey"):
        found(FakePoint(plugin([survey("a")])), FakePoint(Misspelt(), "typo-dist", "0.1"))


def test_a_hook_with_arguments_is_an_error():
    class Greedy:
        @hookimpl
        def galmerge_da_surveys(self, config):
            return []

    with pytest.raises(PluginError, match="from sample 1.2.*config"):
        found(FakePoint(Greedy()))


def test_a_forgotten_hookimpl_is_pointed_out():
    class Unmarked:
        def galmerge_da_surveys(self):
            return []

    with pytest.warns(PluginWarning, match="from sample 1.2 does not implement galmerge_da_surveys.*@hookimpl"):
        assert found(FakePoint(Unmarked())) == {}


def test_one_module_may_implement_several_hooks():
    class Both:
        @hookimpl
        def galmerge_da_surveys(self):
            return [survey("a")]

        @hookimpl
        def galmerge_da_losses(self):
            return [LossSpec("b", print)]

    assert set(found(FakePoint(Both()))) == {"a"}
    assert set(collect("loss", create_manager("loss", points=[FakePoint(Both())]))) == {"b"}


def test_a_duplicate_name_is_an_error_that_names_both():
    points = FakePoint(plugin([survey("a")]), "first", "1.0"), FakePoint(plugin([survey("a")]), "second", "2.0")
    with pytest.raises(PluginError, match="'a' is offered by both") as caught:
        found(*points)
    assert "first 1.0" in str(caught.value)
    assert "second 2.0" in str(caught.value)


def test_a_duplicate_name_within_one_plugin_is_an_error():
    with pytest.raises(PluginError, match="'a' is offered twice by sample 1.2"):
        found(FakePoint(plugin([survey("a"), survey("a")])))


def test_a_plugin_under_two_entries_counts_once():
    once = plugin([survey("a")])
    assert set(found(FakePoint(once, name="one"), FakePoint(once, name="two"))) == {"a"}


def test_a_point_without_a_distribution_is_taken():
    point = EntryPoint("builtin", "galmerge_da.surveys", "galmerge_da.surveys")
    assert found(point)["sdss"].distribution == "unknown"


@pytest.mark.parametrize("ask", [create_manager, list_plugins])
def test_an_unknown_kind_is_named(ask):
    with pytest.raises(PluginError, match="no kind of plugin called 'los'; did you mean 'loss'"):
        ask("los")


@pytest.mark.parametrize(
    "get, name, kind",
    [(get_loss, "mmdd", "loss"), (get_backbone, "deepmerg", "backbone"), (get_survey, "sds", "survey")],
)
def test_an_unknown_name_is_named_with_a_close_one(get, name, kind):
    with pytest.raises(PluginError, match=f"no {kind} is called '{name}'; did you mean"):
        get(name)


def test_builtins_come_by_the_same_door():
    spec_types = {"loss": LossSpec, "backbone": BackboneSpec, "survey": SurveySpec}
    records = list_plugins()
    assert {record.kind for record in records} == set(GROUPS)
    assert all(isinstance(record.spec, spec_types[record.kind]) for record in records)
    builtin = {(each.kind, each.spec.name) for each in records if each.distribution == "galmerge_da"}
    assert {("loss", "mmd"), ("backbone", "deepmerge"), ("survey", "sdss")} <= builtin
    names = [record.spec.name for record in list_plugins("survey")]
    assert names == sorted(names)


def test_hooks_run_once():
    assert get_survey("sdss") is get_survey("sdss")


@pytest.mark.parametrize("statement", ["list_plugins('survey')", "get_survey('decals')"])
def test_surveys_need_no_torch(statement):
    code = f"import sys\nfrom galmerge_da.plugins import *\n{statement}\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


THIRD_PARTY = """
import astropy.units as u

from galmerge_da.plugins import SurveySpec, hookimpl


@hookimpl
def galmerge_da_surveys():
    return [
        SurveySpec(
            "tiny-sky",
            ("V",),
            pixel_scale=0.5 * u.arcsec,
            psf_fwhm=1.5 * u.arcsec,
            zero_point=25 * u.ABmag,
            wavelength=[0.55] * u.um,
        )
    ]
"""


def test_an_installed_distribution_is_found(site):
    site("tiny-sky", "tiny_sky_plugin", THIRD_PARTY)
    assert get_survey("tiny-sky").bands == ("V",)
    (record,) = [record for record in list_plugins("survey") if record.spec.name == "tiny-sky"]
    assert (record.distribution, record.version) == ("tiny-sky", "4.5")


def test_an_installed_distribution_that_is_broken_costs_one_warning(site):
    site("tiny-sky", "tiny_sky_plugin", THIRD_PARTY)
    site("broken-sky", "broken_plugin", "import no_such_module_anywhere")
    with pytest.warns(PluginWarning, match="broken-sky 4.5 could not be loaded"):
        assert get_survey("tiny-sky").name == "tiny-sky"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_survey("sdss").name == "sdss"


def test_an_installed_distribution_cannot_take_a_builtin_name(site):
    site("tiny-sky", "tiny_sky_plugin", THIRD_PARTY.replace('"tiny-sky"', '"sdss"'))
    with pytest.raises(PluginError, match="'sdss' is offered by both") as caught:
        get_survey("decals")
    assert "tiny-sky 4.5" in str(caught.value)
    assert "galmerge" in str(caught.value)


def test_a_backbone_hook_is_asked():
    class Plugin:
        @hookimpl
        def galmerge_da_backbones(self):
            return [BackboneSpec("net", print)]

    assert set(collect("backbone", create_manager("backbone", points=[FakePoint(Plugin())]))) == {"net"}
