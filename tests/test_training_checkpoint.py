"""Checkpoints: a run that was stopped goes on as if it had not been."""

import numpy as np
import pytest
import torch
from astropy.table import Table

from galmerge_da.exceptions import GalmergeWarning, TrainingError
from galmerge_da.inference import MergerClassifier
from galmerge_da.training import train
from galmerge_da.training.loop import TrainingRun

SIZE = 16


def make_table(n=120, seed=0):
    images = np.random.default_rng(seed).normal(size=(n, 3, SIZE, SIZE)).astype(np.float32)
    images[n // 2 :, :, 8:] += 1
    return Table({"id": [f"g{seed}-{i}" for i in range(n)], "image": images, "label": np.arange(n) >= n // 2})


def recipe(epochs=3, **training):
    return {
        "preprocessing": {"size": SIZE, "scale": "pixels"},
        "training": {"epochs": epochs, "batch_size": 32, "fractions": [0.5, 0.25, 0.25], **training},
    }


def weights(result):
    return result.classifier.network.state_dict()


def same(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.fixture(autouse=True)
def no_collapse(monkeypatch):
    """A few epochs are too few: such a network may say one class for everything."""
    monkeypatch.setattr("galmerge_da.training.api._COLLAPSED", 2.0)


def interrupted(monkeypatch, output, *, after, **options):
    """A run that the user stops in the middle of the epoch after ``after``."""
    original = TrainingRun._train_step

    def stop(self, *args):
        if self.epoch == after and self.history:
            raise KeyboardInterrupt
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_train_step", stop)
        with pytest.warns(GalmergeWarning, match=f"stopped after epoch {after}"), pytest.raises(KeyboardInterrupt):
            train(output=output, **options)


def test_a_resumed_run_equals_an_unbroken_one(monkeypatch, tmp_path):
    tables = recipe(5, augmentation={"noise": 0.05, "gain": 0.1})
    options = dict(
        source=make_table(), target=make_table(80, seed=1), adapt={"mmd": 1.0}, recipe=tables, seed=3
    )  # fmt: skip
    unbroken = train(**options)
    interrupted(monkeypatch, tmp_path, after=2, **options)
    assert (tmp_path / "checkpoint.pt").exists()
    torch.rand(5)
    resumed = train(output=tmp_path, **options)
    assert same(weights(resumed), weights(unbroken))
    assert [list(row) for row in resumed.history] == [list(row) for row in unbroken.history]
    assert resumed.selected == unbroken.selected
    assert resumed.classifier.calibrator == unbroken.classifier.calibrator
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.safetensors", "history.ecsv", "splits.ecsv", "scores.ecsv"
    }  # fmt: skip
    assert MergerClassifier.load(tmp_path / "model.safetensors").weights_sha256 == unbroken.classifier.weights_sha256
    assert len(Table.read(tmp_path / "history.ecsv")) == 5


def test_a_resumed_run_has_the_same_trace_and_selection(monkeypatch, tmp_path):
    tables = recipe(6, selector="snd", watch="all", trace=True, patience=2)
    options = dict(source=make_table(), target=make_table(80, seed=1), adapt={"mmd": 1.0}, recipe=tables)
    unbroken = train(**options)
    interrupted(monkeypatch, tmp_path, after=2, **options)
    resumed = train(output=tmp_path, **options)
    assert same(weights(resumed), weights(unbroken)) and resumed.selected == unbroken.selected
    assert [list(row) for row in resumed.history] == [list(row) for row in unbroken.history]
    assert set(resumed.trace) == set(unbroken.trace)
    for key, traced in unbroken.trace.items():
        assert len(traced.logits) == len(unbroken.history)
        for name in ("rows", "ids", "logits"):
            assert np.array_equal(getattr(resumed.trace[key], name), getattr(traced, name))


@pytest.mark.parametrize("change", ["seed", "recipe", "data"])
def test_the_checkpoint_of_another_run_is_refused(monkeypatch, tmp_path, change):
    options = dict(source=make_table(), recipe=recipe(3), seed=0)
    interrupted(monkeypatch, tmp_path, after=1, **options)
    other = {"seed": 1, "recipe": recipe(4), "data": make_table(seed=2)}[change]
    options["source" if change == "data" else change] = other
    with pytest.raises(TrainingError, match="belongs to a run with other data or another recipe"):
        train(output=tmp_path, **options)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="not a checkpoint that can be resumed"):
        train(make_table(), recipe=recipe(1), output=tmp_path)


def test_a_checkpoint_holds_no_code(tmp_path, monkeypatch):
    interrupted(monkeypatch, tmp_path, after=1, source=make_table(), recipe=recipe(3))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["epoch"] == 1 and {"network", "optimizer", "scheduler", "generators"} <= set(state)
