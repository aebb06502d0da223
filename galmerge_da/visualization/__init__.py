"""Figures: Axes in, Axes out; no pyplot, so nothing lingers and no window opens. And a report that shows them."""

from galmerge_da.visualization.candidates import plot_candidates
from galmerge_da.visualization.curves import plot_history, plot_roc
from galmerge_da.visualization.domains import plot_examples, plot_gradcam, plot_tsne
from galmerge_da.visualization.images import color_composite, plot_contact_sheet, plot_montage
from galmerge_da.visualization.report import write_report
from galmerge_da.visualization.steps import plot_steps
from galmerge_da.visualization.studies import (
    plot_completeness_purity,
    plot_histories,
    plot_reliability,
    plot_roc_study,
)

__all__ = [
    "color_composite",
    "plot_candidates",
    "plot_completeness_purity",
    "plot_contact_sheet",
    "plot_examples",
    "plot_gradcam",
    "plot_histories",
    "plot_history",
    "plot_montage",
    "plot_reliability",
    "plot_roc",
    "plot_roc_study",
    "plot_steps",
    "plot_tsne",
    "write_report",
]
