"""Several processes train as one: the same losses and gradients on given features, the same weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from galmerge_da.io import save_cutouts
from galmerge_da.simulation import simulate
from galmerge_da.training.parallel import Processes, join_rows

LOSSES = ("mmd", "jmmd", "coral", "dann", "cdan", "fisher", "entropy", "mcc", "bnm", "afn", "contrastive",
          "sinkhorn", "deepjdot")  # fmt: skip


def torchrun(*arguments, n_processes=2):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n_processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    for name, survey, n, seed in (("s", "deepmerge-z2-pristine", 100, 1), ("t", "deepmerge-z2", 81, 2)):
        save_cutouts(simulate(n, survey, seed=seed, n_jobs=1), folder / f"{name}.fits")
    return folder


@pytest.mark.slow
def test_two_processes_give_what_one_gives(data):
    worker = Path(__file__).with_name("parallel_worker.py")
    said = json.loads(torchrun(worker, data / "s.fits", data / "t.fits", *LOSSES).splitlines()[-1])
    assert said["processes"] == 2
    assert set(said["differences"]) == {*LOSSES, "training"}
    assert {name: value for name, value in said["differences"].items() if not value < 2e-4} == {}


@pytest.mark.slow
def test_the_command_runs_in_two_processes_and_writes_once(data, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[training]\nepochs = 1\nbatch_size = 32\n[adapt]\nmmd = 1.0\nmean_teacher = 1.0\n")
    said = torchrun(
        "-m", "galmerge_da", "train", data / "s.fits", "--target", data / "t.fits", "--recipe", recipe,
        "--device", "cpu", "-o", tmp_path / "m.safetensors",
    )  # fmt: skip
    assert said.count("m.safetensors: epoch 1 of 1") == 1
    assert (tmp_path / "m.safetensors").is_file()


def test_alone_nothing_changes():
    processes = Processes(torch.device("cpu"))
    rows = torch.randn(5, 2)
    assert processes.part(rows) is rows and processes.gather(rows) is rows and processes.first
    assert processes.wrap(processes) is processes
    assert processes.once(max, 2, 3) == 3
    with pytest.raises(ZeroDivisionError):
        processes.once(lambda: 1 / 0)


def test_joined_rows_carry_the_gradient_of_their_own_part_alone():
    parts = [torch.randn(3, 2), torch.randn(4, 2)]
    own = parts[1].clone().requires_grad_()
    rows = join_rows(parts, own, 1)
    torch.testing.assert_close(rows, torch.cat(parts))
    weights = torch.arange(14.0).view(7, 2)
    (rows * weights).sum().backward()
    torch.testing.assert_close(own.grad, 2 * weights[3:])
