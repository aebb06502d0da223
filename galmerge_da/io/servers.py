"""Servers of cutouts, asked for one galaxy at a time: what they are called, and how each is asked."""

import os
import re
import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.utils.data import conf
from astropy.wcs import WCS

from galmerge_da.exceptions import DownloadError, InputError
from galmerge_da.io.files import quiet
from galmerge_da.io.lazy import require
from galmerge_da.io.mosaics import extract_cutouts
from galmerge_da.io.transfer import RefusedError, fetch, not_found

__all__ = ["SERVICES", "Request", "Server", "errors_of"]

#: Of one band of a cutout.
MOST_PIXELS = 4096**2

#: What is asked, in an address; hundreds of ids are nothing to read.
_LONG_QUERY = re.compile(r"\?\S{80,}")


@dataclass(frozen=True)
class Request:
    """What is wanted of every galaxy.

    Attributes
    ----------
    shape : (int, int)
        Height and width in pixels.
    pixel_scale : float
        Arcsec.
    bands : tuple of str
    survey : str
        What the server calls the images.
    """

    shape: tuple
    pixel_scale: float
    bands: tuple
    survey: str


class Server(ABC):
    """A server of cutouts.

    Parameters
    ----------
    wait : callable
        Called before the server is asked anything.
    base_url : str, optional
        Scheme and host of a mirror with the same paths.
    """

    name = ""
    bands: tuple[str, ...] = ()
    survey = ""
    pixel_scale = 0.0
    unit = None
    zero_point: float | None = None

    def __init__(self, wait, base_url=None):
        self.wait = wait
        self.base_url = base_url

    @classmethod
    def is_calibrated(cls, request):
        """Whether unit and zero point of the server hold for what is asked for."""
        return abs(request.pixel_scale - cls.pixel_scale) < 1e-6

    @classmethod
    def check(cls, request):
        """Refuse what the server cannot give, before it is asked (InputError)."""
        if request.shape[0] * request.shape[1] > MOST_PIXELS:
            raise InputError(
                f"{request.shape[0]} x {request.shape[1]} pixels are too many for a cutout of {cls.name}: "
                f"{MOST_PIXELS:,} at most"
            )

    @abstractmethod
    def get(self, ra, dec, request, path):
        """Write the cutout of one position to ``path``, a FITS cube; DownloadError if it cannot be had."""


class LegacySurveys(Server):
    """The viewer of the DESI Legacy Imaging Surveys; see https://www.legacysurvey.org/viewer."""

    name = "legacy"
    bands = ("g", "r", "z")
    survey = "ls-dr10"
    letters = "ugrizyY1234"  #: Of all layers of the viewer; those of WISE are numbers.
    pixel_scale = 0.262
    unit = u.Unit("nmgy")
    zero_point = 22.5

    @classmethod
    def is_calibrated(cls, request):
        """Only at its own scale: resampled values stay those of the viewer's own pixels."""
        return super().is_calibrated(request) and request.survey.startswith("ls-")

    @classmethod
    def check(cls, request):
        """See `Server.check`."""
        super().check(request)
        if wrong := [band for band in request.bands if len(band) != 1 or band not in cls.letters]:
            raise InputError(f"bands of the Legacy Surveys are {', '.join(cls.letters)}; got {wrong[0]!r}")

    def get(self, ra, dec, request, path):
        """Ask for one position; see `Server.get`."""
        height, width = request.shape
        query = {"ra": f"{ra:.7f}", "dec": f"{dec:.7f}", "layer": request.survey, "pixscale": request.pixel_scale}
        query |= {"bands": "".join(request.bands), "width": width, "height": height}
        self.wait()
        fetch(f"{self.base_url or 'https://www.legacysurvey.org'}/viewer/fits-cutout?{urlencode(query)}", path)


class Hips2Fits(Server):
    """The service of the CDS that resamples all-sky maps (HiPS), through astroquery."""

    name = "hips2fits"
    bands = ("g", "r", "i")
    survey = "CDS/P/PanSTARRS/DR1/{band}"
    pixel_scale = 0.25

    def __init__(self, wait, base_url=None):
        super().__init__(wait, base_url)
        with quiet():
            module = require("astroquery.hips2fits", self.name, "query")
        self._client = module.hips2fitsClass()
        if base_url is not None:
            self._client.server = f"{base_url}/hips-image-services/hips2fits"

    @classmethod
    def check(cls, request):
        """See `Server.check`."""
        super().check(request)
        if len(request.bands) > 1 and "{band}" not in request.survey:
            raise InputError(
                f"survey {request.survey!r} is one map, and {len(request.bands)} bands are wanted: "
                "put {band} into its name where that of the band belongs, or name one band"
            )
        if set("{}") & set(request.survey.replace("{band}", "")):
            raise InputError(f"{{band}} alone may be in braces in the name of a map, got {request.survey!r}")

    def get(self, ra, dec, request, path):
        """Ask for one position, band by band; see `Server.get`."""
        wcs = _tangent_plane(ra, dec, request)
        planes = []
        plane = path.with_name(f".{path.name}.band")
        for band in request.bands:
            with quiet(), errors_of(self.name):
                query = self._client.query_with_wcs(
                    hips=request.survey.replace("{band}", band), wcs=wcs, format="fits", get_query_payload=True
                )
            self.wait()
            fetch(f"{self._client.server}?{urlencode(query)}", plane)  # tries again where the server is busy
            with quiet(), errors_of(self.name), fits.open(plane, memmap=False) as hdus:
                planes.append(np.asarray(hdus[0].data, dtype=np.float32))
            plane.unlink()
        _write(planes, wcs, path)


