"""How exact measurements and preprocessing are, and how surely twins are found: the figures of the pages on them.

python benchmarks/measure_accuracy.py morphology              (needs statmorph)
python benchmarks/measure_accuracy.py preprocessing
python benchmarks/measure_accuracy.py twins [FOLDER OF PICTURES]
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from scipy import ndimage
from scipy.stats import spearmanr

from galmerge_da import simulate
from galmerge_da.evaluation import morphology_table
from galmerge_da.io import Cutouts, find_twins, open_cutouts
from galmerge_da.morphology import MEASURES, measure_morphology, segment_galaxies
from galmerge_da.photometry import edge_background, find_nucleus
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess
from galmerge_da.resampling import resample

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from statmorph_aperture import on_its_aperture  # noqa: E402


def measure_morphology_agreement(n=36):
    """Ours beside statmorph's, of simulated galaxies three times finer than they are made."""
    import statmorph

    images = np.asarray(simulate(n, "deepmerge-z2-pristine", seed=5)["image"], float).mean(axis=1)
    images = resample(images - edge_background(images[:, None])[0][..., None], 225)
    petrosian = 3 * 75 / 7.2
    nuclei = find_nucleus(images, max_offset=petrosian / 4)
    own, others = segment_galaxies(images, nuclei, petrosian)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of galaxies that it finds irregular
        theirs = [
            statmorph.SourceMorphology(
                image, ndimage.binary_dilation(mine, iterations=6).astype(int), 1, mask=masked, gain=1e4
            )
            for image, mine, masked in zip(images, own, others, strict=True)
        ]
    holed = np.where(others, np.nan, images)
    same = [on_its_aperture(image, other) for image, other in zip(holed, theirs, strict=True)]
    ours = measure_morphology(images, np.full(n, petrosian))
    odd = np.array([int(0.25 * other.rpetro_circ) % 2 == 1 for other in theirs])
    for name in ours:
        expected = np.array([getattr(other, name) for other in theirs])
        difference = np.abs([each[name] for each in same] - expected)
        shift, rank = np.median(ours[name] - expected), spearmanr(ours[name], expected, nan_policy="omit")[0]
        print(
            f"{name}: on its aperture median {np.median(difference):.4f}, at most {difference.max():.4f}, "
            f"odd boxes {difference[odd].max():.4f}; on our own: median of ours less its {shift:+.3f}, "
            f"rank correlation {rank:.2f}"
        )


def measure_pictures(n=60):
    """Shapes of the same galaxies as linear images and as 8-bit pictures."""
    linear, pictures = (morphology_table(simulate(n, survey, seed=5)) for survey in ("sdss", "sdss-jpeg"))
    for name in MEASURES:
        difference = np.asarray(pictures[name]) - np.asarray(linear[name])
        low, middle, high = np.nanpercentile(difference, [16, 50, 84])
        print(f"{name}: in the picture larger by {middle:+.3f} in the median, scatter {(high - low) / 2:.3f}")


def measure_twins(pictures, n=2000, n_copies=150):
    """Copies among a sample that are found, and different galaxies that are taken for one."""
    samples = {"deepmerge-z2-pristine": np.asarray(simulate(n, "deepmerge-z2-pristine", seed=1)["image"], np.float32)}
    if pictures is not None:
        recipe = PreprocessingRecipe()
        chunks = open_cutouts(pictures, survey="sdss-jpeg", chunk_size=64)
        samples[pictures] = np.concatenate([preprocess(chunk, recipe).data for chunk in chunks])
    for name, images in samples.items():
        n_taken = len(images) - len(np.unique(find_twins(images)))
        for shift in (0, 2):
            rng = np.random.default_rng(shift)
            parents = rng.permutation(len(images))[:n_copies]
            copies = np.stack([_move(images[parent], rng, shift) for parent in parents])
            start = time.perf_counter()
            group = find_twins(np.concatenate([images, copies]))
            seconds = time.perf_counter() - start
            found = np.mean([group[len(images) + k] == group[parent] for k, parent in enumerate(parents)])
            print(
                f"{name}, {len(images)} images, shifted by up to {shift} pixels: {found:.0%} of {n_copies} copies, "
                f"{n_taken} different galaxies taken for another, {seconds:.0f} s"
            )


