"""
t-SNE before and after
======================

What adaptation does to the features, in one plane: without it the domains lie apart, with it they mix.

The script needs :download:`domains.py </gallery/domains.py>` beside it.
"""

from domains import fit, simulate_domains

from galmerge_da.evaluation import embed, project
from galmerge_da.visualization import plot_tsne

# %%
# One network has seen 600 galaxies of the source, the other those of the target too; ``fit`` is `galmerge_da.train` in
# ``domains.py``. Features of two networks have no common space, so each is projected alone.

tables = dict(zip(("source", "target"), simulate_domains(), strict=True))
panels = {}
for name, loss in {"without adaptation": None, "MMD": "mmd"}.items():
    points = project([embed(fit(loss).classifier, table) for table in tables.values()], seed=1)
    panels[name] = {domain: (plane, tables[domain]["label"]) for domain, plane in zip(tables, points, strict=True)}

# %%
# Circles are the source, triangles the target, colours the classes. Distances between islands of a t-SNE mean nothing;
# whether domains share islands does. For a number see `galmerge_da.evaluation.domain_gap`.

figure = plot_tsne(panels)[0].figure
