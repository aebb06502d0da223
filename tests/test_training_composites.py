"""Composites of a target's own galaxies: what is laid over what, and that labels tell the truth."""

import numpy as np
import pytest
from astropy.table import Table, vstack

from galmerge_da import simulate
from galmerge_da.exceptions import InputError
from galmerge_da.training import composite_pairs

RADIUS = 75 / 7.2


def gaussians(n=6, bands=2, noise=0.0):
    """Round galaxies of one size in the middle of their frames, each with its own flux."""
    y, x = np.mgrid[:75, :75] - 37.0
    blob = np.exp(-(y**2 + x**2) / (2 * 2.0**2))
    fluxes = np.linspace(1, 2, n)
    images = fluxes[:, None, None, None] * np.linspace(1, 0.7, bands)[:, None, None] * blob
    images = images + noise * np.random.default_rng(0).normal(size=images.shape)
    meta = {"BANDS": ",".join("abcd"[:bands]), "RADPIX": 7.2 / 75}
    return Table({"image": images.astype(np.float32)}, meta=meta), fluxes


@pytest.fixture(scope="module")
def composites():
    galaxies, fluxes = gaussians(noise=1e-4)
    return composite_pairs(galaxies, 60, seed=3, n_jobs=1), fluxes


def test_every_second_row_is_a_pair(composites):
    table, _ = composites
    assert table["label"].tolist() == [0, 1] * 30
    pairs = table[table["label"] == 1]
    assert np.all((pairs["mass_ratio"] >= 0.12) & (pairs["mass_ratio"] <= 1.2))
    assert np.all((pairs["distance"] >= 0.35) & (pairs["distance"] <= 1.9))
    singles = table[(table["label"] == 0) & np.isfinite(table["distance"])]
    assert len(singles) and np.all((singles["mass_ratio"] <= 0.08) | (singles["distance"] >= 2.6))


def test_the_flux_is_that_of_both(composites):
    table, fluxes = composites
    single = 2 * np.pi * 2.0**2 * 0.85
    for row in table[(table["distance"] < 1.9) | ~np.isfinite(table["distance"])]:
        own = fluxes[int(row["group"].removeprefix("row"))] * single
        share = np.nan_to_num(row["mass_ratio"])
        assert row["image"].mean(0).sum() == pytest.approx(own * (1 + share), rel=0.05)


def test_the_companion_lies_where_the_table_says(composites):
    table, fluxes = composites
    y, x = np.mgrid[:75, :75] - 37.0
    for row in table[(table["label"] == 1) & (table["distance"] > 1)]:
        own = fluxes[int(row["group"].removeprefix("row"))] * np.exp(-(y**2 + x**2) / 8) * 0.85
        rest = np.clip(row["image"].mean(0) - own, 0, None)
        rest[np.hypot(y, x) < 4] = 0
        rest[rest < 0.2 * rest.max()] = 0
        assert np.hypot((rest * y).sum(), (rest * x).sum()) / rest.sum() == pytest.approx(
            row["distance"] * RADIUS, abs=1.5
        )


def test_the_same_seed_gives_the_same_composites_in_any_number_of_processes():
    galaxies, _ = gaussians(noise=0.01)
    first, second = (composite_pairs(galaxies, 40, seed=5, n_jobs=jobs) for jobs in (1, 2))
    assert np.array_equal(first["image"], second["image"])
    assert not np.array_equal(first["image"], composite_pairs(galaxies, 40, seed=6, n_jobs=1)["image"])
    assert np.array_equal(first["image"][:10], composite_pairs(galaxies, 10, seed=5, n_jobs=1)["image"])


def test_pictures_stay_pictures_and_stand_below_simulated_ones():
    galaxies = simulate(12, "sdss-jpeg", seed=4, n_jobs=1)
    made = composite_pairs(galaxies, 8, seed=1, n_jobs=1)
    assert made["image"].dtype == np.uint8 and made["image"].shape == (8, 3, 75, 75)
    assert {key: made.meta[key] for key in ("SURVEY", "BANDS", "STRETCH", "RADPIX")} == {
        key: galaxies.meta[key] for key in ("SURVEY", "BANDS", "STRETCH", "RADPIX")
    }
    both = vstack([galaxies, made], metadata_conflicts="silent")
    assert both["image"].dtype == np.uint8 and len(set(both["group"][:12]) & set(both["group"][12:])) == 0


def test_single_galaxies_are_left_as_they_are():
    galaxies = simulate(12, "sdss-jpeg", seed=4, n_jobs=1)
    made = composite_pairs(galaxies, 30, seed=1, n_jobs=1)
    alone = made[(made["label"] == 0) & ~np.isfinite(made["distance"])]
    for row in alone:
        original = galaxies["image"][int(row["group"].removeprefix("row"))].astype(float)
        assert np.abs(row["image"] - original).mean() < 3  # of 255: once more through JPEG


def test_unusable_galaxies_take_no_part_and_two_are_needed():
    galaxies, _ = gaussians(3)
    galaxies["image"][1] = np.nan
    made = composite_pairs(galaxies, 12, seed=1, n_jobs=1)
    assert set(made["group"]) <= {"row0000000", "row0000002"} and np.all(np.isfinite(made["image"]))
    chosen = composite_pairs(gaussians(5)[0], 12, rows=[1, 3, 3], seed=1, n_jobs=1)
    assert set(chosen["group"]) == {"row0000001", "row0000003"}
    with pytest.raises(InputError, match="two usable galaxies or more, got 1"):
        composite_pairs(galaxies[:2], 4, n_jobs=1)
    with pytest.raises(InputError, match="must not be negative"):
        composite_pairs(galaxies, -1)
    assert len(composite_pairs(galaxies, 0, n_jobs=1)) == 0
