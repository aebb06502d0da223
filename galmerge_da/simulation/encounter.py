"""Restricted N-body encounters: two moving potentials and their test particles.

Lives here: the haloes, the orbit of the two centres with dynamical friction,
and the leapfrog of the test particles. What the particles shine like does not.

Units: the scale length of the primary's disc, its asymptotic circular speed
and G are 1; for a Milky-Way-like disc that is 3.5 kpc, 200 km/s and 17 Myr.
The method is that of Toomre & Toomre (1972, ApJ 178, 623).
"""

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["MYR_PER_UNIT", "Halo", "Orbit", "draw_orbit", "follow_particles", "snapshot_times"]

MYR_PER_UNIT = 17.0
_ORBIT_STEP = 0.1
PARTICLE_STEP = 0.25
_START = 14.0
_LONGEST = 75.0


@dataclass(frozen=True)
class Halo:
    """A flat rotation curve with a core and a finite mass.

    The enclosed mass is ``v**2 r**3 / ((r**2 + core**2) (1 + r / cut))``.

    Parameters
    ----------
    speed, core, cut : float
        Asymptotic circular speed, core radius and truncation radius.
    """

    speed: float = 1.0
    core: float = 0.5
    cut: float = 12.0

    @classmethod
    def of_mass(cls, ratio):
        """Halo of ``ratio`` times the primary's mass, on the Tully-Fisher relation."""
        return cls(ratio**0.25, 0.5 * ratio**0.5, 12.0 * ratio**0.5)

    @property
    def mass(self):
        """Total mass."""
        return self.speed**2 * self.cut

    def pull(self, r2):
        """Acceleration towards the centre over the distance, at squared distance ``r2``."""
        return self.speed**2 / ((r2 + self.core**2) * (1.0 + r2**0.5 / self.cut))

    def circular_speed(self, r):
        """Speed of a circular orbit of radius ``r``."""
        return r * np.sqrt(self.pull(r * r))


@dataclass(frozen=True, eq=False)
class Orbit:
    """The path of two centres.

    Attributes
    ----------
    times : `~numpy.ndarray`, shape (T,)
    centers : `~numpy.ndarray`, shape (T, 2, 3)
        Positions in the centre-of-mass frame; the orbital plane is z = 0.
    velocities : `~numpy.ndarray`, shape (2, 3)
        Velocities at the first time.
    first, apocentre, second, coalescence : float
        Times of the first pericentre, the first apocentre, the second
        pericentre and the final merger.
    """

    times: np.ndarray
    centers: np.ndarray
    velocities: np.ndarray
    first: float
    apocentre: float
    second: float
    coalescence: float


def draw_orbit(rng, ratio, primary, secondary):
    """A near-parabolic orbit with dynamical friction.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    ratio : float
        Mass of the secondary over that of the primary.
    primary, secondary : Halo

    Returns
    -------
    Orbit
    """
    while True:
        orbit = _integrate_orbit(
            rng.uniform(0.8, 4.5), rng.uniform(0.6, 1.2), rng.uniform(0.75, 0.95), ratio, primary, secondary
        )
        if orbit.coalescence < _LONGEST:
            return orbit


def _integrate_orbit(pericentre, drag, energy, ratio, primary, secondary):
    def pull(r2):
        return primary.pull(r2) + secondary.pull(r2)

    def depth(r):  # speed squared of a parabolic orbit at r, by quadrature of the force
        grid = np.geomspace(r, 400.0, 200)
        return 2.0 * np.trapezoid(pull(grid**2) * grid, grid) + 2.0 * (primary.mass + secondary.mass) / 400.0

    speed2 = energy * depth(_START)
    momentum = pericentre * math.sqrt(energy * depth(pericentre))
    tangential = min(momentum / _START, 0.9 * math.sqrt(speed2))
    x, y = _START, 0.0
    vx, vy = -math.sqrt(speed2 - tangential**2), tangential
    start = (vx, vy)
    sat = drag * secondary.mass
    path, times = [(x, y)], [0.0]
    time, merged, turning = 0.0, None, []
    radial_before = -1.0
    dt = _ORBIT_STEP
    while time < _LONGEST:
        r2 = x * x + y * y
        r = math.sqrt(r2)
        v2 = vx * vx + vy * vy
        density = primary.speed**2 / ((r2 + 1.0) * (1.0 + r / primary.cut) ** 2)
        slow = sat * density / (v2**1.5 + 0.4)
        force = pull(r2)
        vx -= dt * (force * x + slow * vx)
        vy -= dt * (force * y + slow * vy)
        x += dt * vx
        y += dt * vy
        time += dt
        path.append((x, y))
        times.append(time)
        radial = x * vx + y * vy
        if radial * radial_before < 0:
            turning.append((time, radial > 0))
        radial_before = radial
        if x * x + y * y < 0.36 and vx * vx + vy * vy < 2.0 and len(turning) >= 2:
            merged = time
            break
        if len(turning) >= 9:
            merged = time
            break
    merged = time if merged is None else merged
    inner = [when for when, is_peri in turning if is_peri] + [merged, merged]
    outer = [when for when, is_peri in turning if not is_peri] + [merged]
    # the remnant stays where the centres met
    n_after = int(20.0 / dt)
    path += [(0.0, 0.0)] * n_after
    times += [time + dt * (k + 1) for k in range(n_after)]
    path = np.array(path)
    last = len(times) - n_after
    fade = np.exp(-np.arange(n_after) * dt / 0.6)
    path[last:] = path[last - 1] * fade[:, None]
    share = np.array([-ratio, 1.0]) / (1.0 + ratio)
    plane = share[None, :, None] * path[:, None, :]
    centers = np.concatenate([plane, np.zeros_like(plane[..., :1])], -1)
    velocities = share[:, None] * np.array([*start, 0.0])
    return Orbit(np.array(times), centers, velocities, inner[0], outer[0], inner[1], merged)


