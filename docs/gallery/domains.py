"""What several examples of the gallery share: two domains, and networks trained on them once a build."""

from functools import cache

from galmerge_da import simulate, train

#: Short, that the gallery is made in minutes; a study takes ten times the galaxies and epochs.
N_GALAXIES = 600
RECIPE = {"training": {"epochs": 8, "batch_size": 64}}


@cache
def simulate_domains():
    """Two tables of different galaxies: a labelled source without noise, and a target with noise.

    The target keeps its labels, to score with; `galmerge_da.train` never looks at them.
    """
    return simulate(N_GALAXIES, "deepmerge-z2-pristine", seed=11), simulate(N_GALAXIES, "deepmerge-z2", seed=12)


@cache
def fit(loss=None):
    """A training on the source, adapted to the target by a loss of weight 1 if one is named."""
    source, target = simulate_domains()
    if loss is None:
        return train(source, recipe=RECIPE, seed=1)
    return train(source, target, adapt={loss: 1.0}, recipe=RECIPE, seed=1)
