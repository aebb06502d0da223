"""``galmerge experiment``: the published studies."""

import shlex
import sys
from pathlib import Path

import click

from galmerge_da.cli._host import Command, show_table

__all__ = ["experiment"]

#: Names of `galmerge_da.experiments.REAL_RUNS`, which is slow to import.
RUNS = ("noDA", "MMD", "TL+MMD", "MMD+F", "ADA", "MMD+prior", "composites", "composites2")

#: Those of `galmerge_da.experiments.sim_to_sim`; the last is for published data of real galaxies.
PAIR_RUNS = ("noDA", "MMD", "MMD+F", "ADA", "ADA+F", "TL+MMD")

_N_JOBS = click.option("-j", "--jobs", type=click.IntRange(min=1), default=2, help="Runs at a time.")
_SEEDS = click.option(
    "--seed",
    "seeds",
    type=click.IntRange(min=0),
    multiple=True,
    default=(1, 2, 3),
    help="Seed of a training; repeat it.",
)


def _run_option(known, default="all"):
    """``--run``, which takes the names that are known."""
    return click.option(
        "--run", "names", multiple=True, show_default=default, metavar="NAME", help=f"{', '.join(known)}; repeat it."
    )


def _choose(names, runs):
    """The runs of these names; all of them by default."""
    known = {run.name: run for run in runs}
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"no run {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] if names else list(runs)


_PROGRESS = click.option("--progress/--no-progress", default=True, help="Show progress bars.")


@click.group()
def experiment():
    """Run the published studies; what is in the folder already is used again."""


