"""
Adversarial training
====================

A discriminator learns to tell source from target by the features, and a reversed gradient makes the features worse
for it (DANN, Ganin et al. 2016). What it cannot see any more is the gap.

The script needs :download:`domains.py </gallery/domains.py>` beside it.
"""

import numpy as np
from domains import RECIPE, fit, simulate_domains
from matplotlib.figure import Figure

from galmerge_da import train
from galmerge_da.evaluation import embed, project
from galmerge_da.visualization import plot_history

# %%
# The reversed gradient grows as training goes on, along a sigmoid to ``max_lambda``.

source, target = simulate_domains()
adversarial = train(source, target, adapt={"dann": {"weight": 1.0, "max_lambda": 1.0}}, recipe=RECIPE, seed=1)

# %%
# A loss of the discriminator of log 2 = 0.69 is that of a coin. It falls while the discriminator is ahead, and rises
# again when the features follow. On the right, the first two principal components of the features of both domains.

figure = Figure(figsize=(12, 4), layout="constrained")
axes = figure.subplots(1, 3)
plot_history(adversarial.history, axes[0], columns=["cross_entropy", "dann"])
axes[0].axhline(np.log(2), color="0.6", linestyle=":")
for ax, (name, result) in zip(axes[1:], {"without": fit(), "with DANN": adversarial}.items(), strict=True):
    points = project([embed(result.classifier, table) for table in (source, target)], "pca")
    for domain, plane, colour in zip(("source", "target"), points, ("tab:blue", "tab:orange"), strict=True):
        ax.scatter(*plane.T, 8, colour, alpha=0.5, linewidth=0, label=domain)
    ax.set(title=name, xticks=[], yticks=[])
axes[1].legend(frameon=False)
