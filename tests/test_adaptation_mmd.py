"""MMD against a double loop, scikit-learn and statistics; test_adaptation_reference compares it with other code."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel

from galmerge_da.adaptation import LossContext
from galmerge_da.adaptation.functional import PUBLISHED_BANDWIDTHS, mmd
from galmerge_da.adaptation.mmd import MMD, MMDConfig
from galmerge_da.exceptions import ConfigError, InputError


def samples(n, m, d=5, shift=0.0, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(n, d, generator=generator, dtype=dtype)
    return source, torch.randn(m, d, generator=generator, dtype=dtype) + shift


def mmd_by_loop(source, target, bandwidths, unbiased):
    """Gretton's estimators, a pair at a time."""

    def mean_kernel(xs, ys, skip):
        total, count = 0.0, 0
        for (i, x), (j, y) in product(enumerate(xs), enumerate(ys)):
            if skip and i == j:
                continue
            distance = float(((x - y) ** 2).sum())
            total += sum(np.exp(-distance / (2 * b)) for b in bandwidths)
            count += 1
        return total / count

    value = mean_kernel(source, source, unbiased) + mean_kernel(target, target, unbiased)
    value -= 2 * mean_kernel(source, target, False)
    return value / len(bandwidths) if unbiased else value


@settings(deadline=None, max_examples=20)
@given(n=st.integers(2, 7), m=st.integers(2, 7), seed=st.integers(0, 1000), unbiased=st.booleans())
def test_a_double_loop_agrees(n, m, seed, unbiased):
    source, target = samples(n, m, shift=1.0, seed=seed)
    bandwidths = (0.5, 3.0)
    variant = "unbiased" if unbiased else "published"
    value = mmd(source, target, variant=variant, bandwidths=bandwidths).item()
    expected = mmd_by_loop(source.numpy(), target.numpy(), bandwidths, unbiased)
    assert value == pytest.approx(expected if unbiased else max(expected, 1e-4), rel=1e-9, abs=1e-12)


