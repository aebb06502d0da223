"""`train`: what it learns, what it never sees, and that it is the same every time."""

import numpy as np
import pytest
import torch
from astropy.table import Table

from galmerge_da.exceptions import ConfigError, GalmergeWarning, InputError, InputWarning, PluginError, TrainingError
from galmerge_da.inference import MergerClassifier
from galmerge_da.io import save_cutouts
from galmerge_da.simulation import simulate
from galmerge_da.training import api, assign_splits, loop, read_recipe, train
from galmerge_da.training.data import load_domain
from galmerge_da.training.loop import TrainingRun

SIZE = 16
BANDS = ("g", "r", "i")


def make_table(n=120, seed=0, noise=0.02, labelled=True):
    """Single blobs (0) and pairs of blobs (1)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    angle = rng.uniform(0, np.pi, n)
    dy, dx = (4 * labels * trig(angle) for trig in (np.sin, np.cos))
    blobs = [np.exp(-((y - s * dy[:, None, None]) ** 2 + (x - s * dx[:, None, None]) ** 2) / 4) for s in (-1, 1)]
    images = sum(blobs)[:, None] + rng.normal(scale=noise, size=(n, 3, SIZE, SIZE))
    table = Table({"id": [f"g{seed}-{i}" for i in range(n)], "image": images.astype(np.float32)})
    table.meta["BANDS"] = ",".join(BANDS)
    if labelled:
        table["label"] = labels
    return table


def recipe(epochs=3, **training):
    return {
        "preprocessing": {"size": SIZE, "scale": "pixels"},
        "training": {"epochs": epochs, "batch_size": 32, "fractions": [0.5, 0.25, 0.25], **training},
    }


def weights(result):
    return result.classifier.network.state_dict()


def same(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.fixture(scope="module")
def plain():
    return train(make_table(240), recipe=recipe(25))


@pytest.fixture(scope="module", autouse=True)
def quiet_collapse():
    """Three epochs are too few: networks of such tests may say one class for everything."""
    original, api._COLLAPSED = api._COLLAPSED, 2.0
    yield original
    api._COLLAPSED = original


def test_it_learns_and_is_calibrated(plain):
    scores = plain.scores[plain.scores["split"] == "test"][0]
    assert scores["auc"] > 0.95 and scores["brier"] < 0.12
    catalogue = plain.classifier.classify(make_table(40, seed=5))
    mergers = np.arange(40) % 2 == 1
    assert catalogue["merger_prob"][mergers].mean() > catalogue["merger_prob"][~mergers].mean() + 0.5
    assert plain.classifier.bands == BANDS


def test_the_history_has_a_row_per_epoch(plain):
    history = plain.history
    assert list(history["epoch"]) == list(range(1, len(history) + 1))
    assert {"learning_rate", "cross_entropy", "validation_cross_entropy", "validation_auc"} <= set(history.colnames)
    assert history["cross_entropy"][-1] < history["cross_entropy"][0]
    assert not {"mmd", "target_entropy"} & set(history.colnames)


def test_the_selected_epoch_is_the_best_on_the_source_validation_split(plain):
    best = int(np.argmin(plain.history["validation_cross_entropy"])) + 1
    assert plain.selected.epoch == best == plain.classifier.provenance["epoch"]
    assert str(plain.selected) == f"{best} of {len(plain.history)}, chosen by source_validation"


def test_splits_are_saved_by_id_and_those_of_the_hash(plain):
    table = make_table(240)
    assert plain.splits.colnames == ["id", "group", "domain", "split"]
    assert list(plain.splits["id"]) == list(table["id"])
    assert list(plain.splits["split"]) == list(assign_splits(table["id"], (0.5, 0.25, 0.25)))
    counts = {row["split"]: row["n"] for row in plain.scores}
    assert counts == {name: int(np.sum(plain.splits["split"] == name)) for name in ("train", "validation", "test")}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    source, target = make_table(), make_table(100, seed=1, labelled=False)
    first, again, other = (train(source, target, adapt={"mmd": 1.0}, recipe=recipe(), seed=s) for s in (0, 0, 1))
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))
    assert first.classifier.calibrator == again.classifier.calibrator
    assert [list(row) for row in first.history] == [list(row) for row in again.history]


def test_training_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    train(make_table(), recipe=recipe(1))
    assert torch.equal(torch.rand(1), expected)


def test_no_label_of_the_target_is_ever_seen():
    source, target = make_table(), make_table(100, seed=1)
    variants = [target.copy() for _ in range(4)]
    variants[1]["label"] = 1 - variants[1]["label"]
    variants[2]["label"] = np.full(100, np.nan)
    variants[3].remove_column("label")
    results = [train(source, each, adapt={"mmd": 1.0}, recipe=recipe(2)) for each in variants]
    for result in results[1:]:
        assert same(weights(results[0]), weights(result))
        assert [str(row) for row in result.scores] == [str(row) for row in results[0].scores]
    target_scores = results[0].scores[results[0].scores["domain"] == "target"]
    assert np.isnan(target_scores["auc"]).all() and np.isfinite(target_scores["mean_prob"]).all()


def test_a_target_without_losses_is_watched_but_does_not_train():
    source = make_table()
    watched, alone = train(source, make_table(100, seed=1), recipe=recipe()), train(source, recipe=recipe())
    assert same(weights(watched), weights(alone))
    assert {"target_entropy", "target_mean_prob", "target_largest_class"} <= set(watched.history.colnames)


def test_losses_move_the_network_and_are_recorded():
    source, target = make_table(), make_table(50, seed=1, noise=0.3)
    adapted, plain = train(source, target, adapt={"mmd": 1.0}, recipe=recipe()), train(source, recipe=recipe())
    assert not same(weights(adapted), weights(plain))
    assert np.isfinite(adapted.history["mmd"]).all() and np.all(adapted.history["mmd"] != 0)
    provenance = adapted.classifier.provenance
    assert provenance["losses"] == {"mmd": 1.0}
    assert "120 galaxies" in provenance["source"] and "50 galaxies" in provenance["target"]


def test_a_loss_of_no_weight_needs_the_target_but_not_its_gradient():
    """One pass over both domains: BatchNorm sees the target even then."""
    source, target = make_table(), make_table(50, seed=1, noise=0.3)
    joint, plain = train(source, target, adapt={"mmd": 0.0}, recipe=recipe(2)), train(source, recipe=recipe(2))
    assert not same(weights(joint), weights(plain))


def test_every_source_image_is_seen_in_an_epoch_and_the_target_is_cycled(monkeypatch):
    seen = {"source": [], "target": []}
    original = TrainingRun._train_step

    def spy(self, rows, target_rows, step):
        seen["source"].extend(rows.tolist())
        seen["target"].extend(target_rows.tolist())
        assert 1 < len(rows) <= 32 and len(rows) == len(target_rows)
        return original(self, rows, target_rows, step)

    monkeypatch.setattr(TrainingRun, "_train_step", spy)
    result = train(make_table(), make_table(40, seed=1), adapt={"mmd": 1.0}, recipe=recipe(1))
    splits = result.splits
    for domain in ("source", "target"):
        rows = splits[splits["domain"] == domain]
        wanted = np.flatnonzero(rows["split"] == "train")
        found, counts = np.unique(seen[domain], return_counts=True)
        assert np.array_equal(found, wanted)
        assert counts.max() - counts.min() <= (domain == "target")


def test_statistics_come_from_the_training_split_of_the_source_only():
    source = make_table()
    changed = source.copy()
    outside = assign_splits(source["id"], (0.5, 0.25, 0.25)) != "train"
    changed["image"][outside] *= np.linspace(0, 9, SIZE, dtype=np.float32)
    first, second = train(source, recipe=recipe(1, selector="last")), train(changed, recipe=recipe(1, selector="last"))
    assert same(weights(first), weights(second))


def test_the_last_epoch_can_be_selected():
    result = train(make_table(), recipe=recipe(4, selector="last", patience=1))
    assert result.selected.epoch == len(result.history) == 4


def test_patience_stops_a_run_that_gets_no_better(monkeypatch):
    values = iter([3.0, 2.0, 2.5, 2.4, 2.3, 1.0])
    original = TrainingRun._validate
    monkeypatch.setattr(
        TrainingRun, "_validate", lambda self: original(self) | {"validation_cross_entropy": next(values)}
    )
    result = train(make_table(), recipe=recipe(6, patience=3))
    assert len(result.history) == 5 and result.selected.epoch == 2


def test_class_names_are_labels_and_more_than_two_classes_train():
    table = make_table(150)
    table["kind"] = np.array(["one", "two", "three"])[np.arange(150) % 3]
    del table["label"]
    tables = recipe(1) | {"data": {"label": "kind", "classes": ["one", "two", "three"]}}
    result = train(table, recipe=tables)
    assert result.classifier.classes == ("one", "two", "three")
    assert {"mean_prob_one", "mean_prob_two", "mean_prob_three"} <= set(result.scores.colnames)
    assert "prob_three" in result.classifier.classify(table[:3]).colnames


def test_one_group_is_in_one_split_in_both_domains():
    source, target = make_table(), make_table(100, seed=1)
    source["group"] = np.arange(120) // 2
    target["group"] = np.arange(100) // 2
    splits = train(source, target, recipe=recipe(1)).splits
    for group in range(50):
        assert len(set(splits["split"][splits["group"] == group])) == 1


def test_ids_of_different_types_share_a_table():
    source, target = make_table(), make_table(60, seed=1)
    target["id"] = np.arange(60)
    splits = train(source, target, recipe=recipe(1)).splits
    assert list(splits["id"][-2:]) == ["58", "59"]


def test_rows_that_cannot_be_used_are_left_out_and_marked():
    source = make_table()
    source["image"][[3, 10]] = np.nan
    result = train(source, recipe=recipe(1))
    assert list(np.flatnonzero(result.splits["split"] == "unusable")) == [3, 10]
    assert result.scores["n"].sum() == 118


def test_transfer_starts_from_given_weights(plain, tmp_path):
    plain.classifier.save(tmp_path / "m.safetensors")
    from_path = train(make_table(), recipe=recipe(1), init=tmp_path / "m.safetensors")
    from_object = train(make_table(), recipe=recipe(1), init=plain.classifier)
    assert same(weights(from_path), weights(from_object))
    assert from_object.history["cross_entropy"][0] < train(make_table(), recipe=recipe(1)).history["cross_entropy"][0]


def test_transfer_from_another_network_is_refused(plain):
    tables = recipe(1) | {"model": {"entrance": {"rotation_residual": True}}}
    with pytest.raises(ConfigError, match="init does not fit the network: entrance"):
        train(make_table(), recipe=tables, init=plain.classifier)


def test_bands_of_the_target_are_matched_to_the_source():
    target = make_table(60, seed=1)
    target.meta["BANDS"] = "z,r,g"
    with pytest.warns(InputWarning, match="by wavelength"):
        train(make_table(), target, recipe=recipe(1))


def test_a_collapse_is_told(quiet_collapse, monkeypatch):
    monkeypatch.setattr(api, "_COLLAPSED", quiet_collapse)
    original = TrainingRun._validate
    monkeypatch.setattr(TrainingRun, "_validate", lambda self: original(self) | {"target_largest_class": 1.0})
    with pytest.warns(GalmergeWarning, match="100.0% of the target into one class"):
        train(make_table(), make_table(60, seed=1), recipe=recipe(1))


def test_progress_is_shown_when_asked_for(capsys):
    train(make_table(), recipe=recipe(1), progress=True)
    assert "epoch=1" in capsys.readouterr().err


def test_the_whole_way_through_a_file(plain, tmp_path):
    plain.classifier.save(tmp_path / "m.safetensors")
    table = make_table(10, seed=3)
    ours, theirs = plain.classifier.classify(table), MergerClassifier.load(tmp_path / "m.safetensors").classify(table)
    assert np.array_equal(ours["merger_prob"], theirs["merger_prob"])


# ------------------------------------------------------------- bad calls


def test_losses_without_a_target_are_refused():
    with pytest.raises(PluginError, match="'mdm'.*'mmd'"):
        train("nowhere.fits", adapt={"mdm": 1.0})
    with pytest.raises(ConfigError, match="mmd: losses that adapt need a target"):
        train(make_table(), adapt={"mmd": 1.0})


@pytest.mark.parametrize("options", [dict(adapt={"mdm": 1.0}), dict(backbone="deepmorge")])
def test_unknown_plugins_are_refused_before_any_reading(options):
    with pytest.raises(PluginError, match="did you mean"):
        train("nowhere.fits", "nowhere.fits", **options)


def test_a_source_without_labels_is_refused():
    with pytest.raises(InputError, match="no column 'label'"):
        train(make_table(labelled=False))


@pytest.mark.parametrize("labels", [np.r_[np.nan, np.ones(119)], np.r_[7, np.ones(119)], ["what"] + ["merger"] * 119,
                                    np.ma.masked_less(np.arange(120), 1)])  # fmt: skip
def test_a_row_without_a_label_is_named(labels):
    table = make_table(labelled=False)
    table["label"] = labels
    with pytest.raises(InputError, match=r"no label, first row [02]: column 'label' is"):
        train(table, recipe=recipe(1))


def test_a_class_that_is_not_there_is_named():
    table = make_table()
    table["label"] = 0
    with pytest.raises(TrainingError, match="train split of the source has no 'merger'"):
        train(table, recipe=recipe(1))


def test_too_few_galaxies_are_refused():
    with pytest.raises(TrainingError, match="split of the source is empty"):
        train(make_table(2), recipe=recipe(1))
    with pytest.raises(InputError, match="the source has no rows"):
        train(make_table()[:0], recipe=recipe(1))


def test_the_first_weights_keep_their_bands_in_whatever_order_the_source_has_them(plain):
    table = make_table()
    table["image"] = table["image"] * np.array([1, 2, 3], np.float32)[:, None, None]
    turned = table.copy()
    turned["image"] = turned["image"][:, ::-1]
    turned.meta["BANDS"] = ",".join(BANDS[::-1])
    results = [train(each, recipe=recipe(1), init=plain.classifier) for each in (table, turned)]
    assert results[1].classifier.bands == plain.classifier.bands == BANDS
    assert same(weights(results[0]), weights(results[1]))
    assert train(turned, recipe=recipe(1)).classifier.bands == BANDS[::-1]


def test_progress_goes_from_0_to_1_in_equal_steps(monkeypatch):
    original, progress = TrainingRun._train_step, []

    def spy(self, rows, target_rows, step):
        progress.append(step.progress)
        return original(self, rows, target_rows, step)

    monkeypatch.setattr(TrainingRun, "_train_step", spy)
    train(make_table(), recipe=recipe(2))
    assert len(progress) > 2
    np.testing.assert_allclose(progress, np.linspace(0, 1, len(progress)))


def test_a_loss_that_explodes_is_named(monkeypatch):
    from galmerge_da.adaptation import WeightedLosses

    original = WeightedLosses.forward

    def explode(self, *args, **kwargs):
        return {name: value * float("inf") for name, value in original(self, *args, **kwargs).items()}

    monkeypatch.setattr(WeightedLosses, "forward", explode)
    with pytest.raises(TrainingError, match="mmd is inf in epoch 1"):
        train(make_table(), make_table(60, seed=1), adapt={"mmd": 1.0}, recipe=recipe(1))


def test_a_learning_rate_that_breaks_the_network_is_an_error():
    with pytest.raises(TrainingError, match="cross_entropy is nan|no finite logits"):
        train(make_table(), recipe=recipe(3, learning_rate=1e30))


def test_a_recipe_object_is_a_recipe():
    first = train(make_table(), recipe=read_recipe(recipe(1)))
    assert same(weights(first), weights(train(make_table(), recipe=recipe(1))))


def test_an_output_called_like_a_model_file_is_refused_before_any_work(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(ConfigError, match=r"must be a folder .* result.classifier.save\(path\)"):
        train(None, output=path)
    assert not path.exists()


def test_the_provenance_says_with_which_seed_galaxies_were_simulated(tmp_path):
    galaxies = simulate(36, "sdss-jpeg", seed=21, n_jobs=1)
    save_cutouts(galaxies, tmp_path / "a.fits")
    settings = read_recipe({})
    for data in (galaxies, tmp_path / "a.fits"):
        domain = load_domain(data, "target", settings, settings.preprocessing)
        assert domain.description == "sdss-jpeg (36 galaxies, simulated with seed 21)"
    del galaxies.meta["SIMVERS"]  # some other table with a SEED
    assert load_domain(galaxies, "target", settings, settings.preprocessing).description == "sdss-jpeg (36 galaxies)"


def test_a_split_is_classified_in_parts_that_fit_beside_it(monkeypatch):
    table = make_table(120)
    whole = train(table, recipe=recipe(1))
    sizes = []
    original = loop.predict_logits

    def counted(network, frames, **options):
        sizes.append(len(frames))
        return original(network, frames, **options)

    monkeypatch.setattr(loop, "predict_logits", counted)
    monkeypatch.setattr(loop, "_ROWS_AT_ONCE", 32)  # whole batches, so that no sum is taken in another order
    parts = train(table, recipe=recipe(1))
    assert max(sizes) == 32 and sum(sizes) == 120
    assert np.array_equal(parts.scores["auc"], whole.scores["auc"]) and same(weights(parts), weights(whole))
