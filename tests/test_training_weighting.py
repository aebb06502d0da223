"""Weights that follow a schedule or are learned, teachers that are resumed, and what is done after training."""

import numpy as np
import pytest
import torch

from galmerge_da.adaptation import adabn
from galmerge_da.exceptions import ConfigError, GalmergeWarning
from galmerge_da.inference import MergerClassifier, catalogue_meta
from galmerge_da.training import read_recipe, train
from galmerge_da.training.loop import TrainingRun

SIZE = 16


def images(n, seed, shift=0.0):
    values = np.random.default_rng(seed).normal(size=(n, 3, SIZE, SIZE)).astype(np.float32)
    values[n // 2 :, :, 8:] += 1
    return values + np.float32(shift)


def domains():
    from astropy.table import Table

    tables = [
        Table({"id": [f"g{seed}-{i}" for i in range(n)], "image": images(n, seed), "label": np.arange(n) >= n // 2})
        for n, seed in ((120, 0), (90, 1))
    ]
    return dict(source=tables[0], target=tables[1])


def recipe(epochs=3, **training):
    return {
        "preprocessing": {"size": SIZE, "scale": "pixels"},
        "training": {"epochs": epochs, "batch_size": 32, "fractions": [0.5, 0.25, 0.25], "patience": 9, **training},
    }


def state(result):
    return result.classifier.network.state_dict()


@pytest.fixture(autouse=True)
def no_collapse(monkeypatch):
    """A few epochs are too few: such a network may say one class for everything."""
    monkeypatch.setattr("galmerge_da.training.api._COLLAPSED", 2.0)


def test_the_history_tells_a_loss_from_its_weight():
    fixed = train(**domains(), adapt={"mmd": 0.5}, recipe=recipe()).history
    assert list(fixed["weight_mmd"]) == [0.5] * 3
    assert list(fixed["weight_cross_entropy"]) == [1.0] * 3
    rising = train(**domains(), adapt={"mmd": {"weight": 0.5, "schedule": "linear"}}, recipe=recipe()).history
    n_steps = 3 * 2
    expected = 0.5 * np.arange(n_steps).reshape(3, 2).mean(1) / (n_steps - 1)
    np.testing.assert_allclose(rising["weight_mmd"], expected, rtol=0.1)
    assert rising["mmd"][0] == pytest.approx(fixed["mmd"][0], rel=0.5), "the loss itself is not scaled"


def test_a_loss_of_weight_zero_trains_nothing():
    results = [train(**domains(), adapt={"mmd": weight}, recipe=recipe(2)) for weight in (0.0, 1.0)]
    assert not all(torch.equal(a, b) for a, b in zip(*(state(each).values() for each in results), strict=True))
    assert (results[0].history["mmd"] != 0).all(), "it is still measured"


def test_learned_weights_start_where_the_user_says_and_move():
    history = train(**domains(), adapt={"mmd": 0.5}, recipe=recipe(6, weighting="learned", learning_rate=0.02)).history
    assert history["weight_mmd"][0] == pytest.approx(0.5, rel=0.3)
    for name in ("weight_mmd", "weight_cross_entropy"):
        assert len(set(history[name])) == 6
    # a term counts more as it gets smaller: the best weight of a term L is 1 / (2 L)
    assert history["weight_mmd"][-1] > history["weight_mmd"][0]


@pytest.mark.parametrize(
    "adapt, training",
    [
        ({"mmd": 0.5}, {"weighting": "learned"}),
        ({"mean_teacher": 1.0}, {}),
        ({"dann": 1.0, "fisher": 0.1}, {"weighting": "learned"}),
        ({"coral": {"weight": 1.0, "estimate_prior": True}, "fixmatch": {"threshold": 0.6}}, {}),
    ],
)
def test_what_losses_remember_survives_an_interruption(tmp_path, monkeypatch, adapt, training):
    options = dict(adapt=adapt, recipe=recipe(4, **training), seed=3)
    unbroken = train(**domains(), **options)
    original = TrainingRun._train_step

    def stop(self, *args):
        if self.epoch == 2:
            raise KeyboardInterrupt
        return original(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "_train_step", stop)
        with pytest.warns(GalmergeWarning, match="stopped after epoch 2"), pytest.raises(KeyboardInterrupt):
            train(**domains(), **options, output=tmp_path)
    resumed = train(**domains(), **options, output=tmp_path)
    assert [list(row) for row in resumed.history] == [list(row) for row in unbroken.history]
    assert all(torch.equal(a, b) for a, b in zip(state(resumed).values(), state(unbroken).values(), strict=True))


def test_adabn_changes_statistics_alone_and_takes_the_target_s():
    plain, adapted = (train(**domains(), recipe=recipe(2, post_train=steps), seed=1) for steps in ([], ["adabn"]))
    before, after = state(plain), state(adapted)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("running" in name or "num_batches" in name for name in changed)
    target = plain.splits[plain.splits["domain"] == "target"]["split"] == "train"
    from galmerge_da.io import open_cutouts
    from galmerge_da.preprocessing import preprocess

    cutouts = open_cutouts(domains()["target"]).read()
    frames = preprocess(cutouts, plain.classifier.preprocessing).data[np.asarray(target)]
    network = adabn(plain.classifier.network, torch.from_numpy(frames))
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, after[name])
    source = [row for row in zip(plain.scores, adapted.scores, strict=True) if row[0]["domain"] == "source"]
    assert all(first["auc"] == second["auc"] for first, second in source), "the source keeps its own statistics"
    assert adapted.classifier.provenance["recipe"]["training"]["post_train"] == ["adabn"]


@pytest.mark.parametrize(
    "training, words",
    [
        ({"precision": "half"}, r"\[training\] precision must be one of auto, full, bfloat16, got 'half'"),
        ({"weighting": "guessed"}, r"\[training\] weighting must be 'fixed' or 'learned', got 'guessed'"),
        ({"post_train": ["adabm"]}, r"\[training\] post_train must be a list of adabn"),
        ({"post_train": "adabn"}, r"\[training\] post_train must be a list of adabn"),
    ],
)
def test_unknown_steps_are_refused(training, words):
    with pytest.raises(ConfigError, match=words):
        read_recipe({"training": training})


def test_bfloat16_learns_the_same_and_leaves_plain_weights(tmp_path):
    results = {
        precision: train(
            **domains(), adapt={"mmd": 0.5}, recipe=recipe(4, precision=precision), output=tmp_path / precision
        )
        for precision in ("full", "bfloat16")
    }
    full, half = (result.history for result in results.values())
    assert np.any(full["cross_entropy"] != half["cross_entropy"])
    np.testing.assert_allclose(half["cross_entropy"], full["cross_entropy"], rtol=0.1)
    weights = results["bfloat16"].classifier.network.state_dict().values()
    assert all(tensor.dtype != torch.bfloat16 and tensor.is_contiguous() for tensor in weights)
    stored = MergerClassifier.load(tmp_path / "bfloat16" / "model.safetensors")
    assert stored.weights_sha256 == results["bfloat16"].classifier.weights_sha256


def test_adabn_needs_a_target():
    with pytest.raises(ConfigError, match="post_train: adabn needs a target"):
        train(domains()["source"], recipe=recipe(post_train=["adabn"]))


def test_weights_are_not_learned_of_nothing():
    with pytest.raises(ConfigError, match="'learned' needs losses"):
        train(**domains(), recipe=recipe(1, weighting="learned"))


@pytest.mark.parametrize(("adapt", "words"), [(None, "without any adaptation"), ({"mmd": 1.0}, "may have collapsed")])
def test_one_class_for_the_whole_target_is_warned_of_for_what_it_is(monkeypatch, adapt, words):
    monkeypatch.setattr("galmerge_da.training.api._COLLAPSED", -1.0)
    with pytest.warns(GalmergeWarning, match=f"of the target into one class.*{words}"):
        train(**domains(), adapt=adapt, recipe=recipe(1))


@pytest.mark.parametrize(("weight", "adapted"), [(0.0, False), (0.5, True)])
def test_a_loss_that_counts_nothing_is_no_adaptation(weight, adapted):
    assert train(**domains(), adapt={"mmd": weight}, recipe=recipe(1)).classifier.provenance["adapted"] is adapted


def test_a_catalogue_says_what_of_a_survey_the_model_has_learnt_from():
    made = domains()
    made["source"]["stage"] = ["composite", "single", "pair"] * (len(made["source"]) // 3) + ["pair"] * (
        len(made["source"]) % 3
    )
    share = 2 * (len(made["source"]) // 3)
    plain = train(**domains(), recipe=recipe(1)).classifier
    every = train(**made, adapt={"mmd": 0.5}, recipe=recipe(1, post_train=["adabn"])).classifier
    without = train(**made, adapt={"mmd": 0.0}, recipe=recipe(1)).classifier
    again = train(**domains(), recipe=recipe(1), init=every).classifier
    first = f"losses, {share} composites, adabn"
    expected = ["none", first, f"{share} composites", ", ".join(f"{way} before" for way in first.split(", "))]
    for classifier, words in zip((plain, every, without, again), expected, strict=True):
        assert catalogue_meta(classifier, 0.5)["GMADAPT"] == words


@pytest.mark.parametrize("request_", [{"weight": 0.0}, {"schedule": "linear"}])
def test_a_loss_that_does_not_count_yet_is_not_blamed_for_what_it_does_not_learn(request_):
    settings = recipe(1, batch_size=60)  # one step, at the very start of every schedule
    result = train(**domains(), adapt={"dann": request_}, recipe=settings)
    assert result.history["weight_dann"][0] == 0
