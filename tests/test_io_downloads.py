"""Published files over HTTP: resumed, checked, tried again, and there only when they are complete."""

import errno
import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from astropy.config import set_temp_cache
from astropy.utils.data import conf

from galmerge_da.exceptions import DownloadError, GalmergeError, GalmergeWarning, InputError
from galmerge_da.io import DATASETS, download, transfer
from galmerge_da.io.downloads import dataset_folder
from galmerge_da.io.transfer import fetch

CONTENT = bytes(range(256)) * 400
NAME = "deepmerge-simsim"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(transfer, "_BLOCK", 1000)


@pytest.fixture
def published(file_server):
    """The sim-to-sim files, small, with their record."""
    files = {file: CONTENT[: 5000 + 7 * number] for number, file in enumerate(DATASETS[NAME].files)}
    file_server.publish(NAME, files)
    return files


def get(server, tmp_path, **options):
    server.files.setdefault("/file.npy", CONTENT)
    fetch(f"{server.url}/file.npy", tmp_path / "file.npy", **options)
    return (tmp_path / "file.npy").read_bytes()


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock" and path.name.startswith("."))


def test_a_data_set_arrives_in_a_folder(file_server, published, tmp_path):
    paths = download(NAME, tmp_path / "new" / "data", base_url=file_server.url)
    assert [path.name for path in paths] == list(DATASETS[NAME].files)
    assert {path.name: path.read_bytes() for path in paths} == published
    assert not leftovers(paths[0].parent)


def test_without_a_folder_it_goes_into_astropys_cache(file_server, published, tmp_path):
    with set_temp_cache(tmp_path):
        paths = download(NAME, base_url=file_server.url)
        assert paths[0].parent == dataset_folder(NAME)
    assert tmp_path in paths[0].parents and paths[0].parent.parts[-2:] == ("galmerge_da", NAME)


def test_what_is_there_is_not_asked_for_again(file_server, published, tmp_path):
    download(NAME, tmp_path, base_url=file_server.url)
    file_server.asked.clear()
    file_server.files.clear()
    download(NAME, tmp_path, base_url=file_server.url)
    assert not file_server.asked


def test_verify_fetches_what_differs_again(file_server, published, tmp_path):
    paths = download(NAME, tmp_path, base_url=file_server.url)
    paths[1].write_bytes(b"x" + paths[1].read_bytes()[1:])
    paths[2].write_bytes(b"short")
    file_server.asked.clear()
    download(NAME, tmp_path, base_url=file_server.url, verify=True)
    assert {path.name: path.read_bytes() for path in paths} == published
    assert len(file_server.asked) == 3, "the record and two files"


def test_the_real_addresses(tmp_path):
    zenodo, mast = DATASETS["deepmerge-simreal"], DATASETS["deepmerge-mast"]
    file = "SimReal_TARGET_X_postmergers_SDSS.npy"
    assert zenodo.url(file) == f"https://zenodo.org/records/4507941/files/{file}?download=1"
    assert file in zenodo.files and len(zenodo.files) == 4
    assert [mast.url(file) for file in mast.files] == [
        "https://archive.stsci.edu/hlsps/deepmerge/hlsp_deepmerge_hst-jwst_acs-wfc3-nircam_illustris-z2_"
        f"f814w-f160w-f356w_v1_sim-{kind}.fits"
        for kind in ("pristine", "noisy")
    ]


def test_an_unknown_name_suggests_the_closest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'deepmerge-simsim'"):
        download("deepmerge-simsin", tmp_path)


def test_a_broken_connection_is_resumed_where_it_ended(file_server, tmp_path):
    file_server.cut = [30_000, 20_000]
    assert get(file_server, tmp_path) == CONTENT
    assert [wanted for _, wanted in file_server.asked] == [None, "bytes=30000-", "bytes=50000-"]
    assert not leftovers(tmp_path)


def test_a_server_without_ranges_starts_anew(file_server, tmp_path):
    file_server.ranges, file_server.cut = False, [30_000]
    assert get(file_server, tmp_path) == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupt_leaves_what_has_arrived_and_the_next_call_goes_on(file_server, tmp_path, monkeypatch, ranges):
    file_server.ranges = ranges
    read = transfer._read

    def interrupt(response, n):
        if (tmp_path / ".file.npy.part").exists() and (tmp_path / ".file.npy.part").stat().st_size > 20_000:
            raise KeyboardInterrupt
        return read(response, n)

    monkeypatch.setattr(transfer, "_read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(file_server, tmp_path)
    kept = (tmp_path / ".file.npy.part").stat().st_size
    assert kept > 20_000 and not (tmp_path / "file.npy").exists()
    monkeypatch.setattr(transfer, "_read", read)
    file_server.asked.clear()
    assert get(file_server, tmp_path) == CONTENT
    assert file_server.asked == [("/file.npy", f"bytes={kept}-")]


def stopped(server, tmp_path, n=30_000):
    """A download that ended after some bytes, with a server that is gone afterwards."""
    server.files["/file.npy"] = CONTENT
    server.cut = [n]
    server.failures = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "RETRIES", 0)
        with pytest.raises(DownloadError, match=f"ended after {n} of {len(CONTENT)} bytes"):
            get(server, tmp_path)


