"""What a pure loss cannot use it refuses, with the reason."""

import sys

import pytest
import torch

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
from galmerge_da.exceptions import ConfigError, InputError


def critic(rows):
    """A discriminator."""
    return rows.sum(1)


ROWS, LABELS = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
NONE, FLAT, OTHER = ROWS[:0], ROWS[0], ROWS[:, :2]


@pytest.mark.parametrize("loss", [mmd, coral, sinkhorn, lambda s, t: dann(s, t, critic)])
@pytest.mark.parametrize(
    "source, target", [(NONE, ROWS), (ROWS, NONE), (ROWS, OTHER), (FLAT, ROWS), (ROWS[:, :0],) * 2]
)
def test_samples_that_cannot_be_compared_are_refused(loss, source, target):
    with pytest.raises(InputError, match="samples must have shapes|a sample is empty"):
        loss(source, target)


@pytest.mark.parametrize("loss", [entropy, mcc, bnm, afn, lambda rows: consistency(rows, rows), lambda r: fisher(r, r)])
@pytest.mark.parametrize("rows", [NONE, FLAT, ROWS[:, :0]])
def test_no_rows_are_refused(loss, rows):
    with pytest.raises(InputError, match=r"expected rows of shape \(N, D\), not empty"):
        loss(rows)


@pytest.mark.parametrize(
    "loss",
    [
        lambda y: fisher(ROWS, y, ROWS[:3]),
        lambda y: contrastive(ROWS, y, ROWS, ROWS),
        lambda y: deepjdot(ROWS, y, ROWS, ROWS),
    ],
)
@pytest.mark.parametrize(
    "labels, words",
    [
        (None, "labels are None: a target has none"),
        (LABELS[:3], r"whole numbers of shape \(4,\)"),
        (LABELS.float(), "whole numbers"),
        (LABELS > 0, "whole numbers"),
        (LABELS + 1, "labels must be 0 to 2, got 1 to 3"),
        (LABELS - 1, "labels must be 0 to 2, got -1 to 1"),
    ],
)
def test_labels_that_are_no_classes_are_refused(loss, labels, words):
    with pytest.raises(InputError, match=words):
        loss(labels)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: jmmd([], []), InputError, "the same layers are needed of both, got 0 and 0"),
        (lambda: jmmd([ROWS], [ROWS, ROWS]), InputError, "got 1 and 2"),
        (lambda: jmmd([ROWS], [ROWS], bandwidths=[None, None]), InputError, "with 2 sets of bandwidths"),
        (lambda: jmmd([ROWS, OTHER[:2]], [ROWS, OTHER]), InputError, "number of rows"),
        (lambda: jmmd([ROWS, OTHER[:3]], [ROWS, torch.cat([OTHER, OTHER[:1]])]), InputError, "number of rows"),
        (lambda: jmmd([ROWS], [ROWS], variant="published"), ConfigError, "'unbiased' or 'biased', got 'published'"),
        (lambda: jmmd([ROWS], [ROWS], bandwidths=[[0.0]]), ConfigError, "bandwidths must be positive"),
        (lambda: dann(ROWS, ROWS, lambda rows: rows), InputError, r"one number a row, got \(8, 3\)"),
        (lambda: cdan(ROWS, ROWS, ROWS, ROWS, lambda rows: rows), InputError, r"one number a row, got \(8, 9\)"),
        (lambda: cdan(ROWS, ROWS[:2], ROWS, ROWS, critic), InputError, "differ in their number of rows"),
        (lambda: cdan(ROWS, ROWS, ROWS, OTHER, critic), InputError, "cdan: logits: samples must have"),
        (lambda: fisher(ROWS, LABELS, form="product"), ConfigError, "form must be 'ratio' or 'difference'"),
        (lambda: fisher(ROWS, LABELS, reduction="max"), ConfigError, "reduction must be 'mean' or 'sum'"),
        (lambda: fisher(ROWS, LABELS, between=0.0), ConfigError, "between must be above 0"),
        (lambda: fisher(ROWS, LABELS, OTHER), InputError, r"centers must have shape \(K, 3\), got \(4, 2\)"),
        (lambda: mcc(ROWS, temperature=0.0), ConfigError, "temperature must be above 0, got 0.0"),
        (lambda: mcc(ROWS, temperature=float("nan")), ConfigError, "temperature must be above 0"),
        (lambda: consistency(ROWS, ROWS, threshold=1.1), ConfigError, "threshold must be from 0 to 1"),
        (lambda: consistency(ROWS, ROWS, form="cubed"), ConfigError, "form must be 'cross_entropy' or 'squared'"),
        (lambda: consistency(ROWS, OTHER), InputError, r"one shape, got \(4, 3\) and \(4, 2\)"),
        (lambda: contrastive(ROWS, LABELS, ROWS, ROWS, temperature=0.0), ConfigError, "temperature must be above 0"),
        (lambda: contrastive(ROWS, LABELS, ROWS, ROWS, threshold=-0.1), ConfigError, "threshold from 0 to 1"),
        (lambda: contrastive(ROWS, LABELS, ROWS, ROWS[:2]), InputError, "target_logits must have shape"),
        (lambda: deepjdot(ROWS, LABELS, ROWS, ROWS[:2]), InputError, r"target_logits must have shape \(4, K\)"),
        (lambda: sinkhorn(ROWS, ROWS, blur=0.0), ConfigError, "blur must be above 0"),
        (lambda: sinkhorn(ROWS, ROWS, scaling=1.0), ConfigError, "scaling between 0 and 1"),
    ],
)  # fmt: skip
def test_what_a_loss_cannot_use_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("module, loss", [("geomloss", sinkhorn), ("ot", lambda s, t: deepjdot(s, LABELS, t, t))])
def test_without_the_extra_the_message_says_what_to_install(monkeypatch, module, loss):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"needs {module}: python -m pip install 'galmerge_da\[ot\]'"):
        loss(ROWS, ROWS)
