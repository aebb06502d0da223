"""Colour pictures of SDSS galaxies by their object ids, scaled to the galaxy as Galaxy Zoo showed them."""

import hashlib
from pathlib import Path
from urllib.parse import urlencode

import astropy.units as u
import numpy as np
from astropy.table import Table
from astropy.utils.data import conf
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from galmerge_da.exceptions import DownloadError, InputError
from galmerge_da.io._types import FilePath
from galmerge_da.io.files import quiet
from galmerge_da.io.lazy import require
from galmerge_da.io.servers import errors_of
from galmerge_da.io.services import PATIENCE, Pace
from galmerge_da.io.transfer import RefusedError, fetch, locked

__all__ = ["fetch_sdss_pictures"]

_SERVER = "http://skyservice.pha.jhu.edu"
_RELEASE = 7
_SIZE = 423
#: Petrosian radii in a pixel.
_SCALE = 0.024
_COLUMNS = ("ra", "dec", "petroRad_r")
#: Ids in one question.
_BLOCK = 100


def fetch_sdss_pictures(
    galaxies: Table,
    folder: FilePath,
    *,
    objid: str = "sdss_dr7_objid",
    rate: float = 2.0,
    base_url: str | None = None,
    progress: bool = False,
) -> Table:
    """Fetch the pictures of SDSS galaxies, those that are not there yet.

    Every picture has 423 x 423 pixels of 0.024 Petrosian radii, like those that
    Galaxy Zoo 1 showed its volunteers (Lintott et al. 2008, MNRAS 389, 1179).

    Parameters
    ----------
    galaxies : `~astropy.table.Table`
        With a column of object ids of Data Release 7 and, where it is known what to
        expect, ``sha256`` of the pixels, (3, 423, 423) of uint8.
    folder : path-like
        Gets ``pictures/<id>.jpeg`` and ``pictures.ecsv``, the table that is returned.
    objid : str, optional
        Column of the ids.
    rate : float, optional
        Most questions a second.
    base_url : str, optional
        Scheme and host of a mirror of both servers.
    progress : bool, optional
        Show a bar.

    Returns
    -------
    `~astropy.table.Table`
        The rows in their order with ``filename``, relative to the folder and empty where
        there is no picture, ``ra`` and ``dec`` (deg), ``petrosian_radius`` (arcsec), and with
        ``sha256`` also ``same``: whether the pixels are those that were expected.

    Raises
    ------
    InputError
        If there is no such column, or astroquery (extra ``query``) is not installed.
    DownloadError
        If a server does not answer. What has arrived is kept, and the next call goes on from there.
    """
    if objid not in galaxies.colnames:
        raise InputError(f"there is no column {objid!r} of object ids; there are {', '.join(galaxies.colnames)}")
    folder = Path(folder)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    ids = np.asarray(galaxies[objid]).astype(np.int64)
    wait = Pace(rate)
    with locked(folder):
        places = _places(ids, wait, base_url)
        table = galaxies.copy()
        table["filename"] = _fetch_all(ids, places, folder, wait, base_url, progress)
        for number, (name, unit) in enumerate((("ra", u.deg), ("dec", u.deg), ("petrosian_radius", u.arcsec))):
            table[name] = [places.get(each, (np.nan,) * 3)[number] for each in ids.tolist()] * unit
        if "sha256" in table.colnames:
            table["same"] = [
                bool(name) and _hash(folder / name) == wanted
                for name, wanted in zip(table["filename"], table["sha256"], strict=True)
            ]
        table.write(folder / "pictures.ecsv", overwrite=True)
    return table


def _places(ids, wait, base_url):
    """Id -> right ascension, declination (deg) and Petrosian radius (arcsec) in r."""
    with quiet():
        module = require("astroquery.sdss", "pictures of SDSS", "query")
    client, found = module.SDSSClass(), {}
    with module.conf.set_temp("skyserver_baseurl", base_url or module.conf.skyserver_baseurl):
        for start in range(0, len(ids), _BLOCK):
            some = ", ".join(map(str, ids[start : start + _BLOCK]))
            query = f"SELECT objID, {', '.join(_COLUMNS)} FROM PhotoObj WHERE objID IN ({some})"
            wait()
            with quiet(), errors_of("SkyServer"):
                rows = client.query_sql(query, timeout=conf.remote_timeout, data_release=_RELEASE, cache=False)
            if rows is not None and not {"objID", *_COLUMNS} <= set(rows.colnames):
                raise DownloadError(f"SkyServer gave no table of galaxies, but one with {', '.join(rows.colnames)}")
            for row in [] if rows is None else rows:
                found[int(row["objID"])] = tuple(float(row[name]) for name in _COLUMNS)
    return found


def _fetch_all(ids, places, folder, wait, base_url, progress):
    """Names of the pictures, relative to the folder; empty where the server does not give one."""
    names, silent = [], 0
    for each in tqdm(ids.tolist(), desc="pictures", unit="picture", disable=not progress):
        name, place = f"pictures/{each}.jpeg", places.get(each)
        path = folder / name
        if not path.is_file() and place is not None:
            try:
                wait()
                fetch(_url(*place, base_url), path)
                _hash(path)
                silent = 0
            except DownloadError as error:
                silent = 0 if isinstance(error, RefusedError) else silent + 1
                if silent == PATIENCE:
                    raise
        names.append(name if path.is_file() else "")
    return names


def _url(ra, dec, radius, base_url):
    query = {"ra": f"{ra:.7f}", "dec": f"{dec:.7f}", "scale": f"{_SCALE * radius:.6f}", "width": _SIZE, "height": _SIZE}
    return f"{base_url or _SERVER}/DR{_RELEASE}/ImgCutout/getjpeg.aspx?{urlencode(query)}"


def _hash(path):
    """The sha256 of the pixels; RefusedError, and no file, if it is no picture of the right size."""
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        path.unlink()
        raise RefusedError(f"{path.name} is no picture: {error}") from None
    if pixels.shape != (3, _SIZE, _SIZE):
        path.unlink()
        raise RefusedError(f"{path.name} has {pixels.shape[2]} x {pixels.shape[1]} pixels")
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()