def _move(image, rng, shift):
    """A copy turned by any angle, zoomed, perhaps flipped, and shifted."""
    turn, zoom, flip = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.2), rng.choice([-1, 1])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / zoom @ np.diag([1, flip])
    middle = np.full(2, (image.shape[-1] - 1) / 2)
    offset = middle + rng.uniform(-shift, shift, 2) - matrix @ middle
    return np.stack([ndimage.affine_transform(band, matrix, offset, order=1, mode="nearest") for band in image])


def measure_preprocessing():
    """Flux that a mesh takes from a galaxy, stars between pixels after matching, and stars that are shrunk."""
    rng, changes = np.random.default_rng(0), []
    y, x = np.mgrid[-1:1:101j, -1:1:101j]
    galaxy = 3000 * _gaussian(16)
    inside = np.hypot(*(np.indices((101, 101)) - 50)) < 30
    for _ in range(20):
        angle = rng.uniform(0, 2 * np.pi)
        sky = 20 + 4 * (np.cos(angle) * x + np.sin(angle) * y)
        image = galaxy + sky + rng.normal(0, 0.3, galaxy.shape)
        changes.append(np.sum((_whole([image], background="mesh") - galaxy)[inside]) / 3000)
    print(f"background mesh: flux of the galaxy {np.mean(changes):+.2%} +- {np.std(changes):.2%}")
    for given in (1.0, 1.5, 2.0, 2.5):
        errors = {}
        for wanted in given + np.array([0.2, 0.4, 0.8, 1.5, 3.0]):
            star, expected = _gaussian(given, (50.5, 50.5)), _gaussian(wanted, (50.5, 50.5))
            known = {"psf_fwhm": given * u.arcsec, "pixel_scale": 1 * u.arcsec}
            made = _whole([1000 * star], **known, psf={"fwhm": float(wanted)})
            errors[float(wanted)] = np.abs(made - 1000 * expected).max() / (1000 * expected.max())
        print(f"PSF of {given} pixels: " + ", ".join(f"to {key:.1f} {value:.1%}" for key, value in errors.items()))
    for factor in (1.3, 2.0, 2.7, 6.7):
        ours, theirs = [], []
        for shift in np.linspace(0, factor, 12):
            star, size = _gaussian(2.5, (60 + shift, 60), 121), int(121 / factor)
            grid = (np.arange(size) + 0.5 - size / 2) * factor + 60
            ours.append(resample(star, size, width=size * factor).sum() * factor**2 - 1)
            picked = ndimage.map_coordinates(star, np.meshgrid(grid, grid, indexing="ij"), order=1)
            theirs.append(picked.sum() * factor**2 - 1)
        print(
            f"star of 2.5 pixels shrunk by {factor}: flux changes by at most {np.abs(ours).max():.0e}, by "
            f"interpolation {np.abs(theirs).max():.0%} (least {min(theirs):+.0%})"
        )


def _whole(image, *, psf_fwhm=None, pixel_scale=None, **steps):
    """A frame of all pixels of an image, after some steps."""
    recipe = PreprocessingRecipe(scale="pixels", size=101, **steps)
    rows = {"row": np.arange(1), "table": Table(), "flags": np.zeros(1, np.int32)}
    data = np.asarray(image, np.float64)[None]
    return preprocess(Cutouts(data=data, psf_fwhm=psf_fwhm, pixel_scale=pixel_scale, **rows), recipe).data[0, 0]


def _gaussian(fwhm, at=(50, 50), size=101):
    """A round Gaussian of sum 1, as pixels see it in their middles."""
    y, x = np.indices((size, size))
    image = np.exp(-4 * np.log(2) * ((y - at[0]) ** 2 + (x - at[1]) ** 2) / fwhm**2)
    return image / image.sum()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["morphology", "preprocessing", "twins"])
    parser.add_argument("pictures", nargs="?")
    given = parser.parse_args()
    if given.what == "morphology":
        measure_pictures()
        measure_morphology_agreement()
    elif given.what == "preprocessing":
        measure_preprocessing()
    else:
        measure_twins(given.pictures)
