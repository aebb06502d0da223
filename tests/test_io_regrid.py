"""Bands on different pixel grids, brought to that of the first."""

import sys

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import CCDData, InverseVariance
from astropy.table import Table
from astropy.wcs import WCS, Sip
from numpy.testing import assert_allclose
from scipy.ndimage import shift as shift_image

from galmerge_da.exceptions import InputError
from galmerge_da.flags import Flag
from galmerge_da.io import extract_cutouts, find_sources

SIDE = 81
MIDDLE = Table({"ra": [150.0], "dec": [2.0]})


def tan(scale=0.5, side=SIDE, angle=0.0, offset=(0.0, 0.0)):
    """A WCS whose middle, moved by an offset in pixels, is one position."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -scale / 3600, scale / 3600
    wcs.wcs.crval = 150.0, 2.0
    wcs.wcs.crpix = (side + 1) / 2 + offset[0], (side + 1) / 2 + offset[1]
    turn = np.radians(angle)
    wcs.wcs.pc = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return wcs


def galaxy(wcs, side=SIDE, sigma=2.5, flux=1000.0):
    """Flux in each pixel of a Gaussian of fixed angular width at the position, sampled finely."""
    fine = (np.arange(side * 5) + 0.5) / 5 - 0.5
    x, y = np.meshgrid(fine, fine)
    ra, dec = wcs.pixel_to_world_values(x, y)
    distance = np.hypot((ra - 150) * np.cos(np.radians(2)), dec - 2) * 3600
    light = np.exp(-0.5 * (distance / sigma) ** 2)
    light = light.reshape(side, 5, side, 5).mean(axis=(1, 3))
    area = np.abs(np.linalg.det(wcs.pixel_scale_matrix)) * 3600**2
    return (flux * area / (2 * np.pi * sigma**2) * light).astype(np.float32)


@pytest.fixture(autouse=True)
def _needs_reproject(request):
    if "without" not in request.node.name:
        pytest.importorskip("reproject", exc_type=ImportError)


@pytest.mark.parametrize(
    "scale, side, angle, offset, error",
    [
        (0.5, SIDE, 0, (0.5, 0.25), 0.02),
        (0.5, SIDE, 30, (0, 0), 0.02),
        (0.5, SIDE + 20, 0, (0, 0), 1e-3),
        (0.25, 161, 10, (0, 0), 5e-3),
        (0.9, SIDE, 0, (0.3, 0), 0.05),
    ],
    ids=["shifted", "turned", "larger", "finer", "coarser"],
)
def test_a_band_on_another_grid_shows_the_same_galaxy_with_the_same_flux(scale, side, angle, offset, error):
    first, second = tan(), tan(scale, side, angle, offset)
    truth, other = galaxy(first), galaxy(second, side)
    cutout = extract_cutouts(MIDDLE, {"g": (truth, first), "r": (other, second)}, 41)
    assert not cutout["flags"][0]
    image = cutout["image"][0]
    assert np.array_equal(image[0], truth[20:61, 20:61])
    assert image[1].sum() == pytest.approx(image[0].sum(), rel=2e-3)  # counts in larger pixels are larger
    assert np.max(np.abs(image[1] - image[0])) < error * image[0].max()


def test_a_shift_is_what_scipy_makes_of_it():
    image = np.random.default_rng(0).normal(size=(SIDE, SIDE)).astype(np.float32)
    cutout = extract_cutouts(MIDDLE, [(image, tan()), (image, tan(offset=(0.3, -0.4)))], 41, bands=("g", "r"))
    expected = shift_image(image.astype(float), (0.4, -0.3), order=1)[20:61, 20:61]
    assert_allclose(cutout["image"][0, 1], expected, atol=2e-3)


def test_a_window_is_the_same_as_the_whole_image_reprojected():
    from reproject import reproject_exact

    image = np.random.default_rng(1).normal(size=(161, 161)).astype(np.float32)
    first, second = tan(), tan(0.25, 161, 20)
    cutout = extract_cutouts(MIDDLE, [(np.zeros((SIDE, SIDE)), first), (image, second)], 31, bands=("g", "r"))
    whole, _ = reproject_exact((image.astype(float), second), first, shape_out=(SIDE, SIDE))
    assert_allclose(cutout["image"][0, 1], 4 * whole[25:56, 25:56], atol=2e-3)


def test_surface_brightness_stays_what_it_is():
    first, second = tan(), tan(0.25, 161)
    fields = [(np.full((SIDE, SIDE), 5.0) * u.MJy / u.sr, first), (np.full((161, 161), 5.0) * u.MJy / u.sr, second)]
    assert_allclose(extract_cutouts(MIDDLE, fields, 21, bands=("g", "r"))["image"], 5, rtol=1e-5)
    fields = [(np.full((SIDE, SIDE), 5.0) * u.nJy, first), (np.full((161, 161), 5.0) * u.nJy, second)]
    assert_allclose(extract_cutouts(MIDDLE, fields, 21, bands=("g", "r"))["image"][0, 1], 20, rtol=1e-4)


def test_what_is_masked_or_not_covered_is_bad():
    image = np.ones((161, 161), np.float32)
    weight = np.full((161, 161), 4.0)
    weight[80, 80] = 0
    second = CCDData(image, unit=u.nJy, wcs=tan(0.25, 161), uncertainty=InverseVariance(weight))
    first = CCDData(galaxy(tan()), unit=u.nJy, wcs=tan(), uncertainty=InverseVariance(np.ones((SIDE, SIDE))))
    result = extract_cutouts(MIDDLE, [first, second], 21, bands=("g", "r"))
    assert result["flags"][0] == Flag.MASKED
    bad = np.isnan(result["image"][0])
    assert bad[1, 10, 10] and bad[1].sum() <= 4 and not bad[0].any()
    assert np.array_equal(result["weight"][0] == 0, bad)
    assert_allclose(result["weight"][0, 1][~bad[1]], 1, rtol=1e-3)  # the sum of four pixels of variance 1/4
    small = CCDData(np.ones((31, 31)), unit=u.nJy, wcs=tan(side=31))
    result = extract_cutouts(MIDDLE, [first, small], 41, bands=("g", "r"))
    assert result["flags"][0] == Flag.OFF_EDGE
    assert np.isfinite(result["image"][0, 1]).sum() == pytest.approx(31**2, rel=0.1)


def test_a_band_elsewhere_on_the_sky_is_blank():
    away = tan()
    away.wcs.crval = 10.0, -60.0
    result = extract_cutouts(MIDDLE, [(galaxy(tan()), tan()), (galaxy(tan()), away)], 21, bands=("g", "r"))
    assert np.isnan(result["image"][0, 1]).all() and np.isfinite(result["image"][0, 0]).all()
    assert result["flags"][0] == Flag.OFF_EDGE


def test_distortions_move_with_the_window():
    bent = tan(side=121)
    bent.wcs.ctype = "RA---TAN-SIP", "DEC--TAN-SIP"
    terms = np.zeros((3, 3))
    terms[2, 0] = 2e-4
    inverse = -terms
    bent.sip = Sip(terms, terms.T, inverse, inverse.T, bent.wcs.crpix)
    catalog = Table(dict(zip(("ra", "dec"), [[each] for each in tan().pixel_to_world_values(28, 51)], strict=True)))
    truth = galaxy(tan())
    fields = [(truth, tan()), (_sampled(truth, bent), bent)]
    image = extract_cutouts(catalog, fields, 21, bands=("g", "r"))["image"][0]
    assert np.max(np.abs(image[1] - image[0])) < 0.03 * image[0].max()


def _sampled(image, wcs, side=121):
    """An image at the pixels of another grid, by splines."""
    from scipy.ndimage import map_coordinates

    y, x = np.indices((side, side))
    x, y = tan().world_to_pixel_values(*wcs.all_pix2world(x, y, 0))
    return map_coordinates(image.astype(float), [y, x], order=3, mode="nearest")


def test_sources_are_found_in_bands_on_different_grids():
    found = find_sources([(galaxy(tan()), tan()), (galaxy(tan(offset=(0.5, 0))), tan(offset=(0.5, 0)))], n_sigma=5)
    brightest = found[0]
    assert (brightest["x"], brightest["y"]) == pytest.approx((40, 40), abs=0.1)
    assert brightest["flux"] == pytest.approx(2000, rel=0.05)


def test_without_reproject_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "reproject", None)
    with pytest.raises(InputError, match=r"needs reproject: python -m pip install 'galmerge_da\[reproject\]'"):
        extract_cutouts(MIDDLE, [(galaxy(tan()), tan()), (galaxy(tan(0.4)), tan(0.4))], 21)
    same = extract_cutouts(MIDDLE, [(galaxy(tan()), tan()), (galaxy(tan()), tan(offset=(0.01, 0)))], 21)
    assert not same["flags"][0]  # a hundredth of a pixel is no other grid
