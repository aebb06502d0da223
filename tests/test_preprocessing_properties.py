"""What must not matter to a row: other rows, their order, chunks, the order of named bands, files that are broken."""

import dataclasses
import gc
import os
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from galmerge_da.exceptions import InputWarning
from galmerge_da.flags import FATAL, Flag
from galmerge_da.io import Cutouts, open_cutouts
from galmerge_da.preprocessing import Frames, PreprocessingRecipe, preprocess

RECIPES = {
    "default": PreprocessingRecipe(size=24),
    "pixels": PreprocessingRecipe(size=24, scale="pixels", pixel_scale=0.5),
    "full": PreprocessingRecipe(
        size=24, background="mesh", flux={"zero_point": 25}, neighbours={"sources": "all"}, psf={"fwhm": 2.0}
    ),
    "annulus": PreprocessingRecipe(size=24, background={"method": "annulus", "inner": 1.5, "outer": 3}),
}
ZERO_POINTS = {"g": 22.0, "r": 22.5, "i": 23.0}
BANDS = tuple(ZERO_POINTS)


def draw_rows(seed, n, *, one_size=False):
    """Galaxies, some small, noisy, damaged, blank, without scale or radius; as a dict of columns."""
    rng = np.random.default_rng(seed)
    rows = {"data": [], "mask": [], "pixel_scale": [], "psf_fwhm": [], "radius": []}
    for _ in range(n):
        shape = (3, 48, 48) if one_size else (3, *rng.integers(6, 60, 2))
        y, x = np.indices(shape[1:]) - (np.array(shape[1:]) - 1)[:, None, None] / 2
        light = rng.uniform(5, 50) * np.exp(-np.hypot(y, x) / rng.uniform(1, 5)) * rng.uniform(0.5, 2, (3, 1, 1))
        image = (light + rng.normal(3, 0.2, shape)).astype(np.float32)
        kind = rng.integers(8)
        if kind == 0:
            image[:] = rng.choice([0, np.nan, np.inf])
        elif kind == 1:
            image[rng.random(shape) < 0.1] = np.nan
        elif kind == 2:
            image[:, : shape[1] // 3] = rng.choice([0, np.nan])
        elif kind == 3:
            image[1] = 0
        rows["data"].append(image)
        rows["mask"].append(rng.random(shape) < 0.02 * (kind == 4))
        rows["pixel_scale"].append(rng.choice([0.3, 0.5, 0.8, np.nan]))
        rows["psf_fwhm"].append(rng.choice([1.0, 1.5, 3.0, np.nan]) * np.ones(3))
        rows["radius"].append(rng.choice([4.0, 9.0, np.nan]))
    return rows


def cutouts(rows, order=None, bands=BANDS):
    """`Cutouts` of some rows, their bands in some order."""
    order = range(len(rows["data"])) if order is None else order
    turn = [BANDS.index(band) for band in bands]
    n = len(order)
    return Cutouts(
        data=[rows["data"][row][turn] for row in order],
        mask=[rows["mask"][row][turn] for row in order],
        row=np.arange(n),
        table=Table(),
        flags=np.zeros(n, np.int32),
        bands=tuple(bands),
        pixel_scale=np.array([rows["pixel_scale"][row] for row in order]) * u.arcsec,
        psf_fwhm=np.array([rows["psf_fwhm"][row][turn] for row in order]).reshape(n, 3) * u.arcsec,
        radius=np.array([rows["radius"][row] for row in order], float),
        zero_point=[ZERO_POINTS[band] for band in bands] * u.ABmag,
    )


def assert_same(left, right, rows=slice(None)):
    """Frames, flags and radii are the same, but for rounding."""
    np.testing.assert_array_equal(left.flags[rows], right.flags)
    np.testing.assert_allclose(left.radius[rows], right.radius, rtol=1e-5)
    scale = np.abs(right.data).max(axis=(1, 2, 3), keepdims=True, initial=1e-30)
    np.testing.assert_allclose(left.data[rows] / scale, right.data / scale, atol=1e-5)


QUICK = settings(max_examples=10, deadline=None)
named = pytest.mark.parametrize("name", RECIPES)


@named
@QUICK
@given(seed=st.integers(0, 10**6), n=st.integers(1, 7), data=st.data())
def test_permuting_rows_permutes_frames(name, seed, n, data):
    order = data.draw(st.permutations(range(n)))
    rows = draw_rows(seed, n)
    whole, permuted = (preprocess(cutouts(rows, each), RECIPES[name]) for each in (range(n), order))
    assert_same(whole, permuted, list(order))


@named
@QUICK
@given(seed=st.integers(0, 10**6), n=st.integers(1, 6), one_size=st.booleans())
def test_adding_a_row_changes_no_other(name, seed, n, one_size):
    rows = draw_rows(seed, n + 1, one_size=one_size)
    with_it = preprocess(cutouts(rows), RECIPES[name])
    without = preprocess(cutouts(rows, range(n)), RECIPES[name])
    assert_same(with_it, without, slice(0, n))


@named
@QUICK
@given(seed=st.integers(0, 10**6), n=st.integers(1, 9), chunk_size=st.integers(1, 10), one_size=st.booleans())
def test_the_size_of_chunks_changes_nothing(name, seed, n, chunk_size, one_size):
    rows = draw_rows(seed, n, one_size=one_size)
    whole = preprocess(cutouts(rows), RECIPES[name])
    source = open_cutouts(cutouts(rows), chunk_size=chunk_size)
    with warnings.catch_warnings(action="ignore"):  # rows that cannot be read
        parts = [preprocess(chunk, RECIPES[name]) for chunk in source]
    fields = ("data", "flags", "radius")
    assert_same(Frames(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields)), whole)


