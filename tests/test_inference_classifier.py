"""The classifier and its one-file format: what comes back, and what is refused."""

import json
import os
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy.special import logit, softmax

from galmerge_da.exceptions import ConfigError, InputError, ModelFileError
from galmerge_da.inference import MergerClassifier, default_model_path, predict_logits
from galmerge_da.inference import classifier as classifier_module
from galmerge_da.metrics import TemperatureCalibrator
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe

SIZE = 25


def make_classifier(seed=0, **options):
    torch.manual_seed(seed)
    network = build_network("deepmerge", in_channels=3, image_size=SIZE)
    network.entrance.fit(make_frames(50, seed=99))
    recipe = PreprocessingRecipe(("g", "r", "i"), size=SIZE, scale="pixels")
    defaults = dict(
        preprocessing=recipe,
        calibrator=TemperatureCalibrator(1.5, (0.0, -0.4)),
        provenance={"losses": {"mmd": 1.0}, "source": "sim"},
    )
    return MergerClassifier(network, **defaults | options)


def make_frames(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3, SIZE, SIZE)).astype(np.float32)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    make_classifier().save(path)
    return path


def rewrite(path, edit):
    """Save a file again after ``edit(header, tensors)``."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors, header = load_file(path), json.loads(metadata["galmerge_da"])
    edit(header, tensors)
    save_file(tensors, path, metadata={"galmerge_da": json.dumps(header)})


def test_a_saved_classifier_comes_back_the_same(saved):
    before, after = make_classifier(), MergerClassifier.load(saved)
    for ours, theirs in zip(before.predict(make_frames(5)), after.predict(make_frames(5)), strict=True):
        assert np.array_equal(ours, theirs)
    assert after.bands == ("g", "r", "i")
    assert after.classes == ("nonmerger", "merger")
    assert after.calibrator == before.calibrator
    assert after.preprocessing == before.preprocessing
    assert after.threshold == before.threshold
    assert after.weights_sha256 == before.weights_sha256
    assert after.provenance["losses"] == {"mmd": 1.0}
    assert {"version", "created", "source"} <= set(after.provenance)


def test_a_classifier_without_calibration_comes_back_without(tmp_path):
    make_classifier(calibrator=None).save(tmp_path / "m.safetensors")
    again = MergerClassifier.load(tmp_path / "m.safetensors")
    assert again.calibrator is None
    raw, calibrated = again.predict(make_frames(3))
    assert np.array_equal(raw, calibrated)


def test_probabilities_are_the_softmax_and_the_calibration_of_the_logits():
    classifier = make_classifier()
    frames = make_frames(7)
    with torch.no_grad():
        logits = classifier.network(torch.from_numpy(frames))[1].double().numpy()
    raw, calibrated = classifier.predict(frames, device="cpu")
    assert_allclose(raw, softmax(logits, axis=1), rtol=1e-5)
    assert_allclose(calibrated, softmax(logits / 1.5 + [0, -0.4], axis=1), rtol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 16, 100])
def test_the_batch_size_does_not_matter(batch_size):
    classifier, frames = make_classifier(), make_frames(20)
    assert_allclose(
        classifier.predict(frames, batch_size=batch_size)[1], classifier.predict(frames, batch_size=20)[1], rtol=1e-5
    )


def test_a_bad_row_does_not_change_the_others():
    classifier, frames = make_classifier(), make_frames(6)
    spoilt = frames.copy()
    spoilt[2] = np.nan
    good = np.arange(6) != 2
    assert_allclose(classifier.predict(spoilt)[1][good], classifier.predict(frames)[1][good], rtol=1e-6)


def test_turned_frames_have_the_mean_logit_of_their_eight_views():
    classifier = make_classifier()
    frames = make_frames(5)
    result = classifier.predict(frames, turns=True)[0]
    views = [np.rot90(each, k, (2, 3)) for each in (frames, np.flip(frames, 3)) for k in range(4)]
    logits = np.mean([logit(classifier.predict(view)[0][:, 1]) for view in views], axis=0)
    assert_allclose(logit(result[:, 1]), logits, rtol=1e-5, atol=1e-6)
    turned = classifier.predict(np.rot90(frames, 1, (2, 3)), turns=True)[0]
    assert_allclose(turned, result, rtol=1e-5)


def test_no_frames_give_no_probabilities():
    assert make_classifier().predict(np.zeros((0, 3, SIZE, SIZE)))[1].shape == (0, 2)


def test_prediction_leaves_a_network_in_the_mode_it_was_in():
    network = make_classifier().network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    predict_logits(network, make_frames(4), device=torch.device("cpu"))
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("shape", [(2, 3, SIZE, SIZE + 1), (2, 4, SIZE, SIZE), (3, SIZE, SIZE)])
def test_frames_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=rf"shape \(N, 3, {SIZE}, {SIZE}\)"):
        make_classifier().predict(np.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(classes=("a", "b", "c")), "2 classes apart"),
        (dict(classes=("a", "a")), "different names"),
        (dict(calibrator=TemperatureCalibrator(1, (0, 0, 0))), "for 3 classes"),
        (dict(threshold=1.5), "threshold"),
        (dict(threshold=None), "threshold"),
        (dict(preprocessing=PreprocessingRecipe(("g", "r"), size=SIZE)), "frames of 2 bands and 25 pixels.* 3 and 25"),
        (dict(preprocessing=PreprocessingRecipe(size=SIZE + 1)), "frames of 3 bands and 26 pixels"),
    ],
)
def test_parts_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make_classifier(**options)


def test_the_fingerprint_follows_the_weights():
    assert make_classifier(0).weights_sha256 == make_classifier(0).weights_sha256 != make_classifier(1).weights_sha256


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no model file .*nothing.safetensors"):
        MergerClassifier.load(tmp_path / "nothing.safetensors")


class _Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("how", ["empty", "cut in the header", "cut in the weights", "text", "pickle", "torch"])
def test_a_file_that_is_no_model_is_refused_and_never_unpickled(saved, how, monkeypatch):
    monkeypatch.chdir(saved.parent)
    content = saved.read_bytes()
    if how == "torch":
        torch.save({"weights": _Bomb()}, saved)
    else:
        saved.write_bytes(
            {
                "empty": b"",
                "cut in the header": content[:100],
                "cut in the weights": content[:-1000],
                "text": b"SIMPLE  =                    T",
                "pickle": pickle.dumps(_Bomb()),
            }[how]
        )
    with pytest.raises(ModelFileError, match="not a classifier saved by galmerge_da, or it is damaged"):
        MergerClassifier.load(saved)
    assert not (saved.parent / "exploded").exists()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="folder"):
        MergerClassifier.load(tmp_path)


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelFileError, match="but not a classifier"):
        MergerClassifier.load(tmp_path / "other.safetensors")


def test_a_newer_format_asks_for_an_upgrade(saved):
    rewrite(saved, lambda header, tensors: header.update(format_version=99))
    with pytest.raises(ModelFileError, match="format 99.*upgrade"):
        MergerClassifier.load(saved)


@pytest.mark.parametrize(
    "key",
    ["format_version", "weights_sha256", "network", "backbone_distribution", "preprocessing", "calibration", "classes",
     "threshold", "provenance"],
)  # fmt: skip
def test_a_header_without_an_entry_names_it(saved, key):
    rewrite(saved, lambda header, tensors: header.pop(key))
    with pytest.raises(ModelFileError, match=key):
        MergerClassifier.load(saved)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network", "deepmerge"),
        ("preprocessing", {"size": -1}),
        ("calibration", {"method": "magic"}),
        ("classes", ["x"]),
        ("threshold", "high"),
        ("provenance", 3),
    ],
)
def test_a_header_with_a_wrong_entry_is_refused(saved, key, value):
    rewrite(saved, lambda header, tensors: header.update({key: value}))
    with pytest.raises(ModelFileError, match="cannot be used by this version"):
        MergerClassifier.load(saved)


def test_an_unknown_backbone_names_its_distribution(saved):
    def edit(header, tensors):
        header["network"]["backbone"] = "galaxyzoonet"
        header["backbone_distribution"] = "galmerge-galaxyzoonet 2.1"

    rewrite(saved, edit)
    with pytest.raises(ModelFileError, match="'galaxyzoonet' of the distribution galmerge-galaxyzoonet 2.1"):
        MergerClassifier.load(saved)


def test_changed_weights_are_noticed(saved):
    content = bytearray(saved.read_bytes())
    content[-5] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ModelFileError, match="not those that were saved"):
        MergerClassifier.load(saved)


def test_missing_weights_are_noticed(saved):
    def edit(header, tensors):
        from galmerge_da.inference.modelfile import weights_sha256

        tensors.pop(sorted(tensors)[0])
        header["weights_sha256"] = weights_sha256(tensors)

    rewrite(saved, edit)
    with pytest.raises(ModelFileError, match="Missing key"):
        MergerClassifier.load(saved)


def test_a_failed_write_leaves_the_old_file_and_no_other(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        make_classifier(1).save(saved)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_saving_replaces_a_file(saved):
    make_classifier(1).save(saved)
    assert MergerClassifier.load(saved).weights_sha256 == make_classifier(1).weights_sha256


def test_an_installation_without_a_default_model_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(classifier_module.importlib.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelFileError, match="no default model"):
        default_model_path()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "default.safetensors").touch()
    assert default_model_path() == tmp_path / "data" / "default.safetensors"
