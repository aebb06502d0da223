"""Label shift: shares of classes are recovered from predictions, and source rows count by them."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from galmerge_da.adaptation import DomainBatch, LossContext, build_losses
from galmerge_da.adaptation.functional import coral, dann, estimate_prior, mmd, prior_weights
from galmerge_da.adaptation.priors import AlignmentOptions, TargetPrior
from galmerge_da.exceptions import ConfigError, InputError


def calibrated(shares, n=4000, seed=0, means=(-1.0, 1.0, 3.0), source=None):
    """Exact posteriors under the source's shares of rows from unit Gaussians that have other shares; (n, K)."""
    rng = np.random.default_rng(seed)
    means = np.array(means[: len(shares)])
    source = np.full(len(shares), 1 / len(shares)) if source is None else np.asarray(source)
    values = rng.normal(means[rng.choice(len(shares), n, p=shares)])
    joint = source * norm.pdf(values[:, None] - means)
    return torch.from_numpy(joint / joint.sum(1, keepdims=True))


def expectation_maximisation(probs, source, strength, n_iter):
    """Saerens et al. 2002, in numpy, a row at a time."""
    prior = source
    for _ in range(n_iter):
        total = strength * source
        for row in probs:
            corrected = row * prior / source
            total = total + corrected / corrected.sum()
        prior = total / (len(probs) + strength)
    return prior


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.97, 0.03), (0.6, 0.3, 0.1)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_true_shares_are_recovered_from_calibrated_predictions(shares, seed):
    uniform = torch.full((len(shares),), 1 / len(shares))
    estimate = estimate_prior(calibrated(shares, seed=seed), uniform)
    assert estimate.sum().item() == pytest.approx(1, rel=1e-6)
    assert estimate.tolist() == pytest.approx(shares, abs=0.03)


def test_the_sources_shares_need_not_be_equal():
    source = (0.8, 0.2)
    estimate = estimate_prior(calibrated((0.3, 0.7), source=source), torch.tensor(source))
    assert estimate.tolist() == pytest.approx((0.3, 0.7), abs=0.03)


@pytest.mark.parametrize("strength", [0.0, 20.0])
@pytest.mark.parametrize("n_iter", [1, 7])
def test_each_iteration_is_that_of_the_paper(strength, n_iter):
    source = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    probs = calibrated((0.2, 0.2, 0.6), n=50)
    estimate = estimate_prior(probs, source, strength=strength, n_iter=n_iter)
    expected = expectation_maximisation(probs.numpy(), source.numpy(), strength, n_iter)
    np.testing.assert_allclose(estimate.numpy(), expected, rtol=1e-10)


def test_predictions_that_say_nothing_leave_the_sources_shares():
    source = torch.tensor([0.7, 0.3])
    assert estimate_prior(source.repeat(50, 1), source).tolist() == pytest.approx([0.7, 0.3])


def test_strength_keeps_a_small_sample_near_the_source():
    source, sure = torch.tensor([0.5, 0.5]), torch.tensor([[1.0, 0.0]]).repeat(10, 1)
    assert estimate_prior(sure, source).tolist() == pytest.approx([1.0, 0.0])
    assert estimate_prior(sure, source, strength=10).tolist() == pytest.approx([0.75, 0.25])


def test_predictions_of_a_class_that_the_estimate_has_lost_stay_finite():
    probs = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert estimate_prior(probs, torch.tensor([0.5, 0.5])).tolist() == pytest.approx([2 / 3, 1 / 3])


@pytest.mark.parametrize("source", [torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.3, 0.2]), torch.tensor(1.0)])
def test_wrong_shares_are_refused(source):
    with pytest.raises(InputError, match="source_prior must be 2 positive numbers"):
        estimate_prior(torch.full((4, 2), 0.5), source)
    with pytest.raises(InputError, match="both priors must be K numbers"):
        prior_weights(torch.tensor([0, 1]), source, torch.tensor([0.9, 0.1]))


def test_rows_count_by_the_ratio_of_the_shares():
    labels = torch.tensor([0, 1, 1, 0])
    weights = prior_weights(labels, torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1]))
    assert weights.tolist() == pytest.approx([1.8, 0.2, 0.2, 1.8])
    for wrong in (torch.tensor([0, 2]), torch.tensor([-1, 0]), torch.tensor([0.0, 1.0])):
        with pytest.raises(InputError, match="labels must be"):
            prior_weights(wrong, torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1]))


def batch(logits, labels=None):
    n = len(logits)
    return DomainBatch(logits.clone(), logits, torch.zeros(n, 1, 2, 2), torch.arange(n), labels)


def test_shares_are_counted_and_estimated_over_batches():
    prior = TargetPrior(2)
    assert prior.shares()[0].tolist() == prior.shares()[1].tolist() == [0.5, 0.5]
    logits = calibrated((0.9, 0.1), n=3000, source=(0.75, 0.25)).log().float()
    for part in logits.split(100):
        prior.update(batch(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1])), batch(part))
    source, target = prior.shares()
    assert source.tolist() == pytest.approx([0.75, 0.25], abs=0.01)
    assert target.tolist() == pytest.approx([0.9, 0.1], abs=0.03)


