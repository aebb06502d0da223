"""``galmerge simulate``."""

import numpy as np
import pytest
from click.testing import CliRunner

import galmerge_da.simulation
from galmerge_da.cli import main
from galmerge_da.io import open_cutouts
from galmerge_da.simulation import simulate


def run(*arguments):
    return CliRunner().invoke(main, ["simulate", *(str(argument) for argument in arguments)])


def test_the_file_holds_what_the_function_gives(tmp_path):
    path = tmp_path / "source.fits"
    done = run("--survey", "deepmerge-z2", "-n", 6, "--seed", 3, "--jobs", 1, "--no-progress", "-o", path)
    assert done.exit_code == 0, done.stderr
    assert "6 galaxies, 3 mergers, survey deepmerge-z2" in done.stdout
    expected = simulate(6, "deepmerge-z2", seed=3, n_jobs=1)
    source = open_cutouts(path)
    assert source.bands == ("F814W", "F356W", "F160W")
    assert source.survey == "deepmerge-z2"
    np.testing.assert_array_equal(source.read().data, expected["image"])
    for name in ("id", "group", "label", "stage"):
        assert list(source.table[name]) == list(expected[name])


def test_an_existing_file_is_refused_before_anything_is_simulated(tmp_path, monkeypatch):
    def never(*args, **kwargs):
        pytest.fail("it was simulated")

    monkeypatch.setattr(galmerge_da.simulation, "simulate", never)
    path = tmp_path / "source.fits"
    path.write_text("precious")
    done = run("-n", 6, "-o", path)
    assert done.exit_code == 1
    assert done.stderr == f"Error: {path} exists; give --overwrite to replace it\n"
    assert path.read_text() == "precious"


def test_overwrite_replaces_it(tmp_path):
    path = tmp_path / "source.fits"
    path.write_text("old")
    done = run("-n", 1, "--jobs", 1, "--no-progress", "--overwrite", "-o", path)
    assert done.exit_code == 0, done.stderr
    assert len(open_cutouts(path)) == 1


def test_an_unknown_survey_is_one_line(tmp_path):
    done = run("-n", 1, "--survey", "sdss-jpg", "-o", tmp_path / "a.fits")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert "did you mean 'sdss-jpeg'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", ["0", "-3", "many"])
def test_a_number_that_is_none_is_wrong_usage(tmp_path, number):
    assert run("-n", number, "-o", tmp_path / "a.fits").exit_code == 2


def test_another_format_is_refused(tmp_path):
    done = run("-n", 1, "-o", tmp_path / "a.ecsv")
    assert done.exit_code == 1
    assert "must end in .fits" in done.stderr
