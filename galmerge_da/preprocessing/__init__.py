"""Pixels as they come -> clean linear frames of one size, scaled to the galaxy.

Everything here is numpy, done once per galaxy. Stretching, normalisation and
derived channels belong to the model's entrance.
"""

from galmerge_da.preprocessing.bands import match_bands
from galmerge_da.preprocessing.frames import Frames, frame_radii, preprocess
from galmerge_da.preprocessing.pixels import linearise
from galmerge_da.preprocessing.radii import given_radii, measure_radii
from galmerge_da.preprocessing.recipe import PreprocessingRecipe

__all__ = [
    "Frames",
    "PreprocessingRecipe",
    "frame_radii",
    "given_radii",
    "linearise",
    "match_bands",
    "measure_radii",
    "preprocess",
]
