"""Which epoch is kept: by every selector, behind its guards, online as with the whole history."""

import warnings

import numpy as np
import pytest
import torch
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st

from galmerge_da.exceptions import ConfigError, GalmergeWarning, InputError
from galmerge_da.inference import predict_features, predict_logits
from galmerge_da.models import build_network
from galmerge_da.training import select_epoch, train, watch
from galmerge_da.training.loop import TrainingRun
from galmerge_da.training.selection import SELECTORS, WATCHED, EpochKeeper, choose_epoch
from galmerge_da.training.watch import look, needs_features, score_selectors

SIZE = 16
CPU = torch.device("cpu")


def make_history(**columns):
    """Five epochs; each selector is best in another, or one shared, of the last four."""
    history = {
        "epoch": [1, 2, 3, 4, 5],
        "validation_cross_entropy": [0.7, 0.3, 0.4, 0.5, 0.6],
        "validation_accuracy": [0.90, 0.92, 0.91, 0.90, 0.89],
        "target_largest_class": [0.6] * 5,
    }
    for number, name in enumerate(WATCHED):
        scores = np.zeros(5)
        scores[1 + number % 4] = 1.0
        history[f"select_{name}"] = scores
    return Table(history | columns)


def records(history):
    return [dict(zip(history.colnames, map(float, row), strict=True)) for row in history]


def make_table(n=160, seed=0):
    images = np.random.default_rng(seed).normal(size=(n, 3, SIZE, SIZE)).astype(np.float32)
    labels = np.arange(n) % 2
    images[labels == 1, :, 8:] += 0.3
    return Table({"id": [f"g{seed}-{i}" for i in range(n)], "image": images, "label": labels})


def recipe(epochs=3, **training):
    return {
        "preprocessing": {"size": SIZE, "scale": "pixels"},
        "training": {"epochs": epochs, "batch_size": 40, "fractions": [0.5, 0.25, 0.25], **training},
    }


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """A few epochs are too few: such a network may say one class for everything."""
    monkeypatch.setattr("galmerge_da.training.api._COLLAPSED", 2.0)


@pytest.fixture
def never_collapsed(monkeypatch):
    """Nor does it then lose its eligibility."""
    monkeypatch.setattr("galmerge_da.training.selection.COLLAPSED", 2.0)


def weights(result):
    return result.classifier.network.state_dict()


