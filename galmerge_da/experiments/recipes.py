"""Training from a recipe that may simulate its own galaxies.

`galmerge_da.train` takes data that exist. Here the table ``[data]`` of a
recipe may say instead what to simulate::

    [data]
    simulate = {n = 2000, survey = "deepmerge-z2-pristine", seed = 1}
    simulate_target = {n = 2000, survey = "deepmerge-z2", seed = 2}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import make_config
from galmerge_da.plugins import get_survey
from galmerge_da.simulation import simulate
from galmerge_da.training import TrainingResult, read_recipe, read_tables, train
from galmerge_da.training.recipe import check_request

__all__ = ["SimulateOptions", "run_recipe"]


@dataclass(frozen=True)
class SimulateOptions:
    """What a recipe says about simulated data.

    Parameters
    ----------
    n : int
        Number of galaxies.
    survey : str, optional
        Name of the survey that observes them.
    seed : int, optional
        Same seed, same galaxies.
    """

    n: int
    survey: str = "deepmerge-z2"
    seed: int = 0


def run_recipe(
    recipe: str | PathLike[str] | Mapping[str, Any],
    source: object = None,
    target: object = None,
    *,
    progress: bool = False,
    **options: Any,
) -> TrainingResult:
    """Train as a recipe says, on data that are given or that it simulates.

    Parameters
    ----------
    recipe : path-like or mapping
        TOML file, or its content. Besides what `galmerge_da.train` knows,
        ``[data]`` may have ``simulate`` and ``simulate_target``, tables with
        the fields of `SimulateOptions`.
    source, target : optional
        As for `galmerge_da.train`; they replace what the recipe would simulate.
    progress : bool, optional
        Show progress bars.
    **options
        Further keywords of `galmerge_da.train`, which override the recipe.

    Returns
    -------
    `~galmerge_da.training.TrainingResult`

    Raises
    ------
    ConfigError
        If the recipe is not TOML, has an unknown entry, or there is no source.
    FileNotFoundError
        If the recipe does not exist.
    """
    recipe = read_tables(recipe)
    data = recipe.get("data", {})
    asked = {key: data[key] for key in ("simulate", "simulate_target") if isinstance(data, Mapping) and key in data}
    if asked:
        recipe["data"] = {key: value for key, value in data.items() if key not in asked}
    made = {key: make_config(SimulateOptions, value, f"recipe: [data] {key}") for key, value in asked.items()}
    if source is None and "simulate" not in made:
        raise ConfigError("no source: give one, or say what to simulate in the recipe's [data]")
    keywords = {name: options.get(name) for name in ("adapt", "backbone", "seed")}
    check_request(read_recipe(recipe, **keywords), has_target=target is not None or "simulate_target" in made)
    for config in made.values():
        get_survey(config.survey)
    source = _simulate(made["simulate"], progress) if source is None else source
    if target is None and "simulate_target" in made:
        target = _simulate(made["simulate_target"], progress)
    return train(source, target, recipe=recipe, progress=progress, **options)


def _simulate(config, progress):
    return simulate(config.n, config.survey, seed=config.seed, progress=progress)
