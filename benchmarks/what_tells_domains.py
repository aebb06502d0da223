"""What gives simulated galaxies away: a network that tells them from a survey's, and single measurements that do.

python benchmarks/what_tells_domains.py GALAXIES [--survey sdss-jpeg] [-o FOLDER]

No label of the survey takes part. Of the simulated galaxies one in twenty is a merger.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from astropy.table import Table, vstack
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from galmerge_da.evaluation import gradcam, morphology_table
from galmerge_da.experiments.real_data import read_survey
from galmerge_da.experiments.sim_to_real import RECIPE
from galmerge_da.io import open_cutouts
from galmerge_da.metrics import roc_auc
from galmerge_da.morphology import MEASURES
from galmerge_da.plugins import get_survey
from galmerge_da.preprocessing import Frames, PreprocessingRecipe, preprocess
from galmerge_da.simulation.observe import _lupton
from galmerge_da.training import train
from galmerge_da.visualization import plot_gradcam

SHARE = 0.05
CLASSES = ("simulated", "survey")
SEEDS = (1, 2, 3)


def simulated_frames(data, n, seed):
    """Linear frames of simulated galaxies in the form of the survey's, few of them mergers."""
    labels = np.asarray(Table.read(data.source)["label"])
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(labels == value))[:many] for value, many in ((1, round(SHARE * n)), (0, n))]
    rows = np.sort(np.concatenate(rows)[:n])
    parts, start = [], 0
    for chunk in open_cutouts(data.source, chunk_size=256):
        own = rows[(rows >= start) & (rows < start + len(chunk))] - start
        parts.append(preprocess(chunk, PreprocessingRecipe(bands=chunk.bands)).data[own])
        start += len(chunk)
    table = data.frames[np.zeros(len(rows), int)]
    table["image"], table["id"] = np.concatenate(parts), rows + 10**6
    return table


def rounded_frames(data, bands):
    """The survey's frames as the simulation makes its own: rounded to 8 bits once more, at the size of a frame."""
    plain = PreprocessingRecipe(bands=bands, background="none")
    chunks = open_cutouts(data.galaxies, chunk_size=64, **data.reading)
    linear = np.concatenate([preprocess(chunk, plain).data for chunk in chunks])
    grey = np.stack([_lupton(np.nan_to_num(image)) for image in linear])
    made = Table({"image": np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8), "radius": data.frames["radius"]})
    made.meta = {**data.frames.meta, "STRETCH": True}
    table = data.frames.copy()
    table["image"] = np.concatenate(
        [preprocess(chunk, PreprocessingRecipe(bands=bands)).data for chunk in open_cutouts(made, chunk_size=64)]
    )
    return table


def tell_apart(table):
    """Networks, one a seed, that tell the label: AUC of each, the last result, its held-out part and scores."""
    truth, areas = np.asarray(table["label"]), []
    recipe = {
        **RECIPE,
        "data": {"classes": list(CLASSES)},
        "training": {**RECIPE["training"], "watch": [], "epochs": 10, "trace": True},
    }
    for number in SEEDS:
        result = train(table, recipe=recipe, seed=number)
        held_out = result.trace["source", "test"]
        scores = np.diff(held_out.logits[-1])[:, 0]
        areas.append(roc_auc(truth[held_out.rows], scores))
    return areas, result, held_out, scores


def measure(table):
    """Single numbers of each frame: shapes, the sky, structure, and the colours of the middle."""
    shapes = morphology_table(table)
    images = np.asarray(table["image"], np.float64)
    mean = images.mean(axis=1)
    middle = images[:, :, 25:50, 25:50].sum(axis=(2, 3))
    peak = mean.max(axis=(1, 2))
    edge = np.concatenate([mean[:, :4], mean[:, -4:]], axis=1)
    values = {name: np.asarray(shapes[name], float) for name in MEASURES}
    values["sky's spread over peak"] = np.percentile(edge, 84, (1, 2)) - np.percentile(edge, 16, (1, 2))
    values["sky's spread over peak"] /= peak
    values["difference of neighbours at the edge over peak"] = np.median(np.abs(np.diff(edge, axis=2)), (1, 2)) / peak
    values["light in the middle third"] = mean[:, 25:50, 25:50].sum((1, 2)) / np.abs(mean).sum((1, 2))
    for a, b in itertools.combinations(range(images.shape[1]), 2):
        values[f"ratio of bands {a} and {b}"] = middle[:, a] / middle[:, b]
    return values


