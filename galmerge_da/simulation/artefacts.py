"""What a survey's images have beside the sky: haloes of bright stars, and the edges of a mosaic."""

import numpy as np

__all__ = ["add_artefacts"]

#: Shares of frames with a bright star beside them, and with an edge: a guess, not a measurement.
_STAR_SHARE, _EDGE_SHARE = 0.02, 0.015


def add_artefacts(image, center, side, sky, rng):
    """Put a bright star or the edge of a mosaic into a few images in a hundred, whatever galaxy they show.

    Parameters
    ----------
    image : `~numpy.ndarray` of float32, shape (C, H, W)
        Changed in place.
    center : `~numpy.ndarray`, shape (2,)
        Position (y, x) of the galaxy.
    side : float
        Side of the frame that will be cut about it, in pixels.
    sky : `~numpy.ndarray`, shape (C,)
        Standard deviation of the sky.
    rng : `~numpy.random.Generator`
    """
    y, x = np.indices(image.shape[1:], np.float32)
    y, x = (y - center[0]) / side, (x - center[1]) / side  # the frame reaches from -0.5 to 0.5
    if rng.uniform() < _STAR_SHARE:
        _add_star(image, y, x, sky, rng)
    if rng.uniform() < _EDGE_SHARE:
        _add_edge(image, y, x, sky, rng)


def _add_star(image, y, x, sky, rng):
    """A saturated star at the rim of the frame or beyond: halo, four spikes, sometimes a bled column.

    Light that is scattered falls with the square of the distance (King 1971, PASP 83, 199).
    """
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 0.9)
    dy, dx = y - far * np.sin(angle), x - far * np.cos(angle)
    turn = rng.uniform(0, np.pi / 2)
    along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    distance2 = dx**2 + dy**2 + 0.01**2
    halo = far**2 / distance2
    thin = [np.exp(-0.5 * (b / 0.012) ** 2) * far / np.hypot(a, 0.05) for a, b in ((along, across), (across, along))]
    shape = halo + rng.uniform(0, 4) * (thin[0] + thin[1])
    level = np.exp(rng.uniform(np.log(0.5), np.log(10.0)))  # at the galaxy, over the noise of a pixel
    colour = rng.lognormal(0.0, 0.5, len(image))
    image += ((level * colour * sky)[:, None, None] * shape).astype(np.float32)
    if rng.uniform() < 0.3:
        line = np.abs(dy if rng.uniform() < 0.5 else dx) < 0.012
        image += ((100 * rng.lognormal(0, 1, len(image)) * sky)[:, None, None] * line).astype(np.float32)


def _add_edge(image, y, x, sky, rng):
    """The end of a field: nothing beyond it, or the next field, of other sky and noise in some bands."""
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.5)
    beyond = x * np.cos(angle) + y * np.sin(angle) - far
    if rng.uniform() < 0.5:
        for band, shift in enumerate(0.04 * rng.normal(size=len(image))):  # bands do not end on one line
            image[band][beyond > shift] = -20 * sky[band]
        return
    other = beyond > 0
    for band in range(len(image)):
        if rng.uniform() < 0.5:
            noise = rng.uniform(0, 4) * rng.standard_normal(int(other.sum()), dtype=np.float32)
            image[band][other] += sky[band] * (rng.normal(0, 2) + noise)
