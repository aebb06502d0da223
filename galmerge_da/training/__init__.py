"""Training: the recipe, the splits, augmentation, and the only training loop."""

from galmerge_da.augmentation import Augmentation, augment
from galmerge_da.training.api import Selected, TrainingResult, train
from galmerge_da.training.composites import composite_pairs
from galmerge_da.training.parallel import is_first_process
from galmerge_da.training.recipe import DataOptions, ModelOptions, Recipe, TrainingOptions, read_recipe, read_tables
from galmerge_da.training.selection import select_epoch
from galmerge_da.training.splits import assign_splits
from galmerge_da.training.watch import TracedSplit

__all__ = [
    "Augmentation",
    "DataOptions",
    "ModelOptions",
    "Recipe",
    "Selected",
    "TracedSplit",
    "TrainingOptions",
    "TrainingResult",
    "assign_splits",
    "augment",
    "composite_pairs",
    "is_first_process",
    "read_recipe",
    "read_tables",
    "select_epoch",
    "train",
]
