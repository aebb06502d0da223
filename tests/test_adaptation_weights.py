"""Schedules of weights, learned weights, and the statistics that AdaBN takes from a target."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from galmerge_da.adaptation import LearnedWeights, adabn
from galmerge_da.adaptation.weights import scheduled_weight, sigmoid_ramp
from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.plugins import WeightOptions


def test_the_ramp_is_ganins_sigmoid():
    assert [sigmoid_ramp(x) for x in (0.0, 0.1, 1.0)] == pytest.approx([0.0, math.tanh(0.5), math.tanh(5.0)])


@settings(deadline=None, max_examples=30)
@given(
    schedule=st.sampled_from(["constant", "linear", "sigmoid"]),
    warmup=st.floats(0.01, 1),
    weight=st.floats(0, 100),
    steps=st.lists(st.floats(0, 1), min_size=2, max_size=6),
)
def test_a_scheduled_weight_rises_to_what_was_asked_for(schedule, warmup, weight, steps):
    options = WeightOptions(weight=weight, schedule=schedule, warmup=warmup)
    values = [scheduled_weight(options, progress) for progress in sorted(steps)]
    assert values == sorted(values)
    assert all(0 <= value <= weight for value in values)
    assert scheduled_weight(options, 1.0) == pytest.approx(weight, rel=1e-4)


def total(learned, terms, weights):
    return learned({name: torch.tensor(value) for name, value in terms.items()}, weights)


def test_the_learned_total_is_kendalls():
    learned = LearnedWeights(["cross_entropy", "mmd"])
    noise = torch.tensor([0.3, -0.5])
    learned.log_noise.data.copy_(noise)
    value = total(learned, {"cross_entropy": 0.7, "mmd": 0.2}, {"cross_entropy": 1.0, "mmd": 2.0})
    eta = np.exp(noise.numpy())
    assert value.item() == pytest.approx(0.7 / eta[0] ** 2 + 2 * 0.2 / eta[1] ** 2 + np.log(eta).sum(), rel=1e-6)
    assert learned.factors() == pytest.approx({"cross_entropy": eta[0] ** -2, "mmd": eta[1] ** -2}, rel=1e-6)


def test_it_starts_where_the_user_asked():
    value = total(LearnedWeights(["a", "b"]), {"a": 0.7, "b": 0.2}, {"a": 1.0, "b": 2.0})
    assert value.item() == pytest.approx(0.7 + 2 * 0.2)


def test_its_gradients_are_those_on_paper():
    learned = LearnedWeights(["a", "b"])
    noise = torch.tensor([0.3, -0.5])
    learned.log_noise.data.copy_(noise)
    losses = {name: torch.tensor(value, requires_grad=True) for name, value in {"a": 0.7, "b": 0.2}.items()}
    learned(losses, {"a": 1.0, "b": 2.0}).backward()
    factors = torch.exp(-2 * noise)
    torch.testing.assert_close(learned.log_noise.grad, 1 - 2 * factors * torch.tensor([0.7, 2 * 0.2]))
    assert [each.grad.item() for each in losses.values()] == pytest.approx([factors[0].item(), 2 * factors[1].item()])


def test_weights_settle_where_each_term_is_one_half():
    learned = LearnedWeights(["a", "b"])
    optimizer = torch.optim.Adam(learned.parameters(), lr=0.05)
    terms, weights = {"a": 3.0, "b": 0.04}, {"a": 1.0, "b": 2.0}
    for _ in range(500):
        optimizer.zero_grad()
        total(learned, terms, weights).backward()
        optimizer.step()
        learned.after_step()
    for name, factor in learned.factors().items():
        assert weights[name] * factor * terms[name] == pytest.approx(0.5, rel=1e-2)


@pytest.mark.parametrize("value, factor", [(-1.0, 100.0), (0.0, 100.0), (1e6, 0.01)])
def test_no_weight_leaves_its_range(value, factor):
    """A term that is negative, or zero, would else count for more and more."""
    learned = LearnedWeights(["a"])
    optimizer = torch.optim.Adam(learned.parameters(), lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        total(learned, {"a": value}, {"a": 1.0}).backward()
        optimizer.step()
        learned.after_step()
    assert learned.factors()["a"] == pytest.approx(factor, rel=1e-4)


def test_a_term_of_weight_zero_stays_out():
    learned = LearnedWeights(["a", "b"])
    value = total(learned, {"a": 0.7, "b": float("inf")}, {"a": 1.0, "b": 0.0})
    value.backward()
    assert value.item() == pytest.approx(0.7)
    assert learned.log_noise.grad[1] == 0


def test_terms_that_it_was_not_made_for_are_refused():
    with pytest.raises(ConfigError, match="made for a, b, got a"):
        total(LearnedWeights(["a", "b"]), {"a": 1.0}, {"a": 1.0})


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(3 * 16, 2)
    return nn.Sequential(*layers)


def inputs_of_norm(model, images):
    with torch.no_grad():
        return model[0](images).double().numpy()


@pytest.mark.parametrize("n, batch_size", [(12, 256), (12, 4), (7, 4), (2, 1)])
def test_adabn_takes_mean_and_variance_of_what_the_layer_sees(n, batch_size):
    model = network().eval()
    images = 3 * torch.randn(n, 2, 6, 6, generator=torch.Generator().manual_seed(1)) + 1
    parts = np.array_split(inputs_of_norm(model, images), max(1, -(-n // batch_size)))
    means = np.mean([part.mean((0, 2, 3)) for part in parts], axis=0)
    variances = np.mean([part.var((0, 2, 3), ddof=1) for part in parts], axis=0)
    assert adabn(model, images, batch_size=batch_size) is model
    np.testing.assert_allclose(model[1].running_mean, means, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model[1].running_var, variances, rtol=1e-4)


def test_adabn_changes_no_parameter_and_no_mode():
    model = network().train()
    model[4].eval()
    model[1].momentum = 0.3
    before = {name: value.clone() for name, value in model.named_parameters()}
    adabn(model, torch.randn(8, 2, 6, 6))
    assert all(torch.equal(before[name], value) for name, value in model.named_parameters())
    assert (model.training, model[1].training, model[4].training, model[1].momentum) == (True, True, False, 0.3)


def test_adabn_undoes_a_change_of_brightness():
    model = network().eval()
    images = torch.randn(50, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model[0].bias.zero_()
        expected = adabn(model, images)(images)
        brighter = model(5 * images)
        adapted = adabn(model, 5 * images)(5 * images)
    torch.testing.assert_close(adapted, expected, rtol=1e-3, atol=1e-4)
    assert (brighter - expected).abs().max() > 0.1


def test_adabn_without_batch_normalisation_changes_nothing():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    adabn(model, torch.randn(3, 1, 2, 2))
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_adabn_needs_two_images():
    with pytest.raises(InputError, match="at least 2 images, got 1"):
        adabn(network(), torch.zeros(1, 2, 6, 6))