def same(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


# ------------------------------------------------------------- with the whole history


@pytest.mark.parametrize("as_given", [lambda history: history, records], ids=["table", "records"])
@pytest.mark.parametrize("selector", SELECTORS)
def test_every_selector_picks_its_best_epoch(selector, as_given):
    expected = {"source_validation": 2, "last": 5}
    expected |= {name: 2 + number % 4 for number, name in enumerate(WATCHED)}
    assert select_epoch(as_given(make_history()), selector) == expected[selector]


def test_an_epoch_that_costs_the_source_too_much_is_not_eligible():
    history = make_history(select_snd=[5, 1, 2, 3, 4], validation_accuracy=[0.80, 0.95, 0.90, 0.89, 0.95])
    assert select_epoch(history, "snd") == 5
    assert select_epoch(history, "snd", gate=0.2) == 1
    assert select_epoch(history[:4], "snd") == 3, "exactly the gate below is eligible, more is not"


def test_a_collapsed_epoch_is_not_eligible():
    history = make_history(select_entropy=[1, 2, 3, 4, 5], target_largest_class=[0.5, 0.6, 0.9, 1.0, 0.996])
    assert select_epoch(history, "entropy") == 3


def test_the_collapse_alarm():
    collapsed = make_history(target_largest_class=[1.0] * 5)
    with pytest.warns(GalmergeWarning) as said:
        assert select_epoch(collapsed, "snd") == 2
    assert "snd could choose no epoch" in str(said[0].message) and "100.0% of the target" in str(said[1].message)
    with pytest.warns(GalmergeWarning, match="100.0% of the target into one class"):
        select_epoch(collapsed, "last")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        select_epoch(make_history(target_largest_class=[1.0, 0.5, 1, 1, 1]), "source_validation")


def test_the_source_alone_decides_for_a_selector_of_the_source():
    """A target that is only watched changes nothing: the noDA run is what it is."""
    history = make_history(
        target_largest_class=[0.5, 1.0, 0.5, 0.5, 0.5], validation_accuracy=[0.9, 0.1, 0.9, 0.9, 0.9]
    )
    assert choose_epoch(history, "source_validation") == (2, True)
    history.remove_columns(["target_largest_class", *(f"select_{name}" for name in WATCHED)])
    assert select_epoch(history, "source_validation") == 2


def test_an_epoch_without_a_score_is_never_chosen():
    assert select_epoch(make_history(select_dev=[np.nan, np.nan, 1, 2, np.nan]), "dev") == 4
    with pytest.warns(GalmergeWarning, match="no score"):
        assert select_epoch(make_history(select_dev=[np.nan] * 5), "dev") == 2


def test_equal_scores_go_to_the_source_and_then_to_the_earliest():
    assert select_epoch(make_history(select_bnm=[1.0] * 5), "bnm") == 2
    assert select_epoch(make_history(select_bnm=[1.0] * 5, validation_accuracy=[0.9] * 5), "bnm") == 1


def test_what_cannot_be_chosen_by_is_refused():
    with pytest.raises(ConfigError, match="no selector 'oracle'"):
        select_epoch(make_history(), "oracle")
    history = make_history()
    history.remove_column("select_snd")
    with pytest.raises(InputError, match="no column 'select_snd'"):
        select_epoch(history, "snd")
    with pytest.raises(InputError, match="no epoch"):
        select_epoch([], "source_validation")


# ------------------------------------------------------------- online


class Counter(torch.nn.Module):
    """A network that remembers which epoch it is."""

    def __init__(self):
        super().__init__()
        self.register_buffer("epoch", torch.tensor(0))


def keep(history, selector):
    keeper, network = EpochKeeper(selector), Counter()
    most = 0
    for number in range(len(history)):
        network.epoch += 1
        keeper.update(history[: number + 1], network)
        assert keeper.epoch in keeper.weights
        most = max(most, len(keeper.weights))
    assert all(int(tensors["epoch"]) == epoch for epoch, tensors in keeper.weights.items())
    return keeper, most


EPOCH = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0.5, 1.0]), st.integers(0, 9))


@settings(deadline=None, max_examples=200)
@given(st.lists(EPOCH, min_size=1, max_size=12), st.sampled_from(["snd", "source_validation", "last"]))
def test_the_kept_weights_are_those_of_the_whole_history(rows, selector):
    """Four levels of accuracy: never more on the front than are kept."""
    history = [
        {"epoch": 1 + number, "select_snd": float(score), "validation_accuracy": 0.9 + 0.02 * accuracy,
         "target_largest_class": share, "validation_cross_entropy": float(loss)}
        for number, (score, accuracy, share, loss) in enumerate(rows)
    ]  # fmt: skip
    keeper, most = keep(history, selector)
    assert (keeper.epoch, keeper.eligible) == choose_epoch(history, selector)
    assert most <= (5 if selector == "snd" else 1)


def test_memory_is_bounded_however_many_epochs_might_be_chosen():
    n = 40
    history = [
        {"epoch": 1 + number, "select_snd": float(number), "validation_accuracy": 0.95 - 0.001 * number,
         "target_largest_class": 0.5, "validation_cross_entropy": 1.0 + number}
        for number in range(n)
    ]  # fmt: skip
    keeper, most = keep(history, "snd")
    assert most <= 5 and keeper.epoch == n
    history.append(history[-1] | {"epoch": n + 1, "validation_accuracy": 0.99, "select_snd": -1.0})
    keeper.update(history, Counter())
    assert keeper.eligible and keeper.epoch in keeper.weights


