"""A training step in bfloat16 over one in full precision, side by side on one CPU thread.

python benchmarks/bench_precision.py [batch size]
"""

import sys
from time import process_time

import numpy as np
import torch
from torch.nn import functional

from galmerge_da.models import autocast, build_network


def main(batch_size=128, rounds=9):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    networks = {
        name: build_network(in_channels=3, image_size=75, entrance={"rotation_residual": True})
        for name in ("full", "bfloat16")
    }
    networks["bfloat16"].to(memory_format=torch.channels_last)  # as in training
    optimizers = {name: torch.optim.Adam(network.parameters()) for name, network in networks.items()}
    images, labels = torch.rand(batch_size, 3, 75, 75), torch.randint(0, 2, (batch_size,))
    seconds = {"full": [], "bfloat16": []}
    for _ in range(rounds):
        for precision, times in seconds.items():
            start = process_time()
            with autocast(torch.device("cpu"), precision):
                logits = networks[precision](images)[1]
            optimizers[precision].zero_grad(set_to_none=True)
            functional.cross_entropy(logits.float(), labels).backward()
            optimizers[precision].step()
            times.append(process_time() - start)
    full, half = (np.median(times[1:]) for times in seconds.values())
    print(
        f"DeepMerge, {batch_size} images: full {full:.3f} s, bfloat16 {half:.3f} s of CPU time, ratio {half / full:.2f}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
