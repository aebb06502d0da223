"""What the losses cost: MMD against its published form, the largest tensor, and a whole training step.

    python benchmarks/bench_losses.py
    python benchmarks/bench_losses.py --device cuda --rst losses.rst

Everything is measured in one run, in turns of random order, so that a busy
machine slows all alike; times are medians, ratios medians of the ratios of each
turn, of CPU time where one thread of a CPU computes. A step is that of
`galmerge_da.train` with DeepMerge and 128 + 128 images of 3 x 75 x 75; the step
it is compared with has no loss and the same 256 images. asv runs the classes.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from astropy.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from galmerge_da.adaptation import DomainBatch, StepContext, check_losses
from galmerge_da.adaptation.functional import PUBLISHED_BANDWIDTHS, mmd
from galmerge_da.exceptions import ConfigError
from galmerge_da.models import build_network
from galmerge_da.plugins import list_plugins
from galmerge_da.preprocessing import PreprocessingRecipe
from galmerge_da.training.data import Domain
from galmerge_da.training.loop import TrainingRun
from galmerge_da.training.parallel import Processes
from galmerge_da.training.recipe import read_recipe

N, FEATURES, SIZE = 128, 2592, 75
NO_LOSS = "no loss"
#: The released code's way, the same with another order of axes, and the package's variants.
FORMS = ("(N, D, N)", "(N, N, D)", "unbiased", "biased", "published")


def requests():
    """Words that ask for each built-in loss whose dependencies are there, and for the published MMD."""
    for record in list_plugins("loss"):
        if record.distribution == "galmerge_da":
            try:
                check_losses([record.spec.name])
            except ConfigError as error:
                print(error)
            else:
                yield record.spec.name
    yield "mmd.variant=published"


LOSSES = tuple(requests())


def mmd_by_differences(source, target, middle):
    """The published definition, with every difference of two rows in memory, features in the middle or last."""

    def kernel(a, b):
        differences = a[:, :, None] - b.T[None] if middle else a[:, None] - b[None]
        distances = differences.square().sum(1 if middle else 2)
        return sum(torch.exp(-distances / (2 * width)) for width in PUBLISHED_BANDWIDTHS)

    value = kernel(source, source).mean() + kernel(target, target).mean() - 2 * kernel(source, target).mean()
    return value.clamp_min(1e-4)


class MMD:
    """Forward and backward on 128 + 128 rows of 2,592 features."""

    params = FORMS
    param_names = ("form",)

    def setup(self, form, device="cpu"):
        torch.manual_seed(0)
        self.device = torch.device(device)
        self.samples = torch.rand(N, FEATURES, device=device), torch.rand(N, FEATURES, device=device) + 0.1

    def time_mmd(self, form):
        source, target = (sample.clone().requires_grad_() for sample in self.samples)
        if form.startswith("("):
            value = mmd_by_differences(source, target, middle=form == "(N, D, N)")
        else:
            value = mmd(source, target, variant=form)
        value.backward()
        synchronise(self.device)


class Step:
    """A step of the only training loop, repeated on the same images."""

    params = (NO_LOSS, *LOSSES)
    param_names = ("loss",)
    timeout = 600

    def setup(self, loss, device="cpu"):
        torch.manual_seed(0)
        self.device = torch.device(device)
        images, labels = torch.rand(2 * N, 3, SIZE, SIZE), torch.arange(2 * N) % 2
        network = build_network(in_channels=3, image_size=SIZE)
        network.entrance.fit(images)
        recipe = read_recipe({"training": {"epochs": 100_000}}, adapt=[] if loss == NO_LOSS else [loss])
        if loss == NO_LOSS:
            source, target = domain("source", images, labels), None
        else:
            source, target = domain("source", images[:N], labels[:N]), domain("target", images[N:], None)
        self.rows = source.rows("train"), target and target.rows("train")
        self.run = TrainingRun(network, source, target, recipe, Processes(self.device))
        network.train()
        self.context = StepContext(progress=0.5, epoch=0, generator=self.run.loss_generator, model=network)
        if self.run.losses is not None:
            self.run.losses.on_epoch_start(self.context)

    def time_step(self, loss):
        with torch.backends.cudnn.flags(deterministic=True, benchmark=False):  # as `train` has it
            self.run._train_step(*self.rows, self.context)
        synchronise(self.device)


class LargestTensor:
    """Elements of the largest tensor of a loss, forward or backward, over the larger of (2N)^2 and 2 N D."""

    params = (LOSSES,)
    param_names = ("loss",)
    unit = "max((2N)^2, 2ND)"

    def setup(self, loss):
        step = Step()
        step.setup(loss)
        (self.loss,), self.context = step.run.losses.losses.values(), step.context
        features, logits = torch.randn(2 * N, FEATURES), torch.randn(2 * N, 2)
        features, logits = features.requires_grad_(), logits.requires_grad_()
        images, index = step.run.source.images, torch.arange(N)
        self.source = DomainBatch(features[:N], logits[:N], images, index, step.run.labels)
        self.target = DomainBatch(features[N:], logits[N:], step.run.target.images, index)

    def track_largest_tensor(self, loss):
        with Sizes() as sizes:
            self.loss(self.source, self.target, self.context).backward()
        return sizes.largest / max((2 * N) ** 2, 2 * N * FEATURES)

    def needs(self):
        """What of the two batches the loss looks at."""
        looks = {}
        self.loss(Watched(self.source, "source", looks), Watched(self.target, "target", looks), self.context)
        return ", ".join(
            part if seen == {"source", "target"} or part == "labels" else f"{part} of the {next(iter(seen))}"
            for part, seen in looks.items()
            if part != "index"
        )


class Sizes(TorchDispatchMode):
    """Knows the largest tensor that any operation gave."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor)]
        self.largest = max([self.largest, *(each.numel() for each in tensors)])
        return result


