"""Data sets in HDF5: what is kept beside the pixels, and what is wrong with a file."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, Table
from input_writers import h5_group

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io import open_cutouts

h5py = pytest.importorskip("h5py")

N, C, H, W = 7, 3, 12, 14
BANDS = ("g", "r", "i")
IDS = np.arange(N) + 50


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(3).normal(100, 20, (N, C, H, W)).astype(np.float32)


def h5_table(path, table, address="data", **options):
    table.write(path, path=address, format="hdf5", **options)
    return path, {}


def test_hdf5_keeps_masks_units_descriptions_and_meta(tmp_path, pixels):
    mask = np.random.default_rng(1).random(pixels.shape) > 0.9
    table = Table(
        {
            "image": MaskedColumn(pixels, mask=mask, unit="nJy"),
            "name": Column(list("abcdefg"), description="what it is called"),
            "z": MaskedColumn(np.arange(N), mask=np.arange(N) == 2),
        },
        meta={"BANDS": "g,r,i"},
    )
    path, _ = h5_table(tmp_path / "set.h5", table, serialize_meta=True)
    cutouts = open_cutouts(path).read()
    assert np.array_equal(cutouts.mask, mask)
    assert cutouts.unit == u.nJy and cutouts.bands == BANDS
    assert cutouts.table["name"].tolist() == list("abcdefg")
    assert cutouts.table["name"].description == "what it is called"
    assert cutouts.table["z"].mask.tolist() == [row == 2 for row in range(N)]


def test_attributes_of_a_group_are_its_header(tmp_path, pixels):
    h5_group(
        tmp_path / "a.h5",
        {"image": pixels, "name": [f"galaxy {row}" for row in range(N)], "bad": pixels[:, 0] > 100},
        "x",
        {"BANDS": "g,r,i", "PIXSCALE": 0.4},
    )
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["x/image"].attrs["unit"] = "nJy"
    cutouts = open_cutouts(tmp_path / "a.h5", mask="bad").read()
    assert cutouts.bands == BANDS and cutouts.unit == u.nJy and cutouts.pixel_scale == 0.4 * u.arcsec
    assert np.array_equal(cutouts.mask, np.repeat(pixels[:, :1] > 100, C, axis=1))
    assert cutouts.table["name"].tolist() == [f"galaxy {row}" for row in range(N)]


def test_paths_in_hdf5_start_from_its_folder(tmp_path, pixels):
    for row, image in enumerate(pixels):
        np.save(tmp_path / f"{row}.npy", image)
    h5_group(tmp_path / "a.h5", {"image": [f"{row}.npy" for row in range(N)]})
    assert np.array_equal(open_cutouts(tmp_path / "a.h5").read().data, pixels)


def test_arrays_of_another_length_are_left_out_and_named(tmp_path, pixels):
    h5_group(tmp_path / "a.h5", {"image": pixels, "depth": np.zeros((2, 5, 5)), "wavelength": [4800.0, 6200.0]})
    with pytest.warns(InputWarning, match="rows other than 7: depth, wavelength"):
        assert open_cutouts(tmp_path / "a.h5").table.colnames == ["row"]


def test_an_empty_hdf5_data_set_is_empty(tmp_path, pixels):
    h5_group(tmp_path / "a.h5", {"image": pixels[:0]})
    h5_table(tmp_path / "b.h5", Table({"id": IDS, "image": pixels})[:0])
    for name in "ab":
        assert list(open_cutouts(tmp_path / f"{name}.h5")) == []


def test_bad_hdf5_files_are_one_error(tmp_path, pixels):
    good = tmp_path / "good.h5"
    h5_group(good, {"images": pixels, "label": IDS}, "a")
    whole = good.read_bytes()
    (tmp_path / "half.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "head.h5").write_bytes(whole[:8])
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "empty.h5").write_bytes(b"")
    for name, message in [
        ("half.h5", "cannot be read as HDF5.*truncated"),
        ("head.h5", "cannot be read as HDF5"),
        ("text.h5", "is not .*HDF5"),
        ("empty.h5", "is not .*HDF5"),
        ("good.h5", "no column 'image'.*did you mean 'images'"),
        ("good.h5[b]", "no group 'b'"),
    ]:
        with pytest.raises(InputError, match=message):
            open_cutouts(tmp_path / name)
    with pytest.raises(InputError, match="'label' holds one int64"):
        open_cutouts(good, image="label")


def test_damage_within_hdf5_is_one_error_too(tmp_path, pixels):
    h5_group(tmp_path / "a.h5", {"image": pixels}, chunks=(1, C, H, W), compression="gzip")
    with h5py.File(tmp_path / "a.h5") as file:
        chunk = file["image"].id.get_chunk_info(4)
    with open(tmp_path / "a.h5", "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(bytes(chunk.size))
    opened = iter(open_cutouts(tmp_path / "a.h5", chunk_size=2))
    assert np.array_equal(next(opened).data, pixels[:2]) and np.array_equal(next(opened).data, pixels[2:4])
    with pytest.raises(InputError, match="a.h5: rows 4 to 6 cannot be read"):
        next(opened)


def test_a_missing_library_says_what_to_install(tmp_path, pixels, monkeypatch):
    h5_group(tmp_path / "a.h5", {"image": pixels})

    def missing(name, *args):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(InputError, match=r"needs h5py: python -m pip install 'galmerge_da\[hdf5\]'"):
        open_cutouts(tmp_path / "a.h5")
