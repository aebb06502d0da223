"""Training steps with and without memory that stays with the process, alternately, each in a process of its own.

python benchmarks/bench_memory.py [rounds]
"""

import os
import subprocess
import sys
from time import process_time

import numpy as np


def steps(keep, n_steps=12, batch_size=128):
    """Seconds of CPU time of a training step of DeepMerge with its physical channels."""
    import torch
    from torch.nn import functional

    from galmerge_da.models import build_network
    from galmerge_da.training.memory import keep_memory

    if keep == "keep":
        keep_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = build_network(in_channels=3, image_size=75, entrance={"rotation_residual": True})
    network.to(memory_format=torch.channels_last)  # as in training
    optimizer = torch.optim.Adam(network.parameters())
    images, labels = torch.rand(batch_size, 3, 75, 75), torch.randint(0, 2, (batch_size,))
    times = []
    for _ in range(n_steps):
        start = process_time()
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(network(images)[1], labels).backward()
        optimizer.step()
        times.append(process_time() - start)
    return np.median(times[2:])


def main(rounds="5"):
    seconds = {"return": [], "keep": []}
    for _ in range(int(rounds)):
        for how, times in seconds.items():
            command = [sys.executable, __file__, "--step", how]
            answer = subprocess.run(
                command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.PIPE
            )
            times.append(float(answer.stdout))
    returned, kept = (np.array(times) for times in seconds.values())
    ratios = kept / returned
    print(
        f"memory given back {np.median(returned):.3f} s, kept {np.median(kept):.3f} s of CPU time a step; "
        f"ratio {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        print(steps(sys.argv[2]))
    else:
        main(*sys.argv[1:])
