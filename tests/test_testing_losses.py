"""The contract tester lets a good loss pass and stops each kind of bad one at the right check."""

import copy
import random
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from galmerge_da.adaptation import AdaptationLoss
from galmerge_da.exceptions import ConfigError, PluginError
from galmerge_da.plugins import LossSpec, NoOptions, get_backbone, get_loss, list_plugins
from galmerge_da.testing import check_loss_plugin


@dataclass(frozen=True)
class StrengthConfig:
    strength: float = 1.0

    def __post_init__(self):
        if not isinstance(self.strength, float) or self.strength <= 0:
            raise ConfigError(f"strength must be a positive number, got {self.strength!r}")


@dataclass(frozen=True)
class CarelessConfig:
    strength: float = 1.0


class Discriminator(AdaptationLoss):
    """A good loss that learns something, draws numbers and follows a running mean.

    What both domains share has no bias: its gradient would be nothing but rounding.
    """

    def __init__(self, config, context):
        super().__init__()
        self.strength = getattr(config, "strength", 1.0)
        self.layers = nn.Sequential(
            nn.Linear(context.feature_dim, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1, bias=False)
        )
        self.classes = nn.Linear(context.n_classes, 1, bias=False)
        self.register_buffer("running", torch.zeros(()))

    def forward(self, source, target, step):
        scores = [self.layers(b.features).mean() + self.classes(b.logits).mean() for b in (source, target)]
        noise = torch.rand((), generator=step.generator)
        return self.strength * (scores[0] - scores[1]).square() * (1 + noise) + self.running

    def after_step(self, step):
        self.running += 0.1


class Constant(Discriminator):
    def forward(self, source, target, step):
        return torch.zeros(())


class ZeroGradient(Discriminator):
    def forward(self, source, target, step):
        return 0.0 * super().forward(source, target, step)


class NotFinite(Discriminator):
    def forward(self, source, target, step):
        return super().forward(source, target, step) / 0.0


class GradientNotFinite(Discriminator):
    def forward(self, source, target, step):
        return super().forward(source, target, step) + (source.features - source.features.detach()).sum().abs().sqrt()


class PerRow(Discriminator):
    def forward(self, source, target, step):
        return source.features.sum(1)


class Number(Discriminator):
    def forward(self, source, target, step):
        return 1.0


class PairsRows(Discriminator):
    def forward(self, source, target, step):
        n = min(24, len(source))
        assert len(target) == 17 or n == len(target), "the batches differ in size"
        return super().forward(source, target, step)


class NeedsTargetLabels(Discriminator):
    def forward(self, source, target, step):
        return nn.functional.cross_entropy(target.logits, target.labels)


class PeeksAtTargetLabels(Discriminator):
    def forward(self, source, target, step):
        value = super().forward(source, target, step)
        return value if target.labels is None else value + target.labels.float().mean()


class RefusesTargetLabels(Discriminator):
    def forward(self, source, target, step):
        assert target.labels is None
        return super().forward(source, target, step)


class HidesParameters(Discriminator):
    def parameter_groups(self, lr):
        return [{"params": self.classes.parameters(), "lr": lr}]


class UnusedParameter(Discriminator):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.idle = nn.Parameter(torch.zeros(3))


class OwnChance(Discriminator):
    """Another number at every call, whatever is seeded; the gradient is as it was."""

    chance = random.Random(4)

    def forward(self, source, target, step):
        return super().forward(source, target, step) + self.chance.random()


class HiddenState(Discriminator):
    def __init__(self, config, context):
        super().__init__(config, context)
        del self.running
        self.running = torch.zeros(())


class TwoClasses(Discriminator):
    def forward(self, source, target, step):
        return super().forward(source, target, step) + (source.logits - torch.zeros(2)).square().mean()


class OneRowFails(Discriminator):
    def forward(self, source, target, step):
        spread = (source.features - source.features.mean(0)).square().sum() / (len(source) - 1)
        return super().forward(source, target, step) + spread


class Overflows(Discriminator):
    def forward(self, source, target, step):
        return super().forward(source, target, step) + source.features.square().mean().exp()


class DividesBySpread(Discriminator):
    def forward(self, source, target, step):
        pooled = torch.cat([source.features, target.features])
        shift = source.features.mean(0) - target.features.mean(0)
        return super().forward(source, target, step) + shift.square().sum() / pooled.var(0).sum()


class DistanceOfMeans(Discriminator):
    """Its gradient is not finite where the domains are the same."""

    def forward(self, source, target, step):
        shift = source.features.mean(0) - target.features.mean(0)
        return super().forward(source, target, step) + shift.square().sum().sqrt()


class KeepsTheNetwork(Discriminator):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.teacher = context.model

    def parameter_groups(self, lr):
        return [{"params": self.layers.parameters(), "lr": lr}, {"params": self.classes.parameters(), "lr": lr}]


class Plain(AdaptationLoss):
    """Nothing is learned or drawn."""

    def __init__(self, config, context):
        super().__init__()


class LooksAtTheFirstRow(Plain):
    def forward(self, source, target, step):
        return (source.features[0] - target.features.mean(0)).square().mean()


class CoupledButSaysNo(Plain):
    batch_coupled = False

    def forward(self, source, target, step):
        return (source.features.mean(0) - target.features.mean(0)).square().sum()


