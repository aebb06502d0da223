"""`simulate`: labelled galaxies as a table, in any survey's look."""

import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

import astropy.units as u
import numpy as np
from astropy.table import Table
from joblib import Parallel, delayed
from tqdm import tqdm

from galmerge_da.exceptions import ConfigError, InputError
from galmerge_da.plugins import SurveySpec, get_survey
from galmerge_da.simulation.observe import FRAME_RADII, FRAME_SIZE, observe
from galmerge_da.simulation.scene import Scene, draw_encounters, draw_nonmerger

__all__ = ["CLASSES", "draw_scenes", "simulate"]

#: Classes of simulated galaxies: those whose ``label`` is 0, and 1.
CLASSES: Final = ("nonmerger", "merger")
_MOMENTS = 3
_UNIT = 2 * _MOMENTS
_BATCH = 4


def draw_scenes(unit: int, *, seed: int = 0) -> list[Scene]:
    """The six scenes of one unit: three moments of an encounter, and three non-mergers.

    Parameters
    ----------
    unit : int
        Number of the unit; the same seed and unit give the same scenes.
    seed : int, optional

    Returns
    -------
    list of Scene
        Non-mergers and mergers in turn.
    """
    return _scenes([unit], seed)[0]


def _scenes(units, seed):
    encounters = draw_encounters(
        [np.random.default_rng((seed, 1, unit)) for unit in units],
        [f"s{seed}-encounter{unit:05d}" for unit in units],
        _MOMENTS,
    )
    scenes = []
    for unit, mergers in zip(units, encounters, strict=True):
        rng = np.random.default_rng((seed, 2, unit))
        others = [draw_nonmerger(rng, f"s{seed}-galaxy{_MOMENTS * unit + k:05d}") for k in range(_MOMENTS)]
        scenes.append([scene for pair in zip(others, mergers, strict=True) for scene in pair])
    return scenes


def _observe_units(units, survey, seed):
    """Observations of several units: what one worker does at a time."""
    rows = []
    for unit, scenes in zip(units, _scenes(units, seed), strict=True):
        for k, scene in enumerate(scenes):
            index = unit * _UNIT + k
            rng = np.random.default_rng((seed, 3, index, *survey.name.encode()))
            seen = observe(scene, survey, rng)
            rows.append((index, scene.group, scene.label, scene.stage, scene.parameters, seen))
    return rows


def simulate(
    n: int,
    survey: str | SurveySpec = "deepmerge-z2",
    *,
    seed: int = 0,
    classes: str | Sequence[str] = CLASSES,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Table:
    """Simulate labelled galaxies as a survey would see them.

    Half of them are mergers: moments of restricted N-body encounters (Toomre &
    Toomre 1972) from approach to the remnant. The others are isolated spirals,
    lenticulars, ellipticals and irregulars, and chance projections. Stars and
    unrelated neighbours fall on both. The same ``seed`` gives the same galaxies
    (``id``, ``group``) in every survey, and the first rows of a longer table.

    Parameters
    ----------
    n : int
        Number of rows.
    survey : str or `~galmerge_da.plugins.SurveySpec`, optional
        How they are observed.
    seed : int, optional
        Non-negative.
    classes : tuple of str, optional
        Which classes to return, of ``("nonmerger", "merger")``.
    n_jobs : int, optional
        Processes; as many as there are cores by default, one for a small table.
    progress : bool, optional
        Show a bar.

    Returns
    -------
    `~astropy.table.Table`
        ``id``, ``group``, ``image`` (C, 75, 75), ``label`` (1 for a merger),
        ``stage``, ``kind``, ``mass_ratio``, ``separation`` (disc scale lengths),
        ``time`` (Myr since the first pericentre), ``radius`` (Petrosian, in pixels of the frame),
        ``petrosian_radius`` (arcsec), ``pixel_scale`` (arcsec), ``magnitude``.
        The meta has ``SURVEY``, ``BANDS``, ``RADPIX`` (Petrosian radii per
        pixel), ``STRETCH``, ``ZEROPNT`` (AB magnitude of one unit of flux in
        each band), ``FLUXUNIT`` (that unit, as text), ``SEED``, ``CLASSES`` and
        ``SIMVERS`` (versions of what the galaxies depend on).

    Raises
    ------
    InputError
        If ``n``, ``seed`` or ``n_jobs`` is not a sensible integer, or a class is unknown.
    PluginError
        If no survey has that name.

    Examples
    --------
    >>> from galmerge_da import simulate
    >>> galaxies = simulate(6, "decals", seed=1)
    >>> galaxies["image"].shape
    (6, 3, 75, 75)
    >>> sorted(galaxies["label"].tolist())
    [0, 0, 0, 1, 1, 1]
    """
    n, seed = _check_integer("n", n, 0), _check_integer("seed", seed, 0)
    survey = survey if isinstance(survey, SurveySpec) else get_survey(survey)
    if survey.stretched and survey.n_bands < 2:
        raise ConfigError(f"survey {survey.name!r}: a colour picture needs at least two bands")
    asked: tuple[str, ...] = (classes,) if isinstance(classes, str) else tuple(classes)
    if not asked or set(asked) - set(CLASSES):
        raise InputError(f"classes must be among {CLASSES}, got {asked}")
    wanted = [label for label, name in enumerate(CLASSES) if name in asked]
    per_unit = _MOMENTS * len(wanted)
    n_units = -(-n // per_unit)
    if n_jobs is None:
        n_jobs = (os.cpu_count() or 1) if n > 120 else 1
    n_jobs = _check_integer("n_jobs", n_jobs, 1)
    batches = [range(start, min(start + _BATCH, n_units)) for start in range(0, n_units, _BATCH)]
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_observe_units)(batch, survey, seed) for batch in batches
    )
    rows: list[Any] = []
    with tqdm(total=n, disable=not progress, unit="image", desc=f"simulate {survey.name}") as bar:
        for batch in results:
            batch = [row for row in batch if row[2] in wanted][: n - len(rows)]
            rows += batch
            bar.update(len(batch))
    return _table(rows, survey, seed, asked)


