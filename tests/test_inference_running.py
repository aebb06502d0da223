"""How `classify` runs: threads, clients, devices, reading ahead, memory, progress and interrupts."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from small_classifier import BANDS, make_classifier, make_table, spoil

from galmerge_da.exceptions import ConfigError
from galmerge_da.inference import MergerClassifier, api, classify
from galmerge_da.io import CutoutSource


class GatheringClient:
    """Gives futures that only `gather` opens, as dask's client does."""

    def __init__(self):
        self.n_mapped = 0

    def map(self, function, items):
        self.n_mapped += len(items)
        return [lambda item=item: function(item) for item in items]

    def gather(self, futures):
        return [future() for future in futures]


def test_a_client_gives_the_same_catalogue(monkeypatch):
    monkeypatch.setattr(api, "_CHUNK", 3)
    monkeypatch.setattr(api, "_WINDOW", 2)
    classifier, table = make_classifier(), spoil(make_table(17), 5, np.nan)
    alone = classify(table, classifier, bands=BANDS)
    gathering = GatheringClient()
    with ThreadPoolExecutor(2) as pool:
        for client in (pool, gathering):
            catalogue = classify(table, classifier, bands=BANDS, client=client)
            assert_allclose(np.ma.getdata(catalogue["merger_prob"]), np.ma.getdata(alone["merger_prob"]), rtol=1e-6)
            assert list(catalogue["flags"]) == list(alone["flags"])
    assert gathering.n_mapped == 6


def test_threads_are_limited_during_the_call_only(monkeypatch):
    seen = []
    original = MergerClassifier.predict
    monkeypatch.setattr(
        MergerClassifier, "predict", lambda *args, **kw: seen.append(torch.get_num_threads()) or original(*args, **kw)
    )
    before = torch.get_num_threads()
    classify(make_table(2), make_classifier(), bands=BANDS, n_threads=before + 1)
    assert seen == [before + 1] and torch.get_num_threads() == before


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "two", True])
def test_an_impossible_number_of_threads_is_refused(n_threads):
    with pytest.raises(ConfigError, match="n_threads"):
        classify(make_table(2), make_classifier(), bands=BANDS, n_threads=n_threads)


def test_something_else_is_no_client():
    with pytest.raises(ConfigError, match="client must have a method map"):
        classify(make_table(2), make_classifier(), bands=BANDS, client=3)


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="device"):
        classify(make_table(2), make_classifier(), bands=BANDS, device="abacus")


def test_progress_is_shown_when_asked_for(capsys):
    classify(make_table(2), make_classifier(), bands=BANDS)
    assert capsys.readouterr().err == ""
    classify(make_table(2), make_classifier(), bands=BANDS, progress=True)
    assert "2/2" in capsys.readouterr().err


def test_an_interrupt_leaves_threads_and_network_as_they_were(monkeypatch):
    classifier, before = make_classifier(), torch.get_num_threads()

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "preprocess", interrupt)
    with pytest.raises(KeyboardInterrupt):
        classify(make_table(2), classifier, bands=BANDS, n_threads=before + 1)
    assert torch.get_num_threads() == before
    assert not classifier.network.training and not readers()


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("galmerge-reader")]


def test_the_next_chunk_is_read_while_this_one_is_classified(monkeypatch):
    monkeypatch.setattr(api, "_CHUNK", 3)
    begun, waited, read, preprocess = {}, [], CutoutSource._chunk, api.preprocess

    def reading(source, start, *args):
        begun.setdefault(start, threading.Event()).set()
        return read(source, start, *args)

    def working(cutouts, recipe):
        waited.append(
            begun.setdefault(cutouts.row[-1] + 1, threading.Event()).wait(20) if cutouts.row[-1] < 8 else True
        )
        return preprocess(cutouts, recipe)

    table = make_table(9)
    expected = classify(table, make_classifier(), bands=BANDS)
    monkeypatch.setattr(CutoutSource, "_chunk", reading)
    monkeypatch.setattr(api, "preprocess", working)
    catalogue = classify(table, make_classifier(), bands=BANDS)
    assert waited == [True, True, True] and not readers()
    assert list(catalogue["name"]) == list(table["name"])
    assert_allclose(catalogue["merger_prob"], expected["merger_prob"])


MEASURE = """
import resource, sys
from galmerge_da import classify
catalogue = classify(sys.argv[1], sys.argv[2], bands=("g", "r", "i"))
assert len(catalogue) == int(sys.argv[3])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    """The larger data set has 72 MiB more of pixels; a chunk has 12 MiB, and there may be three."""
    make_classifier().save(tmp_path / "model.safetensors")
    peaks = []
    for n_rows in (1024, 2560):
        with h5py.File(tmp_path / f"{n_rows}.h5", "w") as file:
            images = file.create_dataset("image", (n_rows, 3, 64, 64), np.float32)
            for start in range(0, n_rows, 256):
                images[start : start + 256] = np.random.default_rng(start).normal(size=(256, 3, 64, 64))
        command = [
            sys.executable,
            "-c",
            MEASURE,
            tmp_path / f"{n_rows}.h5",
            tmp_path / "model.safetensors",
            str(n_rows),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / (1024**2 if sys.platform == "darwin" else 1024))
    assert peaks[1] - peaks[0] < 24
