"""Cutouts from servers, played by one on this machine."""

import io
import time
from urllib.parse import parse_qs, urlsplit

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from galmerge_da.exceptions import DownloadError, InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import extract_cutouts, fetch_cutouts, open_cutouts, save_cutouts
from galmerge_da.io.services import PATIENCE

CATALOG = Table({"id": [7, 8, 9], "ra": [150.0, 150.01, 359.9999999], "dec": [2.0, -2.0, 0.0]})
FAST = {"rate": 1e6}
FIELDS = b"run,rerun,camcol,field,ra,dec\n94,301,1,34,150.4,2.0\n94,301,1,33,150.001,2.0\n"


def as_fits(data, header=None):
    content = io.BytesIO()
    fits.writeto(content, np.asarray(data, np.float32), header)
    return content.getvalue()


class Answers(dict):
    """Files of a `FileServer` that a function makes from path and query."""

    def __init__(self, make):
        self.make = make

    def get(self, path):
        parts = urlsplit(path)
        return self.make(parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()})


@pytest.fixture
def legacy(file_server):
    """The viewer of the Legacy Surveys; pixels of the bands are right ascension, declination and scale."""

    def make(path, query):
        assert path == "/viewer/fits-cutout"
        shape = int(query["height"]), int(query["width"])
        values = [float(query["ra"]), float(query["dec"]), float(query["pixscale"])]
        planes = np.ones((len(query["bands"]), *shape)) * np.reshape(values, (3, 1, 1))
        planes[2, 0] = 1
        return as_fits(planes)

    file_server.files = Answers(make)
    return file_server


