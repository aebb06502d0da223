"""
A galaxy's way through preprocessing
====================================

What becomes of the pixels before the network sees them, step by step, and what the network sees.
"""

import numpy as np

from galmerge_da import MergerClassifier, simulate
from galmerge_da.evaluation import explain_galaxy
from galmerge_da.inference import default_model_path
from galmerge_da.visualization import plot_steps

# %%
# A merger with troubles of a real image: a row of dead pixels, and a sky that was not subtracted.

galaxies = simulate(24, "sdss", seed=8, classes="merger")
noise = np.std(galaxies["image"][:, :, :6], axis=(0, 2, 3))
galaxies["image"] += (30 * noise)[:, None, None].astype(np.float32)
galaxies["image"][:, :, 44:46, :50] = np.nan

# %%
# `~galmerge_da.evaluation.explain_galaxy` reads this galaxy alone and runs the steps that the classifier's recipe
# names.

classifier = MergerClassifier.load(default_model_path())
explanation = explain_galaxy(classifier, galaxies, galaxies["id"][6], survey="sdss")
for step in explanation.steps:
    print(f"{step.name:20} {step.note}")
print(explanation.probs)

# %%
# The image after each step, what the step changed, and the channels of the network's input. The last channel, the
# rotation residual, shows what a galaxy turned by 180 degrees does not share with itself.

figure = plot_steps(explanation)[0, 0].figure
