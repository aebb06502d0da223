"""What a training step costs on a device, by network, precision and whether cuDNN may only take what is repeatable.

    python benchmarks/bench_steps.py [--device cuda] [--batch 256] [--kernels]

`train` computes with cuDNN's repeatable algorithms; "free" is the same step with all of them. Median of some
steps after a warm-up, in turns, so that all share the state of the machine. ``--kernels`` names what the slowest
step of each network spends its time on.
"""

import argparse
import time
from itertools import product
from statistics import median

import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from galmerge_da.augmentation import Augmentation, augment
from galmerge_da.models import autocast, build_network, choose_device

NETWORKS = ("deepmerge", "resnet-rings", "resnet18")
AUGMENTATION = Augmentation(gain=0.1, noise=0.004, blur=0.6, zoom=0.1)
WARM_UP, IN_A_ROW = 3, 5


def make_step(name, precision, repeatable, images, labels):
    """A function that does one step as `galmerge_da.training` does, without its losses and checks."""
    network = build_network(name, {}, in_channels=3, image_size=images.shape[-1], n_classes=2).to(images.device)
    if precision == "bfloat16":
        network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters())

    def step():
        with torch.backends.cudnn.flags(deterministic=repeatable, benchmark=False):
            with autocast(images.device, precision):
                logits = network(images)[1]
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(logits.float(), labels).backward()
            optimizer.step()

    return step


def seconds(function, device):
    """Seconds of a call, all of what it starts on the device included."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    for _ in range(IN_A_ROW):
        function()
    wait()
    return (time.perf_counter() - start) / IN_A_ROW


def main(device, batch, rounds, kernels):
    """Print milliseconds of a step, and of the augmentation before it."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(batch, 3, 75, 75, generator=generator).to(device)
    labels = torch.randint(2, (batch,), generator=generator).to(device)
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, a batch of {batch}", flush=True)
    steps = {"augmentation": lambda: augment(images, AUGMENTATION, generator)}
    for name, precision, repeatable in product(NETWORKS, ("full", "bfloat16"), (True, False)):
        kind = f"{name}, {precision}, {'repeatable' if repeatable else 'free'}"
        steps[kind] = make_step(name, precision, repeatable, images, labels)
    times = {kind: [] for kind in steps}
    for _ in range(WARM_UP):
        for step in steps.values():
            step()
    for _ in range(rounds):
        for kind, step in steps.items():
            times[kind].append(1e3 * seconds(step, device))
    for kind, taken in times.items():
        print(f"{kind:40s} {median(taken):8.2f} ms", flush=True)
    for name in NETWORKS if kernels else ():
        slowest = max((kind for kind in times if kind.startswith(name + ",")), key=lambda kind: median(times[kind]))
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
        with profile(activities=activities) as found:
            seconds(steps[slowest], device)
        by = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
        print(f"\n{slowest}, {IN_A_ROW} steps")
        print(found.key_averages().table(sort_by=by, row_limit=8, max_name_column_width=60))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kernels", action="store_true")
    given = parser.parse_args()
    main(choose_device(given.device), given.batch, given.rounds, given.kernels)
