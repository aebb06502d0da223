"""Every form in which the same galaxies can be held, and what each can say beside the pixels.

``ROWS`` has the forms by name, under the rows of the matrix on the page on input;
the first of a row stands for the others where one is enough. A form makes, of
a folder and pixels ``(N, C, H, W)``, what `open_cutouts` takes: the source and
options. ``PROPERTIES`` makes sources that carry a mask, a WCS or a unit of their own.
"""

from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow as pa
import torch
from astropy.io import fits
from astropy.nddata import CCDData, Cutout2D, NDData
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from input_writers import (
    BANDS,
    a_file_a_band,
    bands_of_one_file,
    column_of_band_paths,
    cut_from_field,
    field_in_file,
    fits_bytes,
    fits_table,
    fixed,
    flat,
    folder_of_images,
    group,
    h5_group,
    h5_table,
    hlsp,
    hwc,
    ids,
    in_columns,
    in_parquet,
    large_lists,
    npy_bytes,
    objects,
    of_astropy,
    parquet_bands,
    paths,
    permuted,
    published,
    raw_bytes,
    shape_of,
    table,
    tensors,
    text_table,
    universe,
    with_options,
    write_bands,
    write_compressed,
    write_each,
    write_extension,
    write_picture,
)

from galmerge_da.io import open_cutouts, save_cutouts

#: Rows of the matrix whose pixels stay on disk until their chunk is read.
ON_DISK = {
    "FITS images", "FITS images, compressed", "FITS, an extension or a file a band", "npy images", "JPEG and PNG",
    "CSV or ECSV table of paths", "folder", "FITS table", "FITS stack (N, C, H, W)", "``X.npy``, ``y.npy``",
    "HDF5 table or group", "Parquet, Arrow tensors", "Parquet, lists", "Parquet, raw bytes", "Parquet, encoded images",
    "Multimodal Universe", "positions and images of the field",
}  # fmt: skip

#: Rows of what has been opened already: only what was said then counts.
OPENED = {"Cutouts, CutoutSource", "positions and images of the field"}

#: How far pixels may be off by the format itself.
LOSSY = {"PNG": 0.5, "JPEG": 4.0}