@named
@QUICK
@given(seed=st.integers(0, 10**6), n=st.integers(1, 4))
def test_the_order_of_named_bands_changes_nothing(name, seed, n):
    rows = draw_rows(seed, n)
    recipe = dataclasses.replace(RECIPES[name], bands=BANDS)
    straight, turned = (preprocess(cutouts(rows, bands=bands), recipe) for bands in (BANDS, BANDS[::-1]))
    assert_same(straight, turned)


# -- broken files

DAMAGE = ("truncated", "flipped", "empty", "magic", "directory", "missing")


def write(folder, kind, number, seed):
    """An image of a galaxy in a file of some kind."""
    y, x = np.indices((48, 48)) - 23.5
    image = np.float32(40 * np.exp(-np.hypot(y, x) / 4) + np.random.default_rng(seed).normal(3, 0.2, (3, 48, 48)))
    path = folder / f"{number}.{kind}"
    match kind:
        case "fits" | "fits.gz":
            fits.writeto(path, image)
        case "npy":
            np.save(path, image)
        case "png" | "jpg":
            Image.fromarray(np.moveaxis(np.clip(4 * image, 0, 255), 0, -1).astype(np.uint8)).save(path)
    return path


def damage(path, how, rng):
    """Break a file in one way."""
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: rng.integers(1, len(content))])
    elif how == "flipped":
        start = rng.choice([0, 0, len(content) // 2])
        for place in rng.integers(start, min(start + 2880, len(content)), 6):
            content[place] ^= 1 << rng.integers(8)
        path.write_bytes(content)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "magic":
        path.write_bytes(bytes(rng.integers(0, 256, 8, dtype=np.uint8)) + bytes(content[8:]))
    else:
        path.unlink()
        if how == "directory":
            path.mkdir()


def test_a_broken_file_is_closed_again(tmp_path):
    """An open one would be an error when it is collected."""
    for seed in (9, 42, 47):
        path = write(tmp_path, "fits", seed, seed)
        damage(path, "flipped", np.random.default_rng(seed))
        with pytest.warns(InputWarning, match="could not be used"):
            assert open_cutouts([str(path)], bands=BANDS).read().flags[0] & Flag.UNREADABLE
    gc.collect()


@pytest.mark.parametrize("kind", ["fits", "fits.gz", "npy", "png", "jpg"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(DAMAGE), victim=st.integers(0, 2), named=st.booleans())
def test_a_broken_file_is_one_flagged_row_and_the_others_are_right(tmp_path_factory, kind, seed, how, victim, named):
    folder = tmp_path_factory.mktemp("files")
    paths = [write(folder, kind, number, seed + number) for number in range(3)]
    known = {"bands": BANDS} if named else {}
    recipe = dataclasses.replace(RECIPES["default"], bands=BANDS if named else None)
    with warnings.catch_warnings(action="ignore"):
        whole = preprocess(open_cutouts([str(path) for path in paths], **known).read(), recipe)
        damage(paths[victim], how, np.random.default_rng(seed))
        broken = preprocess(open_cutouts([str(path) for path in paths], **known).read(), recipe)
    others = [row for row in range(3) if row != victim]
    assert not np.any(whole.flags & FATAL)
    np.testing.assert_array_equal(broken.flags[others], whole.flags[others])
    np.testing.assert_allclose(broken.data[others], whole.data[others], atol=1e-5 * np.abs(whole.data).max())
    assert np.isfinite(broken.data).all()
    if how in ("empty", "directory", "missing"):
        assert broken.flags[victim] & Flag.UNREADABLE and broken.flags[victim] & Flag.NOT_CLASSIFIED
    if broken.flags[victim] & FATAL:
        assert not broken.data[victim].any()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_a_file_is_flagged_and_not_waited_for(tmp_path):
    fits.PrimaryHDU(np.ones((3, 30, 30), np.float32)).writeto(tmp_path / "image.fits")
    os.mkfifo(tmp_path / "pipe.fits")
    table = Table({"image": [str(tmp_path / "image.fits"), str(tmp_path / "pipe.fits")]})
    with pytest.warns(InputWarning, match="1 of 2 images could not be used"):
        flags = np.concatenate([chunk.flags for chunk in open_cutouts(table)])
    assert flags[1] & Flag.UNREADABLE and not flags[0] & Flag.UNREADABLE
