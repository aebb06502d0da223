"""A small classifier that nobody trained, and tables of noise for it to classify."""

import numpy as np
import torch
from astropy.table import Table

from galmerge_da.inference import MergerClassifier
from galmerge_da.metrics import TemperatureCalibrator
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe

SIZE = 25
BANDS = ("g", "r", "i")


def make_classifier(classes=("nonmerger", "merger")):
    torch.manual_seed(0)
    network = build_network("deepmerge", in_channels=3, image_size=SIZE, n_classes=len(classes))
    network.entrance.fit(make_images(50, seed=99))
    calibrator = TemperatureCalibrator(1.5, (0.0, -0.4) if len(classes) == 2 else (0.0,) * len(classes))
    provenance = {
        "losses": {"mmd": 1.0, "fisher": {"weight": 0.5}},
        "source": "simulated " * 9,
        "target": "Söderberg survey",
    }
    recipe = PreprocessingRecipe(BANDS, size=SIZE, scale="pixels")
    return MergerClassifier(network, recipe, classes=classes, calibrator=calibrator, provenance=provenance)


def make_images(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3, SIZE, SIZE)).astype(np.float32)


def make_table(n=10, cls=Table, **columns):
    table = cls({"name": [f"galaxy {i}" for i in range(n)], "image": make_images(n), **columns})
    table["z"] = np.linspace(0, 1, n)
    table["z"].description = "redshift"
    return table


def spoil(table, row, value):
    table["image"][row] = value
    return table


def missing(column):
    return np.ma.getmaskarray(np.ma.asarray(column))
