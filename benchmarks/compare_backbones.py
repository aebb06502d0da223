"""Backbones side by side: parameters, cost of a training step, AUC on simulated galaxies held out.

    python benchmarks/compare_backbones.py --cache simulated
    python benchmarks/compare_backbones.py deepmerge p4m:width=6 --seeds 1 --surveys sdss-jpeg
    python benchmarks/compare_backbones.py --device cuda --ecsv runs.ecsv --rst table.rst

All are trained by the recipe of the packaged model, except for the number of
galaxies and of epochs. A seed draws split and weights; "test" is its own test
split, "further" are galaxies of another simulation, the same for all. Spreads
are standard deviations over seeds; gains over the first backbone are taken seed
by seed. No real image takes part. The ECSV file has a row per training, is
written after each, and is gone on with where it exists.
"""

import argparse
import io
import os
import sys
import time
import tomllib
from importlib.resources import files
from pathlib import Path
from statistics import median

import numpy as np
import torch
from astropy.table import Table, vstack

from galmerge_da import classify, simulate, train
from galmerge_da.augmentation import Augmentation, augment
from galmerge_da.metrics import roc_auc
from galmerge_da.models import autocast, build_network, choose_device
from galmerge_da.plugins import manager

BACKBONES = ("deepmerge", "resnet-rings", "resnet-rings:rings=1", "resnet18", "preact", "convnext", "p4m")
SURVEYS = ("sdss-jpeg", "deepmerge-z2")
DATA_SEED = 11
KEYS = ["survey", "backbone", "seed"]
SCORES = ["test_auc", "further_auc"]


def parse(text):
    """``name:key=value,key=value`` as name and options."""
    name, _, rest = text.partition(":")
    return name, tomllib.loads("\n".join(filter(None, rest.split(","))))


def default_recipe():
    """The recipe of the packaged model, without its data."""
    tables = tomllib.loads(files("galmerge_da").joinpath("data/default.toml").read_text())
    tables.pop("data")
    return tables


def galaxies(survey, n, seed, cache):
    """Simulated galaxies, from the cache if they are there."""
    path = cache and Path(cache) / f"{survey}-{n}-{seed}.fits"
    if path and path.exists():
        return Table.read(path)
    table = simulate(n, survey, seed=seed, n_jobs=os.cpu_count())
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write(path)
    return table


def step_times(requests, device, repeats=7, batch=128, size=75):
    """Parameters, features and median seconds of a training step; in turn, so that a busy machine slows all alike."""
    recipe = default_recipe()
    changes = Augmentation(**recipe["training"]["augmentation"])
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(batch, 3, size, size, device=device), torch.arange(batch, device=device) % 2
    networks = []
    for name, options in requests.values():
        network = build_network(name, options, in_channels=3, image_size=size, entrance=recipe["model"]["entrance"])
        network = network.to(device).train()
        networks.append((network, torch.optim.Adam(network.parameters(), lr=1e-3)))
    times = [[] for _ in networks]
    for _ in range(repeats):
        for (network, optimizer), each in zip(networks, times, strict=True):
            start = now(device)
            with autocast(device):
                logits = network(augment(images, changes, generator))[1]
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            each.append(now(device) - start)
    for (network, _), each in zip(networks, times, strict=True):
        yield sum(p.numel() for p in network.parameters()), network.feature_dim, median(each)


