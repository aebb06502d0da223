"""Losses against loops over rows, numpy, scipy and POT, where no reference value exists."""

import numpy as np
import ot
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.special import log_softmax, softmax
from scipy.stats import entropy as shannon

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
    reverse_gradient,
    sinkhorn,
)

K = 3


def rows(n, m=None, d=4, seed=0, shift=0.5):
    """One sample of random rows in float64, or two."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return first if m is None else (first, torch.randn(m, d, generator=generator, dtype=torch.float64) + shift)


def classes(n):
    return torch.arange(n) % K


def squares(xs, ys):
    return ((np.asarray(xs)[:, None] - np.asarray(ys)[None]) ** 2).sum(2)


@pytest.mark.parametrize("unbiased", [True, False])
def test_weighted_mmd_is_a_sum_over_weighted_pairs(unbiased):
    source, target = rows(6, 5)
    weight = np.array([1.0, 2.0, 0.0, 3.0, 0.5, 1.0])
    even = np.ones(5)

    def mean_kernel(xs, ys, ws, vs, skip):
        kernel = np.exp(-squares(xs, ys) / 2 / 1.5)
        pairs = np.outer(ws, vs) * (1 - np.eye(len(ws)) if skip else 1)
        return (pairs * kernel).sum() / pairs.sum()

    expected = mean_kernel(source, source, weight, weight, unbiased) + mean_kernel(target, target, even, even, unbiased)
    expected -= 2 * mean_kernel(source, target, weight, even, False)
    value = mmd(
        source,
        target,
        variant="unbiased" if unbiased else "biased",
        bandwidths=[1.5],
        source_weight=torch.from_numpy(weight),
    )
    assert value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("unbiased", [True, False])
def test_jmmd_multiplies_the_kernels_of_the_layers(unbiased):
    source, target = rows(6, 5)
    layers = [(each[:, :3], each[:, 3:].abs()) for each in (source, target)]
    pooled = [np.concatenate([first, second]) for first, second in zip(*layers, strict=True)]
    kernel = np.ones((11, 11))
    for values, widths in zip(pooled, ((0.5, 2.0), (1.0,)), strict=True):
        kernel *= np.mean([np.exp(-squares(values, values) / 2 / width) for width in widths], axis=0)
    skip = np.eye(11) if unbiased else np.zeros((11, 11))
    within = [
        (kernel * (1 - skip))[part, part].sum() / (1 - skip)[part, part].sum() for part in (slice(6), slice(6, 11))
    ]
    expected = sum(within) - 2 * kernel[:6, 6:].mean()
    value = jmmd(*layers, variant="unbiased" if unbiased else "biased", bandwidths=[(0.5, 2.0), (1.0,)])
    assert value.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("d", [4, 40])
@pytest.mark.parametrize("weighted", [False, True])
def test_coral_is_the_distance_of_numpys_covariances(d, weighted):
    source, target = rows(9, 6, d=d)
    weight = torch.linspace(0, 2, 9) if weighted else None
    covariances = [np.cov(source.T, aweights=weight), np.cov(target.T)]
    expected = ((covariances[0] - covariances[1]) ** 2).sum() / (4 * d**2)
    assert coral(source, target, source_weight=weight).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("form", ["ratio", "difference"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("learned", [False, True])
def test_fisher_is_a_loop_over_rows(form, reduction, learned):
    features, labels = rows(8), torch.tensor([0, 0, 2, 2, 2, 0, 2, 0])
    if learned:
        centers = rows(K, seed=1)
        there = {label: centers[label].numpy() for label in range(K)}
    else:  # a class that is not in the batch has no centre
        centers = None
        there = {label: features[labels == label].mean(0).numpy() for label in (0, 2)}
    within = sum(((row.numpy() - there[int(label)]) ** 2).sum() for row, label in zip(features, labels, strict=True))
    within = within / 8 if reduction == "mean" else within
    middle = np.mean(list(there.values()), axis=0)
    between = sum(((center - middle) ** 2).sum() for center in there.values())
    expected = 0.3 * within / (0.7 * between) if form == "ratio" else 0.3 * within - 0.7 * between
    value = fisher(features, labels, centers, form=form, reduction=reduction, within=0.3, between=0.7)
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_fisher_of_one_class_teaches_nothing():
    features = rows(5).requires_grad_()
    value = fisher(features, torch.ones(5, dtype=torch.int64))
    value.backward()
    assert value.item() == 0
    assert not features.grad.any()


def test_afn_pulls_every_norm_alike():
    features = rows(5).requires_grad_()
    value = afn(features, step=0.3)
    value.backward()
    assert value.item() == pytest.approx(0.09)
    direction = features.detach() / features.detach().norm(dim=1, keepdim=True)
    torch.testing.assert_close(features.grad, -2 * 0.3 * direction / 5)


def test_entropy_is_scipys():
    logits = 3 * rows(7, d=K)
    assert entropy(logits).item() == pytest.approx(shannon(softmax(logits, axis=1), axis=1).mean(), rel=1e-12)


def test_bnm_is_numpys_nuclear_norm():
    probs = softmax(rows(7, d=K), axis=1)
    assert bnm(rows(7, d=K)).item() == pytest.approx(-np.linalg.norm(probs, "nuc") / 7, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_mcc_is_a_loop_over_pairs_of_classes(temperature):
    logits = 3 * rows(7, d=K)
    probs = softmax(logits.numpy() / temperature, axis=1)
    weight = 1 + np.exp(-shannon(probs, axis=1))
    weight = 7 * weight / weight.sum()
    confusion = np.zeros((K, K))
    for row, importance in zip(probs, weight, strict=True):
        for j in range(K):
            for k in range(K):
                confusion[j, k] += importance * row[j] * row[k]
    confusion /= confusion.sum(1, keepdims=True)
    expected = (confusion.sum() - np.trace(confusion)) / K
    assert mcc(logits, temperature=temperature).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("form", ["cross_entropy", "squared"])
@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.0])
def test_consistency_is_a_loop_over_rows(form, threshold):
    logits, teacher = 2 * rows(9, d=K), 2 * rows(9, d=K, seed=1)
    total = 0.0
    for own, other in zip(logits.numpy(), teacher.numpy(), strict=True):
        taught = softmax(other)
        if taught.max() >= threshold:
            squared = ((softmax(own) - taught) ** 2).mean()
            total += squared if form == "squared" else -log_softmax(own)[taught.argmax()]
    value = consistency(logits, teacher, threshold=threshold, form=form)
    assert value.item() == pytest.approx(total / 9, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("form", ["cross_entropy", "squared"])
def test_a_teacher_learns_nothing_from_its_pupil(form):
    logits, teacher = rows(5, d=K).requires_grad_(), rows(5, d=K, seed=1).requires_grad_()
    consistency(logits, teacher, form=form).backward()
    assert teacher.grad is None
    assert logits.grad.any()


@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_contrastive_is_a_loop_over_rows_and_partners(threshold):
    source, target = rows(8, 6)
    labels, logits = classes(8), 3 * rows(6, d=K, seed=2)
    probs = softmax(logits.numpy(), axis=1)
    unit = [each.numpy() / np.linalg.norm(each, axis=1, keepdims=True) for each in (source, target)]
    sure = [j for j in range(6) if probs[j].max() >= threshold]
    assert 1 < len(sure) and (len(sure) < 6 or not threshold)

    def one_way(queries, keys, matches):
        per_row = []
        for i, query in enumerate(queries):
            partners = [j for j in range(len(keys)) if matches(i, j)]
            if partners:
                similar = np.exp(keys @ query / 0.2)
                per_row.append(-np.mean([np.log(similar[j] / similar.sum()) for j in partners]))
        return np.mean(per_row)

    pseudo = probs.argmax(1)[sure]
    there = one_way(unit[1][sure], unit[0], lambda i, j: pseudo[i] == labels[j])
    back = one_way(unit[0], unit[1][sure], lambda i, j: labels[i] == pseudo[j])
    value = contrastive(source, labels, target, logits, temperature=0.2, threshold=threshold)
    assert value.item() == pytest.approx((there + back) / 2, rel=1e-10)


def test_contrastive_without_sure_rows_or_shared_classes_teaches_nothing():
    source, target = (each.requires_grad_() for each in rows(6, 6))
    unsure, other = torch.zeros(6, K), torch.tensor([[0.0, 0.0, 9.0]]).repeat(6, 1)
    for labels, logits in ((classes(6), unsure), (torch.zeros(6, dtype=torch.int64), other)):
        value = contrastive(source, labels, target, logits)
        value.backward()
        assert value.item() == 0
        assert not source.grad.any() and not target.grad.any()


@pytest.mark.parametrize("feature_weight, label_weight", [(1.0, 1.0), (0.1, 2.0), (0.0, 1.0), (1.0, 0.0)])
def test_deepjdot_is_the_best_assignment_of_equal_samples(feature_weight, label_weight):
    source, target = (each.requires_grad_() for each in rows(7, 7))
    labels, logits = classes(7), rows(7, d=K, seed=2).requires_grad_()
    chance = -log_softmax(logits.detach().numpy(), axis=1)[:, labels].T
    cost = feature_weight * squares(source.detach(), target.detach()) + label_weight * chance
    i, j = linear_sum_assignment(cost)
    value = deepjdot(source, labels, target, logits, feature_weight=feature_weight, label_weight=label_weight)
    value.backward()
    assert value.item() == pytest.approx(cost[i, j].mean(), rel=1e-10)
    expected = 2 * feature_weight * (source.detach() - target.detach()[j]) / 7
    torch.testing.assert_close(source.grad, expected, rtol=1e-9, atol=1e-12)
    slope = torch.from_numpy(softmax(logits.detach().numpy(), axis=1))
    slope[j, labels[i]] -= 1
    torch.testing.assert_close(logits.grad, label_weight * slope / 7, rtol=1e-9, atol=1e-12)


def test_deepjdot_is_pots_transport_of_unequal_and_weighted_samples():
    source, target = rows(8, 5)
    labels, logits = classes(8), rows(5, d=K, seed=2)
    weight = torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0, 1.0, 1.0, 0.5], dtype=torch.float64)
    cost = squares(source, target) - log_softmax(logits.numpy(), axis=1)[:, labels].T
    expected = ot.emd2((weight / weight.sum()).numpy(), np.full(5, 0.2), cost)
    value = deepjdot(source, labels, target, logits, source_weight=weight)
    assert value.item() == pytest.approx(expected, rel=1e-10)


def test_sinkhorn_without_blur_is_half_the_best_assignment():
    source, target = rows(8, 8, shift=3.0)
    cost = squares(source, target) / 2
    i, j = linear_sum_assignment(cost)
    assert sinkhorn(source, target, blur=1e-3, scaling=0.99).item() == pytest.approx(cost[i, j].mean(), rel=1e-3)


def test_sinkhorn_with_much_blur_is_half_the_distance_of_the_means():
    source, target = rows(8, 6)
    expected = (source.mean(0) - target.mean(0)).square().sum().item() / 2
    assert sinkhorn(source, target, blur=1e3).item() == pytest.approx(expected, rel=1e-3)


def cross_entropy_of_domains(scores, n, weight):
    """A loop over rows of weighted cross-entropies, the source being 1."""
    total = 0.0
    for row, (score, share) in enumerate(zip(scores, weight, strict=True)):
        probability = 1 / (1 + np.exp(-score))
        total -= share * np.log(probability if row < n else 1 - probability)
    return total


@pytest.mark.parametrize("shape", [(), (1,)])
def test_dann_is_the_mean_of_both_domains_means(shape):
    source, target = rows(6, 3)
    weight = np.array([1.0, 2.0, 0.0, 3.0, 0.5, 1.0])
    scores = torch.cat([source, target]).sum(1).numpy() / 2
    shares = np.concatenate([weight / weight.sum(), np.full(3, 1 / 3)]) / 2
    value = dann(
        source, target, lambda both: (both.sum(1) / 2).reshape(-1, *shape), source_weight=torch.from_numpy(weight)
    )
    assert value.item() == pytest.approx(cross_entropy_of_domains(scores, 6, shares), rel=1e-12)


@pytest.mark.parametrize("sure", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_cdan_is_a_loop_over_outer_products(sure, weighted):
    source, target = rows(6, 3)
    logits = [2 * rows(n, d=K, seed=n) for n in (6, 3)]
    probs = softmax(np.concatenate(logits), axis=1)
    joint = [np.outer(p, f).flatten() for p, f in zip(probs, torch.cat([source, target]).numpy(), strict=True)]
    vector = np.linspace(-1, 1, K * 4)
    shares = 1 + np.exp(-shannon(probs, axis=1)) if sure else np.ones(9)
    shares /= shares.sum()
    weight = None
    if weighted:  # the source as a whole keeps its share
        weight = torch.tensor([1.0, 2.0, 0.0, 3.0, 0.5, 1.0], dtype=torch.float64)
        own = shares[:6] * weight.numpy()
        shares[:6] = own / own.sum() * shares[:6].sum()
    expected = cross_entropy_of_domains(np.array(joint) @ vector, 6, shares)
    value = cdan(
        source,
        logits[0],
        target,
        logits[1],
        lambda rows: rows @ torch.from_numpy(vector),
        entropy=sure,
        source_weight=weight,
    )
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_a_reversed_gradient_changes_its_sign_and_no_value():
    values = rows(3).requires_grad_()
    result = reverse_gradient(values, 0.25)
    assert torch.equal(result, values)
    result.square().sum().backward()
    torch.testing.assert_close(values.grad, -0.5 * values.detach())


REPEATS = torch.tensor([1, 3, 0, 2, 1, 2])
LABELS = classes(6)


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(lambda s, t, y, **w: mmd(s, t, variant="biased", bandwidths=[1.0], **w), id="mmd"),
        pytest.param(lambda s, t, y, **w: mmd(s, t, variant="published", **w), id="published mmd"),
        pytest.param(
            lambda s, t, y, **w: jmmd((s, s[:, :2]), (t, t[:, :2]), variant="biased", bandwidths=[[1.0], [2.0]], **w),
            id="jmmd",
        ),
        pytest.param(lambda s, t, y, **w: dann(s, t, lambda rows: rows.sum(1), **w), id="dann"),
        pytest.param(lambda s, t, y, **w: sinkhorn(s, t, blur=0.5, **w), id="sinkhorn"),
        pytest.param(lambda s, t, y, **w: deepjdot(s, y, t, t[:, :K], **w), id="deepjdot"),
    ],
)
def test_a_whole_weight_is_as_many_copies_of_a_row(loss):
    source, target = rows(6, 5)
    copies = source.repeat_interleave(REPEATS, 0), target, LABELS.repeat_interleave(REPEATS)
    weighted = loss(source, target, LABELS, source_weight=REPEATS)
    assert weighted.item() == pytest.approx(loss(*copies).item(), rel=1e-6)
    twice = loss(source, target, LABELS, source_weight=2.0 * REPEATS)
    assert weighted.item() == pytest.approx(twice.item(), rel=1e-9)


@pytest.mark.parametrize("sure", [False, True])
def test_equal_weights_change_nothing(sure):
    source, target = rows(6, 5)
    logits = source[:, :K], target[:, :K]

    def both(loss):
        return loss().item(), loss(source_weight=torch.full((6,), 0.3)).item()

    for plain, weighted in (
        both(lambda **w: mmd(source, target, **w)),
        both(lambda **w: coral(source, target, **w)),
        both(lambda **w: cdan(source, logits[0], target, logits[1], lambda rows: rows.sum(1), entropy=sure, **w)),
    ):
        assert weighted == pytest.approx(plain, rel=1e-6)
