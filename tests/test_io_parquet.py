"""Data sets in Parquet become the same `Cutouts` as the arrays that were put into them."""

import io
import pickle

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
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


def write(path, columns, stated=(), meta=None, **options):
    """A Parquet file; ``stated`` is the metadata of the column ``image``."""
    arrays = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    fields = [
        pa.field(name, each.type, metadata=dict(stated) if name == "image" else None) for name, each in arrays.items()
    ]
    table = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields, metadata=meta))
    parquet.write_table(table, path, **{"row_group_size": 4, **options})
    return path


def tensors(values):
    return pa.FixedShapeTensorArray.from_numpy_ndarray(values)


def permuted(values):
    """Tensors ``(C, H, W)`` whose numbers lie in the order ``(H, W, C)``."""
    kind = pa.fixed_shape_tensor(pa.float32(), [H, W, C], permutation=[2, 0, 1])
    return pa.ExtensionArray.from_storage(kind, flat(np.ascontiguousarray(np.moveaxis(values, 1, -1))))


def fixed(values, depth):
    """Fixed-size lists, one inside the other, of all but the innermost ``depth`` axes flat."""
    array = pa.array(values.reshape(-1))
    for side in values.shape[:0:-1][:depth]:
        array = pa.FixedSizeListArray.from_arrays(array, side)
    return array


def flat(values):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), int(np.prod(values.shape[1:])))


def npy_bytes(image):
    buffer = io.BytesIO()
    np.save(buffer, image)
    return buffer.getvalue()


def fits_bytes(image):
    buffer = io.BytesIO()
    fits.PrimaryHDU(image).writeto(buffer)
    return buffer.getvalue()


def universe(pixels, kind, masks=None, bands=("des-g", "des-r", "des-i")):
    """Rows as the Multimodal Universe has them: a list of records, or a record of lists."""
    good = np.ones(pixels.shape, bool) if masks is None else masks
    rows = []
    for image, ok in zip(pixels, good, strict=True):
        record = {
            "band": list(bands),
            "flux": image.tolist(),
            "ivar": np.full(image.shape, 0.25).tolist(),
            "mask": ok.tolist(),
            "psf_fwhm": [1.0] * C,
            "scale": [0.262] * C,
        }
        each = [dict(zip(record, values, strict=True)) for values in zip(*record.values(), strict=True)]
        rows.append(record if kind == "record" else each)
    plane = pa.list_(pa.list_(pa.float32()))
    good_plane = pa.list_(pa.list_(pa.bool_()))
    types = {
        "band": pa.string(), "flux": plane, "ivar": plane, "mask": good_plane, "psf_fwhm": pa.float32(),
        "scale": pa.float32(),
    }  # fmt: skip
    if kind == "record":
        return pa.array(rows, type=pa.struct({name: pa.list_(each) for name, each in types.items()}))
    return pa.array(rows, type=pa.list_(pa.struct(types)))


def in_bands(path, pixels):
    write(path, {"id": IDS, **{name: tensors(pixels[:, band]) for band, name in enumerate("xyz")}})
    return path, {"image": ["x", "y", "z"]}


def of_astropy(path, pixels, column):
    Table({"id": IDS, "image": column}).write(path, format="parquet")
    return path, {}