def test_old_predictions_are_forgotten():
    prior = TargetPrior(2)
    source = batch(torch.zeros(2, 2), torch.tensor([0, 1]))
    for logits in ([9.0, -9.0], [-9.0, 9.0]):
        for _ in range(3):
            prior.update(source, batch(torch.tensor([logits]).repeat(1000, 1)))
    assert prior.shares()[1].tolist() == pytest.approx([0.0, 1.0], abs=0.01)
    prior.update(source, batch(torch.tensor([[9.0, -9.0]]).repeat(5000, 1)))  # more than is remembered
    assert prior.shares()[1].tolist() == pytest.approx([1.0, 0.0], abs=0.01)


def test_given_shares_are_taken_as_proportions():
    prior = TargetPrior(3, (90.0, 8.0, 2.0))
    prior.update(batch(torch.zeros(2, 3), torch.tensor([0, 2])), batch(torch.zeros(2, 3)))
    assert prior.shares()[1].tolist() == pytest.approx([0.9, 0.08, 0.02])
    with pytest.raises(ConfigError, match="target_prior must be 2 numbers, one for each class"):
        TargetPrior(2, (0.5, 0.3, 0.2))
    with pytest.raises(ConfigError, match="leave out estimate_prior"):
        AlignmentOptions(target_prior=[0.9, 0.1], estimate_prior=True)


@pytest.mark.parametrize("given", [None, (0.9, 0.1)])
def test_what_is_known_of_the_target_is_saved(given):
    first, second = TargetPrior(2, given), TargetPrior(2, given)
    first.update(batch(torch.zeros(3, 2), torch.tensor([0, 0, 1])), batch(torch.tensor([[2.0, 0.0]]).repeat(30, 1)))
    second.load_state_dict(first.state_dict())
    for one, other in zip(first.shares(), second.shares(), strict=True):
        assert torch.equal(one, other)
    update = batch(torch.zeros(1, 2), torch.tensor([1])), batch(torch.tensor([[0.0, 3.0]]).repeat(9, 1))
    for each in (first, second):
        each.update(*update)
    assert torch.equal(first.shares()[1], second.shares()[1])


@pytest.mark.parametrize("name", ["mmd", "coral", "dann", "cdan", "jmmd", "sinkhorn", "deepjdot"])
def test_every_alignment_loss_knows_of_shares(name):
    """Given shares, a batch with the source's is as one in which rows are repeated."""
    generator = torch.Generator().manual_seed(0)
    source = batch(torch.randn(8, 2, generator=generator), torch.arange(8) % 2)
    target = batch(torch.randn(6, 2, generator=generator) + 0.5)
    values = {}
    for key, options in {
        "plain": {},
        "equal": {"target_prior": [0.5, 0.5]},
        "rare": {"target_prior": [0.9, 0.1]},
        "estimated": {"estimate_prior": True},
    }.items():
        losses = build_losses({name: options}, LossContext(2, 2, torch.Generator().manual_seed(1)))
        torch.manual_seed(2)
        step = type("Step", (), {"progress": 0.5})
        values[key] = losses(source, target, step)[name].item()
    assert values["equal"] == pytest.approx(values["plain"], rel=1e-5)
    assert len({round(value, 5) for value in (values["plain"], values["rare"], values["estimated"])}) == 3


def test_the_weights_reach_the_losses():
    generator = torch.Generator().manual_seed(0)
    source = batch(torch.randn(8, 2, generator=generator), torch.tensor([0, 1, 0, 1, 0, 1, 1, 1]))
    target = batch(torch.randn(6, 2, generator=generator) + 0.5)
    losses = build_losses(
        {name: {"target_prior": [0.9, 0.1]} for name in ("mmd", "coral", "dann")},
        LossContext(2, 2, torch.Generator().manual_seed(1)),
    )
    losses.losses["dann"].discriminator.eval()
    values = losses(source, target, type("Step", (), {"progress": 0.5}))
    weight = prior_weights(source.labels, torch.tensor([4 / 10, 6 / 10]), torch.tensor([0.9, 0.1]))
    pair = source.features, target.features
    assert torch.equal(values["mmd"], mmd(*pair, source_weight=weight))
    assert torch.equal(values["coral"], coral(*pair, source_weight=weight))
    expected = dann(*pair, losses.losses["dann"].discriminator, source_weight=weight)
    assert torch.equal(values["dann"], expected)


def test_shares_are_not_counted_in_evaluation():
    losses = build_losses({"mmd": {"estimate_prior": True}}, LossContext(2, 2, torch.Generator()))
    losses.eval()
    losses(batch(torch.randn(4, 2), torch.zeros(4, dtype=torch.int64)), batch(torch.randn(4, 2)), None)
    assert not losses.losses["mmd"].prior.counts.any()


@pytest.mark.parametrize(
    "weight, words",
    [
        (torch.ones(3), r"weights must have shape \(4,\)"),
        (torch.tensor([1.0, -1.0, 1.0, 1.0]), "finite and at least 0"),
        (torch.zeros(4), "not all be 0"),
        (torch.tensor([1.0, float("nan"), 1.0, 1.0]), "finite"),
        (torch.tensor([1.0, float("inf"), 1.0, 1.0]), "finite"),
    ],
)
def test_senseless_weights_are_refused(weight, words):
    with pytest.raises(InputError, match=words):
        mmd(torch.zeros(4, 2), torch.ones(4, 2), source_weight=weight)
