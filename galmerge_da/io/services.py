"""Cutouts from servers of surveys, for a catalogue of positions: politely, and never the same one twice."""

import hashlib
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, Table
from astropy.utils.data import conf
from tqdm import tqdm

from galmerge_da.exceptions import DownloadError, InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io._types import FilePath
from galmerge_da.io.bands import check_bands
from galmerge_da.io.files import read_picture
from galmerge_da.io.frames import is_blank
from galmerge_da.io.mosaics import PIXELS_DESCRIPTION, add_frames, as_table
from galmerge_da.io.placement import frame_sides, parse_size
from galmerge_da.io.positions import sky_positions
from galmerge_da.io.servers import SERVICES, Request
from galmerge_da.io.transfer import RefusedError, locked
from galmerge_da.options import suggest

__all__ = ["PATIENCE", "Pace", "fetch_cutouts"]

#: Rows in a row without any answer, after which the server is left alone.
PATIENCE = 5


def fetch_cutouts(
    catalog: Table | SkyCoord,
    service: Literal["legacy", "hips2fits", "sdss"],
    size: int | str | u.Quantity | tuple[int | str | u.Quantity, int | str | u.Quantity],
    folder: FilePath,
    *,
    bands: Sequence[str] | None = None,
    survey: str | None = None,
    pixel_scale: u.Quantity | None = None,
    rate: float = 1.0,
    timeout: float | None = None,
    base_url: str | None = None,
    progress: bool = False,
) -> Table:
    """Fetch cutouts of the objects of a catalogue from a server.

    Every cutout becomes a file in a folder. Those that are there are not asked
    for again: an interrupted run goes on where it ended, and one with failures
    tries only these.

    Parameters
    ----------
    catalog : `~astropy.table.Table` or `~astropy.coordinates.SkyCoord`
        With positions on the sky, as for `extract_cutouts`.
    service : {"legacy", "hips2fits", "sdss"}
        The viewer of the Legacy Surveys; the CDS's all-sky maps, or frames of SDSS, both through
        astroquery (extra ``query``). Bands of SDSS are on different grids: extra ``reproject``.
    size : int, str, (int, int) or `~astropy.units.Quantity`
        Side of the frame, or height and width, in pixels or an angle: ``75``, ``"30 arcsec"``.
    folder : path-like
        Where the files are kept.
    bands : tuple of str, optional
        ``("g", "r", "z")`` by default for ``"legacy"``, ``("g", "r", "i")`` for the others.
    survey : str, optional
        What the server calls the images: the layer of ``"legacy"`` (``"ls-dr10"``), the maps of
        ``"hips2fits"`` (``"CDS/P/PanSTARRS/DR1/{band}"``), the data release of ``"sdss"`` (``"17"``).
    pixel_scale : `~astropy.units.Quantity`, optional
        The survey's own by default. At any other, ``"legacy"`` gives flux per pixel of
        0.262 arcsec all the same; unit and zero point are then not stated.
    rate : float, optional
        Most questions a second.
    timeout : float, optional
        Seconds to wait for an answer; astropy's ``remote_timeout`` by default.
    base_url : str, optional
        Scheme and host of a mirror with the same paths.
    progress : bool, optional
        Show a bar.

    Returns
    -------
    `~astropy.table.Table`
        The rows of the catalogue in their order, with ``image`` ``(C, ny, nx)``
        float32 and ``flags``: ``UNREADABLE`` where there is no cutout, ``BLANK``
        where all its pixels have one value, ``OFF_EDGE`` where the images end within
        it, ``BANDS_MISSING`` where a band has no pixel. Meta has ``BANDS``, ``PIXSCALE`` and,
        where it is known, ``MAGZERO``.

    Raises
    ------
    InputError
        If there is no such service, an option is wrong, an extra is not installed, or the
        cutouts do not fit into memory.
    DownloadError
        If the server does not answer for several objects one after the other. What
        has arrived is kept, and the next call goes on from there.

    Warns
    -----
    InputWarning
        If cutouts could not be had: how many, and why the first.
    """
    if service not in SERVICES:
        raise InputError(f"no service {service!r}{suggest(str(service), SERVICES)}")
    if not rate > 0:
        raise InputError(f"rate must be positive, got {rate}")
    kind = SERVICES[service]
    scale = kind.pixel_scale if pixel_scale is None else _arcsec(pixel_scale)
    catalog = as_table(catalog)
    ra, dec = sky_positions(catalog)
    _, shape = frame_sides(parse_size(size, catalog), scale * u.arcsec, len(catalog))
    if shape is None:
        raise InputError("a service gives frames of one size: give one size for all rows")
    request = Request(shape, scale, check_bands(bands) or kind.bands, survey or kind.survey)
    kind.check(request)
    images = _no_images(len(ra), request)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder), conf.set_temp("remote_timeout", timeout or conf.remote_timeout):
        server = kind(Pace(rate), base_url)
        paths, problems = _fetch_all(server, ra, dec, request, folder, progress)
    return _result(catalog, images, paths, problems, request, kind)


