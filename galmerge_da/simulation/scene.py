"""From galaxies to a scene: what shines where on the sky, before any telescope.

A scene is drawn from the seed of a galaxy alone, never from the survey, so
that the same galaxy can be observed in two domains. Work is done in units of
six scenes: three moments of one encounter, and three non-mergers.
"""

from dataclasses import dataclass, field

import numpy as np

from galmerge_da.simulation.encounter import (
    MYR_PER_UNIT,
    draw_orbit,
    follow_particles,
    snapshot_times,
)
from galmerge_da.simulation.neighbours import draw_neighbours
from galmerge_da.simulation.population import (
    KINDS_INTERACTING,
    N_AZIMUTH,
    N_RINGS,
    RINGS,
    Galaxy,
    draw_galaxy,
    launch,
    random_rotation,
)

__all__ = ["STAGES", "Body", "Scene", "draw_encounters", "draw_nonmerger"]

#: What a simulated galaxy may be, as in the column ``stage`` of `~galmerge_da.simulate`: a non-merger, alone or by
#: chance in front of another, and the moments of an encounter in their order.
STAGES = ("isolated", "projection", "approach", "first passage", "apocentre", "coalescence", "post-merger")
#: How often each stage of an encounter is seen.
_STAGE_SHARE = {
    "approach": 0.14,
    "first passage": 0.30,
    "apocentre": 0.18,
    "coalescence": 0.26,
    "post-merger": 0.12,
}
_FINE = 8


@dataclass(frozen=True, eq=False)
class Body:
    """A galaxy as it is now.

    Attributes
    ----------
    galaxy : Galaxy
    center : `~numpy.ndarray`, shape (2,)
        Sky position.
    points : `~numpy.ndarray` of float32, shape (M, 2)
        Sky positions of the light of its particles.
    old, young, gas : `~numpy.ndarray` of float32, shape (M,)
        Luminosities, and gas mass with the central face-on column as unit times area.
    compact : `~numpy.ndarray` of bool, shape (M,)
        Star-forming clumps, whose light is not spread as far as that of other particles.
    bulge_axis : tuple of float
        Apparent axis ratio and position angle (rad) of its bulge.
    """

    galaxy: Galaxy
    center: np.ndarray
    points: np.ndarray
    old: np.ndarray
    young: np.ndarray
    gas: np.ndarray
    compact: np.ndarray
    bulge_axis: tuple


@dataclass(frozen=True, eq=False)
class Scene:
    """What is in front of the telescope.

    Attributes
    ----------
    bodies : list of Body
        The galaxy itself first; its partner or a projected one second.
    neighbours : list of Neighbour
    label : int
        1 for a merger.
    stage : str
        One of `STAGES`.
    group : str
        The encounter or galaxy it comes from.
    parameters : dict
        For the table: mass ratio, time since first pericentre, ...
    burst : tuple of float
        Luminosity and extra optical depth of a nuclear starburst.
    on_second : bool
        Whether the survey's catalogue lists the second nucleus, not the first.
    """

    bodies: list
    neighbours: list
    label: int
    stage: str
    group: str
    parameters: dict = field(default_factory=dict)
    burst: tuple = (0.0, 0.0)
    on_second: bool = False


def _smooth_curve(values):
    """Close each ring and put points between its particles: (R, A, k) -> (R * A * _FINE, k)."""
    after = np.roll(values, -1, axis=1)
    share = (np.arange(_FINE, dtype=np.float32) / _FINE)[None, None, :, None]
    fine = values[:, :, None] * (1 - share) + after[:, :, None] * share
    return fine.reshape(-1, values.shape[-1])


def make_body(galaxy, positions, center, view, rng):
    """Turn particles into light on the sky.

    Parameters
    ----------
    galaxy : Galaxy
    positions : `~numpy.ndarray`, shape (N_RINGS * N_AZIMUTH, 3)
        Particles, in the frame of the encounter.
    center : `~numpy.ndarray`, shape (3,)
        Of the galaxy, in the same frame.
    view : `~numpy.ndarray`, shape (3, 3)
        Rotation to the sky; the third axis is the line of sight.
    rng : `~numpy.random.Generator`

    Returns
    -------
    Body
    """
    grid = positions.reshape(N_RINGS, N_AZIMUTH, 3)
    spin = view @ galaxy.axes[2]
    tilt = abs(spin[2])
    flat = galaxy.bulge_flattening
    bulge_axis = (float(np.sqrt(tilt**2 + (1 - tilt**2) * flat**2)), float(np.arctan2(spin[1], spin[0]) + np.pi / 2))
    width = np.gradient(RINGS)
    if galaxy.is_disc:
        points = _smooth_curve(grid)
        old, young, gas, compact = _disc_weights(galaxy, points - center, width, rng)
    else:
        points = positions
        scale = galaxy.bulge_radius / 1.815
        radius = RINGS * galaxy.length
        mass = radius / (radius + scale) ** 3 * width
        old = np.repeat(mass / mass.sum() / N_AZIMUTH, N_AZIMUTH)
        young = np.zeros_like(old)
        gas = np.full_like(old, galaxy.dust * 6.0 * galaxy.length**2 / old.size)
        compact = np.zeros(old.size, bool)
    light = galaxy.luminosity * (1.0 - galaxy.bulge)
    return Body(
        galaxy,
        (view @ center)[:2],
        (points @ view[:2].T).astype(np.float32),
        (light * (1 - galaxy.young) * old).astype(np.float32),
        (light * galaxy.young * young).astype(np.float32),
        gas.astype(np.float32),
        compact,
        bulge_axis,
    )


