"""Time of preprocessing: pictures, FITS-like stacks, single frames, and the measurements in it.

Run with ``python benchmarks/bench_preprocessing.py``; other tools are timed in
the same run, so that ratios mean something on a busy machine.
"""

import time

import numpy as np
from astropy.table import Table
from scipy.ndimage import zoom

from galmerge_da.io import Cutouts
from galmerge_da.photometry import find_nucleus, mirror_template, petrosian_radius, rotational_asymmetry
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess
from galmerge_da.resampling import resample

N = 64


def galaxies(size, n_bands=3, peak=200.0):
    """Discs of random size on noisy sky, between 0 and 255."""
    rng = np.random.default_rng(0)
    y, x = np.indices((size, size)) - (size - 1) / 2
    scale = size / 24 * rng.uniform(0.8, 1.2, N)
    light = peak * np.exp(-np.hypot(y, x) / scale[:, None, None])
    images = light[:, None] + rng.normal(4, 2, (N, n_bands, size, size))
    return np.clip(np.rint(images), 0, 255).astype(np.float32)


def cutouts(images, **known):
    return Cutouts(data=images, row=np.arange(N), table=Table(), flags=np.zeros(N, np.int32), **known)


def per_second(function):
    """Galaxies a second, the best of three runs of a function that treats N."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return N / min(times)


def main():
    pictures, frames = galaxies(423), galaxies(75)
    one_band, recipe = galaxies(160)[:, 0] - 4, PreprocessingRecipe()
    centers = np.full((N, 2), 79.5)
    radii = np.random.default_rng(1).uniform(30, 50, N)

    def other_zoom():
        for picture in pictures[:, :, 61:361, 61:361]:
            zoom(picture, (1, 0.25, 0.25), order=1)

    def other_resize():
        from skimage.transform import resize

        for picture in pictures[:, :, 61:361, 61:361]:
            resize(picture, (3, 75, 75), order=1, anti_aliasing=True)

    cases = {
        "preprocess 3x423x423 pictures, scale known": lambda: preprocess(
            cutouts(pictures, stretched=True, radii_per_pixel=0.024), recipe
        ),
        "preprocess 3x423x423 linear, scale known": lambda: preprocess(
            cutouts(pictures, radii_per_pixel=0.024), recipe
        ),
        "preprocess 3x423x423 linear, a radius per row": lambda: preprocess(cutouts(pictures, radius=radii), recipe),
        "preprocess 3x423x423 pictures, radius measured": lambda: preprocess(cutouts(pictures, stretched=True), recipe),
        "preprocess 3x75x75 frames": lambda: preprocess(cutouts(frames, radii_per_pixel=0.096), recipe),
        "resample 3x300x300 -> 75": lambda: resample(pictures, 75, width=300),
        "scipy.ndimage.zoom 3x300x300 -> 75": other_zoom,
        "skimage.transform.resize 3x300x300 -> 75": other_resize,
        "nucleus, 160x160": lambda: find_nucleus(one_band, max_offset=16),
        "mirror template, 160x160": lambda: mirror_template(one_band, centers),
        "Petrosian radius, 160x160": lambda: petrosian_radius(one_band, centers),
        "asymmetry, 423x423, radius 60": lambda: rotational_asymmetry(pictures[:, 0], radius=60),
    }
    for name, function in cases.items():
        rate = per_second(function)
        print(f"{name:48s} {rate:9.0f} /s  {1e3 / rate:8.2f} ms")


if __name__ == "__main__":
    main()