def cutout2d(planes, unit=None, wcs=None):
    """Each image of a band as a cutout of itself."""
    height, width = planes.shape[1:]
    planes = planes if unit is None else planes * unit
    return objects([Cutout2D(image, (width // 2, height // 2), (height, width), wcs=wcs) for image in planes])


ROWS = {
    "column of a Table": {
        "array column": lambda f, p: (table(p), {}),
        "array column HWC": lambda f, p: (table(np.moveaxis(p, 1, -1)), {"axes": "HWC"}),
        "big-endian column": lambda f, p: (table(p.astype(p.dtype.newbyteorder(">"))), {}),
        "float64 column": lambda f, p: (table(p.astype(float)), {}),
        "non-contiguous column": lambda f, p: (table(np.repeat(p, 2, axis=-1)[..., ::2]), {}),
        "column of another name": lambda f, p: (Table({"id": ids(p), "stamp": p}), {"image": "stamp"}),
        "Quantity": lambda f, p: (table(p * u.nJy, QTable), {}),
        "masked column": lambda f, p: (table(MaskedColumn(p, mask=np.zeros(p.shape, bool))), {}),
        "masked quantity": lambda f, p: (table(Masked(p) * u.nJy, QTable), {}),
        "structured array": lambda f, p: (table(p).as_array(), {}),
        "object column of arrays": lambda f, p: (table(objects(p)), {}),
        "block of numbers as objects": lambda f, p: (table(p.astype(object)), {}),
    },
    "one column a band": {
        "columns of arrays": lambda f, p: in_columns(p, np.asarray),
        "columns of Quantities": lambda f, p: in_columns(p, lambda plane: plane * u.nJy, QTable),
        "columns of two units": lambda f, p: (
            QTable({"id": ids(p), "a": p[:, 0] * u.nJy, "b": p[:, 1] / 1000 * u.uJy, "c": p[:, 2] * u.nJy}),
            {"image": ["a", "b", "c"]},
        ),
    },
    "array or tensor": {
        "array": lambda f, p: (p, {}),
        "array HWC": lambda f, p: (np.moveaxis(p, 1, -1), {"axes": "HWC"}),
        "bare quantity": lambda f, p: (p * u.nJy, {}),
        "tensor": lambda f, p: (torch.from_numpy(p.copy()), {}),
        "tensor with a gradient": lambda f, p: (torch.from_numpy(p.copy()).requires_grad_(), {}),
        "array of objects": lambda f, p: (p.astype(object), {}),
    },
    "list of arrays": {
        "list of arrays": lambda f, p: (list(p), {}),
        "list of tensors": lambda f, p: (list(torch.from_numpy(p.copy())), {}),
    },
    "NDData, CCDData": {
        "column of NDData": lambda f, p: (table(objects([NDData(image, unit=u.nJy) for image in p])), {}),
        "column of CCDData": lambda f, p: (table(objects([CCDData(image, unit=u.nJy) for image in p])), {}),
        "list of NDData": lambda f, p: ([NDData(image) for image in p], {}),
    },
    "Cutout2D": {
        "columns of Cutout2D": lambda f, p: in_columns(p, cutout2d),
    },
    "FITS images": {
        "FITS paths": paths(fits.writeto, ".fits"),
        "FITS paths as bytes": lambda f, p: (table(np.array(write_each(f, p, fits.writeto, ".fits"), dtype=bytes)), {}),
        "pathlib paths": lambda f, p: (table(objects(map(Path, write_each(f, p, fits.writeto, ".fits")))), {}),
        "list of paths": lambda f, p: (write_each(f, p, fits.writeto, ".fits"), {}),
        "FITS in float64": paths(lambda name, image: fits.writeto(name, image.astype(">f8")), ".fits"),
        "FITS extension number": paths(write_extension, ".fits[1]"),
        "FITS extension name": paths(write_extension, ".fits[SCI]"),
        "FITS extension version": paths(write_extension, ".fits[SCI,1]"),
    },
    "FITS images, compressed": {
        "FITS gz paths": paths(fits.writeto, ".fits.gz"),
        "FITS bz2 paths": paths(fits.writeto, ".fits.bz2"),
        "FITS extension of gz": paths(write_extension, ".fits.gz[SCI]"),
        "FITS tiles": paths(write_compressed, ".fits.fz"),
        "FITS tiles by number": lambda f, p: (
            table([f"{name}[1]" for name in write_each(f, p, write_compressed, ".fits.fz")]), {}),
    },
    "FITS, an extension or a file a band": {
        "an extension a band": paths(write_bands, ".fits[g,r,i]"),
        "an extension a band by number": paths(write_bands, ".fits[3,2,1]"),
        "a column a band of extensions": bands_of_one_file,
        "one FITS path a band": a_file_a_band(fits.writeto, ".fits"),
    },
    "npy images": {
        "npy paths": paths(np.save, ".npy"),
        "npy paths HWC": lambda f, p: (table(write_each(f, hwc(p), np.save, ".npy")), {"axes": "HWC"}),
        "one npy path a band": a_file_a_band(np.save, ".npy"),
        "column of band paths": column_of_band_paths,
    },
    "JPEG and PNG": {"JPEG": paths(write_picture, ".jpg"), "PNG": paths(write_picture, ".png")},
    "CSV or ECSV table of paths": {"CSV": text_table(".csv"), "ECSV": text_table(".ecsv")},
    "folder": {
        "folder": folder_of_images,
        "folder as str": lambda f, p: (f"{folder_of_images(f, p)[0]}/", {"image": "of no meaning here"}),
    },
    "FITS table": {
        "FITS table": fits_table,
        "FITS table as str": lambda f, p: (str(fits_table(f, p)[0]), {}),
        "FITS table extension": lambda f, p: (f"{fits_table(f, p)[0]}[1]", {}),
    },
    "FITS stack (N, C, H, W)": {"HLSP": hlsp},
    "``X.npy``, ``y.npy``": {"X.npy": published},
    "HDF5 table or group": {
        "HDF5 group": group(),
        "HDF5 table": h5_table(table),
        "HDF5 table with its description": h5_table(lambda p: table(p * u.nJy, QTable), serialize_meta=True),
        "HDF5 table with a mask": h5_table(
            lambda p: table(MaskedColumn(p, mask=np.zeros(p.shape, bool))), serialize_meta=True),
        "HDF5 table in a group": h5_table(table, "a/b"),
        "HDF5 table, big-endian": h5_table(lambda p: table(p.astype(">f8"))),
        "HDF5 table with a column a band": lambda f, p: with_options(
            h5_table(lambda planes: in_columns(planes, np.asarray)[0])(f, p), image=[f"sky_{band}" for band in BANDS]),
        "HDF5 group in chunks, compressed": group("survey", chunks=True, compression="gzip"),
        "HDF5 group HWC": lambda f, p: with_options(group()(f, hwc(p)), axes="HWC"),
        "HDF5 group with an array a band": lambda f, p: with_options(
            h5_group(f / "set.h5", {"id": ids(p), "x": p[:, 0], "y": p[:, 1], "z": p[:, 2]}), image=["x", "y", "z"]),
        "HDF5 group by its name": lambda f, p: (f"{group('a/b')(f, p)[0]}[a/b]", {}),
        "HDF5 group by a number": lambda f, p: (f"{group('0')(f, p)[0]}[0]", {}),
        "HDF5 group without columns": lambda f, p: h5_group(f / "set.h5", {"image": p}),
    },
    "Parquet, Arrow tensors": {
        "Parquet tensors": in_parquet(tensors),
        "Parquet tensors HWC": lambda f, p: with_options(in_parquet(tensors)(f, hwc(p)), axes="HWC"),
        "Parquet tensors in another order in memory": in_parquet(permuted),
        "Parquet tensors of float64": in_parquet(lambda p: tensors(p.astype(float))),
        "Parquet, a column a band": parquet_bands,
    },
    "Parquet, lists": {
        "Parquet fixed lists": in_parquet(fixed),
        "Parquet flat fixed lists": in_parquet(flat, shape_of),
        "Parquet flat lists": in_parquet(lambda p: [list(image.ravel()) for image in p], shape_of),
        "Parquet nested lists": in_parquet(lambda p: pa.array(p.tolist())),
        "Parquet large nested lists": in_parquet(large_lists, row_group_size=100),
        "Parquet of astropy": of_astropy(np.asarray),
        "Parquet of astropy with a mask": of_astropy(lambda p: MaskedColumn(p, mask=np.zeros(p.shape, bool))),
    },
    "Parquet, raw bytes": {
        "Parquet bytes": in_parquet(raw_bytes, shape_of),
        "Parquet bytes of a stated type": in_parquet(
            lambda p: raw_bytes(p.astype(">f8")), lambda p: shape_of(p, dtype=">f8")),
        "Parquet fixed bytes": in_parquet(lambda p: pa.array(raw_bytes(p), pa.binary(p[0].nbytes)), shape_of),
    },
    "Parquet, encoded images": {
        "Parquet npy bytes": in_parquet(lambda p: [npy_bytes(image) for image in p]),
        "Parquet FITS bytes": in_parquet(lambda p: [fits_bytes(image) for image in p]),
        "Parquet records of bytes": in_parquet(lambda p: [{"bytes": npy_bytes(i), "path": "a.npy"} for i in p]),
    },
    "Multimodal Universe": {
        "universe, records of lists": in_parquet(universe),
        "universe, lists of records": in_parquet(lambda p: universe(p, "list")),
    },
    "Cutouts, CutoutSource": {
        "Cutouts": lambda f, p: (open_cutouts(p).read(), {}),
        "Cutouts in a list": lambda f, p: (open_cutouts(list(p)).read(), {}),
        "CutoutSource": lambda f, p: (open_cutouts(p, bands=BANDS, chunk_size=3), {}),
    },
    "positions and images of the field": {
        "open_field": field_in_file,
        "extract_cutouts": lambda f, p: cut_from_field(p),
    },
}  # fmt: skip


def ccddata(pixels, mask=None, wcs=None, unit=u.nJy):
    masks = [None] * len(pixels) if mask is None else mask
    return objects([CCDData(image, mask=bad, wcs=wcs, unit=unit) for image, bad in zip(pixels, masks, strict=True)])


def masked_columns(pixels, mask):
    columns = {band: MaskedColumn(pixels[:, n], mask=mask[:, n]) for n, band in enumerate(BANDS)}
    return Table({"id": ids(pixels), **columns}), {"image": list(BANDS)}


def masked_fits(folder, pixels, mask):
    save_cutouts(table(MaskedColumn(pixels, mask=mask)), folder / "set.fits")
    return folder / "set.fits", {}


def fits_of_unit(folder, pixels, unit):
    save_cutouts(table(pixels * unit, QTable), folder / "set.fits")
    return folder / "set.fits", {}


def encoded_fits(pixels, header):
    return [{"bytes": fits_bytes(image, header), "path": None} for image in pixels]


def cards(write, suffix):
    """What carries the WCS and the unit in the headers of images."""
    return {
        "wcs": lambda f, p, v: paths(lambda name, image: write(name, image, v.to_header()), suffix)(f, p),
        "unit": lambda f, p, v: paths(lambda name, image: write(name, image, unit_card(v)), suffix)(f, p),
    }


def unit_card(unit):
    return fits.Header({"BUNIT": str(unit)})


PROPERTIES = {
    "column of a Table": {
        "mask": lambda f, p, v: (table(MaskedColumn(p, mask=v)), {}),
        "unit": lambda f, p, v: (table(Column(p, unit=v)), {}),
    },
    "one column a band": {
        "mask": lambda f, p, v: masked_columns(p, v),
        "unit": lambda f, p, v: in_columns(p, lambda plane: plane * v, QTable),
    },
    "array or tensor": {
        "mask": lambda f, p, v: (np.ma.array(p, mask=v), {}),
        "unit": lambda f, p, v: (p * v, {}),
    },
    "list of arrays": {
        "mask": lambda f, p, v: (list(np.ma.array(p, mask=v)), {}),
        "unit": lambda f, p, v: (list(p * v), {}),
    },
    "NDData, CCDData": {
        "mask": lambda f, p, v: (table(ccddata(p, mask=v)), {}),
        "wcs": lambda f, p, v: (table(ccddata(p, wcs=v)), {}),
        "unit": lambda f, p, v: (table(ccddata(p, unit=v)), {}),
    },
    "Cutout2D": {
        "wcs": lambda f, p, v: in_columns(p, lambda planes: cutout2d(planes, wcs=v)),
        "unit": lambda f, p, v: in_columns(p, lambda planes: cutout2d(planes, unit=v)),
    },
    "FITS images": cards(fits.writeto, ".fits"),
    "FITS images, compressed": cards(write_compressed, ".fits.fz"),
    "FITS, an extension or a file a band": cards(write_bands, ".fits[g,r,i]"),
    "npy images": {},
    "JPEG and PNG": {},
    "CSV or ECSV table of paths": {
        "wcs": lambda f, p, v: text_table(".csv", lambda name, image: fits.writeto(name, image, v.to_header()))(f, p),
        "unit": lambda f, p, v: text_table(".csv", lambda name, image: fits.writeto(name, image, unit_card(v)))(f, p),
    },
    "folder": {
        "wcs": lambda f, p, v: folder_of_images(f, p, v.to_header()),
        "unit": lambda f, p, v: folder_of_images(f, p, unit_card(v)),
    },
    "FITS table": {"mask": masked_fits, "unit": fits_of_unit},
    "FITS stack (N, C, H, W)": {"unit": hlsp},
    "``X.npy``, ``y.npy``": {},
    "HDF5 table or group": {
        "mask": h5_table(lambda p, v: table(MaskedColumn(p, mask=v)), serialize_meta=True),
        "unit": h5_table(lambda p, v: table(p * v, QTable), serialize_meta=True),
    },
    "Parquet, Arrow tensors": {"unit": in_parquet(tensors)},
    "Parquet, lists": {
        "mask": of_astropy(lambda p, v: MaskedColumn(p, mask=v)),
        "unit": of_astropy(lambda p, v: Column(p, unit=v)),
    },
    "Parquet, raw bytes": {"unit": in_parquet(raw_bytes, shape_of)},
    "Parquet, encoded images": {
        "wcs": lambda f, p, v: in_parquet(lambda p: encoded_fits(p, v.to_header()))(f, p),
        "unit": lambda f, p, v: in_parquet(lambda p: encoded_fits(p, unit_card(v)))(f, p),
    },
    "Multimodal Universe": {
        "mask": lambda f, p, v: in_parquet(lambda p: universe(p, masks=~v))(f, p),
        "unit": in_parquet(universe),
    },
    "Cutouts, CutoutSource": {
        "mask": lambda f, p, v: (open_cutouts(table(MaskedColumn(p, mask=v))).read(), {}),
        "wcs": lambda f, p, v: (open_cutouts(table(ccddata(p, wcs=v))).read(), {}),
        "unit": lambda f, p, v: (open_cutouts(p * v).read(), {}),
    },
    "positions and images of the field": {
        "mask": lambda f, p, v: cut_from_field(p, mask=v),
        "unit": lambda f, p, v: cut_from_field(p, unit=v),
    },
}


def matrix():
    """The matrix of the page on input, as lines of reStructuredText."""
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 34 22 22 11 11", "")
    entries = [("form", "pixels", "mask", "WCS", "unit")]
    for row in ROWS:
        own = PROPERTIES[row]
        pixels = "read in chunks" if row in ON_DISK else "in memory already"
        mask = ["its own"] * ("mask" in own) + ["``mask=``"] * (row not in OPENED)
        entries.append((row, pixels, ", ".join(mask), *("yes" if name in own else "no" for name in ("wcs", "unit"))))
    for row, *others in entries:
        yield from (f"   * - {row}", *(f"     - {entry}" for entry in others))
