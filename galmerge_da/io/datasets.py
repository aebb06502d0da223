"""What a caller holds, opened: which columns have the pixels, and the table beside them."""

import re
import warnings
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Column, Table

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io import unpacking
from galmerge_da.io._types import FilePath
from galmerge_da.io.bands import bands_of_columns
from galmerge_da.io.catalogs import write_catalog
from galmerge_da.io.facts import column_of
from galmerge_da.io.files import header_unit, image_hdu, quiet, sniff, split_extension
from galmerge_da.io.fits_tables import read_fits_table, take_header_keys
from galmerge_da.io.hdf5 import open_hdf5
from galmerge_da.io.lazy import Frame
from galmerge_da.io.parquet import open_parquet
from galmerge_da.io.pictures import untensor
from galmerge_da.io.pixels import is_path
from galmerge_da.io.uniform import one_size

__all__ = ["WEIGHT_DESCRIPTION", "Held", "hold", "numbered", "save_cutouts"]

#: Description of a column of weights; one that has it is taken up again.
WEIGHT_DESCRIPTION = "inverse variance (band, y, x)"

_KINDS = "a FITS table or image, an HDF5 or Parquet data set, X.npy, a CSV or ECSV table, an image file or a folder"
#: Files of one image each, by name, in a folder; hidden ones are not among them.
_IMAGE_FILE = re.compile(r"([^.].*)\.(?:jpe?g|png|npy|(?:fits?|fts)(?:\.(?:gz|bz2|xz|fz))?)", re.IGNORECASE)
_LAZY = {"HDF5": open_hdf5, "Parquet": open_parquet}


@dataclass(frozen=True, eq=False)
class Held:
    """Columns of pixels, and the table beside them.

    Attributes
    ----------
    columns : list
        Arrays with a row a galaxy, or sequences of entries; one a band if there are several.
    table : `~astropy.table.Table`
        The other columns, as many rows.
    meta : mapping
        Header of the data set.
    folder : `~pathlib.Path` or None
        What relative paths start from.
    full : `~galmerge_da.io.lazy.Frame` or None
        The whole table, where there is one.
    bands : tuple of str or None
        What the names of the columns say, where there is one a band.
    weight : array_like or sequence, or None
        Inverse variance, laid out as a single column of pixels.
    """

    columns: list
    table: Table
    meta: dict = field(default_factory=dict)
    folder: Path | None = None
    full: Table | None = None
    bands: tuple | None = None
    weight: object = None


def hold(source, image="image", masks=()):
    """Find the pixels in whatever a caller holds.

    Parameters
    ----------
    source : object
        As for `open_cutouts`, except `Cutouts`.
    image : str or list of str
        Column, or one column a band.
    masks : str or list of str, optional
        Columns of masks, which count as pixels too.

    Returns
    -------
    Held

    Raises
    ------
    InputError
        If the source is of no known kind, a column is missing, or a file
        cannot be opened as a data set.
    """
    if isinstance(source, Table):
        return _hold_table(source, image, masks)
    if isinstance(source, (str, PathLike)):
        return _hold_path(source, image, masks)
    if isinstance(source, (list, tuple)):
        return _hold_list(source)
    if isinstance(source, NDData):
        return _hold_list([source])
    source = untensor(source)
    if isinstance(source, np.ndarray):
        if source.dtype.names:
            return _hold_table(Table(source), image, masks)
        if source.ndim not in (3, 4):
            raise InputError(
                "a bare array must be (N, H, W), (N, C, H, W) or with axes='HWC' (N, H, W, C), "
                f"got shape {source.shape}"
            )
        return Held([source], numbered(len(source)))
    raise InputError(f"cutouts must be a Table, an array, a list of images or a path; got {type(source).__name__}")


def numbered(n_rows):
    """The table of images that come without any column."""
    return Table({"row": np.arange(n_rows)})


def _hold_list(entries):
    if entries and all(is_path(entry) for entry in entries):
        return Held([entries], Table({"image": [str(entry) for entry in entries]}))
    return Held([entries], numbered(len(entries)))


def _names(image):
    """Names of the columns of images as a list."""
    names = [image] if isinstance(image, str) else image
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"image must name a column, or one column a band; got {image!r}")
    return list(names)


def _hold_table(table, image, masks, folder=None):
    table = table.copy(copy_data=False)
    take_header_keys(table)
    return _hold_frame(Frame(table, {}, len(table)), _names(image), masks, folder)


