"""The same galaxies, held in every form that a user can hold them, become the same `Cutouts`."""

import pickle
import tracemalloc

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from input_forms import BANDS, LOSSY, ON_DISK, OPENED, PROPERTIES, ROWS, ids

from galmerge_da.flags import Flag
from galmerge_da.io import CutoutSource, open_cutouts, prefetch

N, C, H, W = 7, 3, 12, 14
FORMS = {name: make for row in ROWS.values() for name, make in row.items()}
FIRST = {row: next(iter(forms.values())) for row, forms in ROWS.items()}
SENT = {name for row in ON_DISK - OPENED for name in ROWS[row]}
CARRIED = [(row, name) for row, made in PROPERTIES.items() for name in made]


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(3).normal(100, 20, (N, C, H, W)).astype(np.float32)


@pytest.fixture(params=FORMS)
def held(request, tmp_path, pixels):
    """Name of a form, what is held, and how to open it."""
    source, options = FORMS[request.param](tmp_path, pixels)
    return request.param, source, {"bands": BANDS, "chunk_size": 3, **options}


def assert_pixels(data, expected, form):
    np.testing.assert_allclose(data, expected, rtol=3e-7, atol=LOSSY.get(form, 0))


def test_every_form_gives_the_same_cutouts(held, pixels):
    form, source, options = held
    opened = open_cutouts(source, **options)
    assert isinstance(opened, CutoutSource)
    assert (len(opened), opened.bands, opened.n_bands, opened.stretched) == (N, BANDS, C, form in LOSSY)
    whole = opened.read()
    sent = [pickle.loads(pickle.dumps(whole))]
    if form in SENT:
        sent.append(pickle.loads(pickle.dumps(opened)).read())
    for cutouts in (whole, *sent):
        assert cutouts.data.dtype == np.float32 and cutouts.data.dtype.isnative and cutouts.data.flags.c_contiguous
        assert_pixels(cutouts.data, pixels, form)
        assert not cutouts.flags.any() and cutouts.flags.dtype == np.int32
        assert cutouts.row.tolist() == list(range(N))
        assert cutouts.mask is None or not cutouts.mask.any()
        assert len(cutouts.table) == N
        if "id" in cutouts.table.colnames:
            assert cutouts.table["id"].astype(int).tolist() == ids(pixels).tolist()  # names of files are text


def test_chunks_are_the_rows_in_order_again_and_again(held, pixels):
    form, source, options = held
    opened = open_cutouts(source, **options)
    for chunks in (list(opened), list(prefetch(opened))):
        assert [len(chunk) for chunk in chunks] == [3, 3, 1]
        assert_pixels(np.concatenate([chunk.data for chunk in chunks]), pixels, form)
        assert np.concatenate([chunk.row for chunk in chunks]).tolist() == list(range(N))


@pytest.mark.parametrize("row, name", CARRIED)
def test_a_form_carries_what_the_page_says(tmp_path, pixels, row, name):
    value = make_value(name)
    source, options = PROPERTIES[row][name](tmp_path, pixels, value)
    chunks = list(open_cutouts(source, bands=BANDS, chunk_size=4, **options))
    assert not any((chunk.flags & ~Flag.MASKED).any() for chunk in chunks)
    data = np.concatenate([chunk.data for chunk in chunks])
    if name == "unit":
        assert {str(chunk.unit) for chunk in chunks} == {"nJy"}
    elif name == "wcs":
        scales = np.concatenate([chunk.pixel_scale.to_value(u.arcsec) for chunk in chunks])
        np.testing.assert_allclose(scales, 0.5, rtol=1e-6)
        where = [wcs.pixel_to_world(3, 4) for chunk in chunks for wcs in chunk.wcs]
        assert len(where) == N and all(each.separation(value.pixel_to_world(3, 4)) < 1 * u.mas for each in where)
    else:  # or the pixels are gone
        bad = np.concatenate([~np.isfinite(c.data) | (False if c.mask is None else c.mask) for c in chunks])
        assert np.array_equal(bad, value)
        data, pixels = data[~bad], pixels[~bad]
    assert_pixels(data, pixels, row)


def make_value(name):
    """What is to be carried."""
    if name == "unit":
        return u.nJy
    if name == "mask":
        return np.random.default_rng(1).random((N, C, H, W)) > 0.9
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = 150.0, 2.0
    wcs.wcs.cdelt = -0.5 / 3600, 0.5 / 3600
    return wcs


@pytest.mark.parametrize("row", [row for row in ROWS if row not in OPENED])
def test_every_form_takes_a_mask(tmp_path, pixels, row):
    mask = np.random.default_rng(1).random((N, H, W)) > 0.9
    source, options = FIRST[row](tmp_path, pixels)
    chunks = list(open_cutouts(source, bands=BANDS, chunk_size=4, mask=mask, **options))
    assert np.array_equal(np.concatenate([chunk.mask for chunk in chunks]), np.repeat(mask[:, None], C, axis=1))


@pytest.mark.parametrize("row", sorted(ON_DISK))
def test_memory_does_not_grow_with_the_number_of_rows(tmp_path, row):
    """Of 45 more rows, less than a fifth may be in memory at any time; pixels outweigh what else is there."""
    sizes, side, peaks = (5, 15, 60), 64, []
    for n_rows in sizes:  # the first is to warm up
        (tmp_path / str(n_rows)).mkdir()
        images = np.random.default_rng(0).normal(100, 20, (n_rows, C, side, side)).astype(np.float32)
        source, options = FIRST[row](tmp_path / str(n_rows), images)
        tracemalloc.start()
        rows = [chunk.row[-1] for chunk in open_cutouts(source, bands=BANDS, chunk_size=4, **options)]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rows[-1] == n_rows - 1
    assert peaks[2] - peaks[1] < 0.2 * (sizes[2] - sizes[1]) * images[0].nbytes
