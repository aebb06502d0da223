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
# One galaxy of each of four stages. They were chosen by their pictures, without an edge of the mosaic or a bright star,
# before their probabilities were known.

galaxies = simulate(120, "sdss-jpeg", seed=3)
rows = [4, 1, 39, 71]

# %%
# The frames are made once, as for classification, and used for both classes.

classifier = MergerClassifier.load(default_model_path())
frames = make_frames(classifier, galaxies[rows])
maps = {("packaged", name): gradcam(classifier, frames, class_name=name) for name in classifier.classes}
probability = np.asarray(classifier.classify(galaxies[rows])["merger_prob"])
names = [f"{stage}\np(merger) = {p:.2f}" for stage, p in zip(galaxies["stage"][rows], probability, strict=True)]

# %%
# The maps are 9 x 9 pixels wide and enlarged: they say *where*, roughly. The middle of the isolated spiral speaks
# against a merger. For one speak the brighter nucleus in the approach, the lower of the two galaxies in the first
# passage, and what lies about the remnant in the coalescence, below it above all. A little heat lies on stars too: a
# heat map shows what one class can claim, and explains nothing by itself.

figure = plot_gradcam(frames.data, maps, rows=names)[0, 0].figure
