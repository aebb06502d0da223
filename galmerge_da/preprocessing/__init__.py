"""Pixels as they come -> clean linear frames of one size, scaled to the galaxy.

Everything here is numpy, done once per galaxy, as a sequence of small steps.
Stretching, normalisation and derived channels belong to the model's entrance.
"""

from galmerge_da.preprocessing.bands import match_bands, wavelengths
from galmerge_da.preprocessing.checks import warn_of_mismatch
from galmerge_da.preprocessing.explain import StepView, explain_steps
from galmerge_da.preprocessing.frames import Frames, frame_radii, preprocess
from galmerge_da.preprocessing.framing import MakeFrame
from galmerge_da.preprocessing.pixels import linearise
from galmerge_da.preprocessing.psf import matching_kernel
from galmerge_da.preprocessing.radii import given_radii, measure_radii
from galmerge_da.preprocessing.recipe import PreprocessingRecipe
from galmerge_da.preprocessing.steps import (
    ConvertFlux,
    FillBadPixels,
    Linearise,
    MaskNeighbours,
    MatchPSF,
    PickBands,
    SubtractBackground,
)

__all__ = [
    "ConvertFlux",
    "FillBadPixels",
    "Frames",
    "Linearise",
    "MakeFrame",
    "MaskNeighbours",
    "MatchPSF",
    "PickBands",
    "PreprocessingRecipe",
    "StepView",
    "SubtractBackground",
    "explain_steps",
    "frame_radii",
    "given_radii",
    "linearise",
    "match_bands",
    "matching_kernel",
    "measure_radii",
    "preprocess",
    "warn_of_mismatch",
    "wavelengths",
]