def _hold_frame(frame, names, masks, folder):
    table = frame.table
    columns = [column_of(frame, name, "the images") for name in names]
    if not len(frame):
        columns = [_empty(column) for column in columns]
    for name, column in zip(names, columns, strict=True):
        if np.ndim(column) == 1 and getattr(column, "dtype", np.dtype(object)).kind not in "OUS":
            raise InputError(f"column {name!r} holds one {column.dtype} a row, not an image or a path")
    if len(columns) == 1 and np.ndim(columns[0]) == 2 and columns[0].dtype.kind in "US":
        columns = [columns[0][:, band] for band in range(columns[0].shape[1])]
    pixels = {*names, *([masks] if isinstance(masks, str) else masks)}
    others = [
        name
        for name in table.colnames
        if (name not in pixels and not _is_pixels(table[name])) or _has_paths(table[name])
    ]
    rest = table[others] if others else numbered(len(frame))
    bands = bands_of_columns(names) if len(names) > 1 else None
    return Held(columns, rest, dict(table.meta), folder, frame, bands, _weight_of(frame, columns, names))


def _weight_of(frame, columns, names):
    """The column of inverse variance that `extract_cutouts` wrote beside its images, or None."""
    if len(columns) > 1 or names == ["weight"] or "weight" not in frame.colnames or not len(frame):
        return None
    weight = frame["weight"]
    about = weight.info.description if hasattr(weight, "info") else getattr(weight, "description", None)
    if about != WEIGHT_DESCRIPTION:
        return None
    if np.shape(weight) != np.shape(columns[0]):
        warnings.warn(
            f"the column 'weight' has shape {np.shape(weight)}, the images {np.shape(columns[0])}: it is not used",
            InputWarning,
            stacklevel=5,
        )
        return None
    return weight


def _empty(column):
    """A column without rows, of any type, as images without rows."""
    return column if np.ndim(column) in (3, 4) else np.zeros((0, *(np.shape(column)[1:] or (1,)), 0), np.float32)


def _is_pixels(column):
    """Whether a column that is not asked for has images: weights, masks, other images."""
    if np.ndim(column) > 2:
        return True
    is_object = np.ndim(column) == 1 and getattr(column, "dtype", np.dtype(object)).kind == "O" and len(column) > 0
    return is_object and isinstance(column[0], np.ndarray) and column[0].ndim >= 2


def _has_paths(column):
    kind = getattr(column, "dtype", np.dtype(object)).kind
    return kind in "US" or (kind == "O" and all(is_path(entry) for entry in column[:5]))


def _hold_path(path, image, masks):
    path, extension = split_extension(path)
    if path.is_dir():
        return _hold_table(_list_images(path), "image", masks)
    kind = sniff(path)
    if kind in _LAZY:
        names = _names(image)
        return _hold_frame(_LAZY[kind](path, extension, names), names, masks, path.parent)
    if isinstance(extension, list):
        return _hold_list([f"{path}[{_name(extension)}]"])
    if kind == "fits":
        return _hold_fits(path, extension, image, masks)
    if kind == "npy":
        return _hold_npy(path)
    if kind is not None:
        return _hold_list([str(path)])
    if path.suffix.lower() in (".csv", ".ecsv"):
        return _hold_table(_read_text(path), image, masks, path.parent)
    raise InputError(f"{path} is not {_KINDS}")


