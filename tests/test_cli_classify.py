"""``galmerge classify``, with a small network that was never trained."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from click.testing import CliRunner

from galmerge_da import Flag
from galmerge_da.cli import main
from galmerge_da.cli.classify import summarise
from galmerge_da.inference import MergerClassifier
from galmerge_da.io import read_catalog, save_cutouts
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe
from galmerge_da.simulation import simulate

SHARED = Path(__file__).parents[1].parent / "shared"


def run(*arguments):
    return CliRunner().invoke(main, ["classify", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = build_network(in_channels=3, image_size=75)
    MergerClassifier(network.eval(), PreprocessingRecipe(bands=("g", "r", "z"))).save(path)
    return path


@pytest.fixture(scope="module")
def galaxies():
    table = simulate(6, "decals", seed=1, n_jobs=1)
    table["image"][2] = np.nan
    return table


@pytest.fixture
def cutouts(galaxies, tmp_path):
    path = tmp_path / "cutouts.fits"
    save_cutouts(galaxies, path)
    return path


def test_the_most_probable_mergers_are_drawn(cutouts, model, tmp_path):
    done = run(cutouts, "-o", tmp_path / "a.fits", "--model", model, "--montage", tmp_path / "a.png", "--no-progress")
    assert done.exit_code == 0, done.stderr
    assert "a.png: the most probable mergers" in done.stdout and (tmp_path / "a.png").stat().st_size > 10_000
    done = run(cutouts, "-o", tmp_path / "b.fits", "--model", model, "--montage", tmp_path / "a.png", "--no-progress")
    assert done.exit_code != 0 and "exists" in done.stderr and not (tmp_path / "b.fits").exists()


def test_a_data_set_becomes_a_catalogue(cutouts, galaxies, model, tmp_path):
    path = tmp_path / "mergers.fits"
    done = run(cutouts, "-o", path, "--model", model, "--no-progress")
    assert done.exit_code == 0, done.stderr
    catalogue = read_catalog(path)
    expected = MergerClassifier.load(model).classify(galaxies)
    assert list(catalogue["id"]) == list(galaxies["id"])
    np.testing.assert_allclose(np.asarray(catalogue["merger_prob"]), np.asarray(expected["merger_prob"].filled(np.nan)))
    np.testing.assert_array_equal(catalogue["flags"], expected["flags"])
    assert catalogue["flags"][2] & Flag.NOT_CLASSIFIED


@pytest.mark.parametrize("name", ["mergers.parquet", "mergers.hdf5", "mergers.h5", "mergers.vot", "mergers.ecsv"])
def test_the_ending_chooses_the_format(cutouts, galaxies, model, tmp_path, name):
    done = run(cutouts, "-o", tmp_path / name, "--model", model, "--no-progress")
    assert done.exit_code == 0, done.stderr
    catalogue = read_catalog(tmp_path / name)
    assert list(catalogue["id"]) == list(galaxies["id"])
    assert np.ma.getmaskarray(catalogue["merger_prob"]).tolist() == [False, False, True, False, False, False]
    assert catalogue["merger_prob"].info.description and catalogue.meta["BANDS"] == "g,r,z"


@pytest.mark.filterwarnings("default")
def test_csv_says_what_it_loses(cutouts, galaxies, model, tmp_path):
    done = run(cutouts, "-o", tmp_path / "mergers.csv", "--model", model, "--no-progress")
    assert done.exit_code == 0, done.stderr
    assert re.search("left out .*units .*descriptions .*merger_prob.*meta ", done.stderr)
    assert list(read_catalog(tmp_path / "mergers.csv")["id"]) == list(galaxies["id"])


def test_a_missing_extra_is_said_before_any_work(cutouts, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("galmerge_da.inference.classify", lambda *arguments, **options: pytest.fail("it ran"))
    done = run(cutouts, "-o", tmp_path / "mergers.parquet", "--model", model, "--no-progress")
    assert done.exit_code != 0 and "galmerge_da[parquet]" in done.stderr


def test_morphology_is_there_when_asked_for(cutouts, galaxies, model, tmp_path):
    path = tmp_path / "mergers.fits"
    done = run(cutouts, "-o", path, "--model", model, "--no-progress", "--morphology")
    assert done.exit_code == 0, done.stderr
    catalogue = read_catalog(path)
    expected = MergerClassifier.load(model).classify(galaxies, morphology=True)
    for name in ("asymmetry", "gini", "m20", "concentration", "smoothness"):
        np.testing.assert_allclose(catalogue[name], expected[name])
        assert np.isnan(catalogue[name][2]) and np.isfinite(catalogue[name][0])
    assert "NO_MORPHOLOGY" in done.output


def test_a_mask_and_threads_reach_the_function(galaxies, model, tmp_path):
    table = galaxies.copy()
    table["bad"] = np.zeros(table["image"].shape, bool)
    table["bad"][4, :, 30:40] = True
    save_cutouts(table, tmp_path / "masked.fits")
    path = tmp_path / "mergers.fits"
    done = run(
        tmp_path / "masked.fits", "-o", path, "--model", model, "--mask", "bad", "--n-threads", 1, "--no-progress"
    )
    assert done.exit_code == 0, done.stderr
    flags = read_catalog(path)["flags"]
    assert ((flags & Flag.MASKED) != 0).tolist() == [False, False, False, False, True, False]
    assert run(path, "-o", path, "--n-threads", 0).exit_code == 2


def test_the_last_line_counts_rows_flags_and_mergers(cutouts, model, tmp_path):
    path = tmp_path / "mergers.ecsv"
    done = run(cutouts, "-o", path, "--model", model, "--threshold", 0, "--no-progress")
    assert done.stdout.startswith(f"{path}: 6 rows, 5 classified, 5 with merger_prob of at least 0; flags: BLANK 1")
    assert done.stdout.count("\n") == 1


def test_doubtful_mergers_are_counted():
    table = Table({"merger_prob": np.ma.array([0.9, 0.8, 0.7, 0.2], mask=[0, 0, 1, 0])})
    table["flags"] = np.array([0, Flag.TOO_SMALL, Flag.NOT_CLASSIFIED | Flag.OFF_EDGE, Flag.OFF_EDGE], np.int32)
    table.meta["GMTHRESH"] = 0.5
    assert "2 with merger_prob of at least 0.5 (1 of them doubtful, see flags);" in summarise(table)
    table["flags"] = np.int32(0)
    assert summarise(table).endswith("2 with merger_prob of at least 0.5")


@pytest.mark.parametrize("suffix", [".fits", ".fit", ".ecsv", ".vot", ".xml"])
def test_every_ending_that_is_let_through_can_be_written(cutouts, model, tmp_path, suffix):
    path = tmp_path / f"mergers{suffix}"
    done = run(cutouts, "-o", path, "--model", model, "--no-progress")
    assert done.exit_code == 0, done.stderr
    assert len(read_catalog(path)) == 6


def test_paths_in_a_csv_start_from_its_folder(galaxies, model, tmp_path):
    for i, image in enumerate(galaxies["image"]):
        np.save(tmp_path / f"{i}.npy", image)
    (tmp_path / "list.csv").write_text("name,file\n" + "".join(f"g{i},{i}.npy\n" for i in range(5, -1, -1)))
    path = tmp_path / "mergers.fits"
    done = run(tmp_path / "list.csv", "--image", "file", "--bands", "g,r,z", "-o", path, "--model", model)
    assert done.exit_code == 0, done.stderr
    catalogue = read_catalog(path)
    assert list(catalogue["name"]) == ["g5", "g4", "g3", "g2", "g1", "g0"]
    assert catalogue["flags"][3] & Flag.NOT_CLASSIFIED


def test_one_column_per_band(galaxies, model, tmp_path):
    table = galaxies.copy()
    for i, band in enumerate("grz"):
        table[band] = galaxies["image"][:, i]
    table.remove_column("image")
    save_cutouts(table, tmp_path / "bands.fits")
    path = tmp_path / "mergers.fits"
    done = run(tmp_path / "bands.fits", "--image", "g,r,z", "-o", path, "--model", model, "--no-progress")
    assert done.exit_code == 0, done.stderr
    expected = MergerClassifier.load(model).classify(galaxies)
    np.testing.assert_allclose(read_catalog(path)["merger_prob"][:2], expected["merger_prob"][:2], rtol=1e-5)


@pytest.fixture
def mosaic(galaxies, tmp_path):
    """A field of two galaxies, with its catalogue: one in the middle of each half, one beyond the edge."""
    image = np.concatenate([galaxies["image"][0], galaxies["image"][1]], axis=2)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.cdelt = -0.262 / 3600, 0.262 / 3600
    wcs.wcs.crpix, wcs.wcs.crval = (75, 37), (150, 2)
    header = wcs.to_header()
    fits.writeto(tmp_path / "cube.fits", image, header)
    for i, band in enumerate("grz"):
        fits.writeto(tmp_path / f"{band}.fits", image[i], header)
    (tmp_path / "catalog.csv").write_text("id,x,y\na,37,37\nb,112,37\nc,500,37\n")
    return tmp_path


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "arguments",
    [["--mosaic", "cube.fits", "--bands", "g,r,z"], [f"--mosaic={band}={band}.fits" for band in "grz"]],
    ids=["cube", "bands"],
)
def test_a_mosaic_and_a_catalogue(mosaic, galaxies, model, monkeypatch, arguments):
    monkeypatch.chdir(mosaic)
    done = run("--catalog", "catalog.csv", *arguments, "--size", 75, "-o", "mergers.fits", "--model", model)
    assert done.exit_code == 0, done.stderr
    assert "Warning: 1 of 3 positions lie on no image (the first is row 2)" in done.stderr
    catalogue = read_catalog("mergers.fits")
    assert list(catalogue["id"]) == ["a", "b", "c"]
    assert list((catalogue["flags"] & Flag.NOT_CLASSIFIED) != 0) == [False, False, True]
    assert catalogue["flags"][2] & Flag.OFF_EDGE


def test_the_size_of_what_is_cut_may_be_an_angle_or_a_multiple_of_a_column(mosaic, model, monkeypatch):
    monkeypatch.chdir(mosaic)
    rows = "id,x,y,r\na,37,37,7.5\nb,112,37,7.5\n"
    (mosaic / "two.csv").write_text(rows)
    arguments = ["--catalog", "two.csv", "--mosaic", "cube.fits", "--bands", "g,r,z", "--model", model, "--no-progress"]
    found = []
    for number, size in enumerate(["75", "19.65 arcsec", "75x75", "10 r"]):
        done = run(*arguments, "--size", size, "-o", f"{number}.fits")
        assert done.exit_code == 0, done.stderr
        found.append(read_catalog(f"{number}.fits")["merger_prob"])
    assert np.isfinite(found[0]).all()
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    assert run(*arguments, "--size", "big", "-o", "x.fits").exit_code == 1


def test_tiles_masks_and_weights_reach_the_cutouts(mosaic, model, monkeypatch):
    monkeypatch.chdir(mosaic)
    wcs = WCS(fits.getheader("g.fits"))
    ra, dec = wcs.pixel_to_world_values([37.0, 112.0], [37.0, 37.0])
    Table({"id": ["a", "b"], "ra": ra, "dec": dec}).write("two.csv")
    mask = np.zeros((75, 150), np.int16)
    mask[40:44, 40:44] = 1
    for band in "grz":
        image, header = fits.getdata(f"{band}.fits"), fits.getheader(f"{band}.fits")
        fits.writeto(f"{band}0.fits", image[:, :75], header)
        header["CRPIX1"] -= 75
        fits.writeto(f"{band}1.fits", image[:, 75:], header)
    fits.writeto("m.fits", mask)
    fits.writeto("w.fits", np.ones((75, 150), np.float32))
    common = ["--catalog", "two.csv", "--size", 75, "--model", model, "--no-progress"]
    whole = [f"--mosaic={band}={band}.fits" for band in "grz"]
    tiles = [f"--mosaic={band}={band}{number}.fits" for band in "grz" for number in (0, 1)]
    weights = [f"--weight={band}=w.fits" for band in "grz"]
    for name, arguments in (("whole", whole), ("tiles", tiles), ("maps", [*whole, "--mask=r=m.fits", *weights])):
        done = run(*common, *arguments, "-o", f"{name}.fits")
        assert done.exit_code == 0, done.stderr
    catalogues = {name: read_catalog(f"{name}.fits") for name in ("whole", "tiles", "maps")}
    np.testing.assert_array_equal(catalogues["tiles"]["merger_prob"], catalogues["whole"]["merger_prob"])
    assert ((catalogues["maps"]["flags"] & Flag.MASKED) != 0).tolist() == [True, False]
    assert not np.any(catalogues["whole"]["flags"] & Flag.MASKED)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.fits", "--catalog", "c.csv", "--mosaic", "m.fits"],
        ["--catalog", "c.csv"],
        ["a.fits", "--mosaic", "m.fits"],
        ["--catalog", "c.csv", "--mosaic", "g=g.fits", "--mosaic", "r.fits"],
        ["a.fits", "--weight", "w.fits"],
        ["a.fits", "--threshold", "2"],
        ["a.fits", "--pixel-scale", "0"],
    ],
)
def test_wrong_usage(arguments, tmp_path):
    done = run(*arguments, "-o", tmp_path / "mergers.fits")
    assert done.exit_code == 2, done.output


def test_a_catalogue_that_exists_is_kept(cutouts, model, tmp_path):
    path = tmp_path / "mergers.fits"
    path.write_text("precious")
    done = run(cutouts, "-o", path, "--model", model)
    assert done.exit_code == 1
    assert "exists; give --overwrite" in done.stderr
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.fits"], "absent.fits"),
        (["{cutouts}", "--image", "picture"], "picture"),
        (["{cutouts}", "--bands", "g,r"], "2"),
        (["{cutouts}", "--survey", "decal"], "did you mean 'decals'"),
        (["{cutouts}", "--model", "absent.safetensors"], "absent.safetensors"),
        (["{cutouts}", "--model", "{cutouts}"], "cutouts.fits"),
    ],
)
def test_a_bad_call_is_one_line(cutouts, model, tmp_path, arguments, message):
    arguments = [argument.format(cutouts=cutouts) for argument in arguments]
    default = [] if "--model" in arguments else ["--model", model]
    done = run(*arguments, *default, "-o", tmp_path / "mergers.fits")
    assert done.exit_code == 1, done.output
    assert message in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert not (tmp_path / "mergers.fits").exists()


@pytest.mark.filterwarnings("default")
def test_the_field_of_arp_178(model, tmp_path):
    folder = SHARED / "data" / "decals_field"
    if not folder.is_dir():
        pytest.skip("the shared field around NGC 5614 is not here")
    path = tmp_path / "mergers.fits"
    done = run(
        "--catalog", folder / "catalog_sep.csv", "--mosaic", folder / "temp_extended.fits", "--bands", "g,r,z",
        "--size", 75, "-o", path, "--model", model, "--no-progress",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    catalogue = read_catalog(path)
    assert len(catalogue) == len(Table.read(folder / "catalog_sep.csv"))
    assert np.any(catalogue["flags"] & Flag.OFF_EDGE)


@pytest.mark.parametrize("kind", ["arrays", "paths"])
def test_columns_in_another_order_than_the_model_are_put_right(galaxies, model, tmp_path, kind):
    names = ["stamp_z", "stamp_g", "stamp_r"]
    if kind == "arrays":
        table = Table({name: galaxies["image"][:, "grz".index(name[-1])] for name in names})
        save_cutouts(table, tmp_path / "bands.fits")
        source = tmp_path / "bands.fits"
    else:
        for row, image in enumerate(galaxies["image"]):
            for band, plane in zip("grz", image, strict=True):
                np.save(tmp_path / f"{row}{band}.npy", plane)
        rows = [",".join(f"{row}{name[-1]}.npy" for name in names) for row in range(len(galaxies))]
        source = tmp_path / "bands.csv"
        source.write_text("\n".join([",".join(names), *rows]) + "\n")
    done = run(source, "--image", ",".join(names), "-o", tmp_path / "m.fits", "--model", model, "--no-progress")
    assert done.exit_code == 0, done.stderr
    assert "Warning" not in done.stderr
    images = galaxies.copy()
    images.meta = {}  # a bare table has no radii of its frames
    expected = MergerClassifier.load(model).classify(images, bands=("g", "r", "z"))
    np.testing.assert_allclose(
        read_catalog(tmp_path / "m.fits")["merger_prob"], expected["merger_prob"].filled(np.nan), rtol=1e-5
    )