@pytest.mark.parametrize("tags", [True, False])
def test_a_file_that_changed_meanwhile_is_not_glued(file_server, tmp_path, tags):
    file_server.tags = tags
    stopped(file_server, tmp_path)
    file_server.files["/file.npy"] = CONTENT[::-1]
    assert get(file_server, tmp_path) == CONTENT[::-1]


def test_without_a_tag_a_glued_file_is_found_by_its_checksum(file_server, tmp_path):
    file_server.tags = False
    stopped(file_server, tmp_path)
    new = CONTENT[::-1]
    file_server.files["/file.npy"] = new
    file_server.asked.clear()
    assert get(file_server, tmp_path, checksum=f"md5:{hashlib.md5(new).hexdigest()}") == new
    assert [wanted for _, wanted in file_server.asked] == ["bytes=30000-", None]


def test_a_range_of_another_file_is_not_taken(file_server, tmp_path):
    file_server.tags = False
    stopped(file_server, tmp_path)
    new = CONTENT + b"more"
    file_server.files["/file.npy"] = new
    assert get(file_server, tmp_path, checksum=f"sha256:{hashlib.sha256(new).hexdigest()}") == new


def test_a_part_longer_than_the_file_is_discarded(file_server, tmp_path):
    stopped(file_server, tmp_path)
    (tmp_path / ".file.npy.part").write_bytes(CONTENT + b"more")
    assert get(file_server, tmp_path) == CONTENT


def test_a_range_that_is_refused_starts_anew(file_server, tmp_path):
    stopped(file_server, tmp_path)
    file_server.failures = [(416, {})]
    assert get(file_server, tmp_path) == CONTENT


@pytest.mark.parametrize("note", ["", "{}", "[]", '{"url": "http://elsewhere", "size": 1, "validator": null}'])
def test_a_damaged_note_about_a_part_starts_anew(file_server, tmp_path, note):
    stopped(file_server, tmp_path)
    (tmp_path / ".file.npy.part.json").write_text(note)
    assert get(file_server, tmp_path) == CONTENT


def test_a_length_is_not_needed(file_server, tmp_path):
    file_server.lengths = False
    assert get(file_server, tmp_path) == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(file_server, tmp_path, status):
    file_server.failures = [(status, {"Retry-After": "0"})] * 3
    assert get(file_server, tmp_path) == CONTENT


def test_a_server_that_stays_busy_is_an_error_in_the_end(file_server, tmp_path):
    file_server.failures = [(503, {})] * 50
    with pytest.raises(DownloadError, match="answers 503 .*given up after 4 tries"):
        get(file_server, tmp_path)
    assert len(file_server.asked) == 5


