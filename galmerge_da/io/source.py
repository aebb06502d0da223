"""`open_cutouts`: whatever the caller holds becomes chunks of `Cutouts`."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import astropy.units as u
import numpy as np
from astropy.table import Table
from astropy.wcs.utils import proj_plane_pixel_scales

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io._types import Array, ZeroPoint
from galmerge_da.io.bands import check_bands
from galmerge_da.io.cutouts import Cutouts
from galmerge_da.io.datasets import Held, hold, numbered
from galmerge_da.io.facts import Facts, column_of, gather_facts, radii, survey_of
from galmerge_da.io.pictures import check_axes, untensor
from galmerge_da.io.pixels import ArrayPixels, HeldPixels, RowPixels
from galmerge_da.specs import SurveySpec

__all__ = ["FLAGS_DESCRIPTION", "FOUND_ANEW", "CutoutSource", "make_source", "open_cutouts"]

#: Description of a column of our flags; a column that has it is taken up again.
FLAGS_DESCRIPTION = "quality flags, see galmerge_da.decode_flags"

#: Flags of an earlier run, or of a cutout as a whole, that whoever uses the pixels finds out anew.
FOUND_ANEW = (
    Flag.NOT_CLASSIFIED | Flag.UNREADABLE | Flag.BAD_SHAPE | Flag.BLANK | Flag.OFF_EDGE
    | Flag.PIXEL_SCALE_UNKNOWN | Flag.PIXEL_SCALE_DIFFERS | Flag.PSF_UNMATCHED | Flag.UNIT_DOUBTFUL
)  # fmt: skip

#: What a caller says for radii that are to be measured.
MEASURE = "measure"

#: Upper limit of the pixels in one chunk (512 MiB of float32).
MOST_PIXELS = 2**27


class CutoutSource:
    """Cutouts that are read when they are iterated over, chunk by chunk.

    Made by `open_cutouts`. It can be iterated over again and again.

    Attributes
    ----------
    table : `~astropy.table.Table`
        The columns without pixels, one row an image; a column ``row`` where there is no other.
    bands : tuple of str, or None
        Names of the bands.
    n_bands : int
        Number of bands.
    stretched : bool
        True for 8-bit colour pictures.
    survey : str or None
        Name of the survey, where one is known.
    """

    def __init__(
        self, pixels: Any, facts: Facts, table: Table, radius: tuple[Array | None, bool], flags: Array, chunk_size: int
    ) -> None:
        self._pixels = pixels
        self._facts = facts
        self._radius, self._radius_in_pixels = radius
        self._flags = flags
        self._chunk_size = max(1, min(chunk_size, MOST_PIXELS // max(1, pixels.n_pixels)))
        self._warned = False
        self.table = table

    def __len__(self) -> int:
        return self._pixels.n_rows

    def __repr__(self) -> str:
        bands = ",".join(self.bands) if self.bands else "unnamed"
        return f"<CutoutSource: {len(self)} rows, {self.n_bands} band(s) ({bands})>"

    @property
    def bands(self) -> tuple[str, ...] | None:
        """Names of the bands, or None."""
        return self._facts.bands

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return self._pixels.n_bands

    @property
    def stretched(self) -> bool:
        """True for 8-bit colour pictures."""
        return self._facts.stretched

    @property
    def survey(self) -> str | None:
        """Name of the survey, or None."""
        return self._facts.survey

    @property
    def pixel_scale(self) -> u.Quantity | None:
        """Angle per pixel, one for all or one a row; None where it is unknown or only the WCS of the images say it."""
        return self._facts.pixel_scale

    @property
    def zero_point(self) -> u.Quantity | None:
        """AB magnitude of one unit of flux in each band, or None."""
        return self._facts.zero_point

    def __iter__(self) -> Iterator[Cutouts]:
        """Yield `Cutouts` of consecutive rows."""
        problems: list[Any] = []
        for start in range(0, len(self), self._chunk_size):
            yield self._chunk(start, min(start + self._chunk_size, len(self)), problems)
        self._warn(problems)

    def read(self, start: int = 0, stop: int | None = None) -> Cutouts:
        """Rows at once, all of them by default.

        Parameters
        ----------
        start, stop : int, optional
            The first row, and the one after the last.

        Returns
        -------
        Cutouts
        """
        problems: list[Any] = []
        cutouts = self._chunk(start, len(self) if stop is None else min(stop, len(self)), problems)
        self._warn(problems)
        return cutouts

    def _chunk(self, start, stop, problems):
        block = self._pixels.read(start, stop)
        problems.extend(block.problems)
        rows = slice(start, stop)
        scale = self._facts.pixel_scale
        if scale is None and block.wcs is not None:
            scale = _wcs_scales(block.wcs)
        elif scale is not None and scale.ndim:
            scale = scale[rows]
        fwhm = self._facts.psf_fwhm
        return Cutouts(
            data=block.data,
            row=np.arange(start, stop, dtype=np.int64),
            table=self.table[rows],
            flags=(block.flags | self._flags[rows]).astype(np.int32),
            bands=self.bands,
            mask=block.mask,
            weight=block.weight,
            unit=self._pixels.unit,
            pixel_scale=scale,
            psf_fwhm=fwhm[rows] if fwhm is not None and fwhm.ndim == 2 else fwhm,
            zero_point=self.zero_point,
            depth=self._facts.depth,
            radius=self._radius_pixels(rows, scale),
            radii_per_pixel=self._facts.radii_per_pixel,
            stretched=self.stretched,
            wcs=block.wcs,
        )

    def _radius_pixels(self, rows, scale):
        if self._radius is None or self._radius_in_pixels:
            return None if self._radius is None else self._radius[rows]
        if scale is None:  # only a chunk without any readable image
            return np.full_like(self._radius[rows], np.nan)
        return self._radius[rows] / scale.to_value(u.arcsec)

    def _warn(self, problems):
        if not problems or self._warned:
            return
        self._warned = True
        row, error = problems[0]
        warnings.warn(
            f"{len(problems)} of {len(self)} images could not be used and are flagged; the first, row {row}: {error}",
            InputWarning,
            stacklevel=3,
        )


def _wcs_scales(wcs):
    """Angle per pixel of each WCS, NaN where there is none."""
    scales = np.full(len(wcs), np.nan)
    for index, each in enumerate(wcs):
        if each is not None and getattr(each, "has_celestial", False):
            scales[index] = np.mean(proj_plane_pixel_scales(each.celestial)) * 3600
    return scales * u.arcsec if np.isfinite(scales).any() else None


def open_cutouts(
    source: object,
    *,
    image: str | Sequence[str] = "image",
    bands: str | Sequence[str] | None = None,
    axes: Literal["CHW", "HWC"] = "CHW",
    survey: str | SurveySpec | None = None,
    pixel_scale: u.Quantity | str | None = None,
    psf_fwhm: u.Quantity | str | None = None,
    zero_point: ZeroPoint | None = None,
    mask: str | Sequence[str] | Array | None = None,
    radius: str | u.Quantity | Array | Sequence[float] | float | None = None,
    chunk_size: int = 1024,
) -> CutoutSource:
    """Open cutouts in any form that a user holds them.

    Parameters
    ----------
    source : object
        One of

        - a `~astropy.table.Table` with a column of images ``(H, W)``,
          ``(C, H, W)`` or, with ``axes="HWC"``, ``(H, W, C)`` in every row; a
          Quantity or masked column too; with one 2-d column a band;
        - a Table with a column of paths, or one a band: FITS (compressed too,
          ``file.fits[SCI]`` and ``file.fits[g,r,i]``), npy, JPEG or PNG. Relative
          paths start from the working directory;
        - a Table with a column of `~astropy.nddata.NDData`,
          `~astropy.nddata.CCDData` or `~astropy.nddata.Cutout2D`;
        - an array or tensor ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, H, W, C)``;
        - a list of images of any size, of NDData, or of paths;
        - the path of a folder of image files, one a galaxy: the column ``id`` has their names;
        - the path of a FITS table with a column of images or paths; of a FITS
          image ``(N, C, H, W)`` with labels in its first extension; of
          ``X.npy`` with labels in ``y.npy``; of a CSV or ECSV table with a
          column of paths, relative to its folder; of an HDF5 or Parquet data
          set, which is read in chunks; or of a single image;
        - `Cutouts`, which have their mask and axes; or what this function or `open_field`
          returned, which comes back as it is: what else is said of it is an error.

        A column ``weight`` that `extract_cutouts` made is the inverse variance of the images.
    image : str or list of str, optional
        Column of the images, or one column a band.
    bands : tuple of str, or str, optional
        Names of the bands in order, or ``"g,r,i"``. They win over the names of the
        columns, where there is one a band (``image_g``), and these over a header.
    axes : {"CHW", "HWC"}, optional
        Order of the axes of an image with bands.
    survey : str or `~galmerge_da.specs.SurveySpec`, optional
        Gives bands, pixel scale, PSF, and what 8-bit pixels mean, unless said otherwise.
    pixel_scale : `~astropy.units.Quantity` or str, optional
        Angle per pixel, one for all or one a row, or the column that has it.
        Without it, it is taken from the data set, the WCS of the images or the survey.
    psf_fwhm : `~astropy.units.Quantity` or str, optional
        Angle: one for all, one a band, one a row (or the column that has it), or ``(N, C)``.
    zero_point : float, array_like or `~astropy.units.Quantity`, optional
        AB magnitude of one unit of flux, one for all or one a band. Without it,
        it is taken from the unit of the images, the data set, the headers of
        FITS images (which are then brought to that of the first) or the survey.
    mask : str, list of str or array_like of bool, optional
        True where a pixel must not be used: a column or one a band, or an
        array ``(N, H, W)`` or like the images.
    radius : str, `~astropy.units.Quantity`, array_like or float, optional
        Petrosian radius: a column, or one value for all or one a row. Pixels,
        or an angle where the pixel scale is known. ``"measure"``, where no column is called so, has all
        measured on the images, also where a survey or a header says how images are scaled to their galaxies.
    chunk_size : int, optional
        Most rows in one chunk; fewer where images are large.

    Returns
    -------
    CutoutSource

    Raises
    ------
    InputError
        If the source is of no known kind or there are no images in it, a
        column is missing, the number of bands is wrong, a scale has no unit,
        an angular radius comes without a pixel scale, or something is said of
        images that are open already. A bad row is never an error: it is flagged,
        and a warning at the end of the first pass tells what is wrong with the first one.
    """
    check_axes(axes)
    shape = {"image": image != "image", "axes": axes != "CHW", "mask": mask is not None}
    bands = check_bands(bands)
    facts = {"bands": bands, "survey": survey, "pixel_scale": pixel_scale, "psf_fwhm": psf_fwhm}
    facts = {**facts, "zero_point": zero_point, "radius": radius}
    if isinstance(source, CutoutSource):
        facts = {**facts, "bands": None if bands == source.bands else bands}  # those that it has are no news
        _refuse(source, {**shape, **{name: value is not None for name, value in facts.items()}})
        return source
    if isinstance(source, Cutouts):
        _refuse(source, shape)
    survey = survey_of(survey)
    names = bands or (survey and survey.bands)
    if isinstance(source, Cutouts):
        held, pixels = Held([], source.table), HeldPixels(source)
    else:
        held = hold(source, image, mask if _are_names(mask) else ())
        pixels = _make_pixels(held, axes, mask, names and len(names), zero_point is None)
    facts = gather_facts(
        pixels, held.table, held.meta, bands=bands, columns=held.bands, survey=survey, pixel_scale=pixel_scale,
        psf_fwhm=psf_fwhm, zero_point=zero_point,
    )  # fmt: skip
    if isinstance(source, Cutouts):
        facts = _inherit(source, facts)
        radius = source.radius if radius is None else radius
    return make_source(pixels, facts, held.table, radius, chunk_size)


def make_source(pixels, facts, table, radius, chunk_size):
    """A `CutoutSource` of pixels and what is known about them.

    Parameters
    ----------
    pixels : object
        As in `galmerge_da.io.pixels`.
    facts : Facts
    table : `~astropy.table.Table`
        The columns without pixels; our own flags are taken off.
    radius, chunk_size
        As for `open_cutouts`.

    Raises
    ------
    InputError
        If the size of chunks is not positive, or an angular radius comes without a pixel scale.
    """
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, (int, np.integer)) or chunk_size < 1:
        raise InputError(f"chunk_size must be a positive integer, got {chunk_size!r}")
    if isinstance(radius, str) and radius == MEASURE and MEASURE not in table.colnames:
        radius, facts = None, replace(facts, radii_per_pixel=None)
    radius = radii(radius, table, pixels.n_rows)
    if radius[0] is not None and not radius[1] and facts.pixel_scale is None and not pixels.has_wcs and pixels.n_rows:
        raise InputError("radius is an angle: give pixel_scale too, or radius in pixels")
    table, flags = _take_flags(table, pixels.n_rows)
    if len(table.colnames) == 0:
        table = numbered(pixels.n_rows)
    return CutoutSource(pixels, facts, table, radius, flags, chunk_size)


def _inherit(cutouts, facts):
    """What the call does not say, from the `Cutouts` that were passed."""
    kept = {name: getattr(facts, name) for name in facts.__dataclass_fields__}
    for name in ("bands", "pixel_scale", "psf_fwhm", "radii_per_pixel", "zero_point", "depth"):
        if kept[name] is None:
            kept[name] = getattr(cutouts, name)
    return Facts(**kept)


def _refuse(source, options):
    """Refuse options that would change nothing, as the images are open already; whether each is given, by name."""
    if given := [name for name, is_given in options.items() if is_given]:
        raise InputError(
            f"{', '.join(given)} cannot be given for {type(source).__name__}, which are open already: "
            "say it where they are made"
        )


def _make_pixels(held, axes, mask, n_bands, zero_points):
    masks = _masks(held, mask)
    arrays = [getattr(column, "dtype", None) is not None and np.ndim(column) > 1 for column in held.columns]
    if all(arrays) and all(column.dtype.kind != "O" for column in held.columns):
        return ArrayPixels(held.columns, axes, masks, held.weight)
    return RowPixels(held.columns, axes, held.folder, masks, n_bands, zero_points, held.weight)


def _masks(held, mask):
    """The caller's masks as a list of columns, or None."""
    if mask is None:
        return None
    if _are_names(mask):
        if held.full is None:
            raise InputError(f"mask={mask!r} names a column, but the cutouts did not come in a table")
        masks = [column_of(held.full, name, "the mask") for name in ([mask] if isinstance(mask, str) else mask)]
    else:
        masks = [untensor(mask)]
    if len(masks) not in (1, len(held.columns)):
        raise InputError(f"there are {len(held.columns)} columns of images and {len(masks)} of masks")
    return masks


def _are_names(mask):
    """Whether masks are given as names of columns."""
    return isinstance(mask, str) or (
        isinstance(mask, (list, tuple)) and len(mask) > 0 and all(isinstance(name, str) for name in mask)
    )


def _take_flags(table, n_rows):
    """Split our own column of flags off a table, without those that reading finds out anew."""
    if "flags" not in table.colnames or table["flags"].info.description != FLAGS_DESCRIPTION:
        return table, np.zeros(n_rows, dtype=np.int32)
    column = np.ma.filled(table["flags"], 0)
    known = sum(flag.value for flag in Flag)
    if column.dtype.kind not in "iu" or column.ndim != 1 or np.any((column < 0) | (column & ~known)):
        return table, np.zeros(n_rows, dtype=np.int32)
    table = table.copy()
    table.remove_column("flags")
    return table, np.asarray(column, dtype=np.int32) & ~int(FOUND_ANEW)
