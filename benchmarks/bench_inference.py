"""How fast a catalogue is made: frames through the network by batch size, and the whole of `classify`.

Run ``python benchmarks/bench_inference.py``; it prints images per second.
"""

import time

import numpy as np
import torch
from astropy.table import Table

from galmerge_da.inference import MergerClassifier, classify
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe

N_ROWS = 2000
SIZE = 75


def main():
    """Time both on an untrained network, after a first call that is not counted."""
    torch.manual_seed(0)
    images = np.random.default_rng(0).normal(size=(N_ROWS, 3, SIZE, SIZE)).astype(np.float32)
    for residual in (False, True):
        network = build_network(in_channels=3, image_size=SIZE, entrance={"rotation_residual": residual})
        network.entrance.fit(images[:64])
        classifier = MergerClassifier(network, PreprocessingRecipe(scale="pixels"))
        classifier.predict(images[:64])
        for batch_size in (8, 16, 32, 64, 128):
            report(
                f"predict, residual={residual}, batch {batch_size}", classifier.predict, images, batch_size=batch_size
            )
        report(f"classify, residual={residual}", classify, Table({"image": images}), classifier)


def report(name, function, *args, **options):
    """Print how many rows a second a call manages."""
    start = time.perf_counter()
    function(*args, **options)
    print(f"{name:40s} {N_ROWS / (time.perf_counter() - start):8.0f} images/s")


if __name__ == "__main__":
    main()
