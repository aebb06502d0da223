"""Sources in images of a field."""

import astropy.units as u
import numpy as np
from astropy.stats import sigma_clipped_stats
from astropy.table import Column, Table
from scipy.ndimage import gaussian_filter

from galmerge_da.exceptions import InputError
from galmerge_da.io.files import quiet
from galmerge_da.io.mosaics import open_mosaic
from galmerge_da.photometry import CATALOGUE_RADIUS, petrosian_radius

__all__ = ["find_sources"]

#: Boxes of the background mesh; a smaller image has one level for all of it.
_BOXES = 8
_SMALLEST_BOX = 24

_COLUMNS = {
    "x": (u.pix, "pos.cartesian.x;instr.det", "centroid; the centre of the first pixel is 0"),
    "y": (u.pix, "pos.cartesian.y;instr.det", "centroid; the centre of the first pixel is 0"),
    "ra": (u.deg, "pos.eq.ra;meta.main", "right ascension of the centroid"),
    "dec": (u.deg, "pos.eq.dec;meta.main", "declination of the centroid"),
    "flux": (None, "phot.flux", "sum over the segment and all bands, background subtracted"),
    "a": (u.pix, "phys.angSize.smajAxis", "standard deviation along the major axis of the segment"),
    "b": (u.pix, "phys.angSize.sminAxis", "standard deviation along the minor axis of the segment"),
    "theta": (u.deg, "pos.posAng", "angle of the major axis, from x towards y"),
    "radius": (
        u.pix,
        "phys.angSize",
        "Petrosian radius, on the scale of SDSS; NaN where it could not be measured",
    ),
}


def find_sources(image, *, n_sigma=3.0, n_pixels=10, deblend=True, bands=None):
    """Find sources in images of a field.

    Parameters
    ----------
    image : object
        As ``images`` of `extract_cutouts`; bands are summed.
    n_sigma : float, optional
        Threshold above the background, in standard deviations of a pixel.
    n_pixels : int, optional
        Least number of connected pixels.
    deblend : bool, optional
        Whether touching sources are separated. A merger may come out as two
        sources at two positions.
    bands : tuple of str, optional
        Which images of a mapping to use.

    Returns
    -------
    `~astropy.table.Table`
        ``x`` and ``y`` (pixels from 0), ``ra`` and ``dec`` where there is a WCS,
        ``flux``, ``a``, ``b`` and ``theta`` of the segment, and ``radius``, the
        Petrosian radius in pixels as `galmerge_da.classify` wants it; by
        descending flux. It has no rows where nothing is found.

    Raises
    ------
    InputError
        If the image cannot be read, or an option is not positive.
    """
    if not n_sigma > 0 or not n_pixels >= 1:
        raise InputError(f"n_sigma and n_pixels must be positive, got {n_sigma} and {n_pixels}")
    mosaic = open_mosaic(image, bands)
    data = mosaic.data.sum(axis=0, dtype=np.float64)
    bad = ~np.isfinite(data)
    if bad.all():
        return _table(np.zeros((0, 2)), mosaic, np.zeros((5, 0)))
    data[bad] = 0
    with quiet():
        level, noise = _background(data, bad)
        data = np.where(bad, 0, data - level)
        catalog = _segments(data, bad, n_sigma * noise, int(n_pixels), deblend)
        if catalog is None:
            return _table(np.zeros((0, 2)), mosaic, np.zeros((5, 0)))
        centers = np.reshape(catalog.centroid, (-1, 2))
        axes = np.sqrt(np.reshape(catalog.covariance_eigvals.value, (-1, 2)))
        theta = np.reshape(catalog.orientation.value, -1)
        flux = np.reshape(catalog.segment_flux, -1)
        radius = _radii(data, centers, axes[:, 0])
    order = np.argsort(-flux, kind="stable")
    values = np.stack([flux, *axes.T, theta, radius])[:, order]
    return _table(centers[order], mosaic, values)


def _background(data, bad):
    """Level and noise of every pixel, or of all."""
    from photutils.background import Background2D  # slow to import, and only needed here

    box = max(_SMALLEST_BOX, *(side // _BOXES for side in data.shape))
    if min(data.shape) < 3 * box:
        _, level, noise = sigma_clipped_stats(data, mask=bad, sigma=3)
        return level, noise
    mesh = Background2D(data, box, mask=bad, filter_size=3, exclude_percentile=50)
    return mesh.background, mesh.background_rms


def _segments(data, bad, threshold, n_pixels, deblend):
    """The catalogue of what stands above the threshold; None if nothing does."""
    from photutils.segmentation import SourceCatalog, deblend_sources, detect_sources

    smooth = gaussian_filter(data, 1.0)
    # positional arguments: their names differ between versions of photutils
    segments = detect_sources(smooth, np.broadcast_to(threshold, data.shape), n_pixels, mask=bad)
    if segments is None:
        return None
    if deblend:
        segments = deblend_sources(smooth, segments, n_pixels, progress_bar=False)
    return SourceCatalog(data, segments, mask=bad, convolved_data=smooth)


def _radii(data, centers, sizes):
    """Petrosian radii, measured on frames of a few widths so that sources are treated in groups."""
    radius = np.full(len(centers), np.nan)
    half = np.clip(2 ** np.ceil(np.log2(np.maximum(10 * np.nan_to_num(sizes), 1))), 16, max(data.shape)).astype(int)
    for width in np.unique(half):
        padded = np.pad(data, width)
        for rows in np.array_split(np.flatnonzero(half == width), np.sum(half == width) // 32 + 1):
            corner = np.round(centers[rows]).astype(int)
            frames = np.stack([padded[y : y + 2 * width + 1, x : x + 2 * width + 1] for x, y in corner])
            offset = (centers[rows] - corner)[:, ::-1] + width
            radius[rows] = CATALOGUE_RADIUS * petrosian_radius(frames, offset)
    return radius


def _table(centers, mosaic, values):
    """The result, with units, descriptions and UCDs."""
    columns = {"x": centers[:, 0], "y": centers[:, 1]}
    if mosaic.wcs is not None:
        columns["ra"], columns["dec"] = mosaic.wcs.pixel_to_world_values(*centers.T)
    columns.update(zip(("flux", "a", "b", "theta", "radius"), values, strict=True))
    table = Table()
    for name, numbers in columns.items():
        unit, ucd, description = _COLUMNS[name]
        unit = mosaic.unit if name == "flux" else unit
        table[name] = Column(numbers, dtype=float, unit=unit, description=description, meta={"ucd": ucd})
    return table
