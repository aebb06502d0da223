"""Reading ahead: in order, one chunk at a time, and nothing is left running when it ends, fails or is broken off."""

import signal
import threading
import time
import warnings
from contextlib import closing

import h5py
import numpy as np
import pytest

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io import open_cutouts, prefetch
from galmerge_da.io.files import quiet

PATIENCE = 20.0


def readers():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("galmerge-reader")]


class Reading:
    """Numbers that say when they are read, by which thread."""

    def __init__(self, n, fail_at=None):
        self.begun = [threading.Event() for _ in range(n)]
        self.threads = set()
        self.fail_at = fail_at

    def __iter__(self):
        for number, event in enumerate(self.begun):
            event.set()
            self.threads.add(threading.current_thread().name)
            if number == self.fail_at:
                raise InputError(f"chunk {number} is damaged")
            yield number


def test_chunks_come_in_their_order_from_one_other_thread():
    reading = Reading(50)
    assert list(prefetch(reading)) == list(range(50))
    (thread,) = reading.threads
    assert thread.startswith("galmerge-reader") and not readers()


def test_the_next_chunk_is_read_while_this_one_is_worked_on_and_no_more():
    reading = Reading(4)
    with closing(prefetch(reading)) as chunks:
        assert next(chunks) == 0
        assert reading.begun[1].wait(PATIENCE), "nothing is read while a chunk is worked on"
        time.sleep(0.05)
        assert not reading.begun[2].is_set()
        assert list(chunks) == [1, 2, 3]


def test_an_error_comes_after_the_chunks_before_it():
    got = []
    with pytest.raises(InputError, match="chunk 3 is damaged"):
        for chunk in prefetch(Reading(9, fail_at=3)):
            got.append(chunk)
    assert got == [0, 1, 2] and not readers()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_whoever_works_on_a_chunk_may_fail(error):
    reading = Reading(9)
    with pytest.raises(error):
        for chunk in prefetch(reading):
            if chunk == 2:
                raise error
    assert not readers() and not reading.begun[4].is_set()


def test_a_loop_may_be_left():
    for chunk in prefetch(Reading(9)):
        if chunk == 1:
            break
    assert not readers()


def test_an_interrupt_is_not_held_up_by_a_slow_disk():
    def slow():
        yield 0
        time.sleep(0.6)
        yield 1

    def interrupt():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    timer = threading.Timer(0.2, interrupt)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(prefetch(slow()))
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert not readers()


def test_nothing_gives_nothing():
    assert list(prefetch([])) == []


def test_chunks_of_a_data_set_are_the_same_and_damage_is_the_same_error(tmp_path):
    pixels = np.random.default_rng(0).normal(size=(9, 3, 12, 12)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=pixels, chunks=(1, 3, 12, 12), compression="gzip")
        chunk = file["image"].id.get_chunk_info(6)
    source = open_cutouts(tmp_path / "a.h5", chunk_size=2)
    assert np.array_equal(np.concatenate([chunk.data for chunk in prefetch(source)]), pixels)
    with open(tmp_path / "a.h5", "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(chunk.size))
    rows = []
    with pytest.raises(InputError, match="rows 6 to 8 cannot be read"):
        for cutouts in prefetch(source):
            rows.extend(cutouts.row)
    assert rows == [0, 1, 2, 3, 4, 5] and not readers()


def test_bad_rows_are_one_warning(tmp_path):
    with pytest.warns(InputWarning, match="4 of 4 images") as caught:
        chunks = list(prefetch(open_cutouts(["nowhere.fits"] * 4, chunk_size=1)))
    assert len(chunks) == 4 and len(caught) == 1


def test_two_threads_that_want_no_warnings_leave_the_filters_as_they_were():
    inside, before = threading.Event(), list(warnings.filters)

    def other():
        inside.wait(PATIENCE)
        with quiet():
            warnings.warn("not heard", UserWarning, stacklevel=1)

    thread = threading.Thread(target=other)
    thread.start()
    with quiet():
        inside.set()
        time.sleep(0.1)  # the other one would come in here, and leave last
        with quiet():
            warnings.warn("not heard", UserWarning, stacklevel=1)
    thread.join()
    assert warnings.filters == before
    with pytest.raises(UserWarning):
        warnings.warn("heard again", UserWarning, stacklevel=1)
