"""
Adapt with MMD
==============

The maximum mean discrepancy is a distance of two samples. Made small beside the cross-entropy, it pulls the features
of an unlabelled survey onto those of the labelled simulation.

The script needs :download:`domains.py </gallery/domains.py>` beside it.
"""

import numpy as np
from domains import RECIPE, simulate_domains
from matplotlib.figure import Figure

from galmerge_da import simulate, train
from galmerge_da.evaluation import domain_gap, embed
from galmerge_da.visualization import plot_history, plot_roc

# %%
# Two tables of 600 galaxies each: the source without noise, the target with it. ``train`` looks at no label of the
# target.

source, target = simulate_domains()
plain = train(source, recipe=RECIPE, seed=1)
adapted = train(source, target, adapt={"mmd": 1.0}, recipe=RECIPE, seed=1)
adapted.history["epoch", "cross_entropy", "mmd", "validation_auc", "target_mean_prob"]

# %%
# How far apart the domains lie in the features of each network, on galaxies that neither has seen. A ``domain_auc`` of
# .5 would mean that they cannot be told apart.

new_source = simulate(240, "deepmerge-z2-pristine", seed=31)
new_target = simulate(240, "deepmerge-z2", seed=32)
for name, result in {"without": plain, "with MMD": adapted}.items():
    gap = domain_gap(embed(result.classifier, new_source), embed(result.classifier, new_target))
    print(f"{name:10} mmd {gap['mmd'][0]:.3f}   domain_auc {gap['domain_auc'][0]:.2f}")

# %%
# Whether mergers are found better is another question, which only labels answer. One run with one seed and 240
# galaxies is an illustration, not a result.

figure = Figure(figsize=(10, 4.6), layout="constrained")
left, right = figure.subplots(1, 2)
plot_history(adapted.history, left, columns=["cross_entropy", "mmd", "target_mean_prob"])
curves = {}
for name, result in {"without adaptation": plain, "MMD": adapted}.items():
    for domain, table in {"source": new_source, "target": new_target}.items():
        probability = np.asarray(result.classifier.classify(table)["merger_prob"])
        curves[f"{name}, {domain}"] = np.asarray(table["label"]), probability
_ = plot_roc(curves, right)
