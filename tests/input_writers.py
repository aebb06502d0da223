"""Writers of images and data sets in every format, for tests and benchmarks of input.

What is called ``make`` takes a folder and pixels ``(N, C, H, W)``, and gives what `open_cutouts` takes: the source and
options. Some take a third: a mask, a unit or a WCS that is to be carried.
"""

import io

import h5py
import numpy as np
import pyarrow as pa
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table
from PIL import Image
from pyarrow import parquet

from galmerge_da.io import extract_cutouts, open_field, save_cutouts

BANDS = ("g", "r", "i")

#: Rows in a row group of Parquet: few, so that tests have several.
ROW_GROUP = 4

#: Rows in a chunk of what is opened here.
CHUNK = 3


def ids(pixels):
    return np.arange(len(pixels)) + 50


def table(column, cls=Table):
    return cls({"id": np.arange(len(column)) + 50, "image": column})


def objects(values):
    values = list(values)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def hwc(pixels):
    return np.ascontiguousarray(np.moveaxis(pixels, 1, -1))


def in_columns(pixels, make, cls=Table):
    """A column a band, ``make(pixels of one band)``."""
    columns = {f"sky_{band}": make(pixels[:, number]) for number, band in enumerate(BANDS)}
    return cls({"id": ids(pixels), **columns}), {"image": list(columns)}


# -- files of one image


def write_each(folder, pixels, write, suffix):
    names = [str(folder / f"galaxy{row}{suffix}") for row in range(len(pixels))]
    for name, image in zip(names, pixels, strict=True):
        write(name, image)
    return names


def write_extension(name, image, header=None):
    science = fits.ImageHDU(image, header, name="SCI")
    fits.HDUList([fits.PrimaryHDU(np.zeros((3, 3))), science, fits.ImageHDU(image * 0, name="ERR")]).writeto(
        name.split("[")[0]
    )


def write_compressed(name, image, header=None):
    tiles = fits.CompImageHDU(image, header, compression_type="GZIP_2", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(name)


def write_bands(name, image, header=None):
    hdus = [fits.ImageHDU(plane, header, name=band) for band, plane in zip(BANDS, image, strict=True)]
    fits.HDUList([fits.PrimaryHDU(), *hdus[::-1]]).writeto(name.split("[")[0])


def write_picture(name, image):
    values = np.moveaxis(np.clip(np.round(image), 0, 255), 0, -1).astype(np.uint8)
    Image.fromarray(values).save(name, **({"quality": 100, "subsampling": 0} if name.endswith("jpg") else {}))


def paths(write, suffix):
    return lambda f, p: (table(write_each(f, p, write, suffix)), {})


def bands_of_one_file(folder, pixels):
    names = write_each(folder, pixels, write_bands, ".fits")
    columns = {band: [f"{name}[{band}]" for name in names] for band in BANDS}
    return Table({"id": ids(pixels), **columns}), {"image": list(BANDS)}


def a_file_a_band(write, suffix):
    def make(folder, pixels):
        columns = {}
        for number in range(pixels.shape[1]):
            (folder / str(number)).mkdir()
            columns[f"image_{number}"] = write_each(folder / str(number), pixels[:, number], write, suffix)
        return Table({"id": ids(pixels), **columns}), {"image": list(columns)}

    return make


def column_of_band_paths(folder, pixels):
    made, options = a_file_a_band(np.save, ".npy")(folder, pixels)
    return table(np.stack([made[name] for name in options["image"]], axis=1)), {}


def text_table(suffix, write=fits.writeto):
    def make(folder, pixels):
        (folder / "stamps").mkdir()
        names = write_each(folder / "stamps", pixels, write, ".fits")
        table([f"stamps/{name.rpartition('/')[2]}" for name in names]).write(folder / f"list{suffix}")
        return folder / f"list{suffix}", {}

    return make


def folder_of_images(folder, pixels, header=None):
    """Files in several formats, one a galaxy, beside what is no image."""
    (folder / "stamps").mkdir()
    for row, image in zip(ids(pixels), pixels, strict=True):
        suffix = (".fits", ".FIT", ".fits.gz")[row % 3]
        fits.writeto(folder / "stamps" / f"{row}{suffix}", image, header)
    for name in (".hidden.fits", "notes.txt", "catalogue.csv"):
        (folder / "stamps" / name).write_text("no image")
    (folder / "stamps" / "more.fits").mkdir()
    return folder / "stamps", {}


# -- data sets


def fits_table(folder, pixels):
    save_cutouts(table(pixels), folder / "set.fits")
    return folder / "set.fits", {}


def hlsp(folder, pixels, unit=None):
    header = fits.Header({} if unit is None else {"BUNIT": str(unit)})
    labels = fits.ImageHDU(np.arange(len(pixels), dtype=float))
    fits.HDUList([fits.PrimaryHDU(pixels, header), labels]).writeto(folder / "hlsp.fits")
    return folder / "hlsp.fits", {}


def published(folder, pixels):
    np.save(folder / "Sim_X_noisy.npy", pixels)
    np.save(folder / "Sim_y_noisy.npy", np.arange(len(pixels), dtype=float))
    return folder / "Sim_X_noisy.npy", {}


def h5_table(made, address="data", **options):
    def make(folder, pixels, value=None):
        arguments = (pixels,) if value is None else (pixels, value)
        made(*arguments).write(folder / "set.h5", path=address, format="hdf5", **options)
        return folder / "set.h5", {}

    return make


def h5_group(path, columns, address="/", attributes=(), **options):
    with h5py.File(path, "w") as file:
        group = file.require_group(address)
        for name, values in columns.items():
            group.create_dataset(name, data=values, **options)
        group.attrs.update(attributes)
    return path, {}


def group(address="/", **options):
    return lambda f, p: h5_group(f / "set.h5", {"id": ids(p), "image": p}, address, **options)


def with_options(made, **options):
    return made[0], {**made[1], **options}


def write_parquet(path, columns, stated=(), meta=None, **options):
    """A Parquet file; ``stated`` is the metadata of the column ``image``."""
    arrays = {name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in columns.items()}
    fields = [
        pa.field(name, each.type, metadata=dict(stated) if name == "image" else None) for name, each in arrays.items()
    ]
    made = pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields, metadata=meta))
    parquet.write_table(made, path, **{"row_group_size": ROW_GROUP, **options})
    return path


