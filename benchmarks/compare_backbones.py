"""Backbones side by side: parameters, cost of a training step, AUC on simulated galaxies held out.

    python benchmarks/compare_backbones.py --cache simulated
    python benchmarks/compare_backbones.py deepmerge p4m:width=6 --seeds 1 --surveys sdss-jpeg

All are trained by the recipe of the packaged model, except for the number of
galaxies and of epochs. A seed draws split and weights; "test" is its own test
split, "further" are galaxies of another simulation, the same for all. Spreads
are standard deviations over seeds, gains are taken seed by seed. No real image
takes part.
"""

import argparse
import sys
import time
import tomllib
from importlib.resources import files
from pathlib import Path
from statistics import mean, median, stdev

import numpy as np
import torch
from astropy.table import Table
from backbone_candidates import CANDIDATES

from galmerge_da import classify, simulate, train
from galmerge_da.augmentation import Augmentation, augment
from galmerge_da.metrics import roc_auc
from galmerge_da.models import build_network
from galmerge_da.plugins import manager

SURVEYS = ("sdss-jpeg", "deepmerge-z2")
DATA_SEED = 11


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
    table = simulate(n, survey, seed=seed)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write(path)
    return table


def step_times(requests, repeats=7, batch=128, size=75):
    """Parameters, features and median seconds of a training step; in turn, so that a busy machine slows all alike."""
    recipe = default_recipe()
    changes = Augmentation(**recipe["training"]["augmentation"])
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(batch, 3, size, size), torch.arange(batch) % 2
    networks = []
    for name, options in requests.values():
        network = build_network(name, options, in_channels=3, image_size=size, entrance=recipe["model"]["entrance"])
        networks.append((network.train(), torch.optim.Adam(network.parameters(), lr=1e-3)))
    times = [[] for _ in networks]
    for _ in range(repeats):
        for (network, optimizer), each in zip(networks, times, strict=True):
            start = time.process_time()
            loss = torch.nn.functional.cross_entropy(network(augment(images, changes, generator))[1], labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            each.append(time.process_time() - start)
    for (network, _), each in zip(networks, times, strict=True):
        yield sum(p.numel() for p in network.parameters()), network.feature_dim, median(each)


def held_out(table, further, name, options, seed, epochs):
    """AUC of one training on its own test split, and on further galaxies."""
    recipe = default_recipe()
    recipe["model"] |= {"backbone": name, "options": options}
    recipe["training"] |= {"epochs": epochs, "patience": epochs, "seed": seed}
    result = train(table, recipe=recipe, device="cpu")
    test = result.scores["auc"][result.scores["split"] == "test"][0]
    probs = classify(further, result.classifier, device="cpu")["merger_prob_raw"]
    scores = float(test), roc_auc(np.asarray(further["label"]), np.asarray(probs))
    print(f"  {name} {options or ''} seed {seed}: {scores[0]:.4f} {scores[1]:.4f}", file=sys.stderr, flush=True)
    return scores


def spread(values):
    """Mean and standard deviation."""
    return f"{mean(values):6.4f} ± {stdev(values) if len(values) > 1 else float('nan'):.4f}"


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "backbones", nargs="*", default=["deepmerge", "resnet-rings"], help="name or name:option=value,..."
    )
    parser.add_argument("--n", type=int, default=3000, help="galaxies of each survey, to train on and to test")
    parser.add_argument("--n-further", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="none: only parameters and times")
    parser.add_argument("--surveys", nargs="*", default=SURVEYS)
    parser.add_argument("--cache", help="folder for the simulated galaxies")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = manager._records("backbone")
    for spec in CANDIDATES:
        records[spec.name] = manager.PluginRecord("backbone", spec, "benchmarks", "0")

    requests = {text: parse(text) for text in options.backbones}
    costs = dict(zip(requests, step_times(requests), strict=True))
    first = next(iter(requests))
    print(f"{'backbone':32s} {'parameters':>10s} {'features':>8s} {'step, ms':>8s} {'ratio':>5s}")
    for text, (n_parameters, n_features, seconds) in costs.items():
        ratio = seconds / costs[first][2]
        print(f"{text:32s} {n_parameters:10,d} {n_features:8,d} {1e3 * seconds:8.0f} {ratio:5.2f}")
    for survey in options.surveys if options.seeds else ():
        table = galaxies(survey, options.n, DATA_SEED, options.cache)
        further = galaxies(survey, options.n_further, DATA_SEED + 1, options.cache)
        print(f"\n{survey}: {options.n} galaxies, {options.epochs} epochs, seeds {options.seeds}", flush=True)
        values = {}
        for text, (name, settings) in requests.items():
            runs = [held_out(table, further, name, settings, seed, options.epochs) for seed in options.seeds]
            values[text] = list(zip(*runs, strict=True))
            words = []
            for sample, these, base in zip(("test", "further"), values[text], values[first], strict=True):
                gains = [this - other for this, other in zip(these, base, strict=True)]
                words.append(f"{sample} {spread(these)} (gain {spread(gains)})")
            print(f"{text:32s} {'  '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
