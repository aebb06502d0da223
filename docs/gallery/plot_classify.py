"""
Classify a table
================

A table of cutouts in, a catalogue of merger probabilities out, with the classifier that ships inside the package.
"""

import numpy as np

from galmerge_da import classify, decode_flags, simulate
from galmerge_da.flags import DOUBTFUL
from galmerge_da.visualization import plot_montage

# %%
# The cutouts would come from your survey; here they are simulated in the look of DECaLS. The labels are put aside. Two
# cutouts are spoilt, as some of any survey are: one has a patch without data, another has no image in z.

cutouts = simulate(240, "decals", seed=5)
labels = np.array(cutouts["label"])
cutouts.remove_columns(["label", "stage", "kind", "mass_ratio", "separation", "time"])
cutouts["image"][1, :, 30:40, 44:56] = np.nan
cutouts["image"][3, 2] = np.nan

mergers = classify(cutouts, survey="decals")
mergers["id", "merger_prob", "frame_radius", "flags"][:5]

# %%
# Each row says what was doubtful about it, and the header, in keys that begin with GM, which model made the catalogue.

for row in mergers[mergers["flags"] != 0]:
    print(row["id"], decode_flags(row["flags"]))
for key, value in mergers.meta.items():
    if key.startswith("GM"):
        print(key, "=", value)

# %%
# Doubtful rows do not belong in a sample. Of the others, the sixteen most and the sixteen least probable mergers, with
# their probabilities; a star marks true mergers. Look at such a picture before you use a probability.

sure = np.flatnonzero(mergers["flags"] & DOUBTFUL == 0)
order = sure[np.argsort(-mergers["merger_prob"][sure])]
shown = [*order[:16], *order[-16:]]
titles = [f"{mergers['merger_prob'][row]:.2f}{' *' if labels[row] else ''}" for row in shown]
figure = plot_montage(cutouts["image"][shown], titles, n_columns=8, order=(2, 1, 0)).figure
