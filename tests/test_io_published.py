"""Published pairs, downloaded from a server here, in the package's own form."""

import io
import mmap
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from numpy.testing import assert_array_equal

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.io import DATASETS, download, load_published, open_cutouts
from galmerge_da.training.splits import SPLITS, assign_splits

DATA = Path(__file__).parents[1].parent / "shared" / "data" / "deepmerge_sample"
SIZE = 20


def scenes(n, seed, size=SIZE):
    """Different galaxies (n, 3, size, size), noise-free."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size))
    flux = np.zeros((n, size, size))
    for _ in range(5):
        at, width = rng.uniform(3, size - 3, (n, 2)), rng.uniform(1.5, 3, n)
        r2 = (y - at[:, :1, None]) ** 2 + (x - at[:, 1:, None]) ** 2
        flux += rng.uniform(1, 5, n)[:, None, None] * np.exp(-r2 / width[:, None, None] ** 2)
    return flux[:, None] * np.array([1.0, 2.0, 3.0])[:, None, None]


def augmented(images, labels, seed):
    """Eight flipped and turned copies of each image, shuffled, with labels and parents."""
    copies = np.concatenate([np.rot90(images, k, (2, 3))[..., ::step] for k in range(4) for step in (1, -1)])
    order = np.random.default_rng(seed).permutation(len(copies))
    return copies[order], np.tile(labels, 8)[order], np.tile(np.arange(len(images)), 8)[order]


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def mast(images, labels, table):
    labels = fits.BinTableHDU(Table({"label": labels})) if table else fits.ImageHDU(labels.astype(np.float64))
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(images), labels]).writeto(file)
    return file.getvalue()


def is_mapped(array):
    """Whether an array's memory is that of a file."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


@pytest.fixture
def simsim(file_server, tmp_path):
    """A folder with a downloaded pair of the published layout, and the parents of its rows."""
    images, labels, parents = augmented(scenes(12, 0), np.arange(12) % 2, 1)
    noisy = images + np.random.default_rng(2).normal(scale=0.3, size=images.shape)
    contents = [npy(images), npy(labels.astype(float)), npy(noisy), npy(labels.astype(float))]
    file_server.publish("deepmerge-simsim", dict(zip(DATASETS["deepmerge-simsim"].files, contents, strict=True)))
    download("deepmerge-simsim", tmp_path, base_url=file_server.url)
    return tmp_path, parents, images, noisy, labels


def test_a_pair_is_read_without_a_copy(simsim):
    folder, _, images, noisy, labels = simsim
    for table, pixels, survey in zip(
        load_published("deepmerge-simsim", folder),
        (images, noisy),
        ("deepmerge-z2-pristine", "deepmerge-z2"),
        strict=True,
    ):
        assert table.colnames == ["id", "group", "label", "image"]
        assert_array_equal(table["image"], pixels)
        assert_array_equal(table["label"], labels)
        assert is_mapped(table["image"])
        assert len(set(table["id"])) == len(table)
        opened = open_cutouts(table)
        assert opened.survey == survey and opened.bands == ("F814W", "F356W", "F160W")


def test_no_twin_crosses_the_split_in_or_between_the_domains(simsim):
    folder, parents, *_ = simsim
    source, target = load_published("deepmerge-simsim", folder)
    assert_array_equal(source["group"], target["group"])
    assert len(set(source["group"])) == 12
    for seed in range(10):
        splits = [assign_splits(table["group"], (0.4, 0.3, 0.3), seed=seed) for table in (source, target)]
        where = {
            parent: {str(split[row]) for split in splits for row in np.flatnonzero(parents == parent)}
            for parent in parents
        }
        assert all(len(names) == 1 for names in where.values())
    assert {name for names in where.values() for name in names} <= set(SPLITS)