SHAPE = {"shape": f"[{C}, {H}, {W}]"}
FORMS = {
    "tensors": lambda f, p: (write(f, {"id": IDS, "image": tensors(p)}), {}),
    "tensors HWC": lambda f, p: (
        write(f, {"id": IDS, "image": tensors(np.ascontiguousarray(np.moveaxis(p, 1, -1)))}),
        {"axes": "HWC"},
    ),
    "tensors in another order in memory": lambda f, p: (write(f, {"id": IDS, "image": permuted(p)}), {}),
    "tensors of float64": lambda f, p: (write(f, {"id": IDS, "image": tensors(p.astype(float))}), {}),
    "a column a band": in_bands,
    "fixed lists": lambda f, p: (write(f, {"id": IDS, "image": fixed(p, 3)}), {}),
    "flat fixed lists": lambda f, p: (write(f, {"id": IDS, "image": flat(p)}, SHAPE), {}),
    "flat lists": lambda f, p: (write(f, {"id": IDS, "image": [list(i.ravel()) for i in p]}, SHAPE), {}),
    "nested lists": lambda f, p: (write(f, {"id": IDS, "image": pa.array(p.tolist())}), {}),
    "large nested lists": lambda f, p: (
        write(
            f,
            {"id": IDS, "image": pa.array(p.tolist(), pa.large_list(pa.large_list(pa.large_list(pa.float32()))))},
            row_group_size=100,
        ),
        {},
    ),
    "bytes": lambda f, p: (write(f, {"id": IDS, "image": [i.tobytes() for i in p]}, SHAPE), {}),
    "bytes of a stated type": lambda f, p: (
        write(f, {"id": IDS, "image": [i.astype(">f8").tobytes() for i in p]}, {**SHAPE, "dtype": ">f8"}),
        {},
    ),
    "fixed bytes": lambda f, p: (
        write(f, {"id": IDS, "image": pa.array([i.tobytes() for i in p], pa.binary(p[0].nbytes))}, SHAPE),
        {},
    ),
    "npy bytes": lambda f, p: (write(f, {"id": IDS, "image": [npy_bytes(i) for i in p]}), {}),
    "FITS bytes": lambda f, p: (write(f, {"id": IDS, "image": [fits_bytes(i) for i in p]}), {}),
    "records of bytes": lambda f, p: (
        write(f, {"id": IDS, "image": [{"bytes": npy_bytes(i), "path": "a.npy"} for i in p]}),
        {},
    ),
    "universe, records of lists": lambda f, p: (write(f, {"id": IDS, "image": universe(p, "record")}), {}),
    "universe, lists of records": lambda f, p: (write(f, {"id": IDS, "image": universe(p, "list")}), {}),
    "astropy": lambda f, p: of_astropy(f, p, p),
    "astropy with a mask": lambda f, p: of_astropy(f, p, MaskedColumn(p, mask=np.zeros(p.shape, bool))),
}


@pytest.fixture(params=FORMS)
def held(request, tmp_path, pixels):
    source, options = FORMS[request.param](tmp_path / "set.parquet", pixels)
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
        assert cutouts.table["id"].tolist() == IDS.tolist()
        assert set(cutouts.table.colnames) <= {"id", "pixel_scale"}


def test_chunks_are_the_rows_in_order_again_and_again(held, pixels):
    source, options = held
    opened = open_cutouts(source, **options)
    for _ in range(2):
        chunks = list(opened)
        assert [len(chunk) for chunk in chunks] == [3, 3, 1]
        assert np.array_equal(np.concatenate([chunk.data for chunk in chunks]), pixels)


@pytest.mark.parametrize("kind", ["record", "list"])
def test_rows_of_the_universe_bring_bands_scale_weight_and_mask(tmp_path, pixels, kind):
    good = np.random.default_rng(1).random(pixels.shape) > 0.1
    write(tmp_path / "a.parquet", {"image": universe(pixels, kind, good)})
    cutouts = open_cutouts(tmp_path / "a.parquet").read()
    assert cutouts.bands == BANDS
    assert np.array_equal(cutouts.mask, ~good)
    assert np.all(cutouts.weight == 0.25)
    np.testing.assert_allclose(cutouts.pixel_scale.to_value(u.arcsec), [0.262] * N, rtol=1e-6)


def test_rows_of_the_universe_are_put_in_one_order_of_bands(tmp_path, pixels):
    first = universe(pixels[:1], "list")
    others = universe(pixels[1:-1, ::-1], "list", bands=("des-i", "des-r", "des-g"))
    odd = universe(pixels[-1:], "list", bands=("des-i", "des-r", "des-z"))
    write(tmp_path / "a.parquet", {"image": pa.concat_arrays([first, others, odd])})
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
    write(tmp_path / "a.parquet", {"image": encoded})
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
    write(tmp_path / "a.parquet", columns, {"unit": "nJy"}, {"BANDS": "g,r,i", "PIXSCALE": "0.4"})
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
    of_astropy(tmp_path / "a.parquet", pixels, MaskedColumn(pixels, mask=own, unit="nJy"))
    cutouts = open_cutouts(tmp_path / "a.parquet").read()
    assert np.array_equal(cutouts.mask, own) and cutouts.unit == u.nJy
    write(tmp_path / "b.parquet", {"image": universe(pixels, "list", ~own), "bad": pa.array((~own[:, 0]).tolist())})
    assert np.array_equal(open_cutouts(tmp_path / "b.parquet", mask="bad").read().mask, own | ~own[:, :1])