def tensors(values):
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))


def permuted(values):
    """Tensors ``(C, H, W)`` whose numbers lie in the order ``(H, W, C)``."""
    kind = pa.fixed_shape_tensor(pa.float32(), hwc(values).shape[1:], permutation=[2, 0, 1])
    return pa.ExtensionArray.from_storage(kind, flat(hwc(values)))


def fixed(values, depth=3):
    """Fixed-size lists, one inside the other, of all but the innermost ``depth`` axes flat."""
    array = pa.array(values.reshape(-1))
    for side in values.shape[:0:-1][:depth]:
        array = pa.FixedSizeListArray.from_arrays(array, side)
    return array


def flat(values):
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), int(np.prod(values.shape[1:])))


def large_lists(values):
    return pa.array(values.tolist(), pa.large_list(pa.large_list(pa.large_list(pa.float32()))))


def npy_bytes(image):
    buffer = io.BytesIO()
    np.save(buffer, image)
    return buffer.getvalue()


def fits_bytes(image, header=None):
    buffer = io.BytesIO()
    fits.PrimaryHDU(image, header).writeto(buffer)
    return buffer.getvalue()


def raw_bytes(pixels):
    return [image.tobytes() for image in pixels]


def shape_of(pixels, **stated):
    return {"shape": str(list(pixels.shape[1:])), **stated}


def universe(pixels, kind="record", masks=None, bands=("des-g", "des-r", "des-i")):
    """Rows as the Multimodal Universe has them: a list of records, or a record of lists."""
    good = np.ones(pixels.shape, bool) if masks is None else masks
    rows = []
    for image, ok in zip(pixels, good, strict=True):
        record = {
            "band": list(bands),
            "flux": image.tolist(),
            "ivar": np.full(image.shape, 0.25).tolist(),
            "mask": ok.tolist(),
            "psf_fwhm": [1.0] * len(image),
            "scale": [0.262] * len(image),
        }
        each = [dict(zip(record, values, strict=True)) for values in zip(*record.values(), strict=True)]
        rows.append(record if kind == "record" else each)
    plane = pa.list_(pa.list_(pa.float32()))
    types = {
        "band": pa.string(), "flux": plane, "ivar": plane, "mask": pa.list_(pa.list_(pa.bool_())),
        "psf_fwhm": pa.float32(), "scale": pa.float32(),
    }  # fmt: skip
    if kind == "record":
        return pa.array(rows, type=pa.struct({name: pa.list_(each) for name, each in types.items()}))
    return pa.array(rows, type=pa.list_(pa.struct(types)))


def in_parquet(made, stated=None, **options):
    """A data set whose column is ``made(pixels)``."""

    def make(folder, pixels, value=None):
        known = {} if stated is None else stated(pixels)
        known = known if value is None else {**known, "unit": str(value)}
        write_parquet(folder / "set.parquet", {"id": ids(pixels), "image": made(pixels)}, known, **options)
        return folder / "set.parquet", {}

    return make


def of_astropy(made):
    def make(folder, pixels, value=None):
        arguments = (pixels,) if value is None else (pixels, value)
        table(made(*arguments)).write(folder / "set.parquet", format="parquet")
        return folder / "set.parquet", {}

    return make


def parquet_bands(folder, pixels):
    columns = {band: tensors(pixels[:, number]) for number, band in enumerate(BANDS)}
    return write_parquet(folder / "set.parquet", {"id": ids(pixels), **columns}), {"image": list(BANDS)}


def on_field(pixels, unit=None, mask=None):
    """The galaxies side by side in one image of a field: catalogue, image, size of a cutout, and mask."""
    height, width = pixels.shape[2:]
    catalog = Table({"id": ids(pixels), "x": np.arange(len(pixels)) * width + width // 2})
    catalog["y"] = height // 2
    image = NDData(np.concatenate(list(pixels), axis=2), unit=unit)
    masks = None if mask is None else np.concatenate(list(mask), axis=2)
    return catalog, image, (height, width), masks


def cut_from_field(pixels, unit=None, mask=None):
    catalog, image, size, masks = on_field(pixels, unit, mask)
    return extract_cutouts(catalog, image, size, masks=masks), {}


def field_in_file(folder, pixels):
    catalog, image, size, _ = on_field(pixels)
    fits.writeto(folder / "field.fits", image.data)
    return open_field(catalog, folder / "field.fits", size, bands=BANDS, chunk_size=CHUNK), {}