@pytest.mark.parametrize("change", ["labels", "order", "number"])
def test_domains_that_are_no_partners_are_split_on_their_own(simsim, change):
    folder, parents, _, noisy, labels = simsim
    images_file, labels_file = DATASETS["deepmerge-simsim"].files[2:]
    if change == "labels":
        np.save(folder / labels_file, 1 - labels)
    elif change == "order":  # within a class, so that the labels agree
        order = np.empty(len(labels), int)
        for value in (0, 1):
            rows = np.flatnonzero(labels == value)
            order[rows] = np.random.default_rng(5).permutation(rows)
        np.save(folder / images_file, noisy[order])
    else:
        np.save(folder / images_file, noisy[:-1])
        np.save(folder / labels_file, labels[:-1])
    with pytest.warns(InputWarning, match="do not show the same galaxies row by row"):
        source, target = load_published("deepmerge-simsim", folder)
    assert len(set(source["group"])) == 12
    assert not set(source["group"]) & set(target["group"])


def test_independent_domains_are_not_paired(file_server, tmp_path):
    files = DATASETS["deepmerge-simreal"].files
    parts = [augmented(scenes(n, n), np.arange(n) % 2, n) for n in (5, 7)]
    contents = [npy(part) for images, labels, _ in parts for part in (images, labels)]
    file_server.publish("deepmerge-simreal", dict(zip(files, contents, strict=True)))
    download("deepmerge-simreal", tmp_path, base_url=file_server.url)
    tables = load_published("deepmerge-simreal", tmp_path)
    for table, (_, _, parents) in zip(tables, parts, strict=True):
        groups = np.asarray(table["group"])
        assert_array_equal(groups[:, None] == groups, parents[:, None] == parents)
        assert table.meta["SURVEY"] == "sdss" and open_cutouts(table).bands == ("g", "r", "i")
    assert not set(tables[0]["group"]) & set(tables[1]["group"])


@pytest.mark.parametrize("table", [True, False])
def test_the_fits_form_is_read(file_server, tmp_path, table):
    images, labels, _ = augmented(scenes(6, 3).astype(np.float32), np.arange(6) % 2, 4)
    noisy = images + np.random.default_rng(2).normal(scale=0.2, size=images.shape).astype(np.float32)
    name = "deepmerge-mast"
    contents = (mast(each, labels, table) for each in (images, noisy))
    file_server.publish(name, dict(zip(DATASETS[name].files, contents, strict=True)))
    download(name, tmp_path, base_url=file_server.url)
    source, target = load_published(name, tmp_path)
    assert_array_equal(source["image"], images)
    assert_array_equal(target["label"], labels)
    assert len(set(source["group"])) == 6
    assert_array_equal(open_cutouts(target).read().data, noisy)


def test_files_that_are_missing_are_named_with_the_command(tmp_path):
    with pytest.raises(InputError, match="SimSim_SOURCE_X.*run 'galmerge download deepmerge-simsim'"):
        load_published("deepmerge-simsim", tmp_path)


def test_labels_other_than_0_and_1_are_refused(simsim):
    folder, *_, labels = simsim
    np.save(folder / DATASETS["deepmerge-simsim"].files[1], labels + 1)
    with pytest.raises(InputError, match="labels must be 0 or 1, got 2"):
        load_published("deepmerge-simsim", folder)


def test_images_of_another_shape_are_refused(simsim):
    folder, _, images, *_ = simsim
    np.save(folder / DATASETS["deepmerge-simsim"].files[0], images[:, 0])
    with pytest.raises(InputError, match=r"must be \(N, C, H, W\), got shape \(96, 20, 20\)"):
        load_published("deepmerge-simsim", folder)


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside the checkout")
def test_genuine_images_are_grouped_with_their_copies(file_server, tmp_path):
    genuine = np.load(DATA / "x_sample.npy")
    images, labels, parents = augmented(genuine, np.load(DATA / "y_sample.npy"), 0)
    images, labels, parents = images[:40], labels[:40], parents[:40]
    noisy = images + np.random.default_rng(1).normal(scale=0.05, size=images.shape)
    contents = [npy(part) for part in (images, labels, noisy, labels)]
    file_server.publish("deepmerge-simsim", dict(zip(DATASETS["deepmerge-simsim"].files, contents, strict=True)))
    download("deepmerge-simsim", tmp_path, base_url=file_server.url)
    source, target = load_published("deepmerge-simsim", tmp_path)
    groups = np.asarray(source["group"])
    assert_array_equal(groups[:, None] == groups, parents[:, None] == parents)
    assert_array_equal(target["group"], groups)
    assert open_cutouts(source).read().data.shape == (40, 3, 75, 75)
