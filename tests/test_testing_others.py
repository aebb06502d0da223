"""The contract testers of backbones and surveys stop each kind of bad plugin at the right check."""

import random
from dataclasses import dataclass

import astropy.units as u
import pytest
import torch
from torch import nn

from galmerge_da.exceptions import ConfigError, PluginError
from galmerge_da.plugins import BackboneSpec, NoOptions, Options, SurveySpec, get_loss, list_plugins, option
from galmerge_da.testing import check_backbone_plugin, check_survey_plugin


@dataclass(frozen=True)
class WidthConfig(Options):
    width: int = option(4, "channels", at_least=1)


@dataclass(frozen=True)
class CarelessConfig:
    width: int = 4


@dataclass(frozen=True)
class KindConfig:
    """JSON makes text of its keys."""

    widths: dict = None

    def __post_init__(self):
        if self.widths is None:
            object.__setattr__(self, "widths", {1: 4})
        if not isinstance(self.widths, dict):
            raise ConfigError("widths must be a mapping")


class Good(nn.Module):
    """A convolution, a norm with running means, and noise in training."""

    def __init__(self, config, in_channels, image_size):
        super().__init__()
        self.feature_dim = getattr(config, "width", 4)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, self.feature_dim, 3), nn.BatchNorm2d(self.feature_dim), nn.Dropout(0.2)
        )

    def forward(self, images):
        return self.layers(images).mean((2, 3))

    def make_head(self, n_classes):
        return nn.Linear(self.feature_dim, n_classes)


class NoDim(Good):
    def __init__(self, *args):
        super().__init__(*args)
        self.feature_dim = float(self.feature_dim)

    def forward(self, images):
        return images


class WrongDim(Good):
    def __init__(self, *args):
        super().__init__(*args)
        self.feature_dim = 5


class OneSize(Good):
    def forward(self, images):
        return super().forward(images) if images.shape[-1] == 28 else images.flatten(1)


class Infinite(Good):
    def forward(self, images):
        return super().forward(images) / 0


class InPlace(Good):
    def forward(self, images):
        return super().forward(images.sub_(1))


class NeedsABatch(Good):
    def forward(self, images):
        return super().forward(images) / (len(images) > 1)


class WrongHead(Good):
    def make_head(self, n_classes):
        return nn.Linear(self.feature_dim, 2)


class Frozen(Good):
    def forward(self, images):
        return super().forward(images).detach()


class Idle(Good):
    def __init__(self, *args):
        super().__init__(*args)
        self.idle = nn.Parameter(torch.zeros(2))


class RootOfZero(Good):
    def forward(self, images):
        features = super().forward(images)
        return features + (features - features.detach()).abs().sqrt()


class AlwaysDropsOut(Good):
    def forward(self, images):
        return nn.functional.dropout(super().forward(images))


class OwnSeed(Good):
    def __init__(self, *args):
        super().__init__(*args)
        with torch.no_grad():
            self.layers[0].weight *= random.random()


class ComparesRows(Good):
    def forward(self, images):
        features = super().forward(images)
        return features - features.mean(0) / 2


class HiddenState(Good):
    def __init__(self, *args):
        super().__init__(*args)
        self.scale = torch.rand(())

    def forward(self, images):
        return super().forward(images) * self.scale


def spec_of(network, config=WidthConfig):
    return BackboneSpec("sample", network, config)


def test_a_good_backbone_passes():
    check_backbone_plugin(spec_of(Good))
    check_backbone_plugin(spec_of(Good), {"width": 3}, sizes=(9, 75))


@pytest.mark.parametrize("name", [each.spec.name for each in list_plugins("backbone")])
def test_every_installed_backbone_passes(name):
    (spec,) = [each.spec for each in list_plugins("backbone") if each.spec.name == name]
    check_backbone_plugin(spec)


