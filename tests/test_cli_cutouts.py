"""``galmerge cutouts``."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from click.testing import CliRunner

from galmerge_da.cli import main
from galmerge_da.io import extract_cutouts, find_sources, open_cutouts, read_catalog
from galmerge_da.io.servers import SERVICES, LegacySurveys
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess

SHAPE = (3, 100, 140)


def run(*arguments):
    return CliRunner().invoke(main, ["cutouts", *(str(argument) for argument in arguments)])


def tan():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -0.5 / 3600, 0.5 / 3600
    wcs.wcs.crval, wcs.wcs.crpix = (150.0, 2.0), (70, 50)
    return wcs


def field():
    y, x = np.indices(SHAPE[1:])
    image = np.random.default_rng(0).normal(0, 0.1, SHAPE)
    for x0, y0, flux in ((50, 50, 900), (66, 50, 600), (110, 60, 500)):
        image += flux / (2 * np.pi * 9) * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / 9)
    return image.astype(np.float32)


@pytest.fixture
def files(tmp_path):
    """A cube, a file a band, a catalogue and a map of weights."""
    image = field()
    fits.writeto(tmp_path / "cube.fits", image, tan().to_header())
    for band, plane in zip("gri", image, strict=True):
        fits.writeto(tmp_path / f"{band}.fits", plane, tan().to_header())
    ra, dec = tan().pixel_to_world_values([50.0, 110.0, 3.0], [50.0, 60.0, 4.0])
    Table({"id": [1, 2, 3], "ra": ra, "dec": dec}).write(tmp_path / "c.csv")
    weight = np.ones(SHAPE, np.float32)
    weight[0, 52, 50] = 0
    fits.writeto(tmp_path / "w.fits", weight)
    return tmp_path


@pytest.mark.parametrize("suffix", [".fits", ".hdf5"])
@pytest.mark.parametrize("kind", ["cube", "bands"])
def test_a_catalogue_and_images_become_a_data_set(files, suffix, kind):
    output = files / f"out{suffix}"
    images = [files / "cube.fits"] if kind == "cube" else [f"{band}={files / band}.fits" for band in "gri"]
    bands = ["--bands", "g,r,i"] if kind == "cube" else []
    done = run(*images, "--catalog", files / "c.csv", "--size", "10.5 arcsec", "-o", output, *bands)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{output}: 3 cutouts of 3 x 21 x 21; flags: OFF_EDGE 1\n"
    cutouts = open_cutouts(output).read()
    expected = extract_cutouts(read_catalog(files / "c.csv"), (field(), tan()), 21)
    assert np.array_equal(cutouts.data, expected["image"], equal_nan=True)
    assert cutouts.bands == ("g", "r", "i") and cutouts.table["id"].tolist() == [1, 2, 3]


def test_sources_are_found_and_neighbours_marked(files):
    done = run(files / "cube.fits", "--find", "--neighbours", "--size", 31, "-o", files / "out.fits")
    assert done.exit_code == 0, done.output
    cutouts = open_cutouts(files / "out.fits", mask="neighbours").read()
    found, segments = find_sources(files / "cube.fits", return_segments=True)
    assert len(cutouts) == len(found) == 3
    expected = extract_cutouts(found, files / "cube.fits", 31, segments=segments)
    assert np.array_equal(cutouts.mask[:, 0], expected["neighbours"]) and expected["neighbours"].any()
    assert cutouts.table["radius"].unit == "pix"


def test_bands_are_chosen_and_weights_carried(files):
    images = [f"{band}={files / band}.fits" for band in "gri"]
    weights = [word for band in "gri" for word in ("--weight", f"{band}={files / 'w.fits'}")]
    done = run(*images, *weights, "--catalog", files / "c.csv", "--size", 9, "-o", files / "out.fits")
    assert done.exit_code == 1 and "a weight has shape (3, 100, 140), its image (1, 100, 140)" in done.stderr
    cube = [files / "cube.fits", "--weight", files / "w.fits", "--bands", "g,r,i"]
    done = run(*cube, "--catalog", files / "c.csv", "--size", 9, "-o", files / "out.fits")
    assert done.exit_code == 0 and "MASKED 1" in done.stdout
    table = read_catalog(files / "out.fits")
    assert np.argwhere(table["weight"][0] == 0).tolist() == [[0, 6, 4]] and np.isnan(table["image"][0, 0, 6, 4])
    done = run(*images, "--bands", "i,g", "--catalog", files / "c.csv", "--size", 9, "-o", files / "b.fits")
    assert done.exit_code == 0 and open_cutouts(files / "b.fits").bands == ("i", "g")


def test_a_band_given_twice_is_another_tile(files):
    image = field()[0]
    header = tan().to_header()
    header["CRPIX1"] -= 60
    fits.writeto(files / "left.fits", image[:, :80], tan().to_header())
    fits.writeto(files / "right.fits", image[:, 60:], header)
    tiles = f"g={files / 'left.fits'}", f"g={files / 'right.fits'}"
    unnamed = files / "left.fits", files / "right.fits"  # what they cover tells that they are no bands
    for images, name in ((tiles, "out.fits"), (unnamed, "unnamed.fits")):
        done = run(*images, "--catalog", files / "c.csv", "--size", 9, "-o", files / name)
        assert done.exit_code == 0, done.output
        assert "3 cutouts of 1 x 9 x 9" in done.stdout
        assert read_catalog(files / name)["tile"].tolist() == [0, 1, 0]


def test_a_galaxy_may_have_its_own_size(files):
    catalog = Table.read(files / "c.csv")
    catalog["petro_r"] = [3.0, 4.2, 3.8]
    catalog.write(files / "radii.csv")
    done = run(files / "cube.fits", "--catalog", files / "radii.csv", "--size", "5 petro_r", "-o", files / "out.fits")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{files / 'out.fits'}: 3 cutouts of 3 x 21 x 21; flags: OFF_EDGE 1")
    padded = open_cutouts(files / "out.fits", radius="petro_r").read()
    own = open_cutouts(extract_cutouts(catalog, files / "cube.fits", "5 petro_r"), radius="petro_r").read()
    assert [image.shape[1:] for image in own.data] == [(15, 15), (21, 21), (19, 19)]
    recipe = PreprocessingRecipe(size=24, frame_radii=4)
    first, second = preprocess(padded, recipe), preprocess(own, recipe)
    assert np.array_equal(first.flags, second.flags)
    np.testing.assert_allclose(first.data, second.data, atol=0.15)  # but for the sky, which is measured on the edge


def test_height_and_width_may_differ(files):
    done = run(files / "cube.fits", "--catalog", files / "c.csv", "--size", "11x7", "-o", files / "out.fits")
    assert done.exit_code == 0 and "3 cutouts of 3 x 11 x 7" in done.stdout, done.output


def test_a_band_may_have_a_mask_and_another_none(files):
    mask = np.zeros(SHAPE[1:], np.int16)
    mask[52, 50] = 1
    fits.writeto(files / "m.fits", mask)
    images = [f"{band}={files / band}.fits" for band in "gri"]
    done = run(
        *images, "--mask", f"r={files / 'm.fits'}", "--catalog", files / "c.csv", "--size", 9, "-o", files / "out.fits"
    )
    assert done.exit_code == 0 and "MASKED 1" in done.stdout, done.output
    assert np.argwhere(np.isnan(read_catalog(files / "out.fits")["image"][0])).tolist() == [[1, 6, 4]]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "give IMAGES, with either --catalog or --find"),
        (["a.fits"], "give IMAGES, with either --catalog or --find"),
        (["a.fits", "--find", "--catalog", "c.csv"], "give IMAGES, with either --catalog or --find"),
        (["a.fits", "g=b.fits", "--find"], "give all with their band"),
        (["--service", "legacy"], "--service needs --catalog"),
        (["a.fits", "--service", "legacy", "--catalog", "c.csv"], "neither IMAGES nor --find"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, arguments, message):
    done = run(*arguments, "-o", tmp_path / "out.fits")
    assert done.exit_code == 2 and message in done.stderr


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--size", "big"], "size 'big' is no number of pixels"),
        (["--size", "9", "-o", "out.csv"], "must end in .fits, .fit, .hdf5, .h5"),
        (["--size", "2 size"], "no multiple of a column"),
    ],
)
def test_an_error_is_one_line(files, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    done = run("cube.fits", "--catalog", "c.csv", "-o", "out.fits", *arguments)
    assert done.exit_code == 1 and message in done.stderr
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    (files / "out.fits").write_text("mine")
    done = run("cube.fits", "--catalog", "c.csv", "-o", "out.fits")
    assert "give --overwrite" in done.stderr and (files / "out.fits").read_text() == "mine"


def test_a_server_is_asked_once_for_every_galaxy(files, file_server, monkeypatch):
    class Here(LegacySurveys):
        def __init__(self, wait, base_url=None):
            super().__init__(wait, file_server.url)

    import io

    content = io.BytesIO()
    fits.writeto(content, field()[:, 44:56, 44:56])
    file_server.files = type("Any", (dict,), {"get": lambda self, path: content.getvalue()})()
    monkeypatch.setitem(SERVICES, "legacy", Here)
    arguments = ["--service", "legacy", "--catalog", files / "c.csv", "--size", 12, "--rate", 1e6, "--no-progress"]
    done = run(*arguments, "-o", files / "out.fits")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{files / 'out.fits'}: 3 cutouts of 3 x 12 x 12\n" and done.stderr == ""
    assert len(file_server.asked) == 3 and len(list((files / "out.parts").glob("*.fits"))) == 3
    assert open_cutouts(files / "out.fits").bands == ("g", "r", "z")
    done = run(*arguments, "-o", files / "out.fits", "--overwrite")
    assert done.exit_code == 0 and len(file_server.asked) == 3