def _no_images(n_rows, request):
    """NaN for all cutouts, before the first is asked for: they have to fit into memory."""
    shape = (n_rows, len(request.bands), *request.shape)
    try:
        return np.full(shape, np.nan, dtype=np.float32)
    except (MemoryError, ValueError):
        need = 4e-9 * np.prod(np.array(shape, float))
        raise InputError(f"{n_rows} cutouts need {need:.3g} GB of memory: fetch a part of the catalogue") from None


def _arcsec(pixel_scale):
    try:
        value = float(u.Quantity(pixel_scale).to_value(u.arcsec))
    except (TypeError, ValueError):
        value = 0.0
    if not value > 0:
        raise InputError(f"pixel_scale must be an angle, such as 0.262 * u.arcsec, got {pixel_scale!r}")
    return value


class Pace:
    """Waits, when called, until the next question may be asked."""

    def __init__(self, rate):
        self._step = 1 / rate
        self._next = 0.0

    def __call__(self):
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self._step


def _fetch_all(server, ra, dec, request, folder, progress):
    """File of every row, None where there is none, and a list of (row, error)."""
    paths, problems, silent = [None] * len(ra), [], 0
    for row in tqdm(range(len(ra)), desc=server.name, unit="cutout", disable=not progress):
        if not (np.isfinite(ra[row]) and abs(dec[row]) <= 90):
            problems.append((row, "its position is unknown"))
            continue
        path = folder / _name(server.name, ra[row] % 360, dec[row], request)
        try:
            if not _is_there(path, request):
                server.get(ra[row] % 360, dec[row], request, path)
                _check(path, request)
            paths[row], silent = path, 0
        except DownloadError as error:
            problems.append((row, error))
            silent = 0 if isinstance(error, RefusedError) else silent + 1
            if silent == PATIENCE:
                n_there = sum(each is not None for each in paths)
                raise DownloadError(
                    f"{server.name} did not answer for {PATIENCE} objects one after the other, the last time: {error}; "
                    f"{n_there} of {len(ra)} cutouts are kept in {folder}, run it again to go on"
                ) from None
    return paths, problems


def _name(service, ra, dec, request):
    """Name of the file of one cutout; another request has another one."""
    asked = f"{service} {ra:.7f} {dec:.7f} {request}"
    return f"{service}_{ra:.5f}{dec:+.5f}_{hashlib.sha256(asked.encode()).hexdigest()[:10]}.fits"


def _is_there(path, request):
    """Whether there is a file already, and what was asked for; a call may have been broken off before its check."""
    try:
        return path.is_file() and _check(path, request) is None
    except RefusedError:
        return False


def _check(path, request):
    """RefusedError, and no file, unless it is what was asked for."""
    expected = (len(request.bands), *request.shape)
    try:
        found = read_picture(path).data.shape
    except InputError as error:
        path.unlink()
        raise RefusedError(f"the answer is no FITS image: {error}") from None
    if found != expected:
        path.unlink()
        raise RefusedError(f"the answer has shape {found}, not {expected}")


def _has_blank_rim(missing):
    """Whether a whole side is missing in a band that has anything at all."""
    sides = [missing[:, 0], missing[:, -1], missing[:, :, 0], missing[:, :, -1]]
    there = ~missing.all(axis=(1, 2))
    return any(np.any(side.all(axis=1) & there) for side in sides)


def _result(table, images, paths, problems, request, kind):
    flags = np.zeros(len(paths), dtype=np.int32)
    for row, path in enumerate(paths):
        if path is None:
            flags[row] = Flag.UNREADABLE
            continue
        images[row] = read_picture(path).data
        if is_blank(images[row]):
            flags[row] = Flag.BLANK
            continue
        missing = np.isnan(images[row])
        if missing.all(axis=(1, 2)).any():
            flags[row] |= Flag.BANDS_MISSING
        if _has_blank_rim(missing):
            flags[row] |= Flag.OFF_EDGE
    unit, zero_point = (kind.unit, kind.zero_point) if kind.is_calibrated(request) else (None, None)
    columns = {"image": Column(images, unit=unit, description=PIXELS_DESCRIPTION, copy=False)}
    table = add_frames(table, columns, flags, request.bands, request.pixel_scale, [zero_point])
    if problems:
        row, error = problems[0]
        warnings.warn(
            f"{len(problems)} of {len(paths)} cutouts could not be fetched and are flagged; "
            f"the first, row {row}: {error}",
            InputWarning,
            stacklevel=3,
        )
    return table