@pytest.mark.parametrize(
    "network, config, check, words",
    [
        (Good, CarelessConfig, "config", "takes any object for 'width'"),
        (Good, KindConfig, "config", "comes back from JSON as"),
        (lambda *args: None, NoOptions, "shapes", "must give a torch module, got None"),
        (NoDim, NoOptions, "shapes", "feature_dim must be a whole number of at least 1, got 4.0"),
        (WrongDim, NoOptions, "shapes", r"features of shape \(6, 5\), got \(6, 4\)"),
        (Infinite, NoOptions, "shapes", "features are not finite"),
        (InPlace, NoOptions, "shapes", "changes its images in place"),
        (NeedsABatch, NoOptions, "shapes", "features are not finite"),
        (WrongHead, NoOptions, "head", r"make_head\(3\) must give logits of shape \(6, 3\), got \(6, 2\)"),
        (Frozen, NoOptions, "gradients", "no gradient"),
        (Idle, NoOptions, "gradients", "no gradient reaches idle"),
        (RootOfZero, NoOptions, "gradients", "not finite for .*the images"),
        (AlwaysDropsOut, NoOptions, "determinism", "the same images give two sets of features"),
        (OwnSeed, NoOptions, "determinism", "the same seed gives two networks"),
        (ComparesRows, NoOptions, "rows", "depend on the rest of the batch"),
        (HiddenState, NoOptions, "state", "other features"),
    ],
)
def test_a_bad_backbone_fails_the_check_that_names_its_fault(network, config, check, words):
    with pytest.raises(PluginError, match=f"'sample' fails the check '{check}' with 1 x 28 x 28 images: .*{words}"):
        check_backbone_plugin(spec_of(network, config))


def test_a_backbone_for_one_size_only_is_found_out():
    with pytest.raises(PluginError, match="'shapes' with 1 x 50 x 50 images"):
        check_backbone_plugin(spec_of(OneSize))
    check_backbone_plugin(spec_of(OneSize), sizes=(28,))


def survey(**changes):
    facts = {
        "bands": ("g", "r"),
        "pixel_scale": 0.4 * u.arcsec,
        "psf_fwhm": 1.2 * u.arcsec,
        "zero_point": 25 * u.ABmag,
        "wavelength": [0.48, 0.62] * u.um,
        "depth": 23 * u.ABmag,
    }
    return SurveySpec("sample", **{**facts, **changes})


def test_a_good_survey_passes():
    check_survey_plugin(survey())


@pytest.mark.parametrize("spec", [each.spec for each in list_plugins("survey")], ids=lambda spec: spec.name)
def test_every_installed_survey_passes(spec):
    check_survey_plugin(spec)


class Unpicklable(SurveySpec):
    def __reduce__(self):
        raise TypeError("it stays here")


@pytest.mark.parametrize(
    "spec, check, words",
    [
        (survey(pixel_scale=0.4 * u.deg), "numbers", "pixel_scale is 1440.0 arcsec, expected .*is the unit right"),
        (survey(wavelength=[480, 620] * u.um), "numbers", "wavelength is"),
        (survey(magnitude=[17, 15] * u.ABmag), "numbers", "magnitude must go from the smaller number to the larger"),
        (survey(radius=[9, 9] * u.arcsec), "numbers", "radius must go from the smaller"),
        (survey(pixel_scale=20 * u.arcsec), "numbers", "smaller than a pixel"),
        (survey(depth=[13, 23] * u.ABmag), "numbers", "fainter than its depth"),
        (Unpicklable(**vars(survey())), "pickle", "TypeError: it stays here"),
        (survey(bands=("g",), wavelength=[0.48] * u.um, stretched=True), "images", "needs at least two bands"),
        (survey(zero_point=[25, -300] * u.ABmag, depth=None), "images", "no galaxy can be seen in r"),
    ],
)
def test_a_bad_survey_fails_the_check_that_names_its_fault(spec, check, words):
    with pytest.raises(PluginError, match=f"survey 'sample' fails the check '{check}': .*{words}"):
        check_survey_plugin(spec)


@pytest.mark.parametrize(
    "check, words", [(check_backbone_plugin, "a BackboneSpec"), (check_survey_plugin, "a SurveySpec")]
)
def test_only_specs_of_the_kind_are_checked(check, words):
    with pytest.raises(PluginError, match=f"needs {words}, got LossSpec"):
        check(get_loss("mmd"))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    check_backbone_plugin(spec_of(Good))
    assert torch.equal(torch.get_rng_state(), before)
