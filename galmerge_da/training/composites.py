"""Pairs put together from real galaxies: labelled by construction, in the look of the target itself.

A survey has no labels, but it has galaxies, nearly all of which are not
merging. One galaxy laid over another at the distance of an overlapping pair is
a merger as a human sees it, with the survey's own sky, PSF, noise and
artefacts; one alone, or with a companion too faint or too far, is none.
"""

from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import Table
from joblib import Parallel, delayed
from numpy.typing import ArrayLike
from scipy import ndimage
from tqdm import tqdm

from galmerge_da.exceptions import InputError
from galmerge_da.flags import Flag
from galmerge_da.io import open_cutouts
from galmerge_da.photometry import edge_background
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess
from galmerge_da.resampling import resample
from galmerge_da.simulation.observe import FRAME_RADII, FRAME_SIZE, PICTURE_SIZE, stretch_picture

__all__ = ["composite_pairs"]

#: Pixels of a composite per Petrosian radius of its galaxy.
_RADIUS = PICTURE_SIZE / FRAME_RADII

#: Flux ratios and distances, in Petrosian radii, of the companion of a pair ...
_PAIR = ((0.15, 1.2), (0.35, 1.9))
#: ... and of one that makes none: too faint, or too far.
_FAINT = ((0.01, 0.08), (0.5, 3.6))
_FAR = ((0.05, 2.0), (2.6, 4.2))
#: Share of the galaxies without a partner that get such a companion, each kind equally often.
_COMPANIONS = 0.35

#: A companion is not brightened beyond this factor, lest its noise stand out ...
_GAIN = 1.3
#: ... and is drawn anew where a pair's flux ratio falls below this by it.
_LEAST_RATIO = 0.12

#: Galaxies whose images are kept in memory, at most.
_POOL = 4000


