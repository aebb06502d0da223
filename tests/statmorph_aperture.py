"""Measured shapes on statmorph's own aperture: what tests and benchmarks compare with its values."""

import numpy as np

from galmerge_da.morphology import concentration, gini, m20, smoothness
from galmerge_da.photometry import rotational_asymmetry


def on_its_aperture(image, morphology):
    """Ours, with the centre, radius and segmentation of statmorph."""
    window = morphology._slice_stamp
    own = np.zeros(image.shape, bool)
    own[window] = morphology._segmap_gini
    x, y = morphology._asymmetry_center
    center = np.array([[y + window[0].start, x + window[1].start]])
    radius = morphology.rpetro_circ
    return {
        "gini": gini(image[None], own[None])[0],
        "m20": m20(image[None], own[None])[0],
        "concentration": concentration(image[None], center, 1.5 * radius)[0],
        "smoothness": smoothness(image[None], center, radius)[0],
        "asymmetry": rotational_asymmetry(image[None], radius=1.5 * radius, centers=center, search=2)[0],
    }
