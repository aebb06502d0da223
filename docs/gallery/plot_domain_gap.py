"""
The domain gap in pictures
==========================

A network learns on images without noise and is asked about images with it. The same galaxies, seen by both, show
what happens.

The script needs :download:`domains.py </gallery/domains.py>` beside it.
"""

import numpy as np
from domains import fit
from matplotlib.figure import Figure

from galmerge_da import simulate
from galmerge_da.evaluation import domain_gap, embed
from galmerge_da.visualization import plot_examples, plot_roc

# %%
# One seed gives the same galaxies in every survey. None of these was trained on.

surveys = {"source": "deepmerge-z2-pristine", "target": "deepmerge-z2"}
galaxies = {domain: simulate(240, survey, seed=21) for domain, survey in surveys.items()}
labels = {domain: np.array(table["label"]) for domain, table in galaxies.items()}

figure = plot_examples({domain: table["image"] for domain, table in galaxies.items()}, labels)[0, 0].figure

# %%
# A network that was trained on the source alone (``fit`` is `galmerge_da.train` on 600 galaxies, in ``domains.py``).

classifier = fit().classifier
catalogues = {domain: classifier.classify(table) for domain, table in galaxies.items()}
probability = {domain: np.asarray(table["merger_prob"]) for domain, table in catalogues.items()}
domain_gap(*(embed(classifier, table) for table in galaxies.values()))

# %%
# Left: the ranking of the same galaxies is worse where there is noise. Right: each point is one galaxy. Were there no
# gap, all would lie on the line.

figure = Figure(figsize=(10, 4.6), layout="constrained")
left, right = figure.subplots(1, 2)
plot_roc({domain: (labels[domain], probability[domain]) for domain in galaxies}, left)
for label, name, colour in ((0, "nonmerger", "tab:blue"), (1, "merger", "tab:red")):
    rows = labels["source"] == label
    right.scatter(probability["source"][rows], probability["target"][rows], 14, colour, alpha=0.7, label=name)
right.plot([0, 1], [0, 1], color="0.6", zorder=0)
right.set(xlabel="merger probability without noise", ylabel="with noise", aspect="equal", xlim=(0, 1), ylim=(0, 1))
right.legend(frameon=False)
