"""``galmerge experiment``: options reach the studies, labels are looked at only with a ledger."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner

from galmerge_da import experiments
from galmerge_da.cli import main
from galmerge_da.cli.experiment import PAIR_RUNS, RUNS
from galmerge_da.experiments import sim_to_sim


def run(*arguments):
    return CliRunner().invoke(main, ["experiment", *map(str, arguments)])


def test_the_help_lists_the_runs():
    assert tuple(each.name for each in experiments.REAL_RUNS) == RUNS
    assert tuple(each.name for each in (*sim_to_sim.RUNS, sim_to_sim.TRANSFER)) == PAIR_RUNS


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            [],
            {
                "n": 6000,
                "backbones": ("deepmerge",),
                "seeds": (1, 2, 3),
                "epochs": 20,
                "data": None,
                "n_jobs": 2,
                "runs": None,
            },
        ),
        (["--run", "ADA", "--run", "noDA", "--run", "ADA"], {"runs": [sim_to_sim.RUNS[3], sim_to_sim.RUNS[0]]}),
        (["--full", "-j", 1], {"n": 15000, "backbones": ("deepmerge", "resnet18", "resnet-rings"), "n_jobs": 1}),
        (
            ["-n", 300, "--seed", 7, "--epochs", 2, "--backbone", "resnet18", "--data", "deepmerge-simsim"],
            {"n": 300, "seeds": (7,), "epochs": 2, "backbones": ("resnet18",), "data": "deepmerge-simsim"},
        ),
        (["--data", "deepmerge-simsim", "--downloads", "."], {"downloads": Path("."), "ceiling": None}),
        (["--no-ceiling"], {"downloads": None, "ceiling": False}),
    ],
)
def test_options_reach_sim_to_sim(monkeypatch, tmp_path, arguments, expected):
    given = {}

    def study(folder, **options):
        folder.mkdir()
        (folder / "summary.txt").write_text("the summary\n")
        given.update(options)

    monkeypatch.setattr(experiments, "run_sim_to_sim", study)
    done = run("sim-to-sim", "-o", tmp_path / "out", *arguments)
    assert (done.exit_code, done.stdout) == (0, "the summary\n")
    assert {key: given[key] for key in expected} == expected


def test_a_run_that_sim_to_sim_does_not_have(tmp_path):
    done = run("sim-to-sim", "-o", tmp_path / "out", "--run", "ADA", "--run", "composites")
    assert done.exit_code == 2 and "no run 'composites'; there are noDA, MMD" in done.stderr
    done = run("sim-to-sim", "-o", tmp_path / "out", "--ledger", tmp_path / "looks.jsonl")
    assert done.exit_code == 2 and "--ledger needs --data" in done.stderr
    simulated = ("--ledger", tmp_path / "looks.jsonl", "--data", "deepmerge-simsim")
    done = run("sim-to-sim", "-o", tmp_path / "out", *simulated)
    assert done.exit_code == 2 and "deepmerge-simsim has no labels of real galaxies" in done.stderr
    done = run("sim-to-sim", "-o", tmp_path / "out", "--backbone", "resnet19")
    assert done.exit_code == 1 and "did you mean 'resnet18'" in done.stderr and not (tmp_path / "out").exists()
    done = run("sim-to-sim", "-o", tmp_path / "out", "--run", "TL+MMD")
    assert done.exit_code == 2 and "TL+MMD needs --data" in done.stderr


@pytest.fixture
def real(monkeypatch, tmp_path):
    """The study of real galaxies as a stub that remembers its options."""
    given = {}

    def study(folder, galaxies, **options):
        folder.mkdir()
        given.update(options, galaxies=galaxies)
        rng = np.random.default_rng(0)
        table = Table({"merger": rng.integers(0, 2, 80), "label": rng.integers(0, 2, 80)})
        for run in options["runs"]:
            table[run.name] = table["merger"] + rng.normal(size=80)
        table["asymmetry"] = rng.normal(size=80)
        table.meta["RUNS"] = ",".join(run.name for run in options["runs"])
        return table

    def report(folder, catalogue, **options):
        given["report"] = options
        return folder / "report.html"

    monkeypatch.setattr(experiments, "run_sim_to_real", study)
    monkeypatch.setattr(experiments, "report_real", report)
    monkeypatch.setattr(experiments, "compare_selectors", lambda folder, table, label: f"selectors by {label}")
    monkeypatch.setattr(experiments, "train_for_survey", lambda *_, **options: given.update(final=options))
    return given, tmp_path / "out"


def test_labels_are_not_looked_at_unless_asked(real):
    given, folder = real
    done = run("sim-to-real", "t.csv", "--run", "MMD", "--objid", "objid", "--image", "file", "-o", folder)
    assert done.exit_code == 0 and "80 galaxies: " in done.stdout and "report.html" in done.stdout
    assert [each.name for each in given["runs"]] == ["MMD"]
    assert (given["galaxies"], given["objid"], given["image"], given["n_folds"]) == ("t.csv", "objid", "file", 5)
    assert not list(folder.glob("scores*")) and given["report"]["scores"] is None and "final" not in given
    assert given["report"]["selectors"] is None


def test_one_run_is_trained_on_all_galaxies_if_asked(real):
    given, folder = real
    done = run("sim-to-real", "t.csv", "--run", "MMD", "--train", "composites", "--seed", "4", "-o", folder)
    assert done.exit_code == 0, done.stderr
    assert given["final"]["run"].name == "composites" and given["final"]["seed"] == 4


@pytest.fixture
def labelled(tmp_path):
    """A table of pictures with labels."""
    path = tmp_path / "set" / "t.csv"
    path.parent.mkdir()
    path.write_text("file,merger,fold,name,none,flags\na.jpg,1,0,x,0,bad\nb.jpg,0,1,y,0,good\n")
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "mergre"], "no column 'mergre'; did you mean 'merger'"),
        (["--label", "merger", "--kind", "kind"], "no column 'kind'"),
        (["--label", "fold"], "a column 'fold' of its own"),
        (["--label", "merger", "--kind", "random forest_seed2"], "a column 'random forest_seed2' of its own"),
        (["--label", "none"], "has 0 of 2 galaxies as mergers"),
        (["--label", "name"], "does not hold numbers"),
        (["--label", "merger", "--ledger", "nowhere/looks.jsonl"], "no such folder"),
    ],
)
def test_what_a_look_needs_is_there_before_anything_is_trained(real, labelled, tmp_path, options, words):
    given, folder = real
    options = ["--ledger", tmp_path / "looks.jsonl", *options]
    done = run("sim-to-real", labelled, "--image", "file", "-o", folder, *options)
    assert done.exit_code in (1, 2) and words in done.stderr and "Traceback" not in done.stderr
    assert not given and not folder.exists()


def test_labels_are_looked_at_once_and_the_look_is_written_down(real, labelled, tmp_path):
    given, folder = real
    ledger = tmp_path / "looks.jsonl"
    done = run(
        "sim-to-real",
        labelled,
        "--image",
        "file",
        "--run",
        "noDA",
        "--run",
        "MMD",
        "--label",
        "merger",
        "--ledger",
        ledger,
        "-o",
        folder,
    )
    assert done.exit_code == 0, done.stderr
    scores = Table.read(folder / "scores.ecsv")
    assert scores["run"].tolist() == ["noDA", "MMD", "asymmetry"]
    header, *_, last = done.stdout.splitlines()[:5]
    assert len(header) - len("asymmetry") + len("composites2+asymmetry") <= 80
    assert header.split() == ["run", "auc", "auc", "95%", "ap", "ap", "95%", "compl_50", "compl_80"]
    assert f"{scores['auc_low'][2]:.3f}-{scores['auc_high'][2]:.3f}" in last
    assert float(last.split()[-1]) == pytest.approx(scores["completeness_80"][2], abs=1e-3)
    assert len(ledger.read_text().splitlines()) == 1 and '"dataset": "set"' in ledger.read_text()
    assert given["report"]["selectors"] == "selectors by merger" and "each selector" in ledger.read_text()


def test_the_stand_in_has_labels_of_its_own(real):
    given, folder = real
    assert run("sim-to-real", "--run", "noDA", "-o", folder).exit_code == 0
    assert given["galaxies"] is None and (folder / "scores.fits").is_file()


def test_the_command_asks_for_a_ledger_and_for_runs_that_exist(tmp_path):
    done = run("sim-to-real", "t.fits", "--label", "merger", "-o", tmp_path / "out")
    assert done.exit_code == 2 and "needs --ledger" in done.stderr
    done = run("sim-to-real", "t.fits", "--ledger", tmp_path / "looks.jsonl", "-o", tmp_path / "out")
    assert done.exit_code == 2 and "--ledger needs --label" in done.stderr
    done = run("sim-to-real", "--label", "merger", "--ledger", tmp_path / "looks.jsonl", "-o", tmp_path / "out")
    assert done.exit_code == 2 and "--label needs GALAXIES" in done.stderr
    done = run("sim-to-real", "t.fits", "--run", "best", "-o", tmp_path / "out")
    assert done.exit_code == 2 and "no run 'best'" in done.stderr
    done = run("sim-to-real", "deepmerge-simreal", "-o", tmp_path / "out")
    assert done.exit_code == 2 and "sim-to-sim --data deepmerge-simreal" in done.stderr
    assert not (tmp_path / "out").exists()
