"""
Grad-CAM
========

Which parts of an image speak for a merger? Heat maps of the packaged classifier (Selvaraju et al. 2017).
"""

import numpy as np

from galmerge_da import MergerClassifier, simulate
from galmerge_da.evaluation import gradcam, make_frames
from galmerge_da.inference import default_model_path
from galmerge_da.visualization import plot_gradcam

# %%
# One galaxy of each of these kinds.

galaxies = simulate(120, "sdss-jpeg", seed=3)
stages = ["isolated", "approach", "first passage", "coalescence"]
rows = [int(np.flatnonzero(galaxies["stage"] == stage)[1]) for stage in stages]

# %%
# The frames are made once, as for classification, and used for both classes.

classifier = MergerClassifier.load(default_model_path())
frames = make_frames(classifier, galaxies[rows])
maps = {("packaged", name): gradcam(classifier, frames, class_name=name) for name in classifier.classes}
probability = np.asarray(classifier.classify(galaxies[rows])["merger_prob"])

# %%
# The maps are 9 x 9 pixels wide and enlarged: they say *where*, roughly. Between passages it is the two nuclei that
# speak for a merger; a single round nucleus speaks against one. In the last row hardly any place speaks for a merger,
# and yet its probability is high: a heat map shows what one class can claim, and explains nothing by itself.

figure = plot_gradcam(frames.data, maps, rows=stages, probs={"packaged": probability})[0, 0].figure
