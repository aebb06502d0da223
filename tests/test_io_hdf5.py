"""Data sets in HDF5 and Parquet become the same `Cutouts` as the arrays that were put into them."""

import pickle
import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, QTable, Table

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


def h5_group(path, columns, address="/", attributes=(), **options):
    with h5py.File(path, "w") as file:
        group = file.require_group(address)
        for name, values in columns.items():
            group.create_dataset(name, data=values, **options)
        group.attrs.update(attributes)
    return path, {}


def with_options(held, **options):
    return held[0], {**held[1], **options}


HDF5 = {
    "table": lambda f, p: h5_table(f, Table({"id": IDS, "image": p})),
    "table with its description": lambda f, p: h5_table(
        f, QTable({"id": IDS, "image": p * u.nJy}), serialize_meta=True
    ),
    "table with a mask": lambda f, p: h5_table(
        f, Table({"id": IDS, "image": MaskedColumn(p, mask=np.zeros(p.shape, bool))}), serialize_meta=True
    ),
    "table in a group": lambda f, p: h5_table(f, Table({"id": IDS, "image": p}), "a/b"),
    "big-endian table": lambda f, p: h5_table(f, Table({"id": IDS, "image": p.astype(">f8")})),
    "table with a column a band": lambda f, p: with_options(
        h5_table(f, Table({"id": IDS, "x": p[:, 0], "y": p[:, 1], "z": p[:, 2]})), image=["x", "y", "z"]
    ),
    "group": lambda f, p: h5_group(f, {"id": IDS, "image": p}),
    "group in chunks, compressed": lambda f, p: h5_group(
        f, {"id": IDS, "image": p}, "survey", chunks=True, compression="gzip"
    ),
    "group HWC": lambda f, p: with_options(h5_group(f, {"id": IDS, "image": np.moveaxis(p, 1, -1)}), axes="HWC"),
    "group with an array a band": lambda f, p: with_options(
        h5_group(f, {"id": IDS, "x": p[:, 0], "y": p[:, 1], "z": p[:, 2]}), image=["x", "y", "z"]
    ),
    "group by its name": lambda f, p: (f"{h5_group(f, {'id': IDS, 'image': p}, 'a/b')[0]}[a/b]", {}),
    "group by a number": lambda f, p: (f"{h5_group(f, {'id': IDS, 'image': p}, '0')[0]}[0]", {}),
    "group without columns": lambda f, p: h5_group(f, {"image": p}),
}


@pytest.fixture(params=HDF5)
def held(request, tmp_path, pixels):
    source, options = HDF5[request.param](tmp_path / "set.h5", pixels)
    return source, {"bands": BANDS, "chunk_size": 3, **options}


def test_every_form_gives_the_same_cutouts(held, pixels):
    source, options = held
    opened = open_cutouts(source, **options)
    expected = open_cutouts(Table({"id": IDS, "image": pixels}), bands=BANDS).read()
    for cutouts in (opened.read(), pickle.loads(pickle.dumps(opened)).read()):
        assert cutouts.data.dtype == np.float32 and cutouts.data.flags.c_contiguous
        assert np.array_equal(cutouts.data, expected.data)
        assert cutouts.bands == BANDS and not cutouts.flags.any()
        assert cutouts.mask is None or not cutouts.mask.any()
        assert cutouts.row.tolist() == list(range(N))
        if "id" in cutouts.table.colnames:
            assert cutouts.table["id"].tolist() == IDS.tolist()
        assert set(cutouts.table.colnames) <= {"id", "row"}


def test_chunks_are_the_rows_in_order_again_and_again(held, pixels):
    source, options = held
    opened = open_cutouts(source, **options)
    for _ in range(2):
        chunks = list(opened)
        assert [len(chunk) for chunk in chunks] == [3, 3, 1]
        assert np.array_equal(np.concatenate([chunk.data for chunk in chunks]), pixels)


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


@pytest.mark.parametrize("n_rows", [400, 1600])
def test_memory_of_hdf5_does_not_grow_with_rows(tmp_path, n_rows):
    path, _ = h5_group(tmp_path / "a.h5", {"image": np.zeros((n_rows, 3, 32, 32), np.float32)})
    tracemalloc.start()
    for _ in open_cutouts(path, chunk_size=50):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 50 * 3 * 32 * 32 * 4
