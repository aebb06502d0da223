"""Whole studies, each one function: simulate, train, adapt, classify, score."""

from galmerge_da.experiments.demo import format_scores, run_demo
from galmerge_da.experiments.recipes import run_recipe

__all__ = ["format_scores", "run_demo", "run_recipe"]
