"""More than two classes, one band, small images: the same `train` and `classify`."""

import numpy as np
import pytest
from astropy.table import Table

from galmerge_da import MergerClassifier, classify, train
from galmerge_da.flags import decode_flags

CLASSES = ("smooth", "ring", "edge-on", "pair", "irregular")
SIZE = 28

#: What docs/backbones.rst asks for: neither a radius nor a background to look for.
RECIPE = {
    "data": {"classes": CLASSES},
    "preprocessing": {"size": SIZE, "scale": "pixels", "background": "none"},
    "training": {
        "epochs": 8,
        "patience": 8,
        "batch_size": 32,
        "learning_rate": 5e-3,
        "betas": [0.9, 0.99],
        "fractions": [0.6, 0.2, 0.2],
    },
}


def shapes(n, seed, size=SIZE, dtype=np.float32):
    """Images (size, size) of five kinds, in any orientation, a little off the middle, with noise; sky level 0.2."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % len(CLASSES)
    images = np.empty((n, size, size))
    for image, kind in zip(images, label, strict=True):
        y, x = np.mgrid[:size, :size] - (size - 1) / 2 - rng.uniform(-1, 1, (2, 1, 1))
        angle = rng.uniform(0, np.pi)
        x, y = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        radius = np.hypot(x, y)
        if kind == 0:
            image[:] = np.exp(-(radius**2) / 18)
        elif kind == 1:
            image[:] = np.exp(-((radius - 7) ** 2) / 4)
        elif kind == 2:
            image[:] = np.exp(-(x**2) / 50 - y**2 / 2)
        elif kind == 3:
            image[:] = sum(np.exp(-((x - s) ** 2 + y**2) / 6) for s in (-5, 5))
        else:
            image[:] = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 4) for a, b in rng.uniform(-8, 8, (5, 2)))
        image *= rng.uniform(0.5, 2)
    images += 0.2 + rng.normal(scale=0.03, size=images.shape)
    if np.dtype(dtype).kind == "u":
        images = np.clip(100 * images, 0, 255)
    return Table({"id": np.arange(n), "image": images.astype(dtype), "label": label})


@pytest.fixture(scope="module", params=["deepmerge", "resnet-rings"])
def trained(request):
    return train(shapes(500, seed=1), backbone=request.param, recipe=RECIPE, seed=1, device="cpu")


def test_five_classes_of_one_band_are_learnt(trained):
    """Chance is .20, and AUC .5."""
    scores = trained.scores[trained.scores["split"] == "test"][0]
    assert scores["accuracy"] > 0.8 and scores["auc"] > 0.9
    assert trained.classifier.network.in_channels == 1
    assert trained.classifier.network.image_size == SIZE
    means = [scores[f"mean_prob_{name}"] for name in CLASSES]
    assert sum(means) == pytest.approx(1)


def test_every_class_has_a_probability(trained):
    galaxies = shapes(100, seed=2)
    truth = np.asarray(galaxies["label"])
    galaxies.remove_column("label")
    catalogue = classify(galaxies, trained.classifier)
    probs = np.stack([catalogue[f"prob_{name}"] for name in CLASSES], axis=1)
    raw = np.stack([catalogue[f"prob_{name}_raw"] for name in CLASSES], axis=1)
    for each in (probs, raw):
        assert each.min() >= 0
        np.testing.assert_allclose(each.sum(axis=1), 1, rtol=1e-6)
        assert np.mean(each.argmax(axis=1) == truth) > 0.8
    assert "merger_prob" not in catalogue.colnames
    assert list(catalogue["id"]) == list(galaxies["id"])
    assert not any(decode_flags(catalogue["flags"]))


def test_the_file_keeps_the_classes(trained, tmp_path):
    path = tmp_path / "shapes.safetensors"
    trained.classifier.save(path)
    again = MergerClassifier.load(path)
    assert again.classes == CLASSES
    galaxies = shapes(20, seed=3)
    before, after = (each.classify(galaxies) for each in (trained.classifier, again))
    for name in CLASSES:
        np.testing.assert_array_equal(before[f"prob_{name}"], after[f"prob_{name}"])


def test_the_frame_is_the_image_itself(trained):
    """No rescaling to the galaxy and no background: what goes in is what the network sees."""
    from galmerge_da.io import open_cutouts
    from galmerge_da.preprocessing import preprocess

    galaxies = shapes(5, seed=4)
    (chunk,) = open_cutouts(galaxies)
    frames = preprocess(chunk, trained.classifier.preprocessing)
    np.testing.assert_array_equal(frames.data[:, 0], galaxies["image"])
