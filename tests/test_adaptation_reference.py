"""Losses against the released code and other libraries: values and gradients, wherever a definition is shared."""

import math

import geomloss
import pytest
import torch
from torch import nn

from galmerge_da.adaptation.adversarial import make_discriminator
from galmerge_da.adaptation.functional import afn, bnm, cdan, coral, dann, entropy, fisher, jmmd, mcc, mmd, sinkhorn
from galmerge_da.adaptation.weights import sigmoid_ramp

CASES = ["small", "deepmerge"]


def pair(reference, case):
    """Both samples, as leaves and by their names."""
    names = [f"{case}_s", f"{case}_t"]
    return dict(zip(names, reference.leaves(*names), strict=True))


def squared_distances(samples):
    pooled = torch.cat([sample.detach().double() for sample in samples])
    return torch.cdist(pooled, pooled).square()


@pytest.mark.parametrize("case", CASES)
def test_published_mmd_is_the_released_one(reference, case):
    samples = pair(reference, case)
    value = mmd(*samples.values(), variant="published")
    reference.agrees(f"orig.mmd_distance[{case}]", value, **samples)


def test_published_mmd_has_the_published_floor(reference):
    (source,) = reference.leaves("small_s")
    value = mmd(source, source.detach(), variant="published")
    reference.agrees("orig.mmd_distance[identical inputs]", value)
    assert not source.grad.any()


@pytest.mark.parametrize("case", CASES)
def test_mmd_is_a_third_librarys_unbiased_estimate_given_its_bandwidths(reference, case):
    """pytorch-adapt takes the mean of seven kernels, about the median distance within the source."""
    samples = pair(reference, case)
    median = squared_distances([samples[f"{case}_s"]]).median().item()
    value = mmd(*samples.values(), bandwidths=[median / (2 * 2.0**power) for power in range(-3, 4)])
    reference.agrees(f"padapt.MMDLoss_quadratic[{case}]", value, **samples)


@pytest.mark.parametrize("case", CASES)
def test_mmd_is_another_librarys_unbiased_estimate_given_its_bandwidths(reference, case):
    """TLlib sums five kernels and adds 2 / (n - 1) for each."""
    samples = pair(reference, case)
    mean = squared_distances(samples.values()).mean().item()
    value = mmd(*samples.values(), bandwidths=[mean * 2.0**power for power in range(-3, 2)])
    n = len(samples[f"{case}_s"])
    reference.agrees(f"tllib.MKMMD[{case},linear=False]", value, factor=5, offset=2 / (n - 1), **samples)


@pytest.mark.parametrize("case", CASES)
def test_mmd_is_another_librarys_biased_estimate_given_its_bandwidths(reference, case):
    """DeepDA sums five kernels, about the mean distance of different rows."""
    samples = pair(reference, case)
    distances = squared_distances(samples.values())
    n = len(distances)
    mean = distances.sum().item() / (n * (n - 1))
    value = mmd(*samples.values(), variant="biased", bandwidths=[mean / 4 * 2.0**power / 2 for power in range(5)])
    reference.agrees(f"deepda.MMDLoss[{case}]", value, factor=5, **samples)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "entry, factor", [("padapt.CORALLoss", 1), ("deepda.CORAL", 1), ("skada.deepcoral_loss", 1), ("orig.CORAL", 4)]
)
def test_coral_is_that_of_three_libraries_and_a_quarter_of_the_released_one(reference, case, entry, factor):
    samples = pair(reference, case)
    reference.agrees(f"{entry}[{case}]", coral(*samples.values()), factor=factor, **samples)


@pytest.mark.parametrize(
    "case, labels, centers", [("small", "labels", "centers"), ("deepmerge", "labels16", "centers_dm")]
)
@pytest.mark.parametrize("within", [1.0, 0.01])
@pytest.mark.parametrize("form, entry", [("ratio", "FisherTR"), ("difference", "FisherTD")])
def test_fisher_is_the_released_one(reference, case, labels, centers, within, form, entry):
    names = f"{case}_s", centers
    features, middles = leaves = reference.leaves(*names)
    labels = torch.from_numpy(reference.inputs[labels])
    value = fisher(features, labels, middles, form=form, within=within, reduction="sum")
    leaves = dict(zip(names, leaves, strict=True))
    reference.agrees(f"orig.{entry}[{case},intra={within},inter=1.0]", value, **leaves)


def test_the_fisher_ratio_that_was_not_a_number_is_refused_or_finite(reference):
    """By default the released code divides 0 by 0."""
    assert math.isnan(reference.values["orig.FisherTR[DEFAULT CLI coefs 0,0]"]["value"])
    features, middles = reference.leaves("small_s", "centers")
    labels = torch.from_numpy(reference.inputs["labels"])
    value = fisher(features, labels, middles, within=0.0)
    value.backward()
    assert value.item() == 0
    assert not features.grad.any()


@pytest.mark.parametrize("logits", ["logits", "logits_sat"])
@pytest.mark.parametrize(
    "entry, loss",
    [
        ("orig.EntropyLoss", entropy),
        ("padapt.EntropyLoss", entropy),
        ("padapt.BNMLoss", bnm),
        ("padapt.MCCLoss", lambda logits: mcc(logits, temperature=1.0)),
        ("tllib.MCC", mcc),
    ],
)
def test_losses_of_predictions_are_those_of_other_libraries(reference, logits, entry, loss):
    (leaf,) = reference.leaves(logits)
    reference.agrees(f"{entry}[{logits}]", loss(leaf), logits=leaf)


