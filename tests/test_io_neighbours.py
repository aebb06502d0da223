"""Sources of crowded fields and tiles, and marks of the neighbours in their cutouts."""

import numpy as np
import pytest
from tile_field import brute_force, tan

from galmerge_da.exceptions import InputError
from galmerge_da.io import extract_cutouts, find_sources, open_cutouts, save_cutouts


def crowd(seed=3, shape=(120, 200)):
    y, x = np.indices(shape)
    image = np.random.default_rng(seed).normal(0, 0.1, shape)
    for x0, y0, flux in ((60, 60, 900), (74, 60, 600), (140, 40, 500), (100, 90, 400)):
        image += flux / (2 * np.pi * 9) * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / 9)
    return image.astype(np.float32)


def test_neighbours_are_the_pixels_of_other_segments():
    image = crowd()
    found, segments = find_sources(image, return_segments=True)
    assert len(found) == 4 and set(found["segment"]) == set(np.unique(segments)) - {0}
    result = extract_cutouts(found, image, 41, segments=segments)
    for row in range(4):
        y, x = round(found["y"][row]), round(found["x"][row])
        assert segments[y, x] == found["segment"][row]
        expected = brute_force(segments[None].astype(float), x, y, 41)[0]
        assert np.array_equal(result["neighbours"][row], (np.nan_to_num(expected) != 0) & (expected != segments[y, x]))
    assert result["neighbours"][0].any() and result["neighbours"][0][:, 34].any()  # the one 14 pixels to the right
    assert not result["neighbours"][:, 20, 20].any()
    found.remove_columns(["segment", "radius"])
    again = extract_cutouts(found, image, 41, segments=segments)  # known by what lies at their positions
    assert np.array_equal(again["neighbours"], result["neighbours"])
    masked = open_cutouts(result, mask="neighbours").read()
    assert np.array_equal(masked.mask[:, 0], result["neighbours"])


@pytest.mark.filterwarnings("ignore:.*lie on no image")
def test_neighbours_of_a_position_without_a_source_are_all():
    image = crowd()
    _, segments = find_sources(image, return_segments=True)
    result = extract_cutouts([[20, 20], [100, 40], [-9, 200]], image, np.array([90, 11, 9]), segments=segments)
    assert [mark.shape for mark in result["neighbours"]] == [(90, 90), (11, 11), (9, 9)]
    assert result["neighbours"][0].any() and not result["neighbours"][1].any() and not result["neighbours"][2].any()
    with pytest.raises(InputError, match="segmentation map has"):
        extract_cutouts(np.array([[20, 20]]), image, 9, segments=segments[1:])


def test_sources_in_tiles_come_once_each_and_go_straight_into_cutting(tmp_path):
    image = crowd()
    tiles = [[(image[:, :110], tan())], [(image[:, 50:], tan(0, 50))]]
    found, segments = find_sources(tiles, return_segments=True)
    alone = find_sources((image, tan()))
    assert len(found) == len(alone) == 4
    nearest = np.hypot(found["ra"][:, None] - alone["ra"].data, found["dec"][:, None] - alone["dec"].data).argmin(1)
    assert sorted(nearest) == [0, 1, 2, 3] and sorted(found["tile"]) == [0, 0, 1, 1]
    result = extract_cutouts(found, tiles, 21, segments=segments)
    assert result["tile"].tolist() == found["tile"].tolist()
    whole = extract_cutouts(alone, (image, tan()), 21)
    assert np.array_equal(result["image"], whole["image"][nearest])
    assert np.array_equal(result["neighbours"][:, 10, 10], [False] * 4)
    save_cutouts(result, tmp_path / "a.fits")
    back = open_cutouts(tmp_path / "a.fits", mask="neighbours").read()
    assert np.array_equal(back.mask[:, 0], result["neighbours"])


def test_a_source_as_far_from_the_edges_of_two_tiles_comes_once():
    image = crowd()
    for seed in range(5):  # the same sky, not to the last digit
        noisy = image + np.random.default_rng(seed).normal(0, 0.2, image.shape)
        tiles = [
            [(image[:, :180], tan())],
            [(noisy[:, 101:], tan(0, 101))],
        ]  # x = 140 is in the middle of what they share
        assert len(find_sources(tiles, n_sigma=6)) == 4, seed
    assert len(find_sources([[(np.zeros((50, 50)), tan())], [(np.zeros((50, 50)), tan())]])) == 0


def test_masked_pixels_are_no_sources():
    image = crowd()
    mask = np.zeros(image.shape, bool)
    mask[40:80, 40:100] = True
    assert len(find_sources(image, masks=mask.astype(np.uint8))) == 2
