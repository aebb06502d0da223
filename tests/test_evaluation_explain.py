"""One galaxy through each step, and frames as a data set: the same frames that are classified."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import Table

from galmerge_da import Flag, classify, simulate
from galmerge_da.evaluation import explain_galaxy, frames_table, make_frames
from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.inference import MergerClassifier
from galmerge_da.io import open_cutouts, save_cutouts
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe, explain_steps, preprocess

FULL = PreprocessingRecipe(
    bands=("i", "r", "g"), size=40, background="mesh", flux={"zero_point": 31.4}, neighbours={"sources": "all"},
    psf={"fwhm": 2.5},
)  # fmt: skip


@pytest.fixture(scope="module")
def galaxies():
    table = simulate(8, "sdss", seed=4, n_jobs=1)
    table["image"][3][1, 20:24, 20:30] = np.nan
    table["image"][5] = np.nan
    return table


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    network = build_network(in_channels=3, image_size=40, entrance={"rotation_residual": True, "faint": True})
    return MergerClassifier(network.eval(), PreprocessingRecipe(bands=("i", "r", "g"), size=40))


@pytest.mark.parametrize("recipe", [PreprocessingRecipe(size=40), FULL], ids=["default", "full"])
@pytest.mark.parametrize("row", [0, 3])
def test_the_strip_ends_in_the_frame_that_is_classified(galaxies, recipe, row):
    cutouts = open_cutouts(galaxies).read()
    views = explain_steps(cutouts, recipe, row)
    frames = preprocess(cutouts, recipe)
    np.testing.assert_allclose(views[-1].image, frames.data[row], rtol=1e-5, atol=1e-5 * frames.data[row].max())
    assert views[-1].flags == frames.flags[row]
    assert [view.name for view in views] == ["Input", *(type(step).__name__ for step in recipe.steps)]
    assert all(view.note and view.summary.endswith(".") for view in views)
    assert views[-1].width == 40 and views[-1].radius == pytest.approx(40 / 7.2)


def test_each_view_is_the_image_at_that_time(galaxies):
    cutouts = open_cutouts(galaxies).read()
    views = {view.name: view for view in explain_steps(cutouts, FULL, 3)}
    np.testing.assert_array_equal(views["Input"].image, galaxies["image"][3])
    np.testing.assert_array_equal(views["PickBands"].image, galaxies["image"][3][::-1])
    filled = views["FillBadPixels"]
    assert filled.hidden.sum() == 40 and filled.note == "40 pixels filled" and np.isfinite(filled.image).all()
    factor = 10 ** (0.4 * (31.4 - 22.5))
    np.testing.assert_allclose(views["ConvertFlux"].image, factor * filled.image, rtol=1e-5)
    assert views["ConvertFlux"].note == f"flux x {factor:.3g}"
    assert abs(np.median(views["SubtractBackground"].image[:, :4])) < 0.2 * np.std(views["ConvertFlux"].image[:, :4])
    assert views["MatchPSF"].image.max() < views["MaskNeighbours"].image.max()
    assert views["MatchPSF"].note == '1.26, 1.32, 1.44" to 2.5", undersampled'


def test_sky_that_stays_in_the_frame_stays_in_the_strip(galaxies):
    cutouts = open_cutouts(galaxies).read()
    views = explain_steps(cutouts, PreprocessingRecipe(size=40, background="none"), 0)
    np.testing.assert_array_equal(views[-2].image, galaxies["image"][0])
    assert views[-2].note == "nothing subtracted"


def test_a_galaxy_is_found_by_its_name_and_seen_as_the_network_sees_it(galaxies, classifier):
    seen = explain_galaxy(classifier, galaxies, galaxies["id"][3])
    catalogue = classify(galaxies, classifier)
    assert seen.probs["merger"] == pytest.approx(catalogue["merger_prob"][3], abs=1e-6)
    assert seen.flags == catalogue["flags"][3] and seen.id == galaxies["id"][3]
    frame = torch.from_numpy(make_frames(classifier, galaxies).data[3:4])
    expected = classifier.network.entrance(frame)[0].detach().numpy()
    assert list(seen.channels) == ["i", "r", "g", "rotation residual", "faint"]
    np.testing.assert_allclose(list(seen.channels.values()), expected, atol=1e-4)
    bare = explain_galaxy(classifier.preprocessing, galaxies["image"].data, 3, bands=("g", "r", "i"))
    assert not bare.channels and not bare.probs and bare.id == "3"


def test_one_galaxy_of_many_is_found(galaxies):
    many = Table({"name": np.arange(600), "image": np.repeat(galaxies["image"][:1], 600, axis=0)})
    many["image"][571] *= 2
    recipe = PreprocessingRecipe(size=40)
    view = explain_galaxy(recipe, many, 571, column="name").steps[0]
    np.testing.assert_array_equal(view.image, many["image"][571])


@pytest.mark.parametrize(
    "name, column, message",
    [
        ("s4-000099", "id", "no row has id 's4-000099'; did you mean 's4-00000"),
        ("0", "object", "no column 'object'"),
        ("nonmerger", "kind", "no row has kind"),
        ("1", "label", r"\d rows have label '1'"),
    ],
)
def test_what_cannot_be_explained_is_named(galaxies, name, column, message):
    with pytest.raises(InputError, match=message):
        explain_galaxy(PreprocessingRecipe(size=40), galaxies, name, column=column)


def test_a_row_without_anything_to_classify_is_followed_to_its_end(galaxies, classifier):
    seen = explain_galaxy(classifier, galaxies, galaxies["id"][5])
    assert seen.flags & Flag.BLANK and seen.flags & Flag.NOT_CLASSIFIED
    assert not seen.steps[-1].image.any() and not seen.channels and not seen.probs


def test_a_row_without_an_image_cannot_be_explained(galaxies):
    images = [galaxies["image"][0], galaxies["image"][1][:, :1, :1]]
    with pytest.raises(InputError, match=r"no image that could be looked at \(BAD_SHAPE, TOO_SMALL\)"):
        explain_galaxy(PreprocessingRecipe(size=40), images, 1)
    with pytest.raises(InputError, match="no row 2 among 2"):
        explain_steps(open_cutouts(images[:1] * 2).read(), PreprocessingRecipe(size=40), 2)


@pytest.mark.parametrize("name", ["8", "-1", "x"])
def test_without_names_there_are_row_numbers(galaxies, name):
    with pytest.raises(InputError, match="number of a row, 0 to 7"):
        explain_galaxy(PreprocessingRecipe(size=40), galaxies["image"].data, name)


def test_frames_as_a_data_set_are_classified_as_their_cutouts_are(galaxies, classifier, tmp_path):
    table = frames_table(classifier.preprocessing, galaxies)
    save_cutouts(table, tmp_path / "frames.fits")
    expected, got = classify(galaxies, classifier), classify(tmp_path / "frames.fits", classifier)
    good = np.arange(8) != 5
    np.testing.assert_allclose(got["merger_prob"][good], expected["merger_prob"][good], atol=2e-3)
    assert list(got["id"]) == list(galaxies["id"])
    assert got["flags"][5] & Flag.NOT_CLASSIFIED and got["flags"][3] & Flag.NONFINITE
    np.testing.assert_allclose(table["image_radius"][good], expected["frame_radius"][good])
    np.testing.assert_allclose(table["pixel_scale"], galaxies["pixel_scale"] * 75 / 40, rtol=1e-6)


def test_a_data_set_of_frames_says_what_they_are(galaxies):
    with pytest.warns(InputWarning, match="6 of 8 cutouts .* too narrow for their pixels"):
        meta = frames_table(FULL, galaxies).meta
    assert meta["BANDS"] == "i,r,g" and meta["ZEROPNT"] == "31.4" and meta["STRETCH"] is False
    assert meta["RADPIX"] == pytest.approx(7.2 / 40) and "SURVEY" not in meta and meta["SEED"] == 4
    pixels = PreprocessingRecipe(scale="pixels", size=40, pixel_scale=0.5)
    known = {"bands": ("g", "r", "i"), "pixel_scale": 0.4 * u.arcsec}
    meta = frames_table(pixels, np.asarray(galaxies["image"]), **known).meta
    assert meta["PIXSCALE"] == 0.5 and "RADPIX" not in meta and "ZEROPNT" not in meta