def _check_integer(name, value, least):
    try:
        number = int(value)
        if number != value or number < least:
            raise ValueError
    except (TypeError, ValueError):
        raise InputError(f"{name} must be an integer of at least {least}, got {value!r}") from None
    return number


def _flux_units(survey):
    """What one unit of flux in the image is, band by band, or once if they agree."""
    units = [f"{flux:.4g} Jy" for flux in survey.zero_point.to_value(u.Jy)]
    return units[0] if len(set(units)) == 1 else ",".join(units)


def _table(rows, survey, seed, classes):
    dtype = np.uint8 if survey.stretched else np.float32
    image = np.empty((len(rows), survey.n_bands, FRAME_SIZE, FRAME_SIZE), dtype)
    for k, row in enumerate(rows):
        image[k] = row[5].image

    def parameter(name):
        return np.array([row[4].get(name, np.nan) for row in rows], float)

    table = Table()
    table["id"] = np.array([f"s{seed}-{row[0]:06d}" for row in rows], dtype="U20")
    table["group"] = np.array([row[1] for row in rows], dtype="U32")
    table["image"] = image
    table["label"] = np.array([row[2] for row in rows], np.int16)
    table["stage"] = np.array([row[3] for row in rows], dtype="U16")
    table["kind"] = np.array([row[4]["kind"] for row in rows], dtype="U24")
    table["mass_ratio"] = parameter("mass_ratio")
    table["separation"] = parameter("separation")
    table["time"] = parameter("time") * u.Myr
    table["radius"] = np.full(len(rows), FRAME_SIZE / FRAME_RADII) * u.pix
    table["petrosian_radius"] = np.array([row[5].petrosian_radius for row in rows], float) * u.arcsec
    table["pixel_scale"] = np.array([row[5].pixel_scale for row in rows], float) * u.arcsec
    table["magnitude"] = np.array([row[5].magnitude for row in rows], float) * u.mag
    for name, text in {
        "group": "parent encounter or galaxy; never split it",
        "image": f"bands {','.join(survey.bands)}",
        "label": "1 for a merger",
        "stage": "moment of the encounter",
        "separation": "projected, in scale lengths of the primary's disc",
        "time": "since the first pericentre",
        "radius": "Petrosian radius in pixels of the frame",
    }.items():
        table[name].description = text
    table.meta = {
        "SURVEY": survey.name,
        "BANDS": ",".join(survey.bands),
        "RADPIX": FRAME_RADII / FRAME_SIZE,
        "STRETCH": survey.stretched,
        "ZEROPNT": ",".join(f"{value:g}" for value in survey.zero_point.value),
        "FLUXUNIT": "8-bit picture" if survey.stretched else _flux_units(survey),
        "SEED": seed,
        "CLASSES": ",".join(classes),
        "SIMVERS": ", ".join(f"{name} {version(name)}" for name in ("galmerge_da", "numpy", "scipy")),
    }
    return table
