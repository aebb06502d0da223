"""The galaxies: what kinds there are and how their light is laid out before anything happens to them.

A galaxy is a bulge (a Sersic profile), and test particles: rings of a disc, or
a hot envelope. The same description serves isolated galaxies, chance
projections and both partners of an encounter, so that nothing but physics
tells the classes apart.
"""

from dataclasses import dataclass, replace

import numpy as np

from galmerge_da.simulation.encounter import Halo

__all__ = ["N_AZIMUTH", "N_RINGS", "Galaxy", "draw_galaxy", "launch", "random_rotation"]

N_RINGS = 40
N_AZIMUTH = 36
#: Cylindrical radii of the rings over the disc's scale length, denser inside.
RINGS = 0.06 + 6.0 * ((np.arange(N_RINGS) + 0.5) / N_RINGS) ** 1.35


@dataclass(frozen=True, eq=False)
class Galaxy:
    """One galaxy at rest, in the units of `galmerge_da.simulation.encounter`.

    Attributes
    ----------
    kind : {"elliptical", "lenticular", "spiral", "irregular"}
    luminosity : float
        In the middle band; the primary's is 1.
    length : float
        Scale length of the disc, or half-light radius over 1.7 of an elliptical.
    halo : Halo
    bulge : float
        Share of the light in the Sersic bulge; the rest is in particles.
    bulge_radius, bulge_index, bulge_flattening : float
        Half-light radius, Sersic index and smallest axis ratio of the bulge.
    young : float
        Share of the disc's light that is from young stars.
    arms, arm_strength, pitch, arm_phase : float
        Number, amplitude, pitch angle (rad) and phase of the spiral arms.
    bar, bar_length : float
        Amplitude and half-length of the bar.
    clumps : float
        Share of the young light in star-forming clumps.
    dust : float
        Face-on central optical depth at 0.55 micrometres.
    tilt : float
        Colour scatter, see `galmerge_da.simulation.stellar.band_fluxes`.
    axes : `~numpy.ndarray`, shape (3, 3)
        Rows: the two axes of the disc's plane and its spin.
    seed : int
        Of the particles.
    """

    kind: str
    luminosity: float
    length: float
    halo: Halo
    bulge: float
    bulge_radius: float
    bulge_index: float
    bulge_flattening: float
    young: float
    arms: int
    arm_strength: float
    pitch: float
    arm_phase: float
    bar: float
    bar_length: float
    clumps: float
    dust: float
    tilt: float
    axes: np.ndarray
    seed: int

    @property
    def is_disc(self):
        """Whether the particles are rings of a disc, not a hot envelope."""
        return self.kind != "elliptical"

    @property
    def petrosian_radius(self):
        """Rough Petrosian radius of the undisturbed galaxy."""
        disc = 3.3 * self.length
        spheroid = 2.1 * self.bulge_radius
        return spheroid if not self.is_disc else (1 - self.bulge) * disc + self.bulge * max(spheroid, 0.6 * disc)

    def scaled(self, ratio):
        """The same galaxy with ``ratio`` times the mass and light."""
        size = ratio**0.5
        return replace(
            self,
            luminosity=self.luminosity * ratio,
            length=self.length * size,
            bulge_radius=self.bulge_radius * size,
            bar_length=self.bar_length * size,
            halo=Halo.of_mass(ratio),
        )


def random_rotation(rng):
    """A rotation matrix, uniform over all orientations.

    Parameters
    ----------
    rng : `~numpy.random.Generator`

    Returns
    -------
    `~numpy.ndarray`, shape (3, 3)
    """
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q *= np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else q[[1, 0, 2]]


#: Shares of the kinds among bright galaxies (two thirds are early types).
KINDS = {"elliptical": 0.40, "lenticular": 0.20, "spiral": 0.31, "irregular": 0.09}
#: The same for a galaxy in an encounter that is seen: richer in gas (Darg et al. 2010, MNRAS 401, 1552).
KINDS_INTERACTING = {"elliptical": 0.27, "lenticular": 0.16, "spiral": 0.47, "irregular": 0.10}


