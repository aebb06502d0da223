"""The embedded simulator: restricted N-body encounters, isolated galaxies, and a survey's eye."""

from galmerge_da.simulation.api import CLASSES, draw_scenes, simulate
from galmerge_da.simulation.scene import STAGES

__all__ = ["CLASSES", "STAGES", "draw_scenes", "simulate"]
