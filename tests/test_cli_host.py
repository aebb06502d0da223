"""What all commands share: help, version, errors, warnings, exit codes."""

import re
import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner
from tqdm import tqdm

import galmerge_da
from galmerge_da.cli import main
from galmerge_da.cli._host import Command, check_output
from galmerge_da.exceptions import InputError, InputWarning

COMMANDS = (
    "simulate", "train", "classify", "cutouts", "preprocess", "demo", "experiment", "plugins", "download", "convert",
)  # fmt: skip


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def failing(monkeypatch):
    """A command ``fail`` that raises or warns as it is told."""

    def add(action):
        def callback():
            action()

        monkeypatch.setitem(main.commands, "fail", Command("fail", callback=callback))

    return add


def test_the_commands_are_those_of_the_documentation():
    assert sorted(main.commands) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "name", [*COMMANDS, "experiment sim-to-sim", "experiment sim-to-real", "plugins show", "plugins new"]
)
def test_each_command_explains_itself(name):
    done = run(*name.split(), "--help")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: main {name}")
    command = main
    for part in name.split():
        command = command.commands[part]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in done.stdout
            assert parameter.help, f"{name} {parameter.opts} has no help"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["plugins", "show", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys; from galmerge_da.cli import main; main({arguments}, standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "astropy", "numpy", "matplotlib"} & set(done.stdout.split())


def test_version():
    assert run("--version").stdout.strip().endswith(galmerge_da.__version__)


def test_python_dash_m_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "galmerge_da", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"galmerge, version {galmerge_da.__version__}\n"


@pytest.mark.parametrize("arguments", [["nothing"], ["simulate"], ["classify", "a", "-o", "b", "--axes", "WHC"]])
def test_wrong_usage_exits_with_2(arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Usage:" in done.stderr


@pytest.mark.parametrize(
    "error",
    [
        InputError("row 3 is\n empty"),
        FileNotFoundError(2, "No such file or directory", "a.fits"),
        PermissionError("no"),
    ],
)
def test_an_expected_error_is_one_line_and_exits_with_1(failing, error):
    def action():
        raise error

    failing(action)
    done = run("fail")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_missing_file_is_named(failing):
    failing(lambda: open("absent.fits"))
    assert run("fail").stderr == "Error: no such file: absent.fits\n"


@pytest.mark.parametrize("arguments", [["--verbose", "fail"], ["fail", "--verbose"]])
def test_verbose_shows_the_traceback(failing, arguments):
    def action():
        raise InputError("row 3")

    failing(action)
    done = run(*arguments)
    assert done.exit_code == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith("Error: row 3\n")


def test_a_bug_is_not_hidden(failing):
    failing(lambda: 1 / 0)
    assert isinstance(run("fail").exception, ZeroDivisionError)


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line(failing):
    failing(lambda: warnings.warn("bands\nmatched by wavelength", InputWarning, stacklevel=1))
    done = run("fail")
    assert done.exit_code == 0
    assert done.stderr == "Warning: bands matched by wavelength\n"


@pytest.mark.filterwarnings("default")
def test_a_warning_does_not_run_into_a_progress_bar(failing):
    def work():
        for _ in tqdm(range(2), file=sys.stderr):
            warnings.warn("look out", InputWarning, stacklevel=1)

    failing(work)
    assert "Warning: look out" in re.split("[\r\n]+", run("fail").stderr)


def test_check_output(tmp_path):
    path = tmp_path / "out.fits"
    check_output(path, False, (".fits",))
    path.touch()
    check_output(path, True, (".fits",))
    with pytest.raises(InputError, match="exists; give --overwrite"):
        check_output(path, False, (".fits",))
    with pytest.raises(InputError, match="does not exist"):
        check_output(tmp_path / "absent" / "out.fits", False, (".fits",))
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path, True, (".fits",))
    with pytest.raises(InputError, match="must end in .ecsv, .vot"):
        check_output(path, True, (".ecsv", ".vot"))
