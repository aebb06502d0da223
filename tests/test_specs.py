"""Specs check themselves when they are made; options become configs."""

from dataclasses import FrozenInstanceError, dataclass

import astropy.units as u
import numpy as np
import pytest

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import NoOptions, make_config, suggest
from galmerge_da.specs import BackboneSpec, LossSpec, SurveySpec

SURVEY = {
    "bands": ("g", "r"),
    "pixel_scale": 0.4 * u.arcsec,
    "psf_fwhm": [1.4, 1.3] * u.arcsec,
    "zero_point": 22.5 * u.ABmag,
    "wavelength": [0.48, 0.62] * u.um,
}


@dataclass(frozen=True)
class Config:
    size: int
    colour: str = "red"

    def __post_init__(self):
        if self.size < 0:
            raise ValueError("size must be at least 0")
        if self.colour == "blue":
            raise ConfigError("no blue, please")


@dataclass
class Thawed:
    size: int = 1


@pytest.mark.parametrize("kind", [LossSpec, BackboneSpec])
def test_a_factory_spec_has_sensible_defaults(kind):
    spec = kind("a-name_2", print)
    assert spec.config_class is NoOptions
    assert (spec.reference, spec.summary) == ("", "")
    with pytest.raises(FrozenInstanceError):
        spec.name = "other"


@pytest.mark.parametrize("name", ["", "MMD", "2d", "a b", "a--b", "-a", "a.b", "é", None, 3])
@pytest.mark.parametrize(
    "make", [lambda n: LossSpec(n, print), lambda n: SurveySpec(n, **SURVEY)], ids=["loss", "survey"]
)
def test_a_malformed_name_is_refused(make, name):
    with pytest.raises(ConfigError, match="Spec: a name is lower-case letters"):
        make(name)


@pytest.mark.parametrize("config_class", [Thawed, dict, Config(1), None, "Config"])
def test_a_config_class_must_be_a_frozen_dataclass(config_class):
    with pytest.raises(ConfigError, match="x: config_class must be a frozen dataclass"):
        LossSpec("x", print, config_class)


def test_a_factory_must_be_callable():
    with pytest.raises(ConfigError, match="x: factory must be callable, got 3"):
        BackboneSpec("x", 3)


def test_a_survey_takes_one_value_for_all_bands_and_converts_units():
    survey = SurveySpec("s", **{**SURVEY, "bands": ["g", "r"], "psf_fwhm": 0.5 * u.arcmin, "exposure": 1 * u.minute})
    assert survey.bands == ("g", "r")
    assert survey.n_bands == 2
    assert survey.psf_fwhm.unit == u.arcsec
    np.testing.assert_allclose(survey.psf_fwhm.value, [30, 30])
    np.testing.assert_allclose(survey.exposure.value, [60, 60])
    np.testing.assert_allclose(survey.zero_point.value, [22.5, 22.5])
    assert survey.depth is None


def test_surveys_are_compared_by_identity():
    assert SurveySpec("s", **SURVEY) != SurveySpec("s", **SURVEY)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"bands": "gr"}, "bands must be different names"),
        ({"bands": ()}, "bands must be different names"),
        ({"bands": ("g", "g")}, "bands must be different names"),
        ({"bands": ("g", 2)}, "bands must be different names"),
        ({"bands": ("g", "")}, "bands must be different names"),
        ({"bands": ("g", "r i")}, "bands must be different names"),
        ({"pixel_scale": 0.4}, "pixel_scale must be a Quantity in arcsec: it has no unit"),
        ({"pixel_scale": 0.4 * u.s}, "pixel_scale must be a Quantity in arcsec"),
        ({"pixel_scale": [1, 1] * u.arcsec}, r"pixel_scale must have shape \(\), got \(2,\)"),
        ({"pixel_scale": -1 * u.arcsec}, "pixel_scale must be finite and positive"),
        ({"psf_fwhm": [1, 2, 3] * u.arcsec}, r"psf_fwhm must have shape \(2,\), got \(3,\)"),
        ({"psf_fwhm": [1, np.nan] * u.arcsec}, "psf_fwhm must be finite and positive"),
        ({"zero_point": 22.5 * u.arcsec}, "zero_point must be a Quantity in mag"),
        ({"zero_point": np.inf * u.ABmag}, "zero_point must be finite"),
        ({"wavelength": [0.48] * u.um}, "wavelength must have shape"),
        ({"gain": 0 * u.electron}, "gain must be finite and positive"),
        ({"depth": 22.0}, "depth must be a Quantity"),
        ({"magnitude": 17 * u.arcsec}, "magnitude must be a Quantity"),
        ({"radius": [1, 2, 3] * u.arcsec}, "radius must have shape"),
        ({"radii_per_pixel": 0}, "radii_per_pixel must be a positive number, got 0"),
        ({"radii_per_pixel": "0.1"}, "radii_per_pixel must be a positive number"),
        ({"radii_per_pixel": np.nan}, "radii_per_pixel must be a positive number"),
        ({"redshift": -0.1}, "redshift must be a number of at least 0, got -0.1"),
        ({"redshift": None}, "redshift must be a number"),
    ],
)
def test_a_wrong_survey_value_is_named(change, words):
    with pytest.raises(ConfigError, match=f"survey 's': {words}"):
        SurveySpec("s", **{**SURVEY, **change})


def test_magnitudes_may_be_negative_and_a_depth_may_be_a_flux():
    survey = SurveySpec("s", **{**SURVEY, "zero_point": -2.5 * u.ABmag, "depth": 3631 * u.Jy})
    np.testing.assert_allclose(survey.zero_point.value, -2.5)
    np.testing.assert_allclose(survey.depth.value, 0, atol=1e-3)


def test_options_become_a_config():
    assert make_config(Config, {"size": 3}, "it") == Config(3, "red")
    assert make_config(NoOptions, None, "it") == NoOptions()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"size": 1, "color": "red"}, "loss 'x' has no option 'color'; did you mean 'colour'"),
        ({"size": 1, 5: 2}, "loss 'x' has no option 5; known: colour, size"),
        ({}, "loss 'x': .*size"),
        ({"size": -1}, "loss 'x': size must be at least 0"),
        ({"size": None}, "loss 'x': "),
        ({"size": 1, "colour": "blue"}, "no blue, please"),
        ("size", "loss 'x': options must map names to values, got 'size'"),
        ([1], "loss 'x': options must map names to values"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        make_config(Config, options, "loss 'x'")


def test_suggestions():
    assert suggest("mdm", ["mmd", "coral"]) == "; did you mean 'mmd'?"
    assert suggest("zzz", ["mmd", "coral"]) == "; known: coral, mmd"
    assert suggest("zzz", []) == "; known: none"