def test_an_epoch_that_loses_its_eligibility_gives_way_to_an_earlier_one():
    history = records(make_history(select_snd=[1, 2, 3, 0, 0], validation_accuracy=[0.92, 0.91, 0.88, 0.86, 0.95]))
    keeper, _ = keep(history[:4], "snd")
    assert keeper.epoch == keeper.changed == 3
    keeper.update(history, Counter())
    assert keeper.epoch == 2 and keeper.changed == 5, "patience starts anew: the source got better"


# ------------------------------------------------------------- scores of an epoch


def seen(n=60, seed=0):
    rng = np.random.default_rng(seed)
    logits, features = rng.normal(size=(n, 2)).astype(np.float32), rng.normal(size=(n, 5)).astype(np.float32)
    return watch.Seen(logits, np.arange(n), features)


def test_every_watched_selector_has_a_score():
    values = score_selectors(WATCHED, seen(), np.arange(60) % 2, seen(seed=1), seed=0)
    assert list(values) == [f"select_{name}" for name in WATCHED]
    assert all(type(value) is float and np.isfinite(value) for value in values.values())
    assert not needs_features(WATCHED[:4]) and all(needs_features([name]) for name in WATCHED[4:])


def test_a_network_that_gives_no_numbers_has_no_scores():
    broken = seen()
    broken.logits[3] = np.nan
    assert all(
        np.isnan(value) for value in score_selectors(WATCHED, seen(), np.zeros(60, int), broken, seed=0).values()
    )


@pytest.mark.parametrize("n_rows", [1000, 20])
def test_features_are_kept_of_a_sample_and_logits_of_all(monkeypatch, n_rows):
    monkeypatch.setattr(watch, "N_ROWS", n_rows)
    torch.manual_seed(0)
    network = build_network(in_channels=3, image_size=SIZE)
    images = torch.randn(50, 3, SIZE, SIZE)
    network.entrance.fit(images)
    both, alone = (look(network, images, device=CPU, seed=1, features=features) for features in (True, False))
    assert len(both.sample) == min(n_rows, 50) and np.array_equal(both.sample, alone.sample)
    np.testing.assert_allclose(both.logits, predict_logits(network, images, device=CPU), rtol=1e-4, atol=1e-5)
    assert np.array_equal(alone.logits, predict_logits(network, images, device=CPU)) and alone.features is None
    features, logits = predict_features(network, images, device=CPU)
    np.testing.assert_allclose(both.features, features[both.sample], rtol=1e-4, atol=1e-5)
    assert features.shape == (50, network.feature_dim)
    assert np.array_equal(logits, alone.logits), "one pass, one result"
    assert predict_features(network, images[:0], device=CPU)[0].shape == (0, network.feature_dim)


# ------------------------------------------------------------- in training


def test_the_history_has_what_is_watched_and_no_more(never_collapsed):
    source, target = make_table(), make_table(seed=1)
    default = train(source, target, recipe=recipe(1)).history
    assert {name for name in default.colnames if name.startswith("select_")} == {
        "select_entropy", "select_infomax", "select_snd", "select_bnm"
    }  # fmt: skip
    assert "validation_accuracy" in default.colnames
    chosen = train(source, target, recipe=recipe(1, selector="dev", watch=[])).history
    assert [name for name in chosen.colnames if name.startswith("select_")] == ["select_dev"]
    assert not [name for name in train(source, recipe=recipe(1)).history.colnames if name.startswith("select_")]
    every = train(source, target, recipe=recipe(1, watch="all")).history
    assert [name for name in every.colnames if name.startswith("select_")] == [f"select_{name}" for name in WATCHED]
    np.testing.assert_allclose(every["select_entropy"], -every["target_entropy"])


