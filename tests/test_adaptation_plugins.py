"""Every built-in loss keeps the contract, passes its options on, and moves what it learns."""

import copy

import pytest
import torch
from torch import nn

from galmerge_da.adaptation import DomainBatch, LossContext, StepContext, build_losses, functional
from galmerge_da.adaptation.builtin import galmerge_da_losses
from galmerge_da.exceptions import ConfigError, PluginError
from galmerge_da.plugins import get_loss
from galmerge_da.testing import check_loss_plugin

D, K = 6, 3
NAMES = [spec.name for spec in galmerge_da_losses()]

#: Not every method has something to say about predictions that are hardly better than chance.
OPTIONS = {"contrastive": {"threshold": 0.0}, "fixmatch": {"threshold": 0.0}}


class Network(nn.Module):
    """Images to features and logits, with statistics of batches."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, D))
        self.head = nn.Linear(D, K)

    def forward(self, images):
        features = self.backbone(images)
        return features, self.head(features)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network()


def images(n, seed=0):
    return torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(seed)) + seed / 2


def batches(network, n=12, m=9):
    """A source and a target, seen by a network."""
    labels = torch.arange(n) % K, None
    return [
        DomainBatch(*network(each), each, torch.arange(len(each)), label)
        for each, label in zip((images(n), images(m, 1)), labels, strict=True)
    ]


def step(network, progress=0.5, seed=0):
    return StepContext(progress, 0, torch.Generator().manual_seed(seed), network)


def make(network, adapt):
    return build_losses(adapt, LossContext(D, K, torch.Generator().manual_seed(1), network)).train()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mean_teacher"])
def test_every_loss_keeps_the_contract(name):
    check_loss_plugin(get_loss(name), OPTIONS.get(name))


@pytest.mark.parametrize("name", ["mmd", "jmmd", "coral", "dann", "cdan", "sinkhorn", "deepjdot"])
def test_every_alignment_loss_keeps_the_contract_with_estimated_shares(name):
    check_loss_plugin(get_loss(name), {"estimate_prior": True})


@pytest.mark.parametrize(
    "name, options",
    [
        ("mmd", {"variant": "published"}),
        ("mmd", {"variant": "biased", "bandwidths": [1.0, 5.0]}),
        ("jmmd", {"variant": "biased"}),
        ("fisher", {"centers": "batch"}),
        ("fisher", {"form": "difference", "reduction": "sum", "within": 0.01}),
        ("entropy", {"domains": "both"}),
        ("dann", {"lambda_schedule": "constant", "dropout": 0.0, "hidden": 8}),
        ("cdan", {"entropy": False}),
    ],
)
def test_the_other_options_keep_the_contract(name, options):
    check_loss_plugin(get_loss(name), options)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_is_learned_moves_with_one_step(network, name):
    losses = make(network, {name: OPTIONS.get(name, {})})
    learned = [parameter for parameter in losses.parameters() if parameter.requires_grad]
    before = [parameter.detach().clone() for parameter in learned]
    groups = [{"params": list(network.parameters())}, *losses.parameter_groups(0.01)]
    optimizer = torch.optim.Adam(groups, lr=0.01)
    losses(*batches(network), step(network))[name].backward()
    if name != "fisher":  # which looks at the source's features only
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.backbone.parameters())
    optimizer.step()
    assert not any(torch.equal(old, new) for old, new in zip(before, learned, strict=True))
    assert bool(learned) == (name in {"dann", "cdan", "fisher"})


def test_options_reach_the_functions(network):
    source, target = batches(network)
    expected = {
        "jmmd": functional.jmmd(
            *[(each.features, each.logits.softmax(1)) for each in (source, target)], variant="biased"
        ),
        "coral": functional.coral(source.features, target.features),
        "entropy": functional.entropy(torch.cat([source.logits, target.logits])),
        "mcc": functional.mcc(target.logits, temperature=1.5),
        "bnm": functional.bnm(target.logits),
        "afn": 2 * torch.tensor(0.3**2),
        "fisher": functional.fisher(
            source.features, source.labels, form="difference", within=0.2, between=0.3, reduction="sum"
        ),
        "contrastive": functional.contrastive(
            source.features, source.labels, target.features, target.logits, temperature=0.5, threshold=0.2
        ),
        "deepjdot": functional.deepjdot(
            source.features, source.labels, target.features, target.logits, feature_weight=0.3, label_weight=0.6
        ),
        "sinkhorn": functional.sinkhorn(
            source.features,
            target.features,
            blur=0.2 * torch.cdist(source.features, target.features).max().item(),
            scaling=0.7,
        ),
    }
    adapt = {
        "jmmd": {"variant": "biased"},
        "coral": {},
        "entropy": {"domains": "both"},
        "mcc": {"temperature": 1.5},
        "bnm": {},
        "afn": {"step": 0.3},
        "fisher": {"form": "difference", "within": 0.2, "between": 0.3, "reduction": "sum", "centers": "batch"},
        "contrastive": {"temperature": 0.5, "threshold": 0.2},
        "deepjdot": {"feature_weight": 0.3, "label_weight": 0.6},
        "sinkhorn": {"blur": 0.2, "scaling": 0.7},
    }
    values = make(network, adapt)(source, target, step(network))
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        assert values[name].item() == pytest.approx(value.item(), rel=1e-6), name


@pytest.mark.parametrize("name", ["dann", "cdan"])
@pytest.mark.parametrize(
    "options, progress, reversal",
    [
        ({}, 0.0, 0.0),
        ({}, 0.1, 0.46211716),
        ({"max_lambda": 0.5}, 1.0, 0.49995460),
        ({"lambda_schedule": "constant", "max_lambda": 2.0}, 0.0, 2.0),
    ],
)
def test_the_reversed_gradient_rises_and_the_discriminators_does_not(network, name, options, progress, reversal):
    losses = make(network, {name: {"dropout": 0.0, "hidden": 8, **options}})
    discriminator = losses.losses[name].discriminator
    gradients = []
    for scale in (None, -1.0):  # as it is, and a plain loss that both would lower
        source, target = batches(network)
        leaves = source.features, target.features
        if scale is None:
            value = losses(source, target, step(network, progress))[name]
        elif name == "dann":
            value = functional.dann(*leaves, discriminator, reversal=scale)
        else:
            value = functional.cdan(leaves[0], source.logits, leaves[1], target.logits, discriminator, reversal=scale)
        gradients.append(torch.autograd.grad(value, [*leaves, *discriminator.parameters()]))
    for own, plain in zip(gradients[0][:2], gradients[1][:2], strict=True):
        torch.testing.assert_close(own, -reversal * plain)
    for own, plain in zip(gradients[0][2:], gradients[1][2:], strict=True):
        torch.testing.assert_close(own, plain)


def test_the_discriminator_has_its_own_learning_rate_and_size(network):
    losses = make(network, {"dann": {"hidden": 8, "lr_multiplier": 10.0, "dropout": 0.25}, "cdan": {"hidden": 4}})
    own, other = losses.parameter_groups(0.01)
    assert (own["lr"], other["lr"]) == (pytest.approx(0.1), 0.01)
    assert [tuple(p.shape) for p in own["params"]] == [(8, D), (8,), (8, 8), (8,), (1, 8), (1,)]
    assert tuple(other["params"][0].shape) == (4, D * K)
    assert [m.p for m in losses.losses["dann"].discriminator if isinstance(m, nn.Dropout)] == [0.25, 0.25]


def test_the_teacher_is_an_average_of_the_network_over_time(network):
    losses = make(network, {"mean_teacher": {"decay": 0.6}})
    teacher = losses.losses["mean_teacher"].teacher
    expected = copy.deepcopy(network.state_dict())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for number in range(1, 31):
        optimizer.zero_grad()
        losses(*batches(network), step(network, seed=number))["mean_teacher"].backward()
        optimizer.step()
        losses.after_step(step(network))
        kept = min(0.6, number / (number + 10))
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                expected[name] = kept * expected[name] + (1 - kept) * value
            else:
                expected[name] = value.clone()
        for name, value in teacher.state_dict().items():
            torch.testing.assert_close(value, expected[name], msg=name)
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert losses.parameter_groups(0.1) == []


def test_the_teacher_sees_the_images_as_they_are_and_the_network_strong_views(network):
    losses = make(network, {"mean_teacher": {"decay": 0.0}})
    seen = []

    def model(views):
        seen.append(views)
        return network(views)

    source, target = batches(network)
    value = losses(source, target, step(model))["mean_teacher"]
    (views,) = seen
    assert views.shape == target.images.shape
    assert not torch.equal(views, target.images)
    with torch.no_grad():
        taught = losses.losses["mean_teacher"].teacher.eval()(target.images)[1].softmax(1)
        logits = network(views)[1]
    expected = (logits.softmax(1) - taught).square().mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_teacher_is_saved_and_restored(network):
    first, second = (make(network, {"mean_teacher": 1.0}) for _ in range(2))
    with torch.no_grad():
        network.head.bias += 1.0
    first.after_step(step(network))
    source, target = batches(network)
    values = [losses(source, target, step(network))["mean_teacher"] for losses in (first, second)]
    assert not torch.equal(*values)
    second.load_state_dict(first.state_dict())
    values = [losses(source, target, step(network))["mean_teacher"] for losses in (first, second)]
    assert torch.equal(*values)
    for losses in (first, second):
        losses.after_step(step(network))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_a_teacher_needs_a_network():
    with pytest.raises(ConfigError, match="mean_teacher copies the network, and the context has none"):
        build_losses({"mean_teacher": 1.0}, LossContext(D, K, torch.Generator()))


def test_fixmatch_learns_from_sure_rows_only(network):
    views = []

    def model(images):
        views.append(images.requires_grad_())
        return network.eval()(images)

    source, target = batches(network.eval())
    logits = torch.zeros(9, K)
    logits[[1, 4, 5], [0, 2, 0]] = 6.0  # probabilities of 0.995
    logits[7, 1] = 3.0  # 0.91
    target = DomainBatch(target.features, logits, target.images, target.index)
    value = make(network, {"fixmatch": {"threshold": 0.95}})(source, target, step(model))["fixmatch"]
    value.backward()
    (images,) = views
    assert images.grad.flatten(1).any(1).nonzero().flatten().tolist() == [1, 4, 5]
    log_probs = network(images)[1].log_softmax(1)
    assert value.item() == pytest.approx(-(log_probs[[1, 4, 5], [0, 2, 0]].sum() / 9).item(), rel=1e-5)


def test_fixmatch_without_sure_rows_is_zero_with_a_gradient_of_zero(network):
    source, target = batches(network)
    target = DomainBatch(target.features, torch.zeros(9, K), target.images, target.index)
    value = make(network, {"fixmatch": 1.0})(source, target, step(network))["fixmatch"]
    value.backward()
    assert value.item() == 0
    assert not any(parameter.grad.any() for parameter in network.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("name", ["fixmatch", "mean_teacher"])
def test_views_depend_on_the_steps_generator_alone(network, name):
    losses = make(network, {name: OPTIONS.get(name, {})})
    network.eval()
    source, target = batches(network)
    values = [losses(source, target, step(network, seed=seed))[name].item() for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_a_failure_of_a_loss_names_it(network):
    source, target = batches(network)
    losses = make(network, {"fixmatch": 1.0})
    with pytest.raises(PluginError, match="loss 'fixmatch' failed: TypeError"):
        losses(source, target, step(None))