class MeanOverRows(Plain):
    batch_coupled = False

    def forward(self, source, target, step):
        return (source.features.square().sum(1)).mean() + target.logits.logsumexp(1).mean()


class SumOverRows(Plain):
    batch_coupled = False

    def forward(self, source, target, step):
        return source.features.square().sum()


class UnitGradient(torch.autograd.Function):
    """What goes through keeps its value; its gradient gets the norm 1."""

    @staticmethod
    def forward(ctx, features):
        return features.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient / gradient.norm().clamp_min(1e-12)


class ScalesItsGradient(Plain):
    """The mean over processes has the right value, but not the right gradient."""

    batch_coupled = False

    def forward(self, source, target, step):
        return UnitGradient.apply(source.features).square().mean()


class Teacher(AdaptationLoss):
    """A good loss with a copy of the network that learns nothing."""

    def __init__(self, config, context):
        super().__init__()
        self.teacher = copy.deepcopy(context.model).requires_grad_(False)

    def forward(self, source, target, step):
        noise = 0.1 * torch.randn(target.images.shape, generator=step.generator)
        return (step.model(target.images + noise)[1] - self.teacher(target.images)[1]).square().mean()

    @torch.no_grad()
    def after_step(self, step):
        for own, given in zip(self.teacher.parameters(), step.model.parameters(), strict=True):
            own.lerp_(given, 0.1)


class Broken(Discriminator):
    def forward(self, source, target, step):
        raise RuntimeError("out of luck")


def spec_of(loss, config=StrengthConfig):
    return LossSpec("sample", loss, config)


@pytest.mark.parametrize("loss", [Discriminator, RefusesTargetLabels, Teacher, MeanOverRows])
def test_a_good_loss_passes(loss):
    check_loss_plugin(spec_of(loss))
    check_loss_plugin(spec_of(loss), {"strength": 2.0})


@pytest.mark.parametrize(
    "name", [each.spec.name for each in list_plugins("loss") if each.distribution == "galmerge_da"]
)
def test_every_builtin_loss_passes(name):
    check_loss_plugin(get_loss(name))


@pytest.mark.parametrize("options", [{}, {"variant": "published"}, {"bandwidths": [1.0, 4.0]}], ids=str)
def test_the_builtin_mmd_passes(options):
    check_loss_plugin(get_loss("mmd"), options)


@pytest.mark.parametrize(
    "loss, config, check, words",
    [
        (Discriminator, CarelessConfig, "config", "'strength'"),
        (NeedsTargetLabels, StrengthConfig, "labels", "without labels of the target"),
        (PeeksAtTargetLabels, StrengthConfig, "labels", "change its value"),
        (Constant, StrengthConfig, "value", "no gradient"),
        (ZeroGradient, StrengthConfig, "value", "zero"),
        (NotFinite, StrengthConfig, "value", "inf|nan"),
        (GradientNotFinite, StrengthConfig, "value", "gradient is not finite"),
        (PerRow, StrengthConfig, "value", "shape"),
        (Number, StrengthConfig, "value", "shape"),
        (Broken, StrengthConfig, "value", "RuntimeError: out of luck"),
        (PairsRows, StrengthConfig, "sizes", "differ in size"),
        (OneRowFails, StrengthConfig, "sizes", "value of 1 and 1 rows is nan"),
        (Overflows, StrengthConfig, "huge", "value of features of 1e4 is inf"),
        (DividesBySpread, StrengthConfig, "huge", "value of constant features is nan"),
        (DistanceOfMeans, StrengthConfig, "huge", "gradient of (constant features|identical domains) is not finite"),
        (KeepsTheNetwork, StrengthConfig, "parameters", "keeps the network itself"),
        (HidesParameters, StrengthConfig, "parameters", "leaves out layers.0.weight"),
        (UnusedParameter, StrengthConfig, "parameters", "moves idle"),
        (OwnChance, StrengthConfig, "determinism", "two values"),
        (HiddenState, StrengthConfig, "state", "another value"),
        (LooksAtTheFirstRow, NoOptions, "rows", "another order of the rows changes its value from"),
        (CoupledButSaysNo, NoOptions, "processes", "two processes give .* one gives .*let batch_coupled be True"),
        (SumOverRows, NoOptions, "processes", "two processes give .* one gives .*let batch_coupled be True"),
        (ScalesItsGradient, NoOptions, "processes", "other gradients for the features of the source"),
    ],
)
def test_a_bad_loss_fails_the_check_that_names_its_fault(loss, config, check, words):
    with pytest.raises(PluginError, match=f"'sample' fails the check '{check}' with 2 classes: .*({words})"):
        check_loss_plugin(spec_of(loss, config))


def test_a_loss_for_two_classes_only_is_found_out():
    with pytest.raises(PluginError, match="with 3 classes"):
        check_loss_plugin(spec_of(TwoClasses))


def test_a_factory_that_makes_no_loss_is_found_out():
    with pytest.raises(PluginError, match="must give an AdaptationLoss"):
        check_loss_plugin(spec_of(lambda config, context: nn.Linear(2, 2)))


def test_only_loss_specs_are_checked():
    with pytest.raises(PluginError, match="needs a LossSpec"):
        check_loss_plugin(get_backbone("deepmerge"))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(4)
    before = torch.get_rng_state()
    check_loss_plugin(spec_of(Discriminator))
    assert torch.equal(torch.get_rng_state(), before)