def test_scikit_learn_agrees_on_the_median_heuristic():
    source, target = samples(30, 21, shift=0.5)
    pooled = torch.cat([source, target]).numpy()
    squares = ((pooled[:, None] - pooled[None]) ** 2).sum(2)
    between_rows = np.sort(squares[~np.eye(len(pooled), dtype=bool)])
    median = between_rows[(len(between_rows) - 1) // 2]
    expected = 0.0
    for factor in (0.25, 0.5, 1, 2, 4):
        kernel = rbf_kernel(pooled, gamma=1 / (factor * median))
        ss, tt, cross = kernel[:30, :30], kernel[30:, 30:], kernel[:30, 30:]
        expected += (ss.sum() - 30) / (30 * 29) + (tt.sum() - 21) / (21 * 20) - 2 * cross.mean()
    assert mmd(source, target).item() == pytest.approx(expected / 5, rel=1e-9)


def test_equal_distributions_give_zero_on_average_only_without_the_bias():
    pairs = [samples(16, 24, seed=seed) for seed in range(100)]
    unbiased = np.array([mmd(*pair).item() for pair in pairs])
    assert abs(unbiased.mean()) < 4 * unbiased.std() / len(pairs) ** 0.5
    assert (unbiased < 0).any()
    assert min(mmd(*pair, variant="published").item() for pair in pairs[:20]) > 0.1


def test_it_grows_with_the_shift():
    values = [mmd(*samples(64, 64, shift=shift)).item() for shift in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values)


@pytest.mark.parametrize("variant", ["unbiased", "published"])
def test_it_is_symmetric_and_ignores_order_and_origin(variant):
    source, target = samples(9, 13, shift=0.7)
    value = mmd(source, target, variant=variant)
    torch.testing.assert_close(mmd(target, source, variant=variant), value)
    torch.testing.assert_close(mmd(source.flip(0), target, variant=variant), value)
    torch.testing.assert_close(mmd(source + 100, target + 100, variant=variant), value, rtol=1e-6, atol=0)


def test_the_scale_of_the_features_does_not_matter_to_the_median_heuristic():
    source, target = samples(9, 13, shift=0.7)
    torch.testing.assert_close(mmd(1e3 * source, 1e3 * target), mmd(source, target))


@pytest.mark.parametrize("variant", ["unbiased", "published"])
@pytest.mark.parametrize("sizes", [(2, 5), (6, 4)])
def test_the_gradient_is_exact(variant, sizes):
    pair = [tensor.requires_grad_() for tensor in samples(*sizes, d=3, shift=1.0)]
    assert torch.autograd.gradcheck(lambda *xs: mmd(*xs, variant=variant, bandwidths=(0.5, 2.0)), pair)


def test_the_bandwidths_carry_no_gradient():
    source, target = samples(8, 8, shift=1.0)
    pooled = torch.cat([source, target])
    distances = torch.pdist(pooled).square()
    fixed = [distances.median().item() * factor / 2 for factor in (0.25, 0.5, 1, 2, 4)]
    free, held = source.clone().requires_grad_(), source.clone().requires_grad_()
    mmd(free, target).backward()
    mmd(held, target, bandwidths=fixed).backward()
    torch.testing.assert_close(free.grad, held.grad)


@pytest.mark.parametrize("variant", ["unbiased", "published"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_float32_keeps_its_digits(variant, offset):
    source, target = samples(64, 48, d=2592, shift=0.1, dtype=torch.float64)
    source, target = source + offset, target + offset
    expected = mmd(source.float().double(), target.float().double(), variant=variant).item()
    assert mmd(source.float(), target.float(), variant=variant).item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("variant", ["unbiased", "published"])
@pytest.mark.parametrize("value", [0.0, 1e-20, 3.0, 1e6])
def test_dead_features_leave_value_and_gradient_finite(variant, value):
    source = torch.full((6, 4), value, requires_grad=True)
    result = mmd(source, torch.full((5, 4), value), variant=variant)
    result.backward()
    assert result.item() == pytest.approx(1e-4 if variant == "published" else 0.0, abs=1e-6)
    assert torch.isfinite(source.grad).all()


def test_mostly_dead_features_leave_the_gradient_finite():
    source = torch.zeros(20, 4)
    source[0] = 5.0
    source.requires_grad_()
    result = mmd(source, torch.zeros(20, 4))
    result.backward()
    assert torch.isfinite(result)
    assert torch.isfinite(source.grad).all()


@pytest.mark.parametrize(
    "shapes, variant, words",
    [
        (((0, 4), (5, 4)), "published", r"a sample is empty: \(0, 4\) and \(5, 4\)"),
        (((5, 4), (5, 3)), "unbiased", r"\(5, 4\) and \(5, 3\)"),
        (((5,), (5,)), "published", "shapes"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(shapes, variant, words):
    with pytest.raises(InputError, match=words):
        mmd(*(torch.zeros(shape) for shape in shapes), variant=variant)


def test_one_row_is_enough_for_the_published_variant():
    value = mmd(torch.zeros(1, 3), torch.ones(1, 3), variant="published").item()
    assert value == pytest.approx(2 * sum(1 - np.exp(-3 / (2 * b)) for b in PUBLISHED_BANDWIDTHS), rel=1e-5)


@pytest.mark.parametrize("bandwidths", [(), (1.0, 0.0), (-1.0,), (float("nan"),), ("x",), 3.0])
def test_wrong_bandwidths_are_refused(bandwidths):
    with pytest.raises(ConfigError, match="bandwidths must be positive numbers"):
        mmd(torch.zeros(3, 2), torch.zeros(3, 2), bandwidths=bandwidths)
    with pytest.raises(ConfigError, match="bandwidths must be numbers above 0 or none"):
        MMDConfig(bandwidths=bandwidths)


def test_a_wrong_variant_is_refused():
    with pytest.raises(ConfigError, match="'unbiased' or 'biased' or 'published', got 'linear'"):
        mmd(torch.zeros(3, 2), torch.zeros(3, 2), variant="linear")
    with pytest.raises(ConfigError, match="'unbiased' or 'biased' or 'published', got 'linear'"):
        MMDConfig(variant="linear")


def test_the_plugin_compares_the_features():
    class Batch:
        def __init__(self, features):
            self.features = features

    source, target = samples(9, 6, shift=1.0)
    context = LossContext(5, 2, torch.Generator())
    for options in ({}, {"variant": "published"}, {"bandwidths": [1.0, 2.0]}):
        value = MMD(MMDConfig(**options), context)(Batch(source), Batch(target), None)
        assert torch.equal(value, mmd(source, target, **options))


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_point_in_both_samples_is_at_distance_zero(offset):
    """The narrow kernels of the published variant see any rounding error."""
    source, target = samples(16, 16, d=2592, dtype=torch.float32)
    source = source + offset
    target = torch.cat([source[:4], target[4:] + offset])
    double = mmd(source.double(), target.double(), variant="published").item()
    assert mmd(source, target, variant="published").item() == pytest.approx(double, rel=1e-4)