class Watched:
    """A batch that notes which of its parts are asked for."""

    def __init__(self, batch, name, looks):
        self._batch, self._name, self._looks = batch, name, looks

    def __len__(self):
        return len(self._batch)

    def __getattr__(self, part):
        self._looks.setdefault(part, set()).add(self._name)
        return getattr(self._batch, part)


def domain(name, images, labels):
    """Images as a domain of which all rows are for training."""
    ids = np.arange(len(images))
    return Domain(name, name, PreprocessingRecipe(), images, labels, ids, ids, np.full(len(images), "train"))


def synchronise(device):
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turn(benchmark, method, names, device, repeats):
    """Seconds of each case and turn, shape (cases, turns); a first turn is not counted."""
    cases = []
    for name in names:
        case = benchmark()
        case.setup(name, device)
        cases.append(case)
    times = np.zeros((len(names), repeats + 1))
    alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter  # the former does not count what others run meanwhile
    rng = np.random.default_rng(0)
    for turn in range(repeats + 1):
        for number in rng.permutation(len(names)):
            start = clock()
            getattr(cases[number], method)(names[number])
            times[number, turn] = clock() - start
    return times[:, 1:]


def mmd_table(device, repeats):
    """A row per form of MMD."""
    times = in_turn(MMD, "time_mmd", FORMS, device, repeats)
    rows = [
        (form, 1e3 * median(each), *(median(slow / each) for slow in times[:2]))
        for form, each in zip(FORMS, times, strict=True)
    ]
    return Table(rows=rows, names=("MMD", "ms", *(f"faster than {form}" for form in FORMS[:2])))


def step_table(device, repeats):
    """A row per loss."""
    names = Step.params
    times = in_turn(Step, "time_step", names, device, repeats)
    rows = [(NO_LOSS, "", "", 1e3 * median(times[0]), 1.0, 0.0)]
    for name, each in zip(names[1:], times[1:], strict=True):
        largest = LargestTensor()
        largest.setup(name)
        size = f"{largest.track_largest_tensor(name):.2f}"
        added = 1e3 * median(each - times[0])
        rows.append((f"``{name}``", largest.needs(), size, 1e3 * median(each), median(each / times[0]), added))
    return Table(rows=rows, names=("method", "needs", "largest tensor", "step, ms", "step ratio", "added, ms"))


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--repeats", type=int, default=13)
    parser.add_argument("--rst", help="file to which the table of steps is written as reStructuredText")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    name = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else "CPU"
    print(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads")
    for make in (mmd_table, step_table):
        table = make(options.device, options.repeats)
        for column in table.itercols():
            if column.dtype.kind == "f":
                column.format = ".2f" if "ratio" in column.name else ".1f"
        print("\n".join(["", *table.pformat(max_lines=-1, max_width=-1)]), flush=True)
    if options.rst:
        table.write(options.rst, format="ascii.rst", overwrite=True)


if __name__ == "__main__":
    main()
