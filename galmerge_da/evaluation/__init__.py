"""Learn how good a catalogue or a classifier is, what it looks at, and keep count of every look at real labels."""

from galmerge_da.evaluation.asymmetry import rotational_asymmetry_table
from galmerge_da.evaluation.embeddings import domain_gap, embed, project
from galmerge_da.evaluation.explain import Explanation, explain_galaxy
from galmerge_da.evaluation.forest import ShapeClassifier, train_forest
from galmerge_da.evaluation.frames import frames_table, make_frames
from galmerge_da.evaluation.gradcam import gradcam
from galmerge_da.evaluation.ledger import append_look, check_ledger, read_ledger
from galmerge_da.evaluation.morphology import morphology_table
from galmerge_da.evaluation.scores import score_catalog
from galmerge_da.evaluation.selection import selection_report

__all__ = [
    "Explanation",
    "ShapeClassifier",
    "append_look",
    "check_ledger",
    "domain_gap",
    "embed",
    "explain_galaxy",
    "frames_table",
    "gradcam",
    "make_frames",
    "morphology_table",
    "project",
    "read_ledger",
    "rotational_asymmetry_table",
    "score_catalog",
    "selection_report",
    "train_forest",
]
