"""
An encounter in time
====================

How the simulator makes a merger: two discs of test particles in the moving potentials of two haloes (Toomre & Toomre
1972), from the approach to the remnant.
"""

import numpy as np
from matplotlib.figure import Figure

from galmerge_da.simulation.encounter import MYR_PER_UNIT, draw_orbit, follow_particles
from galmerge_da.simulation.population import draw_galaxy, launch

# %%
# Two spirals, the second with six tenths of the mass, on a near-parabolic orbit that dynamical friction shrinks.

rng = np.random.default_rng(17)
ratio = 0.6
pair = draw_galaxy(rng, {"spiral": 1.0}), draw_galaxy(rng, {"spiral": 1.0}).scaled(ratio)
haloes = tuple(galaxy.halo for galaxy in pair)
orbit = draw_orbit(rng, ratio, *haloes)

# %%
# The particles feel both haloes and not each other, which is why an encounter takes a fraction of a second.

positions, velocities = (
    np.concatenate([start + centre for start, centre in zip(starts, centres, strict=True)]).astype(np.float32)
    for starts, centres in zip(
        zip(*(launch(galaxy) for galaxy in pair), strict=True), (orbit.centers[0], orbit.velocities), strict=True
    )
)
stages = {
    "start": 0.0,
    "approach": orbit.first - 2,
    "first passage": orbit.first + 1,
    "tails grow": 0.4 * orbit.first + 0.6 * orbit.apocentre,
    "apocentre": orbit.apocentre,
    "second passage": orbit.second,
    "coalescence": orbit.coalescence + 1,
    "post-merger": orbit.coalescence + 12,
}
times = np.array(list(stages.values()))
(moments,) = follow_particles(positions[None], velocities[None], [haloes], [orbit], [times])

# %%
# Seen along the spin of the orbit. A colour is a galaxy, grey the paths of the centres; times count from the first
# pericentre. The bridge and the tails are tides alone: there is no gas here. The lower row is drawn smaller, so that
# the tails are whole; bars are 10 scale lengths of the larger disc.

figure = Figure(figsize=(12, 6.2), layout="constrained", facecolor="black")
half = len(positions) // 2
axes = figure.subplots(2, 4)
for ax, stage, time, points in zip(axes.flat, stages, times, moments, strict=True):
    past = orbit.times <= time
    for body, colour in enumerate(("#7fb2ff", "#ffb36b")):
        ax.plot(*orbit.centers[past, body, :2].T, color="0.45", linewidth=0.8)
        ax.scatter(*points[body * half : (body + 1) * half, :2].T, 1.2, colour, alpha=0.6, linewidth=0)
    ax.set(aspect="equal", facecolor="black")
    ax.set_axis_off()
    ax.set_title(f"{stage}, {(time - orbit.first) * MYR_PER_UNIT:+.0f} Myr", color="white", fontsize=11)
for row, (x, y, side) in zip(axes, [(-14, -14, 30), (-35, -27, 44)], strict=True):
    for ax in row:
        ax.set(xlim=(x, x + side), ylim=(y, y + side))
    row[0].plot([x + 1, x + 11], [y + 1, y + 1], color="white", linewidth=2)
