"""Real fields and pictures in every suitable form: what is read agrees, and so do the probabilities."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from input_forms import ROWS
from input_writers import objects, write_each, write_parquet, write_picture
from PIL import Image

from galmerge_da import classify, extract_cutouts, find_sources, read_catalog
from galmerge_da.io import open_cutouts

DATA = Path(__file__).parents[1].parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside the checkout")

#: Forms that round pixels, or that cannot hold bytes as they are.
PICTURES = ROWS["JPEG and PNG"]
NOT_BYTES = {
    "float64 column", "Quantity", "masked quantity", "block of numbers as objects", "columns of Quantities",
    "columns of two units", "bare quantity", "tensor with a gradient", "array of objects",
    "column of NDData", "column of CCDData", "FITS in float64", "HDF5 table with its description",
    "HDF5 table, big-endian", "Parquet tensors in another order in memory", "Parquet tensors of float64",
    "Parquet nested lists",
    "Parquet large nested lists", "Parquet bytes", "Parquet bytes of a stated type", "Parquet fixed bytes",
    "universe, records of lists", "universe, lists of records", "Cutouts", "Cutouts in a list", "CutoutSource",
    "open_field", "extract_cutouts", *PICTURES,
}  # fmt: skip


def arp178():
    catalog = read_catalog(DATA / "decals_field" / "catalog_sep.csv")
    return extract_cutouts(catalog[[0, 3, 10, 40, 87]], DATA / "decals_field" / "temp_extended.fits", 75)


def ngc6976():
    folder = DATA / "sdss_ngc6976_field"
    files = {band: folder / f"reprojected_sdss_{band}.fits.bz2" for band in "gri"}
    return extract_cutouts(read_catalog(folder / "catalog_sep.csv")[:5], files, 75)


def decals_cutout():
    image = DATA / "decals_cutouts" / "example_b.fits"
    return extract_cutouts(find_sources(image)[:5], image, 101)


def probabilities(source, options):
    with warnings.catch_warnings(action="ignore"):  # g, r, z for g, r, i
        catalogue = classify(source, **options)
    return np.ma.filled(np.ma.asarray(catalogue["merger_prob"]), np.nan), list(catalogue["flags"])


@pytest.mark.slow
@pytest.mark.parametrize("field", [arp178, ngc6976, decals_cutout])
def test_a_real_field_is_the_same_in_every_form(tmp_path, field):
    cutouts = field()
    pixels, bands = np.array(cutouts["image"].data), cutouts.meta["BANDS"]
    assert pixels.shape[:2] == (5, 3)
    expected = None
    for row, forms in ROWS.items():
        for number, (name, make) in enumerate(forms.items()):
            if name in PICTURES:
                continue
            folder = tmp_path / name.replace(" ", "_")
            folder.mkdir()
            source, options = make(folder, pixels)
            options = options if name in ("CutoutSource", "open_field") else {**options, "bands": bands}
            read = open_cutouts(source, **options).read()
            np.testing.assert_allclose(read.data, pixels, rtol=3e-7, err_msg=name)
            if number == 0:
                found = probabilities(source, options)
                expected = found if expected is None else expected
                assert np.isfinite(found[0]).any()
                np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, err_msg=row)
                assert found[1] == expected[1], row


def sdss():
    names = list(read_catalog(DATA / "sdss_gz1" / "labels.csv")["filename"][:4])
    return [DATA / "sdss_gz1" / name for name in names]


def decals():
    return sorted((DATA / "decals_unlabelled" / "images").iterdir())[:4]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the (columns are called|header says) g, r, i")  # in another order than pictures are
@pytest.mark.parametrize("survey, files", [("sdss-jpeg", sdss), ("decals-jpeg", decals)])
def test_real_pictures_are_the_same_in_every_form(tmp_path, survey, files):
    files = files()
    pixels = np.stack([np.moveaxis(np.asarray(Image.open(name).convert("RGB")), -1, 0) for name in files])
    pixels = np.ascontiguousarray(pixels)
    expected = open_cutouts(list(map(str, files)), survey=survey).read()
    assert expected.stretched and np.array_equal(expected.data, pixels)
    probability, flags = probabilities(list(map(str, files)), {"survey": survey})
    assert np.isfinite(probability).all()
    (tmp_path / "png").mkdir()
    encoded = write_parquet(tmp_path / "jpeg.parquet", {"image": [name.read_bytes() for name in files]})
    Table({"image": list(map(str, files))}).write(tmp_path / "list.csv")
    held = {
        "Parquet of JPEG": (encoded, {}),
        "CSV": (tmp_path / "list.csv", {}),
        "pathlib": (Table({"image": objects(files)}), {}),
        "PNG": (write_each(tmp_path / "png", pixels, write_picture, ".png"), {}),
    }
    for forms in ROWS.values():
        for number, (name, make) in enumerate(forms.items()):
            if name not in NOT_BYTES:
                folder = tmp_path / name.replace(" ", "_")
                folder.mkdir()
                held[name] = make(folder, pixels)
                check_picture(*held.pop(name), name, survey, expected, (probability, flags) if number == 0 else None)
    for name, (source, options) in held.items():
        check_picture(source, options, name, survey, expected, (probability, flags))


def check_picture(source, options, name, survey, expected, outcome):
    """What is read is the same, and the outcome of classification where it is given."""
    options = {**options, "survey": survey, "bands": expected.bands}  # not those that columns are called after
    read = open_cutouts(source, **options).read()
    assert read.stretched and read.bands == expected.bands, name
    assert read.radii_per_pixel == expected.radii_per_pixel
    assert np.array_equal(read.data, expected.data) and np.array_equal(read.flags, expected.flags), name
    if outcome is not None:
        probability, flags = probabilities(source, options)
        np.testing.assert_allclose(probability, outcome[0], rtol=1e-5, err_msg=name)
        assert flags == outcome[1], name