def _disc_weights(galaxy, offsets, width, rng):
    """Old and young light (each adds up to 1) and gas of the points of a disc, and which are star-forming clumps."""
    size = N_AZIMUTH * _FINE
    ring = np.repeat(RINGS, size)
    area = np.repeat(RINGS * width, size) / size
    old = np.exp(-ring) * area
    young = np.exp(-ring / 1.25) * area
    gas = np.exp(-ring / 1.1) * (1 - 0.7 * np.exp(-((ring / 0.5) ** 2))) * area
    plane = offsets @ galaxy.axes.T
    radius = np.hypot(plane[:, 0], plane[:, 1]) / galaxy.length + 1e-3
    angle = np.arctan2(plane[:, 1], plane[:, 0])
    in_place = np.exp(-(((radius / ring - 1) / 0.25) ** 2))
    if galaxy.arm_strength > 0:
        inner = galaxy.bar_length / galaxy.length if galaxy.bar > 0 else 0.3
        phase = galaxy.arms * (angle - np.log(radius) / np.tan(galaxy.pitch)) + galaxy.arm_phase
        shown = galaxy.arm_strength * in_place / (1 + (inner / radius) ** 6)
        crest = np.exp(2.0 * shown * (np.cos(phase) - 1.0))
        young *= 0.15 + crest
        gas *= 0.4 + np.roll(crest, 2)
        old *= 1.0 + 0.45 * shown * np.cos(phase)
    if galaxy.bar > 0:
        twist = galaxy.arm_phase / galaxy.arms + np.log(max(galaxy.bar_length / galaxy.length, 0.3)) / np.tan(
            galaxy.pitch
        )
        along = np.cos(2 * (angle - twist))
        inside = in_place / (1 + (radius * galaxy.length / galaxy.bar_length) ** 8)
        old *= np.exp(galaxy.bar * inside * along * 1.3)
        young *= np.exp(-0.5 * inside)
    if galaxy.clumps > 0:
        patches = _patches(rng)
        young *= patches ** (4.0 * galaxy.clumps)
        gas *= np.roll(patches, 3) ** (4.0 * galaxy.clumps)
    np.clip(old, 0, None, out=old)
    old /= old.sum()
    young /= young.sum()
    compact = np.zeros(young.size, bool)
    if galaxy.clumps > 0:
        chance = young / young.sum()
        n = int(rng.integers(20, 120))
        where = rng.choice(young.size, n, p=chance)
        bright = rng.lognormal(0.0, 1.0, n)
        young *= 1 - galaxy.clumps
        np.add.at(young, where, galaxy.clumps * bright / bright.sum())
        compact[where] = True
    return old, young, gas * galaxy.dust * 2 * np.pi * galaxy.length**2, compact


def _patches(rng):
    """Where stars form and dust lies: a lognormal field on the points of a disc, drawn out along its rings."""
    coarse = rng.normal(size=(N_RINGS, N_AZIMUTH))
    coarse = 0.5 * coarse + 0.5 * (np.roll(coarse, 1, 1) + np.roll(coarse, -1, 1))
    return np.exp(_smooth_curve(coarse[..., None])[:, 0])


def draw_nonmerger(rng, group):
    """An isolated galaxy, or two that are only on one line of sight.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    group : str
        Its group id.

    Returns
    -------
    Scene
    """
    galaxy = draw_galaxy(rng)
    bodies = [_rest(galaxy, np.zeros(3), rng)]
    stage, parameters = "isolated", {"kind": galaxy.kind}
    if rng.uniform() < 0.07:
        stage = "projection"
        other = draw_galaxy(rng).scaled(float(np.exp(rng.uniform(np.log(0.08), np.log(2.0)))))
        apart = galaxy.petrosian_radius * rng.uniform(0.5, 2.4)
        angle = rng.uniform(0, 2 * np.pi)
        place = np.array([apart * np.cos(angle), apart * np.sin(angle), 0.0])
        bodies.append(_rest(other, place, rng))
        parameters |= {"mass_ratio": other.luminosity, "kind": f"{galaxy.kind}+{other.kind}"}
    return Scene(bodies, draw_neighbours(rng), 0, stage, group, parameters)