def test_the_wait_is_what_the_server_asks_for(file_server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(transfer.time, "sleep", waits.append)
    monkeypatch.setattr(transfer, "WAIT", (1.0, 3.0))
    file_server.failures = [(503, {"Retry-After": "7"}), (503, {}), (503, {}), (503, {"Retry-After": "soon"})]
    get(file_server, tmp_path)
    assert waits == [7.0, 2.0, 3.0, 3.0]


def test_a_file_that_is_not_there_is_named_and_not_asked_for_twice(file_server, tmp_path):
    with pytest.raises(DownloadError, match=r"/missing.npy: the server answers 404 Not Found"):
        fetch(f"{file_server.url}/missing.npy", tmp_path / "missing.npy")
    assert len(file_server.asked) == 1 and not leftovers(tmp_path)


def test_a_wrong_checksum_is_an_error_and_nothing_is_left(file_server, published, tmp_path):
    file = DATASETS[NAME].files[0]
    path = DATASETS[NAME].path.format(file=file)
    file_server.files[path] = file_server.files[path][::-1]
    with pytest.raises(DownloadError, match=f"{file}.* does not have the published checksum md5:"):
        download(NAME, tmp_path, base_url=file_server.url)
    assert not (tmp_path / file).exists() and not list(tmp_path.glob(".*part"))


def test_a_wrong_checksum_is_an_error_also_where_the_connection_breaks_every_time(file_server, tmp_path):
    file_server.cut = [len(CONTENT) // 2, len(CONTENT)] * 20
    with pytest.raises(DownloadError, match="does not have the published checksum"):
        get(file_server, tmp_path, checksum="md5:" + "0" * 32)
    assert len(file_server.asked) <= 4


def test_another_length_than_the_published_one_is_an_error(file_server, tmp_path):
    with pytest.raises(DownloadError, match=f"the server has {len(CONTENT)} bytes, 3 are published"):
        get(file_server, tmp_path, size=3)


def test_a_web_page_in_place_of_the_file_is_an_error(file_server, tmp_path):
    file_server.kind = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="a web page, not the file"):
        get(file_server, tmp_path)
    assert not (tmp_path / "file.npy").exists()


@pytest.mark.parametrize(
    "record", [None, b"<html>", b"{}", b'{"files": [{"key": "a", "size": 1, "checksum": "crc9:1"}]}']
)
def test_checksums_that_cannot_be_read_are_a_warning(file_server, published, tmp_path, record):
    file_server.files.pop(DATASETS[NAME].record)
    if record is not None:
        file_server.files[DATASETS[NAME].record] = record
    with pytest.warns(GalmergeWarning, match="checksums cannot be read .*checked by their length only"):
        download(NAME, tmp_path, base_url=file_server.url)


def test_mast_publishes_no_checksums(file_server, tmp_path):
    file_server.publish("deepmerge-mast", dict.fromkeys(DATASETS["deepmerge-mast"].files, CONTENT))
    paths = download("deepmerge-mast", tmp_path, base_url=file_server.url)
    assert [path.read_bytes() for path in paths] == [CONTENT, CONTENT] and len(file_server.asked) == 2


def test_no_server_is_a_clear_error(tmp_path, file_server):
    url = file_server.url
    file_server._server.server_close()
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached .* is there a network\?"):
        download(NAME, tmp_path, base_url=url)


def test_no_name_service_is_a_clear_error_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    asked = []
    monkeypatch.setattr(transfer.time, "sleep", asked.append)
    with pytest.raises(DownloadError, match=r"nowhere\.invalid cannot be found .* is there a network\?"):
        download(NAME, tmp_path, base_url="http://nowhere.invalid")
    assert not asked


def test_astropys_switch_of_the_internet_is_heeded(file_server, tmp_path):
    with conf.set_temp("allow_internet", False), pytest.raises(DownloadError, match="allow_internet is False"):
        get(file_server, tmp_path)
    assert not file_server.asked


def test_a_disk_without_room_is_an_error_before_anything_is_written(file_server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(DownloadError, match=f"the disk is full: {len(CONTENT)} bytes are to come"):
        get(file_server, tmp_path)
    assert not (tmp_path / ".file.npy.part").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_is_an_error_that_keeps_what_has_arrived(file_server, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "open", lambda name, mode: open("/dev/full", "wb"), raising=False)
    with pytest.raises(DownloadError, match="the disk is full: .* make room and run it again"):
        get(file_server, tmp_path)


def test_another_error_of_the_file_system_is_passed_on(file_server, tmp_path, monkeypatch):
    def refuse(name, mode):
        raise PermissionError(errno.EACCES, "Permission denied", str(name))

    monkeypatch.setattr(transfer, "open", refuse, raising=False)
    with pytest.raises(PermissionError):
        get(file_server, tmp_path)


def test_two_processes_do_not_disturb_each_other(file_server, published, tmp_path):
    code = (
        "import sys; from galmerge_da.io import download; "
        f"download({NAME!r}, sys.argv[1], base_url={file_server.url!r})"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.npy")} == published
    assert len([path for path, _ in file_server.asked if "/files/" in path]) == 4, "each file once"


def test_a_second_download_waits_for_the_first(file_server, published, tmp_path):
    done = threading.Event()

    def second():
        download(NAME, tmp_path, base_url=file_server.url)
        done.set()

    with transfer.locked(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        assert not done.wait(0.3)
    thread.join(20)
    assert done.is_set()


def test_progress_is_shown_only_when_asked_for(file_server, tmp_path, capfd):
    get(file_server, tmp_path)
    assert capfd.readouterr().err == ""
    (tmp_path / "file.npy").unlink()
    get(file_server, tmp_path, progress=True)
    assert "file.npy" in capfd.readouterr().err


def test_the_error_is_one_of_the_package():
    assert issubclass(DownloadError, GalmergeError) and issubclass(DownloadError, RuntimeError)


def test_a_pair_says_whether_the_targets_galaxies_are_real():
    assert {name: dataset.real for name, dataset in DATASETS.items()} == {
        "deepmerge-simsim": False,
        "deepmerge-simreal": True,
        "deepmerge-mast": False,
    }
