"""Whole studies, each one function: simulate, train, adapt, classify, score."""

from galmerge_da.experiments.demo import format_scores, run_demo
from galmerge_da.experiments.published import published_pair
from galmerge_da.experiments.real_inside import compare_selectors
from galmerge_da.experiments.real_report import report_real
from galmerge_da.experiments.real_scores import score_real
from galmerge_da.experiments.recipes import run_recipe
from galmerge_da.experiments.sim_to_real import REAL_RUNS, RealRun, run_sim_to_real, train_for_survey
from galmerge_da.experiments.sim_to_sim import run_sim_to_sim

__all__ = [
    "REAL_RUNS",
    "RealRun",
    "compare_selectors",
    "format_scores",
    "published_pair",
    "report_real",
    "run_demo",
    "run_recipe",
    "run_sim_to_real",
    "run_sim_to_sim",
    "score_real",
    "train_for_survey",
]
