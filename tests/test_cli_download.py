"""``galmerge download``."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from galmerge_da.cli import main
from galmerge_da.io import DATASETS

NAME = "deepmerge-simreal"


def run(*arguments):
    return CliRunner().invoke(main, ["download", *(str(argument) for argument in arguments)])


@pytest.fixture
def served(file_server, monkeypatch):
    """The data set on a server here."""
    file_server.publish(NAME, {file: file.encode() * 100 for file in DATASETS[NAME].files})
    monkeypatch.setitem(DATASETS, NAME, replace(DATASETS[NAME], server=file_server.url))
    return file_server


def test_the_files_arrive_and_are_named(served, tmp_path):
    done = run(NAME, "-o", tmp_path / "data", "--no-progress")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'data'}: 4 files, 0.0 MB: SimReal_SOURCE_X_Illustris0.npy, ")
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").glob("*.npy")} == {
        file: file.encode() * 100 for file in DATASETS[NAME].files
    }
    assert done.stderr == ""


def test_verify_mends_a_file(served, tmp_path):
    run(NAME, "-o", tmp_path, "--no-progress")
    path = tmp_path / DATASETS[NAME].files[0]
    path.write_bytes(b"damaged")
    assert run(NAME, "-o", tmp_path, "--no-progress").exit_code == 0
    assert path.read_bytes() == b"damaged"
    assert run(NAME, "-o", tmp_path, "--no-progress", "--verify").exit_code == 0
    assert path.read_bytes() == path.name.encode() * 100


def test_the_list_has_names_references_and_addresses():
    done = run("--list")
    assert done.exit_code == 0
    for dataset in DATASETS.values():
        assert f"{dataset.name}: {dataset.summary}" in done.stdout
        assert dataset.reference in done.stdout
        for file in dataset.files:
            assert dataset.url(file) in done.stdout


@pytest.mark.parametrize("arguments", [[], [NAME, "--list"]])
def test_a_name_or_the_list(arguments):
    done = run(*arguments)
    assert done.exit_code == 2 and "give either NAME or --list" in done.stderr


@pytest.mark.parametrize(
    "wrong, message", [("deepmerge-simrael", "did you mean 'deepmerge-simreal'"), (NAME, "answers 404")]
)
def test_an_error_is_one_line(served, tmp_path, wrong, message):
    served.files.pop(DATASETS[NAME].path.format(file=DATASETS[NAME].files[2]))
    done = run(wrong, "-o", tmp_path, "--no-progress")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ") and message in done.stderr and done.stderr.count("\n") == 1


def test_without_a_network_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setitem(DATASETS, NAME, replace(DATASETS[NAME], server="http://nowhere.invalid"))
    done = run(NAME, "-o", tmp_path, "--no-progress")
    assert done.exit_code == 1
    assert "nowhere.invalid cannot be found" in done.stderr and "is there a network?" in done.stderr
