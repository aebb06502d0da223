"""Figures: Axes in, Axes out; no pyplot, so nothing lingers and no window opens."""

from galmerge_da.visualization.curves import plot_history, plot_roc
from galmerge_da.visualization.images import color_composite, plot_contact_sheet, plot_montage

__all__ = ["color_composite", "plot_contact_sheet", "plot_history", "plot_montage", "plot_roc"]
