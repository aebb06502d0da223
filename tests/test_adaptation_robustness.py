"""Every pure loss stays finite on what training can bring, has the gradient it should, and keeps its symmetries."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from galmerge_da.adaptation.functional import (
    afn,
    bnm,
    cdan,
    consistency,
    contrastive,
    coral,
    dann,
    deepjdot,
    entropy,
    fisher,
    jmmd,
    mcc,
    mmd,
    sinkhorn,
)

K = 3


@dataclass
class Pair:
    """What a loss can be given: features (N, D), (M, D), logits (N, K), (M, K), labels (N,), weights (N,) or None."""

    source: torch.Tensor
    target: torch.Tensor
    source_logits: torch.Tensor
    target_logits: torch.Tensor
    labels: torch.Tensor
    weight: torch.Tensor | None = None

    @property
    def leaves(self):
        return self.source, self.target, self.source_logits, self.target_logits

    def map(self, *changes):
        """With its leaves changed by one function, or by one each."""
        changes = changes * 4 if len(changes) == 1 else changes
        leaves = [change(leaf).detach() for change, leaf in zip(changes, self.leaves, strict=True)]
        return Pair(*(leaf.requires_grad_() for leaf in leaves), self.labels, self.weight)


def pair(n=7, m=5, d=6, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    shapes = (n, d), (m, d), (n, K), (m, K)
    leaves = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]
    leaves[1] = leaves[1] + 0.5
    return Pair(*(leaf.requires_grad_() for leaf in leaves), torch.arange(n) % K)


def critic(scale=1.0):
    """A smooth discriminator."""
    return lambda rows: torch.tanh(rows.sum(1) * scale)


ALIGNING = {
    "mmd": lambda p: mmd(p.source, p.target, source_weight=p.weight),
    "mmd, fixed": lambda p: mmd(p.source, p.target, bandwidths=[0.5, 5.0], source_weight=p.weight),
    "mmd, biased": lambda p: mmd(p.source, p.target, variant="biased", source_weight=p.weight),
    "mmd, published": lambda p: mmd(p.source, p.target, variant="published", source_weight=p.weight),
    "jmmd": lambda p: jmmd(
        (p.source, p.source_logits.softmax(1)), (p.target, p.target_logits.softmax(1)), source_weight=p.weight
    ),
    "jmmd, fixed": lambda p: jmmd(
        (p.source, p.source_logits), (p.target, p.target_logits), bandwidths=[[2.0], [1.0]], source_weight=p.weight
    ),
    "coral": lambda p: coral(p.source, p.target, source_weight=p.weight),
    "dann": lambda p: dann(p.source, p.target, critic(), reversal=-1.0, source_weight=p.weight),
    "cdan": lambda p: cdan(
        p.source, p.source_logits, p.target, p.target_logits, critic(), reversal=-1.0, source_weight=p.weight
    ),
    "cdan, plain": lambda p: cdan(
        p.source, p.source_logits, p.target, p.target_logits, critic(), entropy=False, reversal=-1.0
    ),
    "sinkhorn": lambda p: sinkhorn(p.source, p.target, source_weight=p.weight),
    "deepjdot": lambda p: deepjdot(p.source, p.labels, p.target, p.target_logits, source_weight=p.weight),
}
OTHERS = {
    "fisher, ratio": lambda p: fisher(p.source, p.labels),
    "fisher, difference": lambda p: fisher(p.source, p.labels, form="difference"),
    "fisher, centres": lambda p: fisher(p.source, p.labels, p.target[:1] * torch.arange(K)[:, None]),
    "entropy": lambda p: entropy(p.target_logits),
    "mcc": lambda p: mcc(p.target_logits),
    "bnm": lambda p: bnm(p.target_logits),
    "afn": lambda p: afn(p.target),
    "consistency": lambda p: consistency(p.target_logits, p.target_logits.flip(1)),
    "consistency, squared": lambda p: consistency(p.target_logits, p.target_logits.flip(1), form="squared"),
    "contrastive": lambda p: contrastive(p.source, p.labels, p.target, p.target_logits, threshold=0.0),
}
LOSSES = ALIGNING | OTHERS


def outcome(loss, inputs):
    """The value and the gradients of a loss, checked to be finite."""
    value = loss(inputs)
    assert value.shape == ()
    assert torch.isfinite(value), value
    value.backward()
    gradients = [leaf.grad for leaf in inputs.leaves]
    for gradient in gradients:
        assert gradient is None or torch.isfinite(gradient).all()
    assert any(gradient is not None for gradient in gradients)
    return value.detach(), gradients


everything = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def constant(value):
    return lambda leaf: torch.full_like(leaf, value)


def as_is(leaf):
    return leaf


CASES = {
    "more source": pair(9, 4),
    "more target": pair(4, 9),
    "one source row": pair(1, 5),
    "one target row": pair(5, 1),
    "one row each": pair(1, 1),
    "two rows each": pair(2, 2),
    "many features": pair(5, 4, d=300),
    "one feature": pair(5, 4, d=1),
    "zero features": pair().map(constant(0.0), constant(0.0), as_is, as_is),
    "constant features": pair().map(constant(3.0), constant(3.0), as_is, as_is),
    "constant, huge": pair().map(constant(1e4), constant(1e4), as_is, as_is),
    "constant, different": pair().map(constant(1.0), constant(-2.0), as_is, as_is),
    "one row dead": pair().map(lambda leaf: leaf * (torch.arange(len(leaf)) > 0)[:, None]),
    "equal logits": pair().map(as_is, as_is, constant(0.0), constant(0.0)),
    "huge": pair().map(lambda leaf: 1e4 * leaf),
    "huge, many": pair(16, 12, d=2592).map(lambda leaf: 1e4 * leaf),
    "huge offset": pair().map(lambda leaf: leaf + 1e4),
    "tiny": pair().map(lambda leaf: 1e-20 * leaf),
    "far apart": pair().map(as_is, lambda leaf: leaf + 1e4, as_is, as_is),
    "sure": pair().map(as_is, as_is, lambda leaf: 1e3 * leaf, lambda leaf: 1e3 * leaf),
}


@everything
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradients_stay_finite(loss, case):
    outcome(loss, CASES[case].map(as_is))


def identical(inputs):
    source, logits = inputs.source, inputs.source_logits
    leaves = [leaf.detach().clone().requires_grad_() for leaf in (source, source, logits, logits)]
    return Pair(*leaves, inputs.labels, inputs.weight)


@everything
def test_identical_domains_are_no_trouble(loss):
    outcome(loss, identical(pair()))


@pytest.mark.parametrize("name", ["mmd, biased", "jmmd, fixed", "coral", "sinkhorn"])
def test_identical_domains_are_at_distance_zero(name):
    inputs = identical(pair(dtype=torch.float64))
    if name == "jmmd, fixed":
        value = jmmd((inputs.source,), (inputs.target,), variant="biased", bandwidths=[[1.0]])
    else:
        value = LOSSES[name](inputs)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert inputs.source.grad.abs().max() < 1e-6


@everything
def test_float64_stays_and_float32_agrees(loss):
    double, single = pair(dtype=torch.float64), pair()
    value, gradients = outcome(loss, double)
    assert value.dtype == torch.float64
    other, others = outcome(loss, single)
    assert other.dtype == torch.float32
    assert other.item() == pytest.approx(value.item(), rel=1e-4, abs=1e-6)
    for one, two in zip(gradients, others, strict=True):
        if one is not None:
            torch.testing.assert_close(two.double(), one, rtol=1e-2, atol=1e-4)


@everything
def test_half_precision_is_computed_in_float32(loss):
    half = pair(dtype=torch.bfloat16)
    value, _ = outcome(loss, half)
    assert value.dtype == torch.float32
    expected, _ = outcome(loss, half.map(torch.Tensor.float))
    assert value.item() == pytest.approx(expected.item(), rel=1e-2, abs=1e-3)


SMOOTH = [
    "mmd, fixed", "mmd, published", "jmmd, fixed", "coral", "dann", "deepjdot", "fisher, ratio", "fisher, difference",
    "fisher, centres", "entropy", "bnm",
]  # fmt: skip
WEIGHTED = ["mmd, fixed", "mmd, biased", "jmmd", "coral", "dann", "cdan", "sinkhorn", "deepjdot"]


@pytest.mark.parametrize("name", SMOOTH)
def test_the_gradient_is_exact(name):
    inputs = pair(4, 5, d=3, dtype=torch.float64)
    labels = inputs.labels
    assert torch.autograd.gradcheck(lambda *leaves: LOSSES[name](Pair(*leaves, labels)), inputs.leaves)


@pytest.mark.parametrize("name", ["mmd, fixed", "jmmd, fixed", "coral", "dann", "deepjdot"])
def test_the_gradient_is_exact_with_weights(name):
    inputs = pair(4, 5, d=3, dtype=torch.float64)
    weight = torch.tensor([1.0, 0.0, 2.5, 0.5])
    assert torch.autograd.gradcheck(lambda *leaves: LOSSES[name](Pair(*leaves, inputs.labels, weight)), inputs.leaves)


@pytest.mark.parametrize("name", ["cdan", "cdan, plain", "contrastive"])
def test_the_gradient_for_features_is_exact(name):
    """Predictions are held: they carry no gradient here."""
    inputs = pair(4, 5, d=3, dtype=torch.float64)
    held = [leaf.detach() for leaf in inputs.leaves[2:]]
    assert torch.autograd.gradcheck(
        lambda *leaves: LOSSES[name](Pair(*leaves, *held, inputs.labels)), inputs.leaves[:2]
    )
    outcome(LOSSES[name], inputs)
    assert inputs.source_logits.grad is None and inputs.target_logits.grad is None


@pytest.mark.parametrize("form", ["cross_entropy", "squared"])
def test_the_gradient_of_consistency_is_exact(form):
    own, teacher = pair(dtype=torch.float64).target_logits, pair(seed=1, dtype=torch.float64).target_logits.detach()
    assert torch.autograd.gradcheck(lambda logits: consistency(logits, teacher, form=form, threshold=0.5), own)


def test_the_gradient_of_mcc_is_exact_with_its_weights_held():
    logits = pair(dtype=torch.float64).target_logits
    log_probs = (logits.detach() / 2.5).log_softmax(1)
    sure = 1 + torch.exp((log_probs.exp() * log_probs).sum(1))

    def held(logits):
        probs = (logits / 2.5).softmax(1)
        confusion = probs.T @ (sure[:, None] * probs)
        return 1 - (confusion.diagonal() / confusion.sum(1)).mean()

    (expected,) = torch.autograd.grad(held(logits), logits)
    (gradient,) = torch.autograd.grad(mcc(logits), logits)
    torch.testing.assert_close(gradient, expected)


def test_the_gradient_of_sinkhorn_is_that_of_its_value():
    """By finite differences, as nearly as the iterations have converged."""
    inputs = pair(4, 5, d=3, dtype=torch.float64)
    direction = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def value(step):
        return sinkhorn(inputs.source + step * direction, inputs.target, blur=0.5, scaling=0.999)

    (gradient,) = torch.autograd.grad(value(0.0), inputs.source)
    slope = (value(1e-4) - value(-1e-4)).item() / 2e-4
    assert (gradient * direction).sum().item() == pytest.approx(slope, rel=1e-2)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 8), m=st.integers(2, 8))
@everything
def test_the_order_of_rows_does_not_matter(loss, seed, n, m):
    inputs = pair(n, m, seed=seed, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randperm(n, generator=generator), torch.randperm(m, generator=generator)
    leaves = [leaf[order].detach() for leaf, order in zip(inputs.leaves, (first, second) * 2, strict=True)]
    if loss is OTHERS["fisher, centres"]:  # made of the target's first row
        leaves[1] = inputs.target.detach()
    shuffled = Pair(*leaves, inputs.labels[first])
    assert loss(shuffled).item() == pytest.approx(loss(inputs).item(), rel=1e-6, abs=1e-9)


def swapped(inputs):
    return Pair(inputs.target, inputs.source, inputs.target_logits, inputs.source_logits, None)


symmetric = pytest.mark.parametrize(
    "name", ["mmd", "mmd, fixed", "mmd, biased", "mmd, published", "jmmd", "jmmd, fixed", "coral", "sinkhorn"]
)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 8), m=st.integers(1, 8))
@symmetric
def test_a_distance_is_the_same_both_ways(name, seed, n, m):
    inputs = pair(n, m, seed=seed, dtype=torch.float64)
    assert LOSSES[name](swapped(inputs)).item() == pytest.approx(LOSSES[name](inputs).item(), rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), d=st.integers(2, 20))
@symmetric
def test_a_distance_has_no_origin_and_no_axes(name, seed, d):
    inputs = pair(d=d, seed=seed, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    offset = 10 * torch.randn(d, generator=generator, dtype=torch.float64)

    def move(leaf):
        return leaf @ turn + offset

    value = LOSSES[name](inputs).item()
    moved = LOSSES[name](inputs.map(move, move, as_is, as_is)).item()
    rel = 1e-2 if name == "sinkhorn" else 1e-6  # its iterations start from the extent along the axes
    assert moved == pytest.approx(value, rel=rel, abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 8), m=st.integers(1, 8), scale=st.sampled_from([1e-3, 1.0, 30.0]))
def test_values_keep_their_bounds(seed, n, m, scale):
    inputs = pair(n, m, seed=seed, dtype=torch.float64).map(lambda leaf: scale * leaf)
    values = {name: loss(inputs).item() for name, loss in LOSSES.items()}
    tiny = 1e-9
    for name in ("mmd, biased", "coral", "sinkhorn", "deepjdot", "dann", "cdan", "fisher, ratio", "contrastive"):
        assert values[name] >= -tiny * (1 + scale**2), name
    assert values["mmd, published"] >= 1e-4
    assert -tiny <= values["entropy"] <= torch.tensor(float(K)).log().item() + tiny
    assert -tiny <= values["mcc"] <= 1 - 1 / K + tiny
    assert -1 - tiny <= values["bnm"] < 0
    assert values["afn"] == pytest.approx(1)
    assert 0 <= values["consistency, squared"] <= 2 / K
