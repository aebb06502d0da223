"""Copies of one galaxy are recognised by their pixels, different galaxies are not, and no twin crosses a split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from galmerge_da.exceptions import InputError
from galmerge_da.io import find_twins
from galmerge_da.io.twins import join_groups
from galmerge_da.training.splits import assign_splits

DIHEDRAL = [(turns, flip) for turns in range(4) for flip in (False, True)]


def copy(image, turns, flip):
    """A copy (C, H, W) after quarter turns and a flip."""
    turned = np.rot90(image, turns, axes=(1, 2))
    return turned[:, :, ::-1] if flip else turned


def galaxies(n, seed, size=75, bands=3):
    """Lumpy galaxies with neighbours and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - (size - 1) / 2
    out = np.empty((n, bands, size, size), np.float32)
    for image in out:
        ratio, angle, scale = rng.uniform(0.3, 1), rng.uniform(0, np.pi), size * rng.uniform(0.05, 0.1)
        along, across = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / ratio
        flux = 100 * np.exp(-np.hypot(along, across) / scale)
        for _ in range(6):
            at = rng.uniform(-0.4, 0.4, 2) * size
            flux = flux + rng.uniform(3, 20) * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * size * 0.04))
        image[:] = flux * rng.uniform(0.5, 2, (bands, 1, 1))
        image += rng.normal(size=image.shape)
    return out


def move(image, angle=0.0, zoom=1.0, flip=False, shift=(0.0, 0.0)):
    """A copy (C, H, W) rotated by degrees, zoomed, flipped and shifted, interpolated linearly."""
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / zoom
    matrix = matrix @ np.diag([1, -1 if flip else 1])
    middle = np.full(2, (image.shape[-1] - 1) / 2)
    offset = middle + shift - matrix @ middle
    return np.stack([ndimage.affine_transform(band, matrix, offset, order=1, mode="nearest") for band in image])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 8), st.integers(1, 3), st.integers(2, 9),
    st.sampled_from([np.float32, np.float64, ">f4"]), st.randoms(use_true_random=False),
)  # fmt: skip
def test_dihedral_copies_are_one_group_and_others_are_not(seed, n, bands, size, dtype, random):
    originals = np.random.default_rng(seed).normal(size=(n, bands, size, size)).astype(dtype)
    rows = [(number, *how) for number in range(n) for how in random.sample(DIHEDRAL, random.randint(1, 8))]
    random.shuffle(rows)
    group = find_twins(np.stack([copy(originals[number], *how) for number, *how in rows]).astype(dtype))
    parents = np.array([row[0] for row in rows])
    assert np.array_equal(group[:, None] == group, parents[:, None] == parents)
    first = [int(np.flatnonzero(parents == parent)[0]) for parent in parents]
    assert group.tolist() == first
    splits = assign_splits(group, (0.4, 0.3, 0.3), seed=seed)
    assert all(len(set(splits[parents == parent])) == 1 for parent in range(n))


def test_bands_are_not_exchanged():
    image = galaxies(1, 0, size=9)[0]
    assert find_twins(np.stack([image, image[::-1], image[:, ::-1]])).tolist() == [0, 1, 0]


def test_minus_zero_and_nan_are_values_like_others():
    image = np.array([[[0.0, np.nan], [1.0, 2.0]]])
    other = np.array([[[-0.0, 1.0], [-np.nan, 2.0]]])
    assert find_twins(np.stack([image, other, image + 1])).tolist() == [0, 0, 2]


def test_integers_and_no_rows():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2)
    assert find_twins(np.concatenate([image, image[:, :, ::-1]])).tolist() == [0, 0]
    assert find_twins(np.zeros((0, 3, 75, 75))).tolist() == []
    with pytest.raises(InputError, match=r"must be \(N, C, H, W\), got shape \(5, 5\)"):
        find_twins(np.zeros((5, 5)))


@pytest.fixture(scope="module")
def originals():
    return galaxies(40, 1)


@pytest.mark.parametrize("zoom", [0.85, 1.0, 1.2])
@pytest.mark.parametrize("flip", [False, True])
def test_copies_that_were_rotated_and_zoomed_are_found(originals, zoom, flip):
    angles = np.random.default_rng(2).uniform(0, 360, 20)
    copies = np.stack([move(image, angle, zoom, flip) for image, angle in zip(originals, angles, strict=False)])
    group = find_twins(np.concatenate([originals, copies]))
    assert np.mean(group[40:] == np.arange(20)) >= 0.95
    assert len(np.unique(group[:40])) == 40, "different galaxies are apart"


def test_copies_that_were_shifted_are_mostly_found(originals):
    rng = np.random.default_rng(3)
    copies = np.stack([move(image, rng.uniform(0, 360), 1.0, False, rng.uniform(-2, 2, 2)) for image in originals[:20]])
    group = find_twins(np.concatenate([originals, copies]))
    assert np.mean(group[40:] == np.arange(20)) >= 0.8


def test_exact_copies_alone_where_that_is_asked_for(originals):
    images = np.stack([originals[0], move(originals[0], 30), copy(originals[0], 1, True)])
    assert find_twins(images, similar=False).tolist() == [0, 1, 0]
    assert find_twins(images).tolist() == [0, 0, 0]


def test_copies_of_copies_share_a_group_and_a_split():
    original = galaxies(1, 4)[0]
    others = galaxies(10, 5)
    rows = np.concatenate([others, [move(original, angle, zoom) for angle in (0, 50, 140) for zoom in (1.0, 1.1)]])
    group = find_twins(rows)
    assert len(set(group[10:])) == 1 and group[:10].tolist() == list(range(10))
    for seed in range(20):
        assert len(set(assign_splits(group, seed=seed)[10:])) == 1


@pytest.mark.parametrize("size", [32, 75])
def test_smooth_galaxies_are_not_taken_for_copies_of_each_other(size):
    rng = np.random.default_rng(6)
    y, x = np.indices((size, size)) - (size - 1) / 2
    scale = rng.uniform(0.08, 0.16, 40)[:, None, None] * size
    at = rng.uniform(-0.3, 0.3, (2, 40, 1, 1)) * size
    flux = np.exp(-np.hypot(x, y) / scale) + 0.1 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (0.02 * size**2))
    images = np.repeat(flux[:, None], 3, axis=1).astype(np.float32)
    group = find_twins(np.concatenate([images, images[:, :, ::-1]]))
    assert group.tolist() == [*range(40), *range(40)]


def test_blank_images_do_no_harm(originals):
    images = np.concatenate([np.zeros((2, 3, 75, 75), np.float32), originals[:4], np.full((1, 3, 75, 75), np.nan)])
    assert find_twins(images).tolist() == [0, 0, 2, 3, 4, 5, 6]


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_joined_groups_are_the_connected_rows(n, pairs):
    pairs = np.array([(a % n, b % n) for a, b in pairs], int).reshape(-1, 2)
    expected = list(range(n))
    for _ in range(n):
        for a, b in pairs:
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert join_groups(n, pairs).tolist() == expected
