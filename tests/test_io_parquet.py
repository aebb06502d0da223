"""Data sets in Parquet: what is kept beside the pixels, rows that are bad, and files that are."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from input_writers import fixed, flat, npy_bytes, tensors, universe, write_parquet
from PIL import Image

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.flags import Flag
from galmerge_da.io import open_cutouts

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

N, C, H, W = 7, 3, 12, 14
BANDS = ("g", "r", "i")
IDS = np.arange(N) + 50


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(3).normal(100, 20, (N, C, H, W)).astype(np.float32)


def of_astropy(path, column):
    Table({"id": IDS, "image": column}).write(path, format="parquet")


SHAPE = {"shape": f"[{C}, {H}, {W}]"}


@pytest.mark.parametrize("kind", ["record", "list"])
def test_rows_of_the_universe_bring_bands_scale_weight_and_mask(tmp_path, pixels, kind):
    good = np.random.default_rng(1).random(pixels.shape) > 0.1
    write_parquet(tmp_path / "a.parquet", {"image": universe(pixels, kind, good)})
    cutouts = open_cutouts(tmp_path / "a.parquet").read()
    assert cutouts.bands == BANDS
    assert np.array_equal(cutouts.mask, ~good)
    assert np.all(cutouts.weight == 0.25)
    np.testing.assert_allclose(cutouts.pixel_scale.to_value(u.arcsec), [0.262] * N, rtol=1e-6)


def test_rows_of_the_universe_are_put_in_one_order_of_bands(tmp_path, pixels):
    first = universe(pixels[:1], "list")
    others = universe(pixels[1:-1, ::-1], "list", bands=("des-i", "des-r", "des-g"))
    odd = universe(pixels[-1:], "list", bands=("des-i", "des-r", "des-z"))
    write_parquet(tmp_path / "a.parquet", {"image": pa.concat_arrays([first, others, odd])})
    with pytest.warns(InputWarning, match="row 6: its bands are des-i,des-r,des-z, not des-g,des-r,des-i"):
        cutouts = open_cutouts(tmp_path / "a.parquet").read()
    assert np.array_equal(cutouts.data[:-1], pixels[:-1])
    assert cutouts.flags.tolist() == [0] * (N - 1) + [Flag.BAD_SHAPE]


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_encoded_pictures_are_read_as_their_files_are(tmp_path, form):
    values = np.random.default_rng(0).integers(0, 255, (4, 20, 30, 3), dtype=np.uint8)
    paths, encoded = [], []
    for row, image in enumerate(values):
        paths.append(str(tmp_path / f"{row}.{form.lower()}"))
        Image.fromarray(image).save(paths[-1], format=form)
        encoded.append((tmp_path / paths[-1]).read_bytes())
    write_parquet(tmp_path / "a.parquet", {"image": encoded})
    opened = open_cutouts(tmp_path / "a.parquet", survey="sdss-jpeg")
    expected = open_cutouts(paths, survey="sdss-jpeg").read()
    assert opened.stretched and opened.bands == ("i", "r", "g")
    assert np.array_equal(opened.read().data, expected.data)


def test_the_other_columns_keep_their_types_units_and_gaps(tmp_path, pixels):
    columns = {
        "image": tensors(pixels),
        "name": pa.array(["a", None, "c", "d", "e", "f", "é"]),
        "z": pa.array([1, 2, None, 4, 5, 6, 7]),
        "kind": pa.array(list("aabbccd")).dictionary_encode(),
        "night": pa.array(np.array(["2020-01-01"] * N, "datetime64[s]")),
        "probs": fixed(np.arange(2.0 * N).reshape(N, 2), 1),
        "merger": pa.array([True, False] * 3 + [True]),
        "neighbours": pa.array([[1], [2, 3], [], [4], [5], [6], [7]]),
    }
    write_parquet(tmp_path / "a.parquet", columns, {"unit": "nJy"}, {"BANDS": "g,r,i", "PIXSCALE": "0.4"})
    cutouts = open_cutouts(tmp_path / "a.parquet").read()
    assert cutouts.unit == u.nJy and cutouts.bands == BANDS and cutouts.pixel_scale == 0.4 * u.arcsec
    table = cutouts.table
    assert table.colnames == ["name", "z", "kind", "night", "probs", "merger"]
    assert table["name"].mask.tolist() == [row == 1 for row in range(N)] and table["name"][6] == "é"
    assert table["z"].filled(0).tolist() == [1, 2, 0, 4, 5, 6, 7] and table["z"].dtype.kind == "i"
    assert table["kind"].tolist() == list("aabbccd") and table["merger"].dtype == bool
    assert np.array_equal(table["probs"], np.arange(2.0 * N).reshape(N, 2))


def test_masks_of_astropy_and_of_a_column_are_joined(tmp_path, pixels):
    own = np.random.default_rng(1).random(pixels.shape) > 0.9
    of_astropy(tmp_path / "a.parquet", MaskedColumn(pixels, mask=own, unit="nJy"))
    cutouts = open_cutouts(tmp_path / "a.parquet").read()
    assert np.array_equal(cutouts.mask, own) and cutouts.unit == u.nJy
    write_parquet(
        tmp_path / "b.parquet", {"image": universe(pixels, "list", ~own), "bad": pa.array((~own[:, 0]).tolist())}
    )
    assert np.array_equal(open_cutouts(tmp_path / "b.parquet", mask="bad").read().mask, own | ~own[:, :1])


def test_bad_rows_are_flagged_and_the_others_read(tmp_path, pixels):
    rows = pixels.tolist()
    rows[1] = None
    rows[2] = [[[1.0] * W] * H, [[1.0] * W] * (H - 1), [[1.0] * W] * H]
    rows[4] = rows[4][:1]
    write_parquet(tmp_path / "a.parquet", {"image": pa.array(rows)})
    with pytest.warns(InputWarning, match="3 of 7 .* row 1: there is no image"):
        cutouts = open_cutouts(tmp_path / "a.parquet").read()
    assert cutouts.flags.tolist() == [0, Flag.UNREADABLE, Flag.BAD_SHAPE, 0, Flag.BAD_SHAPE, 0, 0]
    assert np.array_equal(cutouts.data[[0, 3, 5, 6]], pixels[[0, 3, 5, 6]])
    encoded = [npy_bytes(image) for image in pixels]
    encoded[3], encoded[5] = b"", encoded[5][:200]
    write_parquet(tmp_path / "b.parquet", {"image": encoded})
    with pytest.warns(InputWarning, match="2 of 7 .* row 3: the stored bytes: this is not an image"):
        assert open_cutouts(tmp_path / "b.parquet").read().flags.tolist() == [0, 0, 0, 2, 0, 2, 0]
    short = [image.tobytes() for image in pixels]
    short[0] = short[0][:-4]
    write_parquet(tmp_path / "c.parquet", {"image": short}, SHAPE)
    with pytest.warns(InputWarning, match="row 0: there are 503 numbers, not 3 x 12 x 14"):
        assert open_cutouts(tmp_path / "c.parquet").read().flags[0] == Flag.BAD_SHAPE


def test_a_damaged_row_group_is_flagged_and_the_others_read(tmp_path, pixels):
    path = write_parquet(tmp_path / "a.parquet", {"image": tensors(pixels)}, row_group_size=2, use_dictionary=False)
    chunk = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    with open(path, "r+b") as file:
        file.seek(chunk.data_page_offset)
        file.write(b"\xff" * 40)
    with pytest.warns(InputWarning, match="2 of 7 .* row 2: a.parquet: row group 1 cannot be read"):
        cutouts = open_cutouts(path).read()
    assert cutouts.flags.tolist() == [0, 0, Flag.UNREADABLE, Flag.UNREADABLE, 0, 0, 0]
    assert np.array_equal(cutouts.data[[0, 1, 4, 5, 6]], pixels[[0, 1, 4, 5, 6]])


def test_bad_parquet_files_are_one_error(tmp_path, pixels):
    good = write_parquet(tmp_path / "good.parquet", {"images": tensors(pixels), "label": IDS})
    whole = good.read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.parquet").write_text("hello")
    write_parquet(tmp_path / "flat.parquet", {"image": flat(pixels)})
    write_parquet(tmp_path / "shape.parquet", {"image": flat(pixels)}, {"shape": "big"})
    write_parquet(tmp_path / "dtype.parquet", {"image": [b"a"]}, {**SHAPE, "dtype": "flot"})
    for name, message in [
        ("half.parquet", "cannot be read as Parquet"),
        ("text.parquet", "is not .*Parquet"),
        ("good.parquet", "no column 'image'.*did you mean 'images'"),
        ("good.parquet[1]", "no part 1"),
        ("flat.parquet", "'image' is flat; its metadata must state the shape"),
        ("shape.parquet", "'big' .* is no shape"),
        ("dtype.parquet", "'flot' .* is none"),
    ]:
        with pytest.raises(InputError, match=message):
            open_cutouts(tmp_path / name)
    with pytest.raises(InputError, match="'label' holds one int64"):
        open_cutouts(good, image="label")


def test_an_empty_parquet_data_set_is_empty(tmp_path, pixels):
    write_parquet(tmp_path / "a.parquet", {"image": tensors(pixels)[:0]})
    assert list(open_cutouts(tmp_path / "a.parquet")) == []


def test_paths_in_parquet_start_from_its_folder(tmp_path, pixels):
    for row, image in enumerate(pixels):
        np.save(tmp_path / f"{row}.npy", image)
    write_parquet(tmp_path / "a.parquet", {"image": [f"{row}.npy" for row in range(N)]})
    assert np.array_equal(open_cutouts(tmp_path / "a.parquet").read().data, pixels)


def test_a_missing_library_says_what_to_install(tmp_path, pixels, monkeypatch):
    write_parquet(tmp_path / "a.parquet", {"image": tensors(pixels)})

    def missing(name, *args):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(InputError, match=r"needs pyarrow: python -m pip install 'galmerge_da\[parquet\]'"):
        open_cutouts(tmp_path / "a.parquet")


@pytest.mark.parametrize("n_rows", [1000, 4000])
def test_memory_of_parquet_does_not_grow_with_rows(tmp_path, n_rows):
    values = np.random.default_rng(0).random((n_rows, 3, 32, 32), np.float32)
    path = write_parquet(tmp_path / "a.parquet", {"image": tensors(values)}, row_group_size=n_rows)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    del values
    peak = max(pool.bytes_allocated() - before for _ in open_cutouts(path, chunk_size=100))
    assert peak < 2**25