def now(device):
    """Seconds of this process on the CPU; of the clock, when all is done, on a GPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def held_out(table, further, name, options, seed, epochs, device):
    """AUC of one training on its own test split, and on further galaxies."""
    recipe = default_recipe()
    recipe["model"] |= {"backbone": name, "options": options}
    recipe["training"] |= {"epochs": epochs, "patience": epochs, "seed": seed}
    result = train(table, recipe=recipe, device=device)
    test = result.scores["auc"][result.scores["split"] == "test"][0]
    probs = classify(further, result.classifier, device=device)["merger_prob_raw"]
    return float(test), roc_auc(np.asarray(further["label"]), np.asarray(probs))


def all_runs(requests, options, device):
    """A row per survey, backbone and seed; those that the ECSV file already has are not done again."""
    meta = {"N": options.n, "NFURTHER": options.n_further, "EPOCHS": options.epochs, "DATASEED": DATA_SEED}
    meta |= {"DEVICE": device.type, "TORCH": str(torch.__version__)}
    runs = Table(names=KEYS + SCORES, dtype=("U32", "U64", int, float, float), meta=meta)
    if options.ecsv and Path(options.ecsv).exists():
        known = Table.read(options.ecsv)
        if known.meta != meta:
            sys.exit(f"{options.ecsv} has other runs: {dict(known.meta)}, not {meta}")
        runs = vstack([runs, known])
    done = set(runs[KEYS].iterrows())
    for survey in options.surveys:
        wanted = [(survey, text, seed) for text in requests for seed in options.seeds]
        if done.issuperset(wanted):
            continue
        table = galaxies(survey, options.n, DATA_SEED, options.cache)
        further = galaxies(survey, options.n_further, DATA_SEED + 1, options.cache)
        for _, text, seed in wanted:
            if (survey, text, seed) not in done:
                scores = held_out(table, further, *requests[text], seed, options.epochs, device)
                runs.add_row((survey, text, seed, *scores))
                print(f"  {survey} {text} seed {seed}: {scores[0]:.4f} {scores[1]:.4f}", file=sys.stderr, flush=True)
                if options.ecsv:
                    runs.write(options.ecsv, overwrite=True)
    return runs


def summary(requests, runs, survey, seeds):
    """A row per backbone, with the AUC on a survey and its gain over the first backbone."""
    first, rows = next(iter(requests)), []
    for text in requests:
        row = [f"``{text}``"]
        for sample in SCORES:
            these, base = (
                np.array([runs[sample][chosen(runs, survey, backbone, seed)][0] for seed in seeds])
                for backbone in (text, first)
            )
            row += [spread(these), "" if text == first else spread(these - base, "+")]
        rows.append(row)
    return Table(rows=rows, names=("backbone", "test", "test: gain", "further", "further: gain"))


def chosen(runs, survey, backbone, seed):
    """Which row of the runs it is."""
    return (runs["survey"] == survey) & (runs["backbone"] == backbone) & (runs["seed"] == seed)


def spread(values, sign=""):
    """Mean and, where there are several values, standard deviation."""
    return f"{values.mean():{sign}.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def costs(requests, device):
    """A row per backbone: parameters, length of a feature vector, time of a step."""
    measured = list(step_times(requests, device))
    rows = [
        (
            f"``{text}``",
            f"{n_parameters:,}",
            f"{n_features:,}",
            f"{1e3 * seconds:.1f}",
            f"{seconds / measured[0][2]:.2f}",
        )
        for text, (n_parameters, n_features, seconds) in zip(requests, measured, strict=True)
    ]
    return Table(rows=rows, names=("backbone", "parameters", "features", "step, ms", "ratio"))


def main():
    """Print what each backbone costs and scores."""
    from backbone_candidates import CANDIDATES  # beside this script; asv, which looks into it, has another path

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("backbones", nargs="*", default=BACKBONES, help="name or name:option=value,...")
    parser.add_argument("--n", type=int, default=3000, help="galaxies of each survey, to train on and to test")
    parser.add_argument("--n-further", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="none: only parameters and times")
    parser.add_argument("--surveys", nargs="*", default=SURVEYS)
    parser.add_argument("--cache", help="folder for the simulated galaxies")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ecsv", help="file of the scores of every run")
    parser.add_argument("--rst", help="file to which the tables are written as reStructuredText")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = manager._records("backbone")
    for spec in CANDIDATES:
        records[spec.name] = manager.PluginRecord("backbone", spec, "benchmarks", "0")

    requests, device = {text: parse(text) for text in options.backbones}, choose_device(options.device)
    tables = [costs(requests, device)]
    print(f"one thread of the CPU, {device.type}, torch {torch.__version__}")
    show(tables[-1])
    if options.seeds:
        runs = all_runs(requests, options, device)
        for survey in options.surveys:
            tables.append(summary(requests, runs, survey, options.seeds))
            print(f"\nAUC on {survey}: {options.n} galaxies, {options.epochs} epochs, seeds {options.seeds}")
            show(tables[-1])
    if options.rst:
        texts = []
        for table in tables:
            file = io.StringIO()
            table.write(file, format="ascii.rst")
            texts.append(file.getvalue())
        Path(options.rst).write_text("\n".join(texts), encoding="utf-8")


def show(table):
    """Print a table, all of it."""
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)), flush=True)


if __name__ == "__main__":
    main()