def _list_images(folder):
    """A table with a row for each image file of a folder: ``id``, its name without the ending, and its path."""
    found = ((path, _IMAGE_FILE.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    images = [(name[1], str(path)) for path, name in found if name and path.is_file()]
    if not images:
        raise InputError(f"the folder {folder} has no FITS, npy, JPEG or PNG files")
    return Table(rows=images, names=("id", "image"))


def _read_text(path):
    try:
        with open(path, encoding="utf-8") as file:
            style = "ascii.ecsv" if file.readline().startswith("# %ECSV") else "ascii.csv"
        return Table.read(path, format=style)
    except Exception as error:  # the parsers raise whatever they stumble over
        raise InputError(f"{path} cannot be read as a table: {error}") from error


def _hold_fits(path, extension, image, masks):
    try:
        unpacking.check_unpacked(path, unpacking.FIELD_LIMIT)
        with quiet(), fits.open(path, memmap=True) as hdus:
            number = _table_number(hdus, extension, image)
            stack = next((hdu for hdu in hdus if _is_stack(hdu)), None) if number is None else None
            if stack is not None:
                images, unit = stack.data, header_unit(stack.header)
                images = images if unit is None else Column(images, unit=unit, copy=False)
                return Held([images], _labels(_stored_labels(hdus), len(images), path), dict(hdus[0].header))
            if number is None:
                image_hdu(hdus, extension, path)
                return _hold_list([str(path) if extension is None else f"{path}[{_name(extension)}]"])
        table = read_fits_table(path, number, memmap=True)
    except InputError:
        raise
    except Exception as error:  # a damaged file fails in many ways
        raise InputError(f"{path} cannot be read as FITS: {error}") from error
    return _hold_table(table, image, masks, path.parent)


def _table_number(hdus, extension, image):
    """Which HDU is the table of a data set: the one with the columns, else the only ones there are; or None."""
    numbers = [number for number, hdu in enumerate(hdus) if _is_table(hdu)]
    if extension is not None:
        numbers = [number for number in numbers if hdus[number] is hdus[extension]]
    wanted = {image} if isinstance(image, str) else set(image)
    with_images = [number for number in numbers if wanted <= set(hdus[number].columns.names)]
    if with_images:
        return with_images[0]
    has_images = any(hdu.is_image and hdu.header.get("NAXIS", 0) >= 2 for hdu in hdus)
    return numbers[0] if numbers and not has_images else None


def _name(extension):
    return ",".join(map(str, extension)) if isinstance(extension, (tuple, list)) else extension


def _is_table(hdu):
    return isinstance(hdu, (fits.BinTableHDU, fits.TableHDU)) and not isinstance(hdu, fits.CompImageHDU)


def _is_stack(hdu):
    return hdu.is_image and hdu.header.get("NAXIS", 0) == 4


def _stored_labels(hdus):
    """Labels beside a stack of images, a table or an image with one axis; or None."""
    for number, hdu in enumerate(hdus):
        if _is_table(hdu):
            return read_fits_table(hdus.filename(), number)
        if number and hdu.is_image and 0 < hdu.header.get("NAXIS", 0) <= 2:
            return hdu.data
    return None


def _labels(labels, n_rows, origin):
    """A table with the column ``label``, or with row numbers if there are no labels."""
    if labels is None:
        return numbered(n_rows)
    if isinstance(labels, Table):
        if "label" not in labels.colnames and len(labels.colnames) == 1:
            labels.rename_column(labels.colnames[0], "label")
        table = labels
    else:
        labels = np.asarray(labels).reshape(len(labels), -1)
        if labels.shape[1] != 1:
            raise InputError(f"{origin}: labels must be one number a row, got shape {labels.shape}")
        labels = labels[:, 0]
        whole = labels.dtype.kind == "f" and np.all(labels == np.round(labels))
        table = Table({"label": Column(labels.astype(np.int64) if whole else labels, description="class of the image")})
    if len(table) != n_rows:
        raise InputError(f"{origin}: there are {n_rows} images and {len(table)} labels")
    return table


def _hold_npy(path):
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise InputError(f"{path} cannot be read as an array: {error}") from None
    sibling = _sibling(path)
    try:
        if sibling is not None:
            unpacking.check_npy(sibling, unpacking.FIELD_LIMIT)
        labels = None if sibling is None else np.load(sibling, allow_pickle=False)
    except ValueError as error:
        raise InputError(f"{sibling} cannot be read as labels: {error}") from None
    if images.ndim == 2:
        return _hold_list([str(path)])
    if images.ndim not in (3, 4):
        raise InputError(f"{path}: images must be (N, H, W) or (N, C, H, W), got shape {images.shape}")
    return Held([images], _labels(labels, len(images), sibling))


def _sibling(path):
    """The file of labels beside a file of images: its name with ``y`` for ``X``, or None."""
    for match in reversed(list(re.finditer(r"(?<![A-Za-z])[xX](?![A-Za-z])", path.stem))):
        for letter in "yY":
            sibling = path.with_name(path.stem[: match.start()] + letter + path.stem[match.end() :] + path.suffix)
            if sibling.exists():
                return sibling
    return None


def save_cutouts(table: Table, path: FilePath, overwrite: bool = False) -> None:
    """Write a data set: one table with the pixels in it.

    Parameters
    ----------
    table : `~astropy.table.Table`
        With at least one column of images, ``(H, W)`` or ``(C, H, W)`` a row. Images of
        different sizes get a blank margin, so that all are as large as the largest.
        ``table.meta`` may say ``SURVEY`` (name of a preset), ``BANDS`` ("g,r,i"),
        ``PIXSCALE`` (arcsec), ``RADPIX`` (Petrosian radii per pixel) and
        ``STRETCH`` (True for 8-bit pictures): `open_cutouts` picks them up.
    path : str or path-like
        A ``.fits``, ``.fit``, ``.hdf5`` or ``.h5`` file (the last two: extra ``hdf5``).
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If there is no column of images, the ending is another, the
        extra is not installed, or the file exists.
    """
    if isinstance(table, Table):
        table = one_size(table)
    if not isinstance(table, Table) or not any(np.ndim(table[name]) >= 3 for name in table.colnames):
        raise InputError("a data set needs a column of images, (H, W) or (C, H, W) in every row")
    if Path(path).suffix.lower() not in (".fits", ".fit", ".hdf5", ".h5"):
        raise InputError(f"a data set is a .fits, .fit, .hdf5 or .h5 file, got {str(path)!r}")
    write_catalog(table, path, overwrite)