@experiment.command("sim-to-sim", cls=Command)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="sim-to-sim", help="Folder to write to."
)
@click.option(
    "-n", "--number", type=click.IntRange(min=200), show_default="6000; full: 15000", help="Galaxies per domain."
)
@click.option("--epochs", type=click.IntRange(min=1), default=20, help="Passes over the source.")
@click.option("--backbone", "backbones", multiple=True, show_default="deepmerge", help="Network; repeat it.")
@_run_option(PAIR_RUNS, "all; TL+MMD if the target is real")
@click.option("--data", help="A published data set that has been downloaded, instead of simulated galaxies.")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where a look at labels of real galaxies is written down; --data with such needs it.",
)
@click.option(
    "--downloads",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of 'galmerge download -o', for --data.  [default: astropy's cache]",
)
@click.option(
    "--ceiling/--no-ceiling",
    default=None,
    show_default="unless the target is real",
    help="Also train on the target's labels: what adaptation could reach.",
)
@click.option("--full", is_flag=True, help="The paper's size, and the networks resnet18 and resnet-rings too.")
@_SEEDS
@_N_JOBS
@_PROGRESS
def sim_to_sim(
    output, number, epochs, backbones, names, data, ledger, downloads, ceiling, full, seeds, jobs, progress
):  # fmt: skip
    """From idealised to noisy images of simulated galaxies: five runs beside the poster's."""
    from galmerge_da.experiments import run_sim_to_sim
    from galmerge_da.experiments.sim_to_sim import RUNS, TRANSFER
    from galmerge_da.io.downloads import DATASETS

    runs = _choose(names, (*RUNS, TRANSFER)) if names else None
    if data is None and (ledger or downloads):
        raise click.UsageError(f"{'--ledger' if ledger else '--downloads'} needs --data, published images")
    if ledger and not getattr(DATASETS.get(data), "real", True):
        raise click.UsageError(f"--ledger: {data} has no labels of real galaxies")
    if TRANSFER.name in names and data is None:
        raise click.UsageError(f"{TRANSFER.name} needs --data: it starts from a published pair")
    backbones = backbones or (("deepmerge", "resnet18", "resnet-rings") if full else ("deepmerge",))
    run_sim_to_sim(
        output, data=data, n=number or (15000 if full else 6000), epochs=epochs, seeds=seeds, backbones=backbones,
        runs=runs, ledger=ledger, downloads=downloads, ceiling=ceiling, n_jobs=jobs, progress=progress,
    )  # fmt: skip
    click.echo((output / "summary.txt").read_text(), nl=False)


@experiment.command("sim-to-real", cls=Command)
@click.argument("galaxies", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="sim-to-real",
    help="Folder to write to.",
)
@click.option("--image", default="image", help="Column of images or of their paths.")
@click.option("--survey", default="sdss-jpeg", help="What the pictures are.")
@click.option("--radius", help="Column of Petrosian radii, in pixels or an angle; or measure.")
@click.option("--objid", help="Column of SDSS object ids; galaxies of one field share a fold.")
@click.option("-n", "--number", type=click.IntRange(min=200), default=9000, help="Simulated galaxies.")
@click.option("--epochs", type=click.IntRange(min=1), default=10, help="Passes over the source.")
@click.option(
    "--folds", type=click.IntRange(min=2), default=5, help="Parts that are scored by what adapted to the others."
)
@_run_option(RUNS)
@click.option("--train", "final", metavar="RUN", help="Also train this run on all galaxies: model.safetensors.")
@click.option("--label", help="Column of labels, looked at once everything is classified. Needs --ledger.")
@click.option("--kind", help="Column of the kinds of galaxies that are no mergers.")
@click.option("--ledger", type=click.Path(path_type=Path, dir_okay=False), help="Where the look is written down.")
@_SEEDS
@_N_JOBS
@_PROGRESS
def sim_to_real(
    galaxies,
    output,
    image,
    survey,
    radius,
    objid,
    number,
    epochs,
    folds,
    names,
    final,
    label,
    kind,
    ledger,
    seeds,
    jobs,
    progress,
):
    """From simulated galaxies to a survey's pictures, GALAXIES: a table or a folder, or a simulated stand-in."""
    from galmerge_da.experiments import (
        REAL_RUNS,
        compare_selectors,
        report_real,
        run_sim_to_real,
        score_real,
        train_for_survey,
    )
    from galmerge_da.experiments.sim_to_real import catalogue_names
    from galmerge_da.io import open_cutouts
    from galmerge_da.io.downloads import DATASETS

    if label and not ledger:
        raise click.UsageError("--label needs --ledger: every look at labels is written down")
    if not label and (ledger or kind):
        raise click.UsageError(f"{'--ledger' if ledger else '--kind'} needs --label, a column to score by")
    if label and galaxies is None:
        raise click.UsageError("--label needs GALAXIES; a stand-in is scored by labels of its own")
    if galaxies in DATASETS and not Path(galaxies).exists():
        raise click.UsageError(f"published data are taken by 'galmerge experiment sim-to-sim --data {galaxies}'")
    runs = _choose(names, REAL_RUNS)
    last = _choose([final], REAL_RUNS)[0] if final else None
    if label:
        given = open_cutouts(galaxies, image=image, survey=survey, radius=radius).table
        _check_labels(given, label, kind, ledger, catalogue_names(runs, seeds))
    catalogue = run_sim_to_real(
        output, galaxies, image=image, survey=survey, radius=radius, objid=objid, runs=runs, n=number, epochs=epochs,
        seeds=seeds, n_folds=folds, n_jobs=jobs, progress=progress,
    )  # fmt: skip
    if last:
        train_for_survey(
            output, galaxies, run=last, image=image, survey=survey, radius=radius, n=number, epochs=epochs,
            seed=seeds[0], progress=progress,
        )  # fmt: skip
    call = f"galmerge experiment sim-to-real {shlex.join(map(_without_folders, sys.argv[3:]))}"
    scores = selectors = None
    dataset = Path(galaxies).resolve().parent.name if galaxies else "stand-in"
    if galaxies is None or label:
        label = label or "label"
        scored = [name for key in ("RUNS", "OTHERS") for name in catalogue.meta.get(key, "").split(",") if name]
        scores = score_real(
            catalogue, label, scored, kind=kind, ledger=ledger, dataset=dataset, command=call,
            note="what each selector of epochs and the oracle would have picked is looked at too",
        )  # fmt: skip
        for suffix in ("ecsv", "fits"):
            scores.write(output / f"scores.{suffix}", overwrite=True)
        show_table(_summarise(scores))
        click.echo("95%: intervals over seeds and galaxies; compl_50: completeness at 50% purity.")
        if left_out := scores["n_left_out"][0]:
            click.echo(
                f"{left_out} galaxies are left out of the scores: no label, or by their flags no usable picture."
            )
        selectors = compare_selectors(output, catalogue, label)
    page = report_real(
        output, catalogue, call=call, scores=scores, selectors=selectors, label=label, ledger=ledger, dataset=dataset
    )
    click.echo(f"{len(catalogue)} galaxies: {output / 'catalogue.fits'}, {page}")


def _check_labels(table, label, kind, ledger, taken):
    """All that a look at labels needs, before hours of training."""
    from galmerge_da.evaluation import check_ledger
    from galmerge_da.experiments.real_scores import labelled_rows

    if own := [name for name in (label, kind) if name in taken]:
        raise click.UsageError(f"the catalogue has a column {own[0]!r} of its own: rename yours")
    table = table.copy(copy_data=False)
    table.remove_columns([name for name in table.colnames if name == "flags"])  # they mean something else
    labelled_rows(table, label, kind)
    check_ledger(ledger)


def _summarise(scores):
    """What is printed of the scores, in 80 columns: without the differences and the intervals of completeness."""
    shown = scores["run",]
    for name in ("auc", "ap"):
        shown[name] = scores[name]
        shown[f"{name} 95%"] = [f"{row[f'{name}_low']:.3f}-{row[f'{name}_high']:.3f}" for row in scores]
    for purity in (50, 80):
        shown[f"compl_{purity}"] = scores[f"completeness_{purity}"]
    return shown


def _without_folders(argument):
    """A path outside this folder with the last two of its names: what the ledger keeps is the same everywhere."""
    path = Path(argument)
    return str(Path(*path.parts[-2:])) if path.is_absolute() else argument