def test_bad_rows_are_flagged_and_the_others_read(tmp_path, pixels):
    rows = pixels.tolist()
    rows[1] = None
    rows[2] = [[[1.0] * W] * H, [[1.0] * W] * (H - 1), [[1.0] * W] * H]
    rows[4] = rows[4][:1]
    write(tmp_path / "a.parquet", {"image": pa.array(rows)})
    with pytest.warns(InputWarning, match="3 of 7 .* row 1: there is no image"):
        cutouts = open_cutouts(tmp_path / "a.parquet").read()
    assert cutouts.flags.tolist() == [0, Flag.UNREADABLE, Flag.BAD_SHAPE, 0, Flag.BAD_SHAPE, 0, 0]
    assert np.array_equal(cutouts.data[[0, 3, 5, 6]], pixels[[0, 3, 5, 6]])
    encoded = [npy_bytes(image) for image in pixels]
    encoded[3], encoded[5] = b"", encoded[5][:200]
    write(tmp_path / "b.parquet", {"image": encoded})
    with pytest.warns(InputWarning, match="2 of 7 .* row 3: the stored bytes: this is not an image"):
        assert open_cutouts(tmp_path / "b.parquet").read().flags.tolist() == [0, 0, 0, 2, 0, 2, 0]
    short = [image.tobytes() for image in pixels]
    short[0] = short[0][:-4]
    write(tmp_path / "c.parquet", {"image": short}, SHAPE)
    with pytest.warns(InputWarning, match="row 0: there are 503 numbers, not 3 x 12 x 14"):
        assert open_cutouts(tmp_path / "c.parquet").read().flags[0] == Flag.BAD_SHAPE


def test_a_damaged_row_group_is_flagged_and_the_others_read(tmp_path, pixels):
    path = write(tmp_path / "a.parquet", {"image": tensors(pixels)}, row_group_size=2, use_dictionary=False)
    chunk = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    with open(path, "r+b") as file:
        file.seek(chunk.data_page_offset)
        file.write(b"\xff" * 40)
    with pytest.warns(InputWarning, match="2 of 7 .* row 2: a.parquet: row group 1 cannot be read"):
        cutouts = open_cutouts(path).read()
    assert cutouts.flags.tolist() == [0, 0, Flag.UNREADABLE, Flag.UNREADABLE, 0, 0, 0]
    assert np.array_equal(cutouts.data[[0, 1, 4, 5, 6]], pixels[[0, 1, 4, 5, 6]])


def test_bad_parquet_files_are_one_error(tmp_path, pixels):
    good = write(tmp_path / "good.parquet", {"images": tensors(pixels), "label": IDS})
    whole = good.read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.parquet").write_text("hello")
    write(tmp_path / "flat.parquet", {"image": flat(pixels)})
    write(tmp_path / "shape.parquet", {"image": flat(pixels)}, {"shape": "big"})
    write(tmp_path / "dtype.parquet", {"image": [b"a"]}, {**SHAPE, "dtype": "flot"})
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
    write(tmp_path / "a.parquet", {"image": tensors(pixels)[:0]})
    assert list(open_cutouts(tmp_path / "a.parquet")) == []


def test_paths_in_parquet_start_from_its_folder(tmp_path, pixels):
    for row, image in enumerate(pixels):
        np.save(tmp_path / f"{row}.npy", image)
    write(tmp_path / "a.parquet", {"image": [f"{row}.npy" for row in range(N)]})
    assert np.array_equal(open_cutouts(tmp_path / "a.parquet").read().data, pixels)


def test_a_missing_library_says_what_to_install(tmp_path, pixels, monkeypatch):
    write(tmp_path / "a.parquet", {"image": tensors(pixels)})

    def missing(name, *args):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(InputError, match=r"needs pyarrow: python -m pip install 'galmerge_da\[parquet\]'"):
        open_cutouts(tmp_path / "a.parquet")


@pytest.mark.parametrize("n_rows", [1000, 4000])
def test_memory_of_parquet_does_not_grow_with_rows(tmp_path, n_rows):
    values = np.random.default_rng(0).random((n_rows, 3, 32, 32), np.float32)
    path = write(tmp_path / "a.parquet", {"image": tensors(values)}, row_group_size=n_rows)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    del values
    peak = max(pool.bytes_allocated() - before for _ in open_cutouts(path, chunk_size=100))
    assert peak < 2**25