def snapshot_times(rng, orbit):
    """A moment of each stage of an encounter.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
    orbit : Orbit

    Returns
    -------
    dict of str to float
    """
    apart = np.linalg.norm(orbit.centers[:, 1] - orbit.centers[:, 0], axis=1)
    before = orbit.times <= orbit.first
    close = np.flatnonzero(before & (apart < rng.uniform(2.0, 6.0)))
    approach = orbit.times[close[0]] if len(close) else orbit.first
    return {
        "approach": approach,
        "first passage": orbit.first + rng.uniform(0.08, 1.0) * min(6.0, 0.5 * (orbit.apocentre - orbit.first)),
        "apocentre": rng.uniform(0.5 * (orbit.first + orbit.apocentre), 0.5 * (orbit.apocentre + orbit.second)),
        "coalescence": rng.uniform(orbit.second - 1.0, orbit.coalescence + 1.5),
        "post-merger": orbit.coalescence + rng.uniform(2.0, 15.0),
    }


def follow_particles(positions, velocities, haloes, orbits, times):
    """Leapfrog test particles through several encounters at once.

    Parameters
    ----------
    positions, velocities : `~numpy.ndarray` of float32, shape (B, P, 3)
        At the start of each orbit, in its centre-of-mass frame.
    haloes : list of (Halo, Halo), length B
    orbits : list of Orbit, length B
    times : list of sequences of float, length B
        Moments to keep, ascending.

    Returns
    -------
    list of list of `~numpy.ndarray`, shape (P, 3)
        Positions of each encounter at each of its moments.
    """
    n = len(orbits)
    x = np.ascontiguousarray(np.moveaxis(positions, 2, 0), np.float32)
    v = np.ascontiguousarray(np.moveaxis(velocities, 2, 0), np.float32)
    steps = [[int(round(t / PARTICLE_STEP)) for t in wanted] for wanted in times]
    n_steps = max(max(wanted) for wanted in steps)
    clock = (np.arange(n_steps) + 0.5) * PARTICLE_STEP
    paths = np.empty((n_steps, 2, 3, n, 1), np.float32)
    for b, orbit in enumerate(orbits):
        for body in range(2):
            for axis in range(3):
                paths[:, body, axis, b, 0] = np.interp(clock, orbit.times, orbit.centers[:, body, axis])
    constants = [
        [np.array([[f(pair[body])] for pair in haloes], np.float32) for f in (_strength, _core2, _slope)]
        for body in range(2)
    ]
    kept = [[None] * len(wanted) for wanted in steps]
    half = np.float32(PARTICLE_STEP / 2)
    d, r2, pull = np.empty_like(x), np.empty_like(x[0]), np.empty_like(x[0])
    scratch = np.empty_like(x[0])
    for step in range(n_steps + 1):
        for b, wanted in enumerate(steps):
            for k, moment in enumerate(wanted):
                if moment == step:
                    kept[b][k] = x[:, b].T.copy()
        if step == n_steps:
            break
        # drift - kick - drift, the centres taken in the middle of the step
        np.multiply(v, half, out=d)
        x += d
        for body in range(2):
            strength, core2, slope = constants[body]
            np.subtract(x, paths[step, body], out=d)
            np.multiply(d[0], d[0], out=r2)
            for axis in (1, 2):
                np.multiply(d[axis], d[axis], out=scratch)
                r2 += scratch
            np.sqrt(r2, out=pull)
            pull *= slope
            pull += 1.0
            r2 += core2
            pull *= r2
            np.divide(strength, pull, out=pull)
            d *= pull
            v -= d
        np.multiply(v, half, out=d)
        x += d
    return kept


def _strength(halo):
    return halo.speed**2 * PARTICLE_STEP


def _core2(halo):
    return halo.core**2


def _slope(halo):
    return 1.0 / halo.cut
