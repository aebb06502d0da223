"""A training epoch and a catalogue on a GPU and on the CPU of the same machine, side by side in one run.

    python benchmarks/bench_device.py [--device cuda] [-n 4000]

An epoch is all of it: augmentation, steps, validation. It is the difference between a training of two epochs and one
of five, over three, so that neither start nor reading counts; the median of some rounds, in each of which both
devices take their turn.
"""

import argparse
import os
import time
from statistics import median

import torch

from galmerge_da import classify, simulate, train
from galmerge_da.models import choose_device

ADAPT = {"noDA": {}, "MMD": {"mmd": 1.0}, "DANN": {"dann": 1.0}}
AUGMENTATION = {"gain": 0.1, "noise": 0.004, "blur": 0.6, "zoom": 0.1}
FEW, MANY = 2, 5


def seconds(function, *args, **options):
    """How long a call takes, and what it gives."""
    start = time.perf_counter()
    result = function(*args, **options)
    return time.perf_counter() - start, result


def epoch(source, target, adapt, device):
    """Seconds of one epoch, and the classifier."""
    training = {"precision": "bfloat16", "selector": "last", "augmentation": AUGMENTATION}
    few, many = (
        seconds(train, source, target, adapt=adapt, device=device, recipe={"training": {**training, "epochs": number}})
        for number in (FEW, MANY)
    )
    return (many[0] - few[0]) / (MANY - FEW), many[1].classifier


def main(device, n, rounds):
    """Print seconds on both and how many times faster the first is."""
    surveys = ("deepmerge-z2-pristine", "deepmerge-z2")
    source, target = (simulate(n, survey, seed=1, n_jobs=os.cpu_count()) for survey in surveys)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device
    print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    kinds = (device, torch.device("cpu"))
    for name, adapt in ADAPT.items():
        times = {kind: [] for kind in kinds}
        for kind in kinds:
            epoch(source[:200], target[:200], adapt, kind)  # what is loaded at first use
        for _ in range(rounds):
            for kind in kinds:
                taken, classifier = epoch(source, target, adapt, kind)
                times[kind].append(taken)
        report(f"an epoch of {name} on {n} galaxies", *(median(times[kind]) for kind in kinds))
    times = {kind: [] for kind in kinds}
    for _ in range(rounds + 1):
        for kind in kinds:
            times[kind].append(seconds(classify, target, classifier, device=kind)[0])
    report(f"a catalogue of {n} galaxies", *(median(times[kind][1:]) for kind in kinds))


def report(what, own, cpu):
    """One line of the result."""
    print(f"{what}: {own:.2f} s, CPU {cpu:.2f} s, {cpu / own:.1f} times faster", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("-n", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    main(choose_device(given.device), given.n, given.rounds)