def draw_galaxy(rng, kinds=None):
    """A primary of unit mass, drawn from the population.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    kinds : dict of str to float, optional
        Shares of the kinds; `KINDS` by default.

    Returns
    -------
    Galaxy
    """
    kinds = KINDS if kinds is None else kinds
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    common = dict(
        kind=kind,
        luminosity=1.0,
        halo=Halo(),
        tilt=rng.normal(0.0, 0.3),
        axes=random_rotation(rng),
        seed=int(rng.integers(2**31)),
        arms=int(rng.choice([2, 2, 2, 3, 4])),
        pitch=np.radians(rng.uniform(9, 32)) * rng.choice([-1, 1]),
        arm_phase=rng.uniform(0, 2 * np.pi),
        bar_length=rng.uniform(0.7, 1.8),
    )
    if kind == "elliptical":
        specific = dict(
            length=1.0,
            bulge=rng.uniform(0.60, 0.85),
            bulge_radius=rng.uniform(1.2, 2.2),
            bulge_index=rng.uniform(1.8, 4.2),
            bulge_flattening=rng.uniform(0.5, 1.0),
            young=0.0,
            arm_strength=0.0,
            bar=0.0,
            clumps=0.0,
            dust=0.25 * rng.uniform() if rng.uniform() < 0.2 else 0.0,
        )
    elif kind == "lenticular":
        specific = dict(
            length=rng.uniform(0.8, 1.2),
            bulge=rng.uniform(0.25, 0.65),
            bulge_radius=rng.uniform(0.4, 1.0),
            bulge_index=rng.uniform(1.5, 4.0),
            bulge_flattening=rng.uniform(0.6, 0.95),
            young=rng.uniform(0.0, 0.15),
            arm_strength=0.0,
            bar=rng.choice([0.0, rng.uniform(0.3, 1.0)], p=[0.7, 0.3]),
            clumps=0.0,
            dust=rng.uniform(0.0, 0.3),
        )
    else:
        irregular = kind == "irregular"
        specific = dict(
            length=rng.uniform(0.8, 1.3),
            bulge=rng.uniform(0.0, 0.08) if irregular else rng.uniform(0.03, 0.4),
            bulge_radius=rng.uniform(0.2, 0.6),
            bulge_index=rng.uniform(1.0, 3.5),
            bulge_flattening=rng.uniform(0.6, 0.95),
            young=rng.uniform(0.6, 1.0) if irregular else rng.uniform(0.3, 0.85),
            arm_strength=rng.uniform(0.0, 0.4) if irregular else rng.uniform(0.2, 1.6),
            bar=rng.choice([0.0, rng.uniform(0.4, 1.6)], p=[0.5, 0.5]),
            clumps=rng.uniform(0.15, 0.45) if irregular else rng.uniform(0.05, 0.35),
            dust=rng.uniform(0.1, 0.5) if irregular else rng.uniform(0.2, 1.3),
        )
    return Galaxy(**common, **specific)


def launch(galaxy):
    """Positions and velocities of a galaxy's particles about its own centre.

    Parameters
    ----------
    galaxy : Galaxy

    Returns
    -------
    positions, velocities : `~numpy.ndarray` of float32, shape (N_RINGS * N_AZIMUTH, 3)
        Particle ``i * N_AZIMUTH + j`` is the j-th of ring i.
    """
    rng = np.random.default_rng(galaxy.seed)
    radius = np.repeat(RINGS * galaxy.length, N_AZIMUTH)
    speed = galaxy.halo.circular_speed(radius)
    # lopsided, as a third of all discs are by a fifth or more (Rix & Zaritsky 1995, ApJ 447, 82)
    shift = radius[:, None] * rng.normal(0.0, 1.0, 3) * ([0.07, 0.07, 0] if galaxy.is_disc else 0.14)
    if galaxy.is_disc:
        angle = np.tile(2 * np.pi * np.arange(N_AZIMUTH) / N_AZIMUTH, N_RINGS)
        angle += np.repeat(rng.uniform(0, 2 * np.pi, N_RINGS), N_AZIMUTH)
        thickness = 0.10 * galaxy.length * (1.6 if galaxy.kind == "lenticular" else 1.0)
        height = thickness * np.arctanh(rng.uniform(-0.95, 0.95, radius.size))
        cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
        local = np.stack([radius * cos, radius * sin, height], 1)
        motion = np.stack([-speed * sin, speed * cos, zero], 1)
    else:
        direction = rng.normal(size=(radius.size, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        flatten = np.array([1.0, 1.0, galaxy.bulge_flattening])
        local = radius[:, None] * direction * flatten
        motion = 0.62 * speed[:, None] * rng.normal(size=(radius.size, 3))
    local = local + shift
    return (local @ galaxy.axes).astype(np.float32), (motion @ galaxy.axes).astype(np.float32)