class Sdss(Server):
    """Frames of SDSS, through astroquery; each is fetched once, and what is wanted is cut out of it here."""

    name = "sdss"
    bands = ("g", "r", "i")
    survey = "17"
    pixel_scale = 0.396
    unit = u.Unit("nmgy")
    zero_point = 22.5

    def __init__(self, wait, base_url=None):
        super().__init__(wait, base_url)
        with quiet():
            self._module = require("astroquery.sdss", self.name, "query")
        self._client = self._module.SDSSClass()

    @classmethod
    def check(cls, request):
        """See `Server.check`."""
        super().check(request)
        if abs(request.pixel_scale - cls.pixel_scale) > 1e-6:
            raise InputError(f"frames of SDSS have pixels of {cls.pixel_scale} arcsec: leave pixel_scale out")
        if _release(request.survey) not in range(8, 100):  # frames of earlier ones are kept in another form
            raise InputError(
                f"survey must be a data release of SDSS from 8 on, such as 17 or dr17, got {request.survey!r}"
            )
        if wrong := [band for band in request.bands if band not in set("ugriz")]:
            raise InputError(f"bands of SDSS are u, g, r, i, z; got {wrong[0]!r}")

    def get(self, ra, dec, request, path):
        """Ask which field has a position, and for its frames; see `Server.get`."""
        release = _release(request.survey)
        urls = self._module.conf
        mirror = self.base_url or urls.skyserver_baseurl, self.base_url or urls.sas_baseurl
        with urls.set_temp("skyserver_baseurl", mirror[0]), urls.set_temp("sas_baseurl", mirror[1]):
            field = self._field(ra, dec, release)
            frames = {band: self._frame(band, field, release, path.parent) for band in request.bands}
        catalog = Table({"ra": [ra], "dec": [dec]})
        with quiet():  # a frame without any pixel is flagged
            image = extract_cutouts(catalog, frames, request.shape)["image"][0]
        _write(image, None, path)

    def _field(self, ra, dec, release):
        """Run, rerun, camcol and field whose middle is closest, as a table of one row."""
        query = (
            "SELECT run, rerun, camcol, field, ra, dec FROM Field "
            f"WHERE {ra:.7f} BETWEEN raMin AND raMax AND {dec:.7f} BETWEEN decMin AND decMax"
        )
        self.wait()
        with quiet(), errors_of(self.name):
            fields = self._client.query_sql(query, timeout=conf.remote_timeout, data_release=release, cache=False)
        if fields is None or not len(fields):
            raise RefusedError(f"{self.name}: no field has {ra:.5f} {dec:+.5f}")
        distance = np.hypot((fields["ra"] - ra) * np.cos(np.radians(dec)), fields["dec"] - dec)
        nearest = int(np.argmin(distance))
        return fields[nearest : nearest + 1]

    def _frame(self, band, field, release, folder):
        """The file of a frame, fetched unless it is there."""
        run, camcol, number = (int(field[name][0]) for name in ("run", "camcol", "field"))
        path = folder / f"frame-{band}-{run:06d}-{camcol}-{number:04d}.fits"
        if path.is_file():
            return path
        self.wait()
        with quiet(), errors_of(self.name):
            (hdus,) = self._client.get_images(
                matches=field, band=band, timeout=conf.remote_timeout, data_release=release, cache=False,
                show_progress=False,
            )  # fmt: skip
            with hdus:
                _save(fits.PrimaryHDU(hdus[0].data, hdus[0].header), path)
        return path


class errors_of:
    """Errors of astroquery and of what it rests on as DownloadError; RefusedError where the server did answer."""

    def __init__(self, name):
        self._name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if error is None or isinstance(error, DownloadError) or not isinstance(error, Exception):
            return
        if reason := _unresolved(error):
            host = urlsplit(getattr(getattr(error, "request", None), "url", "")).hostname
            raise DownloadError(f"{self._name}: {not_found(host or 'the server', reason)}") from None
        text = f"{self._name}: {type(error).__name__}: {_LONG_QUERY.sub('?...', str(error))}"
        silent = isinstance(error, OSError) and getattr(error, "code", None) is None  # errors of requests are OSErrors
        silent = silent or kind.__name__ == "TimeoutError"  # astroquery's own is none
        raise (DownloadError if silent else RefusedError)(text) from None


def _unresolved(error):
    """The error of the look-up of a host's name that led to an error of the connection, or None."""
    if not isinstance(error, OSError):
        return None
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error


def _release(survey):
    """Number of a data release, 17 of ``"dr17"``; None if it is none."""
    match = re.fullmatch(r"(?:dr)?(\d{1,2})", survey.strip(), re.IGNORECASE)
    return None if match is None else int(match[1])


def _tangent_plane(ra, dec, request):
    """The WCS of a frame around a position."""
    height, width = request.shape
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = ra, dec
    wcs.wcs.crpix = width // 2 + 1, height // 2 + 1
    wcs.wcs.cdelt = -request.pixel_scale / 3600, request.pixel_scale / 3600
    wcs.pixel_shape = width, height
    return wcs


def _write(planes, wcs, path):
    header = None if wcs is None else wcs.to_header()
    _save(fits.PrimaryHDU(np.stack(list(planes)), header), path)


def _save(hdu, path):
    """Write a file that is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    with quiet():
        hdu.writeto(temporary, overwrite=True)
    os.replace(temporary, path)


#: Name -> `Server`.
SERVICES = {each.name: each for each in (LegacySurveys, Hips2Fits, Sdss)}
