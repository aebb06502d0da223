"""MMD by one Gram matrix against the (N, N, D) tensor of differences, side by side in one run.

python benchmarks/bench_mmd.py
"""

import time
from statistics import median

import torch

from galmerge_da.adaptation.functional import PUBLISHED_BANDWIDTHS, mmd

BATCH, FEATURES = 128, 2592


def mmd_by_broadcasting(source, target):
    """The published definition, with every difference of two rows in memory."""

    def kernel(a, b):
        distances = (a[:, None] - b[None]).square().sum(2)
        return sum(torch.exp(-distances / (2 * width)) for width in PUBLISHED_BANDWIDTHS)

    value = kernel(source, source).mean() + kernel(target, target).mean() - 2 * kernel(source, target).mean()
    return value.clamp_min(1e-4)


def seconds(function, source, target):
    """One forward and backward pass, and the value."""
    source = source.clone().requires_grad_()
    start = time.perf_counter()
    value = function(source, target)
    value.backward()
    return time.perf_counter() - start, value.item()


def main(repeats=7):
    """Print the median times and their ratio."""
    torch.manual_seed(0)
    source, target = torch.rand(BATCH, FEATURES), torch.rand(BATCH, FEATURES) + 0.1
    variants = {
        "published, broadcasting": mmd_by_broadcasting,
        "published, Gram matrix": lambda s, t: mmd(s, t, variant="published"),
        "unbiased, Gram matrix": mmd,
    }
    times = {name: [] for name in variants}
    values = {}
    for _ in range(repeats):  # in turn, so that a busy machine slows all alike
        for name, function in variants.items():
            elapsed, values[name] = seconds(function, source, target)
            times[name].append(elapsed)
    slow = median(times["published, broadcasting"])
    for name in variants:
        fast = median(times[name])
        print(f"{name:26s} {1e3 * fast:8.2f} ms  {slow / fast:6.1f} x  value {values[name]:.6f}")


if __name__ == "__main__":
    main()