def main(galaxies, survey, folder, seed=0):
    folder = Path(folder)
    data = read_survey(folder / "data", galaxies, image="image", survey=survey, n=9000)
    simulated = simulated_frames(data, len(data.frames), seed)
    table = vstack([simulated, data.frames], metadata_conflicts="silent")
    table["label"] = np.repeat([0, 1], [len(simulated), len(data.frames)])
    truth = np.asarray(table["label"])
    print(f"{len(simulated)} simulated galaxies and {len(data.frames)} of the survey; AUC of telling them apart by")
    measured = measure(table)
    for name, values in measured.items():
        known = np.isfinite(values)
        area = roc_auc(truth[known], values[known])
        medians = [np.median(values[known & (truth == value)]) for value in (0, 1)]
        side = "larger in the survey" if area > 0.5 else "smaller in the survey"
        print(f"  {name}: {max(area, 1 - area):.3f}, {side}; medians {medians[0]:.3g}, {medians[1]:.3g}")
    shapes = np.nan_to_num(np.stack([measured[name] for name in MEASURES], axis=1), nan=-1)
    forest = RandomForestClassifier(300, min_samples_leaf=5, random_state=seed)
    guessed = cross_val_predict(forest, shapes, truth, cv=StratifiedKFold(5, shuffle=True, random_state=seed),
                                method="predict_proba")[:, 1]  # fmt: skip
    print(f"  a random forest of the five shapes, five folds: {roc_auc(truth, guessed):.3f}")
    for name, survey_frames in (
        ("the survey rounded as the simulation", rounded_frames(data, get_survey(survey).bands)), ("as they are", None)
    ):  # fmt: skip
        both = table.copy()
        if survey_frames is not None:
            both["image"][len(simulated) :] = survey_frames["image"]
        areas, result, held_out, scores = tell_apart(both)
        print(f"  a network, three seeds, {name}: {np.mean(areas):.3f} +- {np.std(areas, ddof=1):.3f}", flush=True)
    order = held_out.rows[np.argsort(scores, kind="stable")]
    picks = {
        "simulated,\nrecognised": order[truth[order] == 0][0],
        "simulated,\nmiddle": order[truth[order] == 0][np.sum(truth[order] == 0) // 2],
        "survey,\nmiddle": order[truth[order] == 1][np.sum(truth[order] == 1) // 2],
        "survey,\nrecognised": order[truth[order] == 1][-1],
    }
    frames = _frames(table, list(picks.values()))
    maps = {("the network", name): gradcam(result.classifier, frames, class_name=name) for name in CLASSES}
    plot_gradcam(frames.data, maps, rows=list(picks))[0, 0].figure.savefig(folder / "what_tells_domains.png", dpi=200)
    heat = []
    for value, name in enumerate(CLASSES):
        own = _frames(table, held_out.rows[truth[held_out.rows] == value])
        heat.append(gradcam(result.classifier, own, class_name=name))
    distance = np.hypot(*(np.indices((75, 75)) - 37)) / (75 / 7.2)
    positive = np.clip(np.concatenate(heat), 0, None).mean(axis=0)
    for low, high in ((0, 0.5), (0.5, 1), (1, 2), (2, np.inf)):
        ring = (distance >= low) & (distance < high)
        share = positive[ring].sum() / positive.sum()
        print(f"  Grad-CAM of the right class, {low} to {high} radii: {share:.0%} on {ring.mean():.0%} of a frame")


def _frames(table, rows):
    images = np.asarray(table["image"], np.float32)[rows]
    return Frames(images, np.zeros(len(rows), np.int32), np.asarray(table["radius"])[rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("galaxies")
    parser.add_argument("--survey", default="sdss-jpeg")
    parser.add_argument("-o", "--output", default="what-tells-domains")
    given = parser.parse_args()
    main(given.galaxies, given.survey, given.output)
