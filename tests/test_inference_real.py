"""The packaged classifier on real galaxies, by function and by command: every row has a probability or flags."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

from galmerge_da import Flag, classify, extract_cutouts, read_catalog, write_catalog
from galmerge_da.cli import main
from galmerge_da.io import open_cutouts
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess

DATA = Path(__file__).parents[1].parent / "shared" / "data"

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data are not beside the checkout"),
    pytest.mark.filterwarnings("ignore:bands g, r, z were taken by wavelength"),
]


def run(*arguments):
    done = CliRunner().invoke(main, ["classify", *map(str, arguments), "--no-progress"])
    assert done.exit_code == 0, done.stderr
    return done


def values(catalogue):
    """Probabilities, NaN where there is none."""
    return np.ma.filled(np.ma.asarray(catalogue["merger_prob"], dtype=float), np.nan)


def check(catalogue, rows, key):
    """Same rows, same order, and a probability wherever no flag says why there is none."""
    assert list(catalogue[key]) == list(rows[key])
    probability = values(catalogue)
    lost = (catalogue["flags"] & Flag.NOT_CLASSIFIED) != 0
    np.testing.assert_array_equal(np.isnan(probability), lost)
    assert np.all((probability[~lost] >= 0) & (probability[~lost] <= 1))
    return probability


def same(catalogue, other):
    np.testing.assert_array_equal(catalogue["flags"], other["flags"])
    np.testing.assert_allclose(values(catalogue), values(other), rtol=1e-4)


@pytest.mark.filterwarnings("default:1 of 60 images")
def test_sdss_pictures_in_a_table_of_paths(tmp_path):
    table = Table.read(DATA / "sdss_gz1" / "labels.csv")[::-34]  # 59 of them
    table["filename"] = [str(DATA / "sdss_gz1" / name) for name in table["filename"]]
    table.remove_column("merger")  # no look at the labels here
    table.add_row(table[0])
    table["filename"][-1] = "absent.jpeg"
    table.write(tmp_path / "list.csv")
    with pytest.warns(UserWarning, match="1 of 60 images"):
        catalogue = classify(table, image="filename", survey="sdss-jpeg")
    probability = check(catalogue, table, "filename")
    assert np.isnan(probability).nonzero()[0].tolist() == [59]
    assert np.all(catalogue["flags"][:59] & Flag.STRETCHED) and catalogue["flags"][59] & Flag.UNREADABLE
    run(tmp_path / "list.csv", "--image", "filename", "--survey", "sdss-jpeg", "-o", tmp_path / "m.fits")
    same(catalogue, read_catalog(tmp_path / "m.fits"))


def test_the_field_of_arp_178(tmp_path):
    folder = DATA / "decals_field"
    catalog = read_catalog(folder / "catalog_sep.csv")
    cutouts = extract_cutouts(catalog, folder / "temp_extended.fits", 151)
    catalogue = classify(cutouts)
    check(catalogue, catalog, "x")
    assert not np.any(catalogue["flags"] & (Flag.NOT_CLASSIFIED | Flag.NONFINITE))
    off_edge = (catalogue["flags"] & Flag.OFF_EDGE) != 0
    cut = (cutouts["flags"] & Flag.OFF_EDGE) != 0
    assert off_edge[0]  # Arp 178 itself fills more than 151 pixels
    assert 5 < off_edge.sum() < 0.5 * cut.sum()
    # whoever has its centre close to the edge is cut by it
    reach = np.minimum.reduce([catalog["x"], catalog["y"], 423 - catalog["x"], 423 - catalog["y"]])
    assert np.all(off_edge[reach < 2 * catalog["a"]])
    mosaic = folder / "temp_extended.fits"
    run("--catalog", folder / "catalog_sep.csv", "--mosaic", mosaic, "-o", tmp_path / "m.ecsv")
    same(catalogue, read_catalog(tmp_path / "m.ecsv"))


@pytest.mark.slow
def test_the_field_of_ngc_6976_in_a_file_a_band(tmp_path):
    folder = DATA / "sdss_ngc6976_field"
    files = {band: folder / f"reprojected_sdss_{band}.fits.bz2" for band in "gri"}
    catalog = read_catalog(folder / "catalog_sep.csv")
    catalogue = classify(extract_cutouts(catalog, files, 151))
    check(catalogue, catalog, "x")
    reach = np.minimum.reduce([catalog["x"], catalog["y"], 681 - catalog["x"], 495 - catalog["y"]])
    assert np.all(catalogue["flags"][reach < 2 * catalog["a"]] & Flag.OFF_EDGE)
    mosaic = [f"--mosaic={band}={path}" for band, path in files.items()]
    done = run("--catalog", folder / "catalog_sep.csv", *mosaic, "-o", tmp_path / "m.vot")
    assert "Warning" not in done.stderr  # the bands are known, in another order than the network's
    same(catalogue, read_catalog(tmp_path / "m.vot"))
    write_catalog(catalogue, tmp_path / "again.fits")
    same(catalogue, read_catalog(tmp_path / "again.fits"))


@pytest.mark.parametrize("survey", [None, "survey"])
@pytest.mark.parametrize("name", ["decals", "sdss"])
def test_bands_of_real_fields_are_never_taken_for_counts(name, survey):
    if name == "sdss":
        bands, folder = ("g", "r", "i"), DATA / "sdss_ngc6976_field"
        images = [folder / f"reprojected_sdss_{band}.fits.bz2" for band in bands]
    else:
        bands, folder = ("g", "r", "z"), DATA / "decals_field"
        images = [folder / "temp_extended.fits"]
    sources = Table.read(folder / "catalog_sep.csv")["x", "y"]
    cutouts = extract_cutouts(sources, images, 45, bands=bands)
    recipe = PreprocessingRecipe(size=40)
    for chunk in open_cutouts(cutouts, survey=survey and name):
        assert not np.any(preprocess(chunk, recipe).flags & Flag.UNIT_DOUBTFUL)
