"""Pure statistics on arrays: how well scores rank, how true probabilities are, and their calibration."""

from galmerge_da.metrics.calibration import TemperatureCalibrator, expected_calibration_error
from galmerge_da.metrics.ranking import average_precision, roc_auc, roc_curve
from galmerge_da.metrics.scores import accuracy, binary_scores, brier_score, purity_at_prevalence

__all__ = [
    "TemperatureCalibrator",
    "accuracy",
    "average_precision",
    "binary_scores",
    "brier_score",
    "expected_calibration_error",
    "purity_at_prevalence",
    "roc_auc",
    "roc_curve",
]
