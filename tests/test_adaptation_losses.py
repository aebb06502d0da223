"""From what a user asks for to weighted losses, and the pieces that a loss gets to see."""

import math

import pytest
import torch
from torch import nn

from galmerge_da.adaptation import (
    AdaptationLoss,
    DomainBatch,
    LossContext,
    StepContext,
    WeightedLosses,
    build_losses,
    functional,
    make_loss,
    weighted,
)
from galmerge_da.exceptions import ConfigError, InputError, PluginError
from galmerge_da.plugins import LossSpec


class Centers(AdaptationLoss):
    """Learns one centre a class."""

    def __init__(self, config, context):
        super().__init__()
        self.centers = nn.Parameter(torch.randn(context.n_classes, context.feature_dim))
        self.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.calls = []

    def forward(self, source, target, step):
        return (source.features.mean(0) - self.centers).square().sum() + target.features.mean()

    def on_epoch_start(self, step):
        self.calls.append(("epoch", step.epoch))

    def after_step(self, step):
        self.calls.append(("step", step.progress))


class PerRow(AdaptationLoss):
    def forward(self, source, target, step):
        return source.features.sum(1)


@pytest.fixture
def context():
    return LossContext(6, 3, torch.Generator().manual_seed(0))


@pytest.fixture
def more_losses(monkeypatch):
    """Two losses beside the built-in one."""
    extra = {"centers": LossSpec("centers", Centers), "per-row": LossSpec("per-row", lambda config, context: PerRow())}
    real = weighted.get_loss
    monkeypatch.setattr(weighted, "get_loss", lambda name: extra.get(name) or real(name))


def batch(n, labels=None, dtype=torch.float32, shift=0.0):
    generator = torch.Generator().manual_seed(n)
    return DomainBatch(
        (torch.randn(n, 6, generator=generator) + shift).to(dtype),
        torch.randn(n, 3, generator=generator).to(dtype),
        torch.zeros(n, 1, 4, 4),
        torch.arange(n),
        labels,
    )


def step(epoch=0, progress=0.0):
    return StepContext(progress, epoch, torch.Generator(), None)


def test_options_reach_the_loss_and_weights_stand_apart(context):
    source, target = batch(8, torch.zeros(8)), batch(5, shift=1.0)
    plain = functional.mmd(source.features, target.features)
    losses = build_losses({"mmd": 2.5}, context)
    assert torch.equal(losses(source, target, step())["mmd"], plain)
    assert losses.weights(0.3) == {"mmd": 2.5}
    published = build_losses({"mmd": {"weight": 0.5, "variant": "published"}}, context)
    value = published(source, target, step())["mmd"]
    assert torch.equal(value, functional.mmd(source.features, target.features, variant="published"))
    assert published.weights(0.3) == {"mmd": 0.5}
    assert build_losses({"mmd": {}}, context).weights(0) == {"mmd": 1.0}


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, (2, 2, 2)),
        ({"schedule": "linear"}, (0, 1, 2)),
        ({"schedule": "linear", "warmup": 0.5}, (0, 2, 2)),
        ({"schedule": "sigmoid"}, (0, 2 * math.tanh(2.5), 2 * math.tanh(5))),
        ({"schedule": "sigmoid", "warmup": 0.25}, (0, 2 * math.tanh(5), 2 * math.tanh(5))),
    ],
)
def test_a_weight_follows_its_schedule(context, options, expected):
    losses = build_losses({"mmd": {"weight": 2, **options}}, context)
    assert [losses.weights(progress)["mmd"] for progress in (0, 0.5, 1)] == pytest.approx(expected)


def test_a_coupled_loss_gets_the_rows_of_all_processes(context, more_losses):
    own, everywhere = (batch(4), batch(3)), (batch(9), batch(7))
    losses = build_losses({"mmd": 1.0, "centers": 1.0}, context)
    losses.losses["centers"].batch_coupled = False
    values = losses(*own, step(), everywhere=everywhere)
    assert torch.equal(values["mmd"], functional.mmd(*(each.features for each in everywhere)))
    assert torch.equal(values["centers"], losses.losses["centers"](*own, step()))


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing_asked_gives_nothing(context, nothing):
    losses = build_losses(nothing, context)
    assert losses(batch(4), batch(4), step()) == {}
    assert losses.parameter_groups(0.1) == []


def test_what_is_learned_reaches_the_optimizer(context, more_losses):
    losses = build_losses({"centers": 1.0, "mmd": 1.0}, context)
    (group,) = losses.parameter_groups(0.1)
    assert group["lr"] == 0.1
    assert [parameter is losses.losses["centers"].centers for parameter in group["params"]] == [True]
    sum(losses(batch(8), batch(5), step()).values()).backward()
    assert losses.losses["centers"].centers.grad.any()