def composite_pairs(
    galaxies: object,
    n: int,
    *,
    rows: ArrayLike | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: bool = False,
    **options: Any,
) -> Table:
    """Labelled composites of unlabelled galaxies.

    Every second row is a pair: a galaxy with another one, turned, scaled and
    cut out of its sky, laid over it at 0.35 to 1.9 Petrosian radii with 0.15 to
    1.2 times its flux, as most mergers that are picked by eye are overlapping
    pairs (Darg et al. 2010, MNRAS 401, 1043). The other rows are one galaxy
    alone, or with a companion that is too faint or too far. Tidal features are
    not made: composites go beside simulated mergers, not in their place. The
    few real mergers among the galaxies are taken for what they are not.

    Parameters
    ----------
    galaxies : object
        Cutouts in any form that `~galmerge_da.io.open_cutouts` takes, unlabelled.
    n : int
        Number of rows.
    rows : array_like of int, optional
        Which galaxies may be used; all by default.
    seed : int, optional
        Same seed and galaxies, same composites.
    n_jobs : int, optional
        Processes; one for each core by default.
    progress : bool, optional
        Show a bar.
    **options
        Further keywords of `~galmerge_da.io.open_cutouts`.

    Returns
    -------
    `~astropy.table.Table`
        ``id``, ``group`` (of the galaxy in the middle: its row in the input),
        ``image`` (C, 75, 75) in the form of the input (8-bit pictures stay
        such), ``label`` (1 for a pair), ``stage`` (``"composite"`` or
        ``"single"``), ``radius``, and the flux ratio and distance (Petrosian
        radii) of the companion, NaN where there is none. Its meta lets it be
        stacked below a table of `galmerge_da.simulate` of the same survey.

    Raises
    ------
    InputError
        If fewer than two galaxies can be used, or n is negative.
    """
    if n < 0:
        raise InputError(f"n must not be negative, got {n}")
    source = open_cutouts(galaxies, chunk_size=64, **options)
    rows = np.arange(len(source)) if rows is None else np.unique(rows)
    rows = np.sort(np.random.default_rng((seed, 0)).permutation(rows)[:_POOL])
    frames, used, stretched, meta = _read(source, rows, progress)
    if len(frames) < 2:
        raise InputError(f"composites need two usable galaxies or more, got {len(frames)}")
    blocks = np.array_split(np.arange(n), max(1, -(-n // 32)))
    made = Parallel(n_jobs=-1 if n_jobs is None else n_jobs, return_as="generator", max_nbytes="1M")(
        delayed(_compose)(frames, block, seed, stretched) for block in blocks
    )
    results = []
    with tqdm(total=n, disable=not progress, unit="image", desc="composites") as bar:
        for block in made:
            results += block
            bar.update(len(block))
    return _table(results, used, seed, meta)


def _read(source, rows, progress):
    """Linear frames (N, C, PICTURE_SIZE, PICTURE_SIZE), sky included, of the usable ones of some rows."""
    recipe = PreprocessingRecipe(size=PICTURE_SIZE, background="none", bands=source.bands)
    frames, used, stretched, radii = [], [], False, None
    with tqdm(total=len(source), disable=not progress, unit="image", desc="read") as bar:
        for chunk in source:
            stretched, radii = chunk.stretched, chunk.radii_per_pixel
            made = preprocess(chunk, recipe)
            good = np.isin(chunk.row, rows) & ((made.flags & Flag.NOT_CLASSIFIED) == 0)
            frames.append(made.data[good].astype(np.float16 if stretched else np.float32))
            used.append(chunk.row[good])
            bar.update(len(chunk))
    bands = source.bands or recipe.bands
    meta = {"SURVEY": source.survey, "BANDS": bands and ",".join(bands), "STRETCH": stretched}
    meta["RADPIX"] = FRAME_RADII / FRAME_SIZE if radii else None
    empty = np.zeros((0, 1, PICTURE_SIZE, PICTURE_SIZE), np.float32)
    return np.concatenate(frames or [empty]), np.concatenate([np.zeros(0, int), *used]), stretched, meta


def _compose(frames, numbers, seed, stretched):
    return [_one(frames, int(number), seed, stretched) for number in numbers]


def _one(frames, number, seed, stretched):
    """One composite: image, row of its galaxy, label, flux ratio, distance."""
    rng = np.random.default_rng((seed, 1, number))
    label = number % 2
    chosen = int(rng.integers(len(frames)))
    image = frames[chosen].astype(np.float32)
    sky = np.nan_to_num(edge_background(image[None])[0][0])[:, None, None]
    image -= sky
    flux = float(image.clip(0).mean(0).sum())
    ratio = apart = np.nan
    if label or rng.uniform() < _COMPANIONS:
        ranges = _PAIR if label else (_FAINT, _FAR)[rng.integers(2)]
        companion, ratio, apart = _companion(frames, chosen, flux, ranges, label, rng)
        image += companion
    image += sky
    if stretched:
        return stretch_picture(image), chosen, label, ratio, apart
    return resample(image, FRAME_SIZE, width=PICTURE_SIZE).astype(np.float32), chosen, label, ratio, apart


def _companion(frames, chosen, flux, ranges, label, rng):
    """Another galaxy without its sky, turned, scaled, dimmed and moved; its flux ratio and distance."""
    for _ in range(20):
        other = int(rng.integers(len(frames) - 1))
        own = _cut_out(frames[other + (other >= chosen)].astype(np.float32))
        ratio, apart = (np.exp(rng.uniform(*np.log(limits))) for limits in ranges)
        size = float(np.clip(ratio**0.4 * np.exp(0.15 * rng.normal()), 0.25, 1.4))
        gain = ratio * flux / max(float(own.mean(0).sum()), 1e-9) / size**2
        ratio *= min(1.0, _GAIN / gain)
        if own.any() and (not label or ratio > _LEAST_RATIO):
            break
    angle = rng.uniform(0, 2 * np.pi)
    shift = apart * _RADIUS * np.array([np.sin(angle), np.cos(angle)])
    own = ndimage.gaussian_filter(own, (0, 0.8, 0.8)) * min(gain, _GAIN)
    if rng.uniform() < 0.5:
        own = own[:, :, ::-1]
    return _place(own, size, rng.uniform(0, 2 * np.pi), shift), float(ratio), float(apart)


def _cut_out(image):
    """The galaxy in the middle, less its sky; zero on what is not connected with it."""
    image = image - np.nan_to_num(edge_background(image[None])[0][0])[:, None, None]
    smooth = ndimage.gaussian_filter(image.mean(0), 3)
    sigma = edge_background(smooth[None, None])[1][0, 0]
    labels, _ = ndimage.label(smooth > 2.5 * max(sigma, 1e-9))
    middle = labels[PICTURE_SIZE // 2, PICTURE_SIZE // 2]
    if middle == 0:
        return np.zeros_like(image)
    weight = ndimage.gaussian_filter((labels == middle).astype(np.float32), 4)
    return image * np.clip((weight - 0.25) / 0.6, 0, 1)


def _place(image, size, angle, shift):
    """Turn and scale about the middle, which comes to lie ``shift`` (y, x) pixels off."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / size
    middle = (PICTURE_SIZE - 1) / 2
    offset = middle - turn @ (middle + shift)
    return np.stack([ndimage.affine_transform(band, turn, offset, order=1) for band in image])


def _table(results, used, seed, meta):
    images, chosen, labels, ratios, distances = zip(*results, strict=True) if results else ([],) * 5
    table = Table()
    table["id"] = np.array([f"c{seed}-{number:06d}" for number in range(len(results))], dtype="U20")
    table["group"] = np.array([f"row{used[row]:07d}" for row in chosen], dtype="U32")
    table["image"] = np.stack(images) if results else np.zeros((0, 1, FRAME_SIZE, FRAME_SIZE), np.float32)
    table["label"] = np.array(labels, np.int16)
    table["stage"] = np.array([("single", "composite")[label] for label in labels], dtype="U16")
    table["mass_ratio"] = np.array(ratios, float)
    table["distance"] = np.array(distances, float)
    table["radius"] = np.full(len(results), FRAME_SIZE / FRAME_RADII) * u.pix
    for name, text in {
        "group": "row of the galaxy in the middle; never split it",
        "label": "1 for a pair",
        "mass_ratio": "flux of the companion over that of the galaxy",
        "distance": "of the companion, in Petrosian radii of the galaxy",
    }.items():
        table[name].description = text
    table.meta = {key: value for key, value in meta.items() if value is not None} | {"SEED": seed}
    return table