def _rest(galaxy, place, rng):
    positions, _ = launch(galaxy)
    return make_body(galaxy, positions + place, place, np.eye(3), rng)


def draw_encounters(rngs, groups, n_moments=3):
    """Mergers: several encounters followed together, each seen at several moments.

    Parameters
    ----------
    rngs : list of `~numpy.random.Generator`
        One for each encounter.
    groups : list of str
        Their group ids.
    n_moments : int, optional
        Scenes per encounter.

    Returns
    -------
    list of list of Scene
    """
    pairs, orbits, moments, starts = [], [], [], []
    for rng in rngs:
        ratio = float(np.exp(rng.uniform(np.log(0.22), 0.0))) if rng.uniform() < 0.85 else rng.uniform(0.1, 0.22)
        pair = draw_galaxy(rng, KINDS_INTERACTING), draw_galaxy(rng, KINDS_INTERACTING).scaled(ratio)
        orbit = draw_orbit(rng, ratio, *(galaxy.halo for galaxy in pair))
        stages = rng.choice(list(_STAGE_SHARE), n_moments, replace=False, p=list(_STAGE_SHARE.values()))
        when = snapshot_times(rng, orbit)
        pairs.append(pair)
        orbits.append(orbit)
        moments.append(sorted((when[stage], str(stage)) for stage in stages))
        x, v = zip(*(launch(galaxy) for galaxy in pair), strict=True)
        starts.append(
            (
                np.concatenate([x[b] + orbit.centers[0, b].astype(np.float32) for b in (0, 1)]),
                np.concatenate([v[b] + orbit.velocities[b].astype(np.float32) for b in (0, 1)]),
            )
        )
    kept = follow_particles(
        np.stack([x for x, _ in starts]),
        np.stack([v for _, v in starts]),
        [tuple(galaxy.halo for galaxy in pair) for pair in pairs],
        orbits,
        [[max(when, 0.0) for when, _ in wanted] for wanted in moments],
    )
    return [
        [
            _merger_scene(rng, group, pair, orbit, when, stage, particles)
            for (when, stage), particles in zip(wanted, snapshots, strict=True)
        ]
        for rng, group, pair, orbit, wanted, snapshots in zip(rngs, groups, pairs, orbits, moments, kept, strict=True)
    ]


def _view(rng, centers, pair, stage):
    """A random view in which a merger is one to the eye.

    Before the first passage the galaxies overlap, later both are in the frame. Without this, an undisturbed galaxy
    with its partner elsewhere would count.
    """
    radii = [galaxy.petrosian_radius for galaxy in pair]
    limit = 0.9 * sum(radii) if stage == "approach" else 2.8 * radii[0]
    views = [random_rotation(rng) for _ in range(12)]
    apart = [np.hypot(*(view @ (centers[1] - centers[0]))[:2]) for view in views]
    seen = [view for view, distance in zip(views, apart, strict=True) if distance < limit]
    return seen[0] if seen else views[int(np.argmin(apart))]


def _merger_scene(rng, group, pair, orbit, when, stage, particles):
    centers = np.array(
        [[np.interp(when, orbit.times, orbit.centers[:, body, axis]) for axis in range(3)] for body in (0, 1)]
    )
    view = _view(rng, centers, pair, stage)
    half = N_RINGS * N_AZIMUTH
    bodies = [
        make_body(galaxy, particles[body * half : (body + 1) * half], centers[body], view, rng)
        for body, galaxy in enumerate(pair)
    ]
    gas_rich = sum(galaxy.luminosity * galaxy.young for galaxy in pair)
    strength = {"coalescence": 0.5, "post-merger": 0.3, "first passage": 0.15}.get(stage, 0.0)
    burst = (strength * gas_rich * rng.uniform(0, 1), strength * min(gas_rich, 1.0) * rng.uniform(0, 4))
    ratio = pair[1].luminosity
    return Scene(
        bodies,
        draw_neighbours(rng),
        1,
        stage,
        group,
        {
            "kind": f"{pair[0].kind}+{pair[1].kind}",
            "mass_ratio": float(ratio),
            "separation": float(np.linalg.norm(bodies[1].center - bodies[0].center)),
            "time": float((when - orbit.first) * MYR_PER_UNIT),
            "time_to_coalescence": float((orbit.coalescence - when) * MYR_PER_UNIT),
        },
        burst,
        bool(rng.uniform() < 0.6 * ratio / (1 + ratio)),
    )