def test_hooks_reach_every_loss(context, more_losses):
    losses = build_losses({"centers": 1.0, "mmd": 1.0}, context)
    losses.on_epoch_start(step(epoch=3))
    losses.after_step(step(progress=0.5))
    assert losses.losses["centers"].calls == [("epoch", 3), ("step", 0.5)]


def test_state_is_saved_by_the_name_of_the_loss(context, more_losses):
    losses = build_losses({"centers": 1.0}, context)
    assert set(losses.state_dict()) == {"losses.centers.centers", "losses.centers.frozen"}


def test_fresh_weights_depend_on_the_context_alone(more_losses):
    def centers(seed):
        return build_losses({"centers": 1.0}, LossContext(6, 3, torch.Generator().manual_seed(seed))).state_dict()

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = centers(7)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(centers(7)["losses.centers.centers"], first["losses.centers.centers"])
    assert not torch.equal(centers(8)["losses.centers.centers"], first["losses.centers.centers"])


def test_losses_are_computed_in_float32_outside_autocast(context):
    losses = build_losses({"mmd": 1.0}, context)
    source, target = batch(8, dtype=torch.bfloat16), batch(8, dtype=torch.bfloat16, shift=1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = losses(source, target, step())["mmd"]
    assert value.dtype == torch.float32
    assert torch.equal(value, functional.mmd(source.features.float(), target.features.float()))


def test_target_labels_are_refused(context):
    with pytest.raises(ConfigError, match="target batch has labels"):
        build_losses({"mmd": 1.0}, context)(batch(4), batch(4, torch.zeros(4)), step())


def test_a_loss_that_gives_no_number_is_named(context, more_losses):
    with pytest.raises(PluginError, match=r"'per-row' must give a tensor of shape \(\), got \(4,\)"):
        build_losses({"per-row": 1.0}, context)(batch(4), batch(4), step())


@pytest.mark.parametrize(
    "adapt, error, words",
    [
        ("mmd", ConfigError, "must map names of losses to weights"),
        (3, ConfigError, "must map names of losses to weights"),
        (["mmd="], ConfigError, "'mmd=' is not NAME, NAME=WEIGHT or NAME.OPTION=VALUE"),
        (["mmd.variant=best"], ConfigError, "loss 'mmd': variant must be .* got 'best'"),
        ({"mmd": {"schedule": "exponential"}}, ConfigError, "loss 'mmd': schedule must be 'constant' or 'linear'"),
        ({"mmd": {"warmup": 0}}, ConfigError, "loss 'mmd': warmup must be a number above 0 and of at most 1, got 0"),
        ({"mdm": 1.0}, PluginError, "no loss is called 'mdm'; did you mean 'mmd'"),
        ({"mmd": -1.0}, ConfigError, "loss 'mmd': weight must be a number of at least 0, got -1.0"),
        ({"mmd": float("nan")}, ConfigError, "loss 'mmd': weight must be"),
        ({"mmd": float("inf")}, ConfigError, "loss 'mmd': weight must be"),
        ({"mmd": True}, ConfigError, "loss 'mmd': weight must be"),
        ({"mmd": "1"}, ConfigError, "loss 'mmd': weight must be"),
        ({"mmd": {"weight": None}}, ConfigError, "loss 'mmd': weight must be"),
        ({"mmd": {"varient": "published"}}, ConfigError, "loss 'mmd' has no option 'varient'; did you mean 'variant'"),
        ({"mmd": {"variant": "best"}}, ConfigError, "variant must be"),
    ],
)
def test_a_wrong_request_is_named(context, adapt, error, words):
    with pytest.raises(error, match=words):
        build_losses(adapt, context)


def test_the_request_is_left_as_it_was(context):
    adapt = {"mmd": {"weight": 2.0}}
    build_losses(adapt, context)
    assert adapt == {"mmd": {"weight": 2.0}}


def test_a_factory_that_makes_no_loss_is_named(context):
    with pytest.raises(PluginError, match="'odd': its factory must give an AdaptationLoss"):
        make_loss(LossSpec("odd", lambda config, context: nn.Linear(2, 2)), None, context)


def test_a_loss_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="AdaptationLoss must define forward"):
        AdaptationLoss()(batch(2), batch(2), step())


def test_a_batch_of_unequal_parts_is_refused():
    with pytest.raises(InputError, match=r"differ in length: \[3, 4\]"):
        DomainBatch(torch.zeros(4, 2), torch.zeros(4, 2), torch.zeros(3, 1, 2, 2), torch.arange(4))
    with pytest.raises(InputError, match="differ in length"):
        batch(4, torch.zeros(5))
    assert len(batch(4)) == 4


def test_an_empty_module_has_no_groups():
    assert AdaptationLoss().parameter_groups(1.0) == []
    assert WeightedLosses({}, {}).parameter_groups(1.0) == []
