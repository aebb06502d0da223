"""``galmerge preprocess``: frames as a data set, and the strip of one galaxy."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from galmerge_da import simulate
from galmerge_da.cli import main
from galmerge_da.evaluation import frames_table
from galmerge_da.io import open_cutouts, save_cutouts
from galmerge_da.preprocessing import PreprocessingRecipe

SHARED = Path(__file__).parents[1].parent / "shared"


def run(*arguments):
    return CliRunner().invoke(main, ["preprocess", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def galaxies():
    return simulate(5, "sdss", seed=1, n_jobs=1)


@pytest.fixture
def cutouts(galaxies, tmp_path):
    save_cutouts(galaxies, tmp_path / "cutouts.fits")
    return tmp_path / "cutouts.fits"


def test_frames_are_written_as_a_data_set(cutouts, galaxies, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[data]\nsimulate = {n = 1}\n[preprocessing]\nsize = 32\nbands = ["i", "g"]\npsf = {fwhm = 2.0}\n'
    )
    done = run(cutouts, "-o", tmp_path / "frames.fits", "--recipe", recipe, "--pixel-scale", 0.4)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'frames.fits'}: 5 frames of 2 x 32 x 32\n"
    expected = frames_table(
        PreprocessingRecipe(size=32, bands=("i", "g"), psf={"fwhm": 2.0}), galaxies, pixel_scale=0.4 * u.arcsec
    )
    back = open_cutouts(tmp_path / "frames.fits")
    assert back.bands == ("i", "g") and list(back.table["id"]) == list(galaxies["id"])
    np.testing.assert_allclose(back.read().data, expected["image"], rtol=1e-5, atol=1e-6)


def test_the_packaged_model_is_the_default(cutouts, tmp_path):
    done = run(cutouts, "-o", tmp_path / "frames.fits")
    assert done.exit_code == 0, done.stderr
    assert open_cutouts(tmp_path / "frames.fits").bands == ("i", "r", "g")


@pytest.mark.parametrize("ending", [".png", ".pdf", ".svg"])
def test_one_galaxy_is_drawn(cutouts, galaxies, tmp_path, ending):
    path = tmp_path / f"strip{ending}"
    done = run(cutouts, "--explain", galaxies["id"][2], "-o", path)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{path}: {galaxies['id'][2]} in 5 steps\n"
    if ending == ".png":
        picture = np.asarray(Image.open(path))
        assert picture.shape[1] > 1500 and picture[..., :3].std() > 20


@pytest.mark.parametrize(
    "arguments, code, message",
    [
        (["-o", "a.png"], 1, "a.png: the output must end in .fits, .fit"),
        (["-o", "a.fits", "--explain", "0"], 1, "must end in .png, .pdf, .svg"),
        (["-o", "a.png", "--explain", "nobody"], 1, "no row has id 'nobody'"),
        (["-o", "a.fits", "--model", "m", "--recipe", "r"], 2, "--model or --recipe, not both"),
        (["-o", "a.fits", "--recipe", "absent.toml"], 1, "no recipe absent.toml"),
        (["-o", "a.fits", "--model", "absent"], 1, "no model file absent"),
    ],
)
def test_wrong_use_is_one_line(cutouts, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    done = run(cutouts, *arguments)
    assert done.exit_code == code and message in done.stderr


def test_a_wrong_recipe_suggests_the_right_name(cutouts, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[preprocessing.psf]\nfwmh = 2.0\n")
    done = run(cutouts, "-o", tmp_path / "frames.fits", "--recipe", recipe)
    assert done.exit_code == 1 and "no option 'fwmh'; did you mean 'fwhm'?" in done.stderr


def test_what_is_there_is_kept(cutouts, galaxies, tmp_path):
    path = tmp_path / "strip.png"
    path.write_text("mine")
    done = run(cutouts, "--explain", galaxies["id"][0], "-o", path)
    assert done.exit_code == 1 and "--overwrite" in done.stderr and path.read_text() == "mine"


@pytest.mark.skipif(not (SHARED / "data" / "sdss_gz1").is_dir(), reason="shared/data/sdss_gz1 is not here")
def test_a_real_picture_is_explained(tmp_path):
    picture = sorted((SHARED / "data" / "sdss_gz1" / "images").iterdir())[0]
    done = run(picture, "--survey", "sdss-jpeg", "--explain", 0, "-o", tmp_path / "strip.png")
    assert done.exit_code == 0, done.stderr
