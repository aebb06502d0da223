"""
A galaxy's way through preprocessing
====================================

What becomes of the pixels before the network sees them, step by step, and what the network sees.
"""

import numpy as np
from matplotlib.figure import Figure

from galmerge_da import MergerClassifier, simulate
from galmerge_da.evaluation import explain_galaxy
from galmerge_da.inference import default_model_path
from galmerge_da.preprocessing import PreprocessingRecipe
from galmerge_da.visualization import plot_steps

# %%
# A merger with troubles of a real image: a row of dead pixels, and a sky that was not subtracted.

galaxies = simulate(24, "sdss", seed=8, classes="merger")
noise = np.std(galaxies["image"][:, :, :6], axis=(0, 2, 3))
galaxies["image"] += (30 * noise)[:, None, None].astype(np.float32)
galaxies["image"][:, :, 44:46, :50] = np.nan

# %%
# A recipe that asks for more than the defaults: sky from an annulus, sources that do not touch the galaxy taken out,
# and the PSF brought to 2 arcsec. What the galaxy's light reaches stays, such as the red star on the left.
# `~galmerge_da.evaluation.explain_galaxy` reads this galaxy alone and runs the steps.

recipe = PreprocessingRecipe(
    bands=("i", "r", "g"), background="annulus", neighbours={"sources": "all"}, psf={"fwhm": 2.0}
)
explanation = explain_galaxy(recipe, galaxies, galaxies["id"][6], survey="sdss")
for step in explanation.steps:
    print(f"{step.name:20} {step.note}")

# %%
# The image after each step, and below it what the step changed: blue is less, red more. What the other steps change is
# one number everywhere, or nothing that was data, and stands there in words.

figure = plot_steps(explanation)[0, 0].figure

# %%
# The packaged classifier has a recipe of its own, which neither takes neighbours out nor matches the PSF. Its network
# sees three bands and three channels that are made of them: the rotation residual shows what a galaxy turned by 180
# degrees does not share with itself, the unsharp mask nuclei and bridges, the faint channel tails.

classifier = MergerClassifier.load(default_model_path())
explanation = explain_galaxy(classifier, galaxies, galaxies["id"][6], survey="sdss")
print(explanation.probs)

figure = Figure(figsize=(12, 2.3), layout="constrained")
axes = figure.subplots(1, len(explanation.channels))
for ax, (name, values) in zip(axes, explanation.channels.items(), strict=True):
    low, high = np.percentile(values, (1, 99.5))
    ax.imshow(values, origin="lower", cmap="gray", vmin=low, vmax=high)
    ax.set(title=name, xticks=[], yticks=[])
