"""A small file that unpacks to gigabytes, or declares them, is refused before it fills the memory."""

import bz2
import gzip
import io
import lzma
import struct
import tracemalloc
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from PIL import Image

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import extract_cutouts, open_cutouts, save_cutouts, unpacking
from galmerge_da.io.files import read_picture

MIB = 2**20
PIXELS = np.random.default_rng(0).normal(5, 1, (3, 40, 50)).astype(np.float32)


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(unpacking, "CUTOUT_LIMIT", MIB)
    monkeypatch.setattr(unpacking, "FIELD_LIMIT", 4 * MIB)


@contextmanager
def at_most(n_bytes):
    """Fails if more memory is taken meanwhile."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()


def fits_bytes(values):
    file = io.BytesIO()
    fits.PrimaryHDU(values).writeto(file)
    return file.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_file_that_unpacks_to_more_is_read_no_further(tmp_path, small_limits, pack):
    content = fits_bytes(np.zeros((4000, 4000), np.float32))
    path = tmp_path / "bomb.fits.any"
    path.write_bytes(pack(content))
    assert path.stat().st_size < len(content) / 500
    with at_most(16 * MIB), pytest.raises(InputError, match="bomb.fits.any: it unpacks to more than the 1 MiB"):
        read_picture(path)
    with pytest.raises(InputError, match="the stored bytes: it unpacks to more than the 1 MiB"):
        read_picture(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_files_below_the_limit_are_read_as_before(tmp_path, small_limits, pack):
    (tmp_path / "a.fits").write_bytes(pack(fits_bytes(PIXELS)))
    assert np.array_equal(read_picture(tmp_path / "a.fits").data, PIXELS)
    assert np.array_equal(read_picture(io.BytesIO((tmp_path / "a.fits").read_bytes())).data, PIXELS)


def declared(kind, path):
    """A file of a few hundred bytes that says that it has terabytes of pixels."""
    if kind == "fits":
        header = fits.PrimaryHDU(np.zeros((2, 2), np.float32)).header
        header["NAXIS1"] = header["NAXIS2"] = 1_000_000
        path.write_bytes(header.tostring().encode())
    elif kind == "npy":
        with open(path, "wb") as file:
            about = {"descr": "<f4", "fortran_order": False, "shape": (3, 1_000_000, 1_000_000)}
            np.lib.format.write_array_header_1_0(file, about)
    elif kind == "png":
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "png")
        content = bytearray(file.getvalue())
        content[16:24] = struct.pack(">II", 12_000, 12_000)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
        path.write_bytes(content)
    else:
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "jpeg")
        content = bytearray(file.getvalue())
        start = content.index(b"\xff\xc0") + 5
        content[start : start + 4] = struct.pack(">HH", 12_000, 12_000)
        path.write_bytes(content)


@pytest.mark.parametrize("kind", ["fits", "npy", "png", "jpeg"])
def test_a_file_that_declares_more_is_refused_by_its_header(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    declared(kind, path)
    with at_most(4 * MIB), pytest.raises(InputError, match="it unpacks to more than the 512 MiB"):
        read_picture(path)
    with pytest.raises(InputError, match="it unpacks to more than the 512 MiB"):
        read_picture(io.BytesIO(path.read_bytes()))


def test_pixels_that_the_compression_of_fits_hides_count(tmp_path, small_limits):
    fits.CompImageHDU(np.zeros((700, 700), np.int16)).writeto(tmp_path / "a.fits")
    assert (tmp_path / "a.fits").stat().st_size < 100_000
    with pytest.raises(InputError, match="it unpacks to more than the 1 MiB"):
        read_picture(tmp_path / "a.fits")


def test_such_a_row_is_flagged_and_the_others_are_read(tmp_path, small_limits):
    paths = [str(tmp_path / name) for name in ("a.fits", "bomb.fits.gz", "c.fits.gz")]
    (tmp_path / "a.fits").write_bytes(fits_bytes(PIXELS))
    (tmp_path / "bomb.fits.gz").write_bytes(gzip.compress(fits_bytes(np.zeros((3, 400, 400), np.float32))))
    (tmp_path / "c.fits.gz").write_bytes(gzip.compress(fits_bytes(PIXELS)))
    with pytest.warns(InputWarning, match="row 1.*unpacks to more than"):
        (cutouts,) = open_cutouts(Table({"image": paths}))
    assert cutouts.flags.tolist() == [0, Flag.UNREADABLE, 0]
    assert np.array_equal(cutouts.data[2], PIXELS)


def test_a_field_may_be_larger_than_a_cutout(tmp_path, small_limits):
    field = np.random.default_rng(1).normal(0, 1, (700, 800)).astype(np.float32)
    catalog = Table({"x": [300.0], "y": [200.0]})
    for name, pack in (("a.fits", bytes), ("b.fits.gz", gzip.compress), ("c.fits.bz2", bz2.compress)):
        (tmp_path / name).write_bytes(pack(fits_bytes(field)))
        cutout = extract_cutouts(catalog, [tmp_path / name], 21)["image"][0]
        assert np.array_equal(np.squeeze(cutout), field[190:211, 290:311]), name
    large = np.zeros((1200, 1000), np.float32)
    (tmp_path / "bomb.fits.gz").write_bytes(gzip.compress(fits_bytes(large)))
    with pytest.raises(InputError, match="bomb.fits.gz: it unpacks to more than the 4 MiB"):
        extract_cutouts(catalog, [tmp_path / "bomb.fits.gz"], 21)
    (tmp_path / "large.fits").write_bytes(fits_bytes(large))  # is read in windows
    assert not np.any(extract_cutouts(catalog, [tmp_path / "large.fits"], 21)["image"])


def test_a_compressed_data_set_has_the_limit_of_a_field(tmp_path, small_limits):
    save_cutouts(Table({"image": np.zeros((20, 3, 100, 100), np.float32) + PIXELS[0, 0, 0]}), tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(content))
    assert sum(len(chunk) for chunk in open_cutouts(tmp_path / "a.fits.gz")) == 20
    save_cutouts(Table({"image": np.zeros((40, 3, 100, 100), np.float32)}), tmp_path / "b.fits")
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress((tmp_path / "b.fits").read_bytes()))
    with pytest.raises(InputError, match="b.fits.gz: it unpacks to more than the 4 MiB"):
        open_cutouts(tmp_path / "b.fits.gz")
    assert sum(len(chunk) for chunk in open_cutouts(tmp_path / "b.fits")) == 40