def test_afn_is_that_of_its_library(reference):
    (leaf,) = reference.leaves("small_s")
    reference.agrees("tllib.AFN(SAFN)", afn(leaf), small_s=leaf)


@pytest.fixture
def discriminator(reference):
    """That of the plugin, of the published size, with the released code's weights."""
    module = make_discriminator(16, 1024, 0.5)
    layers = [layer for layer in module if isinstance(layer, nn.Linear)]
    for layer, name in zip(layers, ("ad_layer1", "ad_layer2", "ad_layer3"), strict=True):
        for kind in ("weight", "bias"):
            getattr(layer, kind).data.copy_(torch.from_numpy(reference.inputs[f"adnet.{name}.{kind}"]))
            getattr(layer, kind).called = f"{name}.{kind}"
    return module


@pytest.mark.parametrize(
    "entry, reversal",
    [
        ("orig.PADA[eval]", 1.0),
        ("plain.BCE_no_GRL[eval]", -1.0),
        ("tllib.DomainAdversarialLoss[coeff=1]", 1.0),
        ("tllib.DomainAdversarialLoss[WarmStart iter0]", 0.0),
    ],
)
def test_dann_is_the_released_one_for_features_and_discriminator(reference, discriminator, entry, reversal):
    samples = pair(reference, "small")
    value = dann(*samples.values(), discriminator.eval(), reversal=reversal)
    reference.agrees(entry, value, **samples)
    for parameter in discriminator.parameters():
        expected = reference.values[entry]["adnet_param_grad_norm"][parameter.called]
        assert parameter.grad.norm().item() == pytest.approx(expected, rel=1e-4)
        whole = reference.gradients.get(f"{entry}|{parameter.called}")
        if whole is not None:
            assert (parameter.grad - torch.from_numpy(whole)).norm() <= 1e-4 * expected


def test_dann_is_the_released_one_with_its_dropout(reference, discriminator):
    samples = pair(reference, "small")
    torch.manual_seed(123)
    if "".join(map(str, torch.empty(16).bernoulli_(0.5).int().tolist())) != "1101100001011111":
        pytest.skip("this build of torch draws other random numbers than the reference's, by a generator of MKL")
    torch.manual_seed(123)
    value = dann(*samples.values(), discriminator.train())
    reference.agrees("orig.PADA[train,dropout seed 123]", value, **samples)


def test_the_reversed_gradient_follows_the_published_schedule(reference):
    for name, gamma in (("ganin", 10.0), ("tllib_alpha1", 1.0)):
        for progress, expected in reference.values["grl_schedule"][name].items():
            assert sigmoid_ramp(float(progress), gamma) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sure", [False, True])
def test_cdan_is_that_of_its_library(reference, sure):
    names = "small_s", "logits_s", "small_t", "logits_t"
    leaves = reference.leaves(*names)
    value = cdan(*leaves, lambda joint: joint.sum(1) / 10, entropy=sure)
    leaves = {name: leaf for name, leaf in zip(names, leaves, strict=True) if name.startswith("small")}
    reference.agrees(f"tllib.CDAN[entropy={sure}]", value, **leaves)


def test_jmmd_is_that_of_its_library_given_its_bandwidths(reference):
    """TLlib sums five kernels of the features, times one of the probabilities, and adds 2 / (n - 1) for each."""
    names = "small_s", "logits_s", "small_t", "logits_t"
    leaves = reference.leaves(*names)
    source, target = ((features, logits.softmax(1)) for features, logits in (leaves[:2], leaves[2:]))
    mean = squared_distances([source[0], target[0]]).mean().item()
    value = jmmd(source, target, bandwidths=[[mean * 2.0**power for power in range(-3, 2)], [0.92**2]])
    leaves = dict(zip(names, leaves, strict=True))
    reference.agrees("tllib.JMMD", value, factor=5, offset=2 / 31, **leaves)


@pytest.mark.parametrize("blur", [0.05, 1.0])
@pytest.mark.parametrize("case, grad_rel", [("small", 1e-4), ("deepmerge", 5e-3)])
def test_sinkhorn_is_that_of_geomloss(reference, case, blur, grad_rel):
    """With costs of 1,000 and a blur of 0.05, geomloss itself is off by 1e-3 in float32: see the next test."""
    samples = pair(reference, case)
    value = sinkhorn(*samples.values(), blur=blur)
    reference.agrees(f"geomloss.sinkhorn[{case},blur={blur}]", value, grad_rel=grad_rel, **samples)


@pytest.mark.parametrize("case", CASES)
def test_sinkhorn_is_that_of_geomloss_to_all_digits_in_float64(reference, case):
    source, target = (sample.detach().double() for sample in pair(reference, case).values())
    outcomes = []
    for solve in (sinkhorn, geomloss.SamplesLoss("sinkhorn", p=2, blur=0.05, scaling=0.9)):
        leaves = source.clone().requires_grad_(), target.clone().requires_grad_()
        value = solve(*leaves)
        value.backward()
        outcomes.append((value.detach(), *(leaf.grad for leaf in leaves)))
    torch.testing.assert_close(*outcomes, rtol=1e-9, atol=1e-9)
