"""Pictures of SDSS galaxies by their ids, from a server on this machine in SkyServer's place."""

import hashlib
import importlib
import io
import socket
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from numpy.testing import assert_allclose
from PIL import Image

from galmerge_da.cli import main
from galmerge_da.exceptions import DownloadError, InputError
from galmerge_da.inference import default_model_path
from galmerge_da.io import fetch_sdss_pictures, open_cutouts
from galmerge_da.io.servers import errors_of
from galmerge_da.io.transfer import RefusedError

IDS = [587722982273974480, 587722982273974481, 587722982273974482]


class SkyServer:
    """Answers in the form of SkyServer and of its picture server; galaxies are at (k, -k) with radius 10 + k."""

    def __init__(self, unknown=(), broken=()):
        self.unknown, self.broken, self.queries, self.pictures = unknown, broken, [], []

    def get(self, url):
        path, query = urlsplit(url).path, {key: value[0] for key, value in parse_qs(urlsplit(url).query).items()}
        if path == "/dr7/en/tools/search/x_sql.asp":
            self.queries.append(query["cmd"])
            wanted = [int(each) for each in query["cmd"].partition("(")[2].strip(")").split(",")]
            rows = [(each, each % 1000) for each in wanted if each not in self.unknown]
            return "\n".join(
                ["objID,ra,dec,petroRad_r", *(f"{each},{k},{-k / 100},{10 + k / 100}" for each, k in rows)]
            ).encode()
        if path != "/DR7/ImgCutout/getjpeg.aspx":
            return None
        self.pictures.append(query)
        if int(float(query["ra"])) in self.broken:
            return b"no picture"
        return jpeg(int(float(query["ra"])))


def jpeg(number):
    pixels = np.random.default_rng(number).integers(0, 255, (423, 423, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def pixel_hash(number):
    pixels = np.asarray(Image.open(io.BytesIO(jpeg(number)))).transpose(2, 0, 1)
    return hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest()


@pytest.fixture(autouse=True)
def astroquery():
    pytest.importorskip("astroquery", exc_type=ImportError)


def test_pictures_are_fetched_once_scaled_to_the_galaxy_and_compared(file_server, tmp_path):
    file_server.files = server = SkyServer(unknown=IDS[2:])
    galaxies = Table({"sdss_dr7_objid": IDS, "sha256": [pixel_hash(480), "0" * 64, "1" * 64]})
    table = fetch_sdss_pictures(galaxies, tmp_path, rate=1000, base_url=file_server.url)
    assert table["filename"].tolist() == [f"pictures/{IDS[0]}.jpeg", f"pictures/{IDS[1]}.jpeg", ""]
    assert table["same"].tolist() == [True, False, False]
    assert_allclose(table["ra"].value, [480, 481, np.nan])
    assert_allclose(table["petrosian_radius"].value, [14.80, 14.81, np.nan])
    assert [query["width"] for query in server.pictures] == ["423", "423"]
    assert_allclose([float(query["scale"]) for query in server.pictures], 0.024 * np.array([14.80, 14.81]), rtol=1e-5)
    assert Table.read(tmp_path / "pictures.ecsv")["filename"][0] == table["filename"][0]
    seen = next(iter(open_cutouts(tmp_path / "pictures.ecsv", image="filename", survey="sdss-jpeg")))
    assert seen.data[0].shape == (3, 423, 423) and len(seen) == 3
    again = fetch_sdss_pictures(galaxies, tmp_path, rate=1000, base_url=file_server.url)
    assert again["same"].tolist() == table["same"].tolist() and len(server.pictures) == 2


def test_what_is_no_picture_is_not_kept_and_asked_for_again(file_server, tmp_path):
    file_server.files = server = SkyServer(broken=[481])
    galaxies = Table({"objid": IDS})
    table = fetch_sdss_pictures(galaxies, tmp_path, objid="objid", rate=1000, base_url=file_server.url)
    assert [bool(name) for name in table["filename"]] == [True, False, True] and "same" not in table.colnames
    server.broken = []
    table = fetch_sdss_pictures(galaxies, tmp_path, objid="objid", rate=1000, base_url=file_server.url)
    assert all(table["filename"]) and len(server.pictures) == 4


def test_errors(file_server, tmp_path):
    with pytest.raises(InputError, match="no column 'sdss_dr7_objid'.*there are objid"):
        fetch_sdss_pictures(Table({"objid": IDS}), tmp_path)
    with pytest.raises(DownloadError, match="SkyServer"):
        fetch_sdss_pictures(Table({"sdss_dr7_objid": IDS}), tmp_path, base_url=file_server.url)


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("http://nowhere.invalid", r"SkyServer: nowhere\.invalid cannot be found \(.*\): is there a network\?$"),
        ("http://127.0.0.1:9", r"SkyServer: .*x_sql\.asp\?\.\.\. \(.*refused"),
    ],
)
def test_a_hundred_ids_make_no_long_error_without_a_server(tmp_path, base_url, expected):
    galaxies = Table({"sdss_dr7_objid": np.arange(100) + IDS[0]})
    with pytest.raises(DownloadError, match=expected) as caught:
        fetch_sdss_pictures(galaxies, tmp_path, base_url=base_url)
    assert len(str(caught.value)) < 400


def test_the_command_asks_for_what_the_packaged_model_has_seen(file_server, tmp_path, monkeypatch):
    file_server.files = server = SkyServer()
    seen = Table.read(default_model_path().with_name("default_galaxies.ecsv"))
    monkeypatch.setattr("galmerge_da.io.sdss_pictures._fetch_all", lambda ids, *rest: [""] * len(ids))
    command = ["download", "sdss-pictures", "-o", str(tmp_path), "--no-progress"]
    monkeypatch.setattr("galmerge_da.io.sdss_pictures.Pace", lambda rate: lambda: None)
    monkeypatch.setattr(importlib.import_module("astroquery.sdss").conf, "skyserver_baseurl", file_server.url)
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    asked = [int(each) for query in server.queries for each in query.partition("(")[2].strip(")").split(",")]
    assert asked == seen["sdss_dr7_objid"].tolist()
    assert "0 of 2000 pictures, 0 with the expected pixels" in done.stdout


def test_what_fails_after_a_failed_look_up_is_not_taken_for_it():
    with pytest.raises(RefusedError, match="ValueError: nonsense"), errors_of("a server"):
        try:
            raise socket.gaierror(-2, "unknown")
        except socket.gaierror:
            raise ValueError("nonsense")  # noqa: B904
