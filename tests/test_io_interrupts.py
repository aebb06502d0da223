"""Ctrl-C in the middle of reading and of fetching, in another process: it ends soon, and what it has done counts."""

import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from galmerge_da.io import fetch_cutouts

PATIENCE = 120.0

#: Whoever starts the tests in the background may have Ctrl-C ignored, which processes inherit.
HANDLER = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"

FETCH = """
import sys
from astropy.table import Table
from galmerge_da.io import fetch_cutouts
fetch_cutouts(Table.read(sys.argv[1]), "legacy", 12, sys.argv[2], base_url=sys.argv[3], rate=1e6)
"""

READ = """
import sys, threading
from pathlib import Path
from galmerge_da.io import open_cutouts, prefetch
paths = sorted(map(str, Path(sys.argv[1]).iterdir())) * 5000
try:
    for number, chunk in enumerate(prefetch(open_cutouts(paths, chunk_size=16))):
        if number == 3:
            print("reading", flush=True)
finally:
    print([thread.name for thread in threading.enumerate() if thread is not threading.main_thread()], flush=True)
"""


@pytest.fixture
def start():
    """Runs code in another process, which ends with the test."""
    processes = []

    def run(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", HANDLER + code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "no_proxy": "*"},
        )
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def interrupt(process):
    """Seconds until it ends, and what it said."""
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in err, err
    return time.monotonic() - begun, out


class SlowAnswers(dict):
    """Cutouts whose pixels are their position; counts the questions."""

    def __init__(self):
        self.asked, self.delay = Counter(), 0.05

    def get(self, path):
        query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
        self.asked[query["ra"], query["dec"]] += 1
        time.sleep(self.delay)
        content = io.BytesIO()
        planes = np.full((3, 12, 12), float(query["ra"]), np.float32)
        planes[:, 0, 0] = float(query["dec"])
        fits.writeto(content, planes)
        return content.getvalue()


@pytest.mark.slow
def test_a_fetch_that_is_interrupted_goes_on_where_it_was(file_server, tmp_path, start):
    answers = file_server.files = SlowAnswers()
    catalog = Table({"id": np.arange(40), "ra": 150 + np.arange(40) / 64, "dec": np.arange(40) / 32 - 0.5})
    catalog.write(tmp_path / "catalog.fits")
    folder = tmp_path / "cutouts"
    for n_asked in (7, 19):
        process = start(FETCH, tmp_path / "catalog.fits", folder, file_server.url)
        begun = time.monotonic()
        while answers.asked.total() < n_asked and time.monotonic() - begun < PATIENCE and process.poll() is None:
            time.sleep(0.01)
        interrupt(process)
        assert n_asked - 2 <= len(list(folder.glob("*.fits"))) < 40
    answers.delay = 0
    result = fetch_cutouts(catalog, "legacy", 12, folder, base_url=file_server.url, rate=1e6)
    assert result["id"].tolist() == list(range(40)) and not result["flags"].any()
    np.testing.assert_array_equal(result["image"][:, 1, 5, 5], catalog["ra"])
    np.testing.assert_array_equal(result["image"][:, 2, 0, 0], catalog["dec"])
    assert len(answers.asked) == 40 and answers.asked.total() <= 42, "only the row in hand is asked for again"
    assert len(list(folder.glob("*.fits"))) == 40 and not list(folder.glob(".*.part*"))


def test_an_answer_that_was_never_checked_is_asked_for_again(file_server, tmp_path):
    """As an interrupt between the last byte and the check leaves it."""
    answers = file_server.files = SlowAnswers()
    answers.delay = 0
    catalog = Table({"ra": [150.0, 151.0, 152.0], "dec": [1.0, 2.0, 3.0]})
    fetch_cutouts(catalog, "legacy", 12, tmp_path, base_url=file_server.url, rate=1e6)
    first, second, _ = sorted(tmp_path.glob("*.fits"))
    first.write_bytes(b"<html>busy</html>")
    second.write_bytes(second.read_bytes()[:3000])
    again = fetch_cutouts(catalog, "legacy", 12, tmp_path, base_url=file_server.url, rate=1e6)
    np.testing.assert_array_equal(again["image"][:, 1, 5, 5], catalog["ra"])
    assert sorted(answers.asked.values()) == [1, 2, 2] and not again["flags"].any()


@pytest.mark.slow
def test_reading_ahead_that_is_interrupted_ends_soon_and_leaves_no_thread(tmp_path, start):
    for number in range(20):
        fits.writeto(tmp_path / f"{number}.fits", np.full((3, 64, 64), number, np.float32))
    process = start(READ, tmp_path)
    assert process.stdout.readline() == "reading\n"
    seconds, out = interrupt(process)
    assert seconds < 20 and out.strip() == "[]"
