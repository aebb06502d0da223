"""
From a FITS mosaic to a catalogue
=================================

Images of a field, one file a band, become sources, cutouts, and a catalogue of mergers on the sky.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from galmerge_da import classify, extract_cutouts, find_sources, simulate
from galmerge_da.flags import DOUBTFUL
from galmerge_da.visualization import color_composite

# %%
# A field to work on: simulated galaxies side by side, with a WCS. Yours exists already.

BANDS = ("g", "r", "z")
galaxies = simulate(28, "decals", seed=17)
rows = np.asarray(galaxies["image"]).reshape(4, 7, 3, 75, 75)
field = rows.transpose(2, 0, 3, 1, 4).reshape(3, 4 * 75, 7 * 75)

wcs = WCS(naxis=2)
wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
wcs.wcs.cdelt = -0.262 / 3600, 0.262 / 3600
wcs.wcs.crval, wcs.wcs.crpix = (150.1, 2.2), (262, 150)

folder = TemporaryDirectory()
images = {band: Path(folder.name, f"{band}.fits") for band in BANDS}
for band, image in zip(BANDS, field, strict=True):
    fits.writeto(images[band], image, wcs.to_header())

# %%
# Three calls lead from files to probabilities. Sources too small to be judged are left out.

sources = find_sources(images)
sources = sources[np.nan_to_num(sources["radius"].value) > 6]
cutouts = extract_cutouts(sources, images, 151)
mergers = classify(cutouts, survey="decals", radius="radius")
mergers["ra", "dec", "radius", "merger_prob", "flags"][:5]

# %%
# Circles have the Petrosian radius times 1.5; their colour is the probability. Grey and dotted are rows that a sample
# of mergers should leave out: here those whose frame reaches beyond the edge of the field or of their cutout. Galaxies
# that touch are separated, so that a pair can be two rows. Tails and neighbours end where the simulated frames do.

figure = Figure(figsize=(10, 5.6), layout="constrained")
ax = figure.subplots()
ax.imshow(color_composite(field[None], order=(2, 1, 0))[0], origin="lower")
colours = ScalarMappable(Normalize(0, 1), "coolwarm")
for row in mergers:
    circle = Circle((row["x"], row["y"]), 1.5 * row["radius"], fill=False, linewidth=2)
    if row["flags"] & DOUBTFUL:
        circle.set(edgecolor="0.7", linestyle=":", linewidth=1.4)
    else:
        circle.set_edgecolor(colours.to_rgba(row["merger_prob"]))
    ax.add_patch(circle)
figure.colorbar(colours, ax=ax, label="merger probability", shrink=0.7)
grey = Line2D([], [], color="0.6", linestyle=":", label="doubtful: OFF_EDGE")
figure.legend(handles=[grey], loc="outside lower center", frameon=False)
ax.set(xticks=[], yticks=[])