@pytest.mark.parametrize("selector", ["entropy", "class_ami"])
def test_training_keeps_the_weights_of_the_selected_epoch(selector, never_collapsed):
    options = dict(source=make_table(), target=make_table(seed=1), adapt={"mmd": 1.0})
    result = train(**options, recipe=recipe(6, selector=selector))
    assert result.selected.epoch == choose_epoch(result.history, selector)[0]
    assert result.selected.selector == result.classifier.provenance["selector"] == selector
    recorded = list(result.history[f"select_{selector}"])
    assert len(recorded) == 6 and len(set(recorded)) > 1


def test_patience_counts_epochs_without_a_better_eligible_one(monkeypatch):
    scores, original = iter([1.0, 2.0, 9.0, 1.5, 1.0, 0.5, 0.1, 0.0]), TrainingRun._validate

    def validate(self):
        record, score = original(self), next(scores)
        share = 1.0 if score == 9 else 0.5
        return record | {"select_snd": score, "target_largest_class": share, "validation_accuracy": 0.9}

    monkeypatch.setattr(TrainingRun, "_validate", validate)
    result = train(make_table(), make_table(seed=1), recipe=recipe(8, selector="snd", patience=3))
    assert result.selected.epoch == 2 and len(result.history) == 5


def test_watching_and_tracing_change_nothing():
    options = dict(source=make_table(), target=make_table(seed=1), adapt={"mmd": 1.0})
    plain = train(**options, recipe=recipe(2, watch=[]))
    traced = train(**options, recipe=recipe(2, watch="all", trace=True))
    assert same(weights(plain), weights(traced)) and plain.trace is None
    for name in plain.history.colnames:
        np.testing.assert_allclose(plain.history[name], traced.history[name], rtol=1e-6)


def test_labels_of_the_target_reach_nothing(never_collapsed):
    source, target = make_table(), make_table(seed=1)
    shuffled = target.copy()
    shuffled["label"] = np.random.default_rng(0).permutation(target["label"])
    options = dict(adapt={"mmd": 1.0}, recipe=recipe(3, selector="class_ami", watch="all", trace=True))
    first, second = (train(source, each, **options) for each in (target, shuffled))
    assert same(weights(first), weights(second)) and first.selected == second.selected
    assert [list(row) for row in first.history] == [list(row) for row in second.history]
    for key in first.trace:
        assert np.array_equal(first.trace[key].logits, second.trace[key].logits)


def test_the_trace_has_the_logits_of_every_epoch():
    source, target = make_table(), make_table(seed=1)
    result = train(source, target, recipe=recipe(3, trace=True, selector="last"))
    assert set(result.trace) == {("source", "validation"), ("source", "test"), ("target", "test")}
    for (domain, split), traced in result.trace.items():
        table = source if domain == "source" else target
        wanted = result.splits[(result.splits["domain"] == domain) & (result.splits["split"] == split)]["id"]
        assert list(traced.ids) == list(wanted) == list(table["id"][traced.rows])
        assert traced.logits.shape == (3, len(wanted), 2) and traced.logits.dtype == np.float32
    last = result.trace["target", "test"]
    catalogue = result.classifier.classify(target[last.rows])
    probs = result.classifier.calibrator.transform(last.logits[-1])[:, 1]
    np.testing.assert_allclose(catalogue["merger_prob"], probs, atol=1e-4)
    assert set(train(source, recipe=recipe(1, trace=True)).trace) == {("source", "validation"), ("source", "test")}


def test_a_selector_of_the_target_needs_one():
    with pytest.raises(ConfigError, match="selector 'snd' needs a target"):
        train(make_table(), recipe=recipe(1, selector="snd"))


@pytest.mark.parametrize("name", ["entropy", "bnm"])
def test_a_selector_that_is_optimised_is_warned_of(name, never_collapsed):
    with pytest.warns(GalmergeWarning, match=f"{name} is both loss and selector"):
        train(make_table(), make_table(seed=1), adapt={name: 0.1}, recipe=recipe(1, selector=name))