def test_rows_come_back_in_order_with_what_is_known(legacy, tmp_path):
    result = fetch_cutouts(CATALOG, "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert result["id"].tolist() == [7, 8, 9] and result["image"].shape == (3, 3, 12, 12)
    assert_allclose(result["image"][:, 0, 0, 0], CATALOG["ra"], rtol=1e-6)
    assert_allclose(result["image"][:, 1, 5, 5], CATALOG["dec"], rtol=1e-6)
    assert not result["flags"].any() and result["image"].unit == u.Unit("nmgy")
    assert result.meta == {"BANDS": "g,r,z", "PIXSCALE": 0.262, "MAGZERO": 22.5}
    save_cutouts(result, tmp_path / "a.fits")
    cutouts = open_cutouts(tmp_path / "a.fits").read()
    assert cutouts.bands == ("g", "r", "z") and cutouts.pixel_scale.to_value(u.arcsec) == pytest.approx(0.262)


def test_what_is_asked_for_is_in_the_question(legacy, tmp_path):
    coordinates = SkyCoord([150.0], [2.0], unit="deg")
    result = fetch_cutouts(
        coordinates, "legacy", (6 * u.arcsec, 10 * u.arcsec), tmp_path, base_url=legacy.url, bands="g,r,i",
        survey="ls-dr9", pixel_scale=0.5 * u.arcsec, **FAST,
    )  # fmt: skip
    assert result["image"].unit is None and "MAGZERO" not in result.meta  # flux per pixel of another size
    ((path, _),) = legacy.asked
    query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
    assert query == {
        "ra": "150.0000000", "dec": "2.0000000", "layer": "ls-dr9", "pixscale": "0.5", "bands": "gri",
        "width": "20", "height": "12",
    }  # fmt: skip


def test_what_is_there_is_not_asked_for_again(legacy, tmp_path):
    first = fetch_cutouts(CATALOG[:2], "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert len(legacy.asked) == 2
    again = fetch_cutouts(CATALOG[::-1], "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert len(legacy.asked) == 3
    assert np.array_equal(again["image"][::-1][:2], first["image"])
    fetch_cutouts(CATALOG[:2], "legacy", 14, tmp_path, base_url=legacy.url, **FAST)  # another request
    assert len(legacy.asked) == 5


def test_rows_that_cannot_be_had_are_flagged_and_tried_again(legacy, tmp_path):
    answers = legacy.files.make
    legacy.files.make = lambda path, query: None if query["dec"].startswith("-") else answers(path, query)
    catalog = CATALOG.copy()
    catalog["dec"] = np.ma.array(catalog["dec"], mask=[1, 0, 0])
    with pytest.warns(InputWarning, match="2 of 3 cutouts could not be fetched.*row 0: its position is unknown"):
        result = fetch_cutouts(catalog, "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert result["flags"].tolist() == [Flag.UNREADABLE, Flag.UNREADABLE, 0]
    assert np.isnan(result["image"][:2]).all() and np.isfinite(result["image"][2]).all()
    legacy.files.make = answers
    n_asked = len(legacy.asked)
    result = fetch_cutouts(CATALOG, "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert len(legacy.asked) == n_asked + 2 and not result["flags"].any()


@pytest.mark.parametrize("content", [b"no image", as_fits(np.ones((3, 5, 5))), b""], ids=["text", "size", "nothing"])
def test_an_answer_that_is_not_what_was_asked_for_is_not_kept(legacy, tmp_path, content):
    legacy.files.make = lambda path, query: content
    with pytest.warns(InputWarning, match="row 0: the answer"):
        result = fetch_cutouts(CATALOG[:1], "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert result["flags"].tolist() == [Flag.UNREADABLE]
    assert not list(tmp_path.glob("*.fits"))


@pytest.mark.parametrize("value", [np.nan, 0])
def test_a_cutout_without_pixels_is_flagged(legacy, tmp_path, value):
    legacy.files.make = lambda path, query: as_fits(np.full((3, 12, 12), value))
    result = fetch_cutouts(CATALOG[:1], "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert result["flags"].tolist() == [Flag.BLANK]


def test_a_server_that_recovers_is_asked_again(legacy, tmp_path):
    legacy.failures = [(503, {})] * 2
    result = fetch_cutouts(CATALOG[:1], "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert not result["flags"].any() and len(legacy.asked) == 3


def test_a_server_that_does_not_answer_is_left_alone_and_nothing_is_lost(legacy, tmp_path, monkeypatch):
    monkeypatch.setattr("galmerge_da.io.transfer.RETRIES", 0)
    catalog = Table({"ra": np.arange(20.0), "dec": np.zeros(20)})
    fetch_cutouts(catalog[:2], "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    legacy.failures = [(503, {})] * 100
    with pytest.raises(DownloadError, match=f"for {PATIENCE} objects.*2 of 20 cutouts are kept in .*run it again"):
        fetch_cutouts(catalog, "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert len(legacy.asked) == 2 + PATIENCE
    legacy.failures = []
    assert not fetch_cutouts(catalog, "legacy", 12, tmp_path, base_url=legacy.url, **FAST)["flags"].any()


def test_a_slow_answer_ends_in_a_flag(legacy, tmp_path, monkeypatch):
    monkeypatch.setattr("galmerge_da.io.transfer.RETRIES", 0)
    answers = legacy.files.make

    def make(path, query):
        time.sleep(0.6 if query["dec"].startswith("-") else 0)
        return answers(path, query)

    legacy.files.make = make
    with pytest.warns(InputWarning, match="1 of 3 cutouts.*row 1: .*timed out"):
        result = fetch_cutouts(CATALOG, "legacy", 12, tmp_path, base_url=legacy.url, timeout=0.2, **FAST)
    assert result["flags"].tolist() == [0, Flag.UNREADABLE, 0]


def test_questions_keep_their_distance(legacy, tmp_path):
    catalog = Table({"ra": np.arange(4.0), "dec": np.zeros(4)})
    start = time.monotonic()
    fetch_cutouts(catalog, "legacy", 4, tmp_path, base_url=legacy.url, rate=10)
    assert time.monotonic() - start >= 0.3
    start = time.monotonic()
    fetch_cutouts(catalog, "legacy", 4, tmp_path, base_url=legacy.url, rate=0.1)  # nothing is asked, nothing waits
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "options, message",
    [
        ({"service": "legcy"}, "did you mean 'legacy'"),
        ({"rate": 0}, "rate must be positive"),
        ({"pixel_scale": 0.2}, "pixel_scale must be an angle"),
        ({"size": np.array([3, 4, 5])}, "one size for all rows"),
        ({"catalog": Table({"x": [1.0], "y": [1.0]})}, "no positions on the sky"),
    ],
)
def test_a_bad_call_is_one_clear_error(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        fetch_cutouts(**{"catalog": CATALOG, "service": "legacy", "size": 9, "folder": tmp_path, **options})


def test_maps_of_the_sky_are_asked_through_astroquery(file_server, tmp_path):
    pytest.importorskip("astroquery", exc_type=ImportError)
    import json

    def make(path, query):
        assert path == "/hips-image-services/hips2fits" and query["format"] == "fits"
        header = json.loads(query["wcs"])
        wcs = WCS(fits.Header(header))
        y, x = np.indices((header["NAXIS2"], header["NAXIS1"]))
        ra, dec = wcs.pixel_to_world_values(x, y)
        return as_fits(ra if query["hips"] == "map/g" else dec)

    file_server.files = Answers(make)
    result = fetch_cutouts(
        CATALOG[:2], "hips2fits", (9, 11), tmp_path, base_url=file_server.url, bands=("g", "r"), survey="map/{band}",
        pixel_scale=2 * u.arcsec, **FAST,
    )  # fmt: skip
    assert result["image"].shape == (2, 2, 9, 11) and result.meta["BANDS"] == "g,r"
    assert_allclose(result["image"][:, 0, 4, 5], CATALOG["ra"][:2], atol=2e-5)
    assert_allclose(result["image"][:, 1, 4, 5], CATALOG["dec"][:2], atol=2e-5)
    step = result["image"][0, 0, 4, 4] - result["image"][0, 0, 4, 6]
    assert step == pytest.approx(4 / 3600 / np.cos(np.radians(2)), rel=0.02)  # east is left
    assert len(file_server.asked) == 4
    fetch_cutouts(
        CATALOG[:2], "hips2fits", (9, 11), tmp_path, base_url=file_server.url, bands=("g", "r"), survey="map/{band}",
        pixel_scale=2 * u.arcsec, **FAST,
    )  # fmt: skip
    assert len(file_server.asked) == 4
    file_server.files = Answers(lambda path, query: None)
    with pytest.warns(InputWarning, match="2 of 2 cutouts could not be fetched"):
        result = fetch_cutouts(CATALOG[:2], "hips2fits", 7, tmp_path, base_url=file_server.url, **FAST)
    assert set(result["flags"]) == {Flag.UNREADABLE}


@pytest.mark.parametrize("service, answer", [("hips2fits", None), ("sdss", None), ("sdss", FIELDS)])
def test_silence_behind_astroquery_is_silence(file_server, tmp_path, service, answer):
    pytest.importorskip("astroquery", exc_type=ImportError)
    catalog = Table({"ra": np.arange(9.0), "dec": np.zeros(9)})
    file_server.files = Answers(lambda path, query: answer if answer and "cmd" in query else time.sleep(0.5))
    with pytest.raises(DownloadError, match=f"{service} did not answer for {PATIENCE} objects.*0 of 9 cutouts"):
        fetch_cutouts(catalog, service, 9, tmp_path, base_url=file_server.url, timeout=0.1, **FAST)
    file_server.close()
    with pytest.raises(DownloadError, match=f"{service} did not answer for {PATIENCE} objects"):
        fetch_cutouts(catalog, service, 9, tmp_path, base_url=file_server.url, **FAST)


def test_frames_of_sdss_are_fetched_once_and_cut(file_server, tmp_path):
    pytest.importorskip("astroquery", exc_type=ImportError)
    import bz2

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -0.396 / 3600, 0.396 / 3600
    wcs.wcs.crval, wcs.wcs.crpix = (150.0, 2.0), (60, 40)
    image = np.random.default_rng(0).normal(size=(80, 120)).astype(np.float32)
    queries = []

    def make(path, query):
        if path.endswith("x_results.aspx"):
            queries.append(query["cmd"])
            return FIELDS.splitlines(True)[0] if "80.0" in query["cmd"] else FIELDS
        assert path.endswith("/301/94/1/" + path.rpartition("/")[2])
        number = "gri".index(path.rpartition("frame-")[2][0])
        assert path.rpartition("frame-")[2][1:] == "-000094-1-0033.fits.bz2"
        return bz2.compress(as_fits(image + 10 * number, wcs.to_header()))

    file_server.files = Answers(make)
    ra, dec = wcs.pixel_to_world_values([59, 70], [39, 35])
    catalog = Table({"ra": [*ra, 10.0], "dec": [*dec, 80.0]})
    with pytest.warns(InputWarning, match="1 of 3 cutouts.*row 2: sdss: no field has 10.00000"):
        result = fetch_cutouts(catalog, "sdss", 21, tmp_path, base_url=file_server.url, **FAST)
    assert result["flags"].tolist() == [0, 0, Flag.UNREADABLE]
    expected = extract_cutouts(catalog[:2], (image, wcs), 21)["image"]
    for number in range(3):
        assert_allclose(result["image"][:2, number], expected[:, 0] + 10 * number, rtol=1e-6, atol=1e-5)
    assert len(queries) == 3 and len(file_server.asked) == 3 + 3  # three questions, one frame a band
    assert "BETWEEN raMin AND raMax" in queries[0]
    with pytest.raises(InputError, match="leave pixel_scale out"):
        fetch_cutouts(catalog, "sdss", 21, tmp_path, pixel_scale=1 * u.arcsec, **FAST)


@pytest.mark.parametrize("service", ["sdss", "hips2fits"])
def test_without_astroquery_the_error_names_the_extra(monkeypatch, tmp_path, service):
    import sys

    monkeypatch.setitem(sys.modules, f"astroquery.{service}", None)
    with pytest.raises(InputError, match=r"needs astroquery: python -m pip install 'galmerge_da\[query\]'"):
        fetch_cutouts(CATALOG, service, 9, tmp_path)


@pytest.mark.parametrize(
    "service, options, message",
    [
        ("hips2fits", {"survey": "CDS/P/DSS2/red"}, "one map, and 3 bands are wanted: put {band}"),
        ("hips2fits", {"survey": "CDS/P/{x}", "bands": ("r",)}, "band. alone may be in braces .*got 'CDS/P/{x}'"),
        ("sdss", {"survey": "two"}, "a data release of SDSS from 8 on, such as 17 or dr17"),
        ("sdss", {"survey": "7"}, "a data release of SDSS from 8 on, .*got '7'"),
        ("sdss", {"bands": ("g", "q")}, "bands of SDSS are u, g, r, i, z; got 'q'"),
        ("legacy", {"bands": ("gr", "z")}, "bands of the Legacy Surveys are u, g, .*got 'gr'"),
        ("legacy", {"bands": ("q",)}, "bands of the Legacy Surveys are u, g, .*got 'q'"),
        ("legacy", {"size": 100000}, "too many for a cutout"),
    ],
)
def test_what_a_server_cannot_give_is_refused_before_it_is_asked(file_server, tmp_path, service, options, message):
    options = {"size": 9, **options}
    with pytest.raises(InputError, match=message):
        fetch_cutouts(CATALOG, service, folder=tmp_path, base_url=file_server.url, **options, **FAST)
    assert not file_server.asked


def test_cutouts_have_to_fit_into_memory_before_the_first_is_asked_for(file_server, tmp_path):
    catalog = Table({"ra": np.zeros(10**7), "dec": np.zeros(10**7)})
    with pytest.raises(InputError, match="10000000 cutouts need 3e.04 GB of memory: fetch a part"):
        fetch_cutouts(catalog, "legacy", 500, tmp_path / "new", base_url=file_server.url, **FAST)
    assert not file_server.asked and not (tmp_path / "new").exists()


def test_maps_are_asked_for_again_where_the_server_is_busy(file_server, tmp_path, monkeypatch):
    pytest.importorskip("astroquery", exc_type=ImportError)
    monkeypatch.setattr("galmerge_da.io.transfer.WAIT", (0.0, 0.0))
    file_server.files = Answers(lambda path, query: as_fits(np.arange(81.0).reshape(9, 9)))
    file_server.failures = [(503, {}), (429, {})]
    result = fetch_cutouts(CATALOG[:1], "hips2fits", 9, tmp_path, bands=("r",), base_url=file_server.url, **FAST)
    assert not result["flags"].any() and len(file_server.asked) == 3


def test_a_cutout_beyond_the_edge_and_one_without_a_band_are_flagged(legacy, tmp_path):
    def make(path, query):
        pixels = np.random.default_rng(0).normal(size=(3, 12, 12))
        if query["ra"].startswith(f"{CATALOG['ra'][0]:.3f}"):
            pixels[:, :, 8:] = np.nan
        else:
            pixels[1] = np.nan
        return as_fits(pixels)

    legacy.files.make = make
    result = fetch_cutouts(CATALOG[:2], "legacy", 12, tmp_path, base_url=legacy.url, **FAST)
    assert result["flags"].tolist() == [Flag.OFF_EDGE, Flag.BANDS_MISSING]
