"""
Classify a table
================

A table of cutouts in, a catalogue of merger probabilities out, with the classifier that ships inside the package.
"""

import numpy as np

from galmerge_da import classify, decode_flags, simulate
from galmerge_da.visualization import plot_montage

# %%
# The cutouts would come from your survey; here they are simulated in the look of DECaLS. The labels are put aside.

cutouts = simulate(240, "decals", seed=5)
labels = np.array(cutouts["label"])
cutouts.remove_columns(["label", "stage", "kind", "mass_ratio", "separation", "time"])

mergers = classify(cutouts, survey="decals")
mergers["id", "merger_prob", "frame_radius", "flags"][:5]

# %%
# Each row says what was doubtful about it, and the header which model made the catalogue.

print({int(flags): decode_flags(int(flags)) for flags in np.unique(mergers["flags"])})
print({key: mergers.meta[key] for key in list(mergers.meta)[:8]})

# %%
# The sixteen most and the sixteen least probable mergers, with their probabilities; a star marks true mergers. Look
# at such a picture before you use a probability.

order = np.argsort(np.ma.filled(mergers["merger_prob"], -1))[::-1]
shown = [*order[:16], *order[-16:]]
titles = [f"{mergers['merger_prob'][row]:.2f}{' *' if labels[row] else ''}" for row in shown]
figure = plot_montage(cutouts["image"][shown], titles, n_columns=8, order=(2, 1, 0)).figure
