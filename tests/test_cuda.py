"""On a CUDA GPU the same code gives the same science: skipped where there is none."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from galmerge_da import classify, simulate, train
from galmerge_da.plugins import list_plugins
from galmerge_da.training import loop

if not torch.cuda.is_available():
    pytest.skip("needs a CUDA GPU", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:the classifier puts")  # so few galaxies, so few epochs

RECIPE = {
    "preprocessing": {"size": 24},
    "training": {"epochs": 2, "batch_size": 40, "augmentation": {"noise": 0.01, "zoom": 0.1}},
}
LOSSES = [record.spec.name for record in list_plugins("loss")]
#: One GPU holds one process: it takes the branches of two, in a group of one.
NCCL = """
import torch
from torch import distributed, nn
from galmerge_da.training.parallel import Processes

distributed.init_process_group("nccl")
processes = Processes(torch.device("cuda:0"), 0, 2)
network = processes.wrap(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).cuda())
network(torch.rand(4, 2, device="cuda")).square().sum().backward()
values = torch.ones(2, device="cuda")
processes.average([values])
print(type(network.module[1]).__name__, values.mean().item())
distributed.destroy_process_group()
"""
NEEDS = {"sinkhorn": "geomloss", "deepjdot": "ot"}


@pytest.fixture(scope="module")
def domains():
    return simulate(150, "deepmerge-z2-pristine", seed=1, n_jobs=1), simulate(90, "deepmerge-z2", seed=2, n_jobs=1)


def weights(result):
    return [tensor.cpu() for tensor in result.classifier.network.state_dict().values()]


def test_probabilities_are_those_of_the_cpu(domains):
    on_cpu, on_gpu = (
        classify(simulate(60, "sdss-jpeg", n_jobs=1), device=device)["merger_prob"] for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(on_gpu, on_cpu, atol=0.03)
    assert np.corrcoef(on_gpu, on_cpu)[0, 1] > 0.999


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains(domains, name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    result = train(*domains, adapt={name: 1.0}, recipe=RECIPE, device="cuda")
    assert all(np.all(np.isfinite(result.history[key])) for key in ("cross_entropy", name))
    assert result.classifier.provenance["device"] == "cuda"


def test_the_same_seed_gives_the_same_weights(domains):
    adapt = {"mmd": 1.0, "dann": 1.0}
    first, second = (weights(train(*domains, adapt=adapt, recipe=RECIPE, device="cuda")) for _ in range(2))
    assert all(map(torch.equal, first, second))


def test_a_resumed_run_equals_an_unbroken_one(domains, tmp_path, monkeypatch):
    whole = train(*domains, adapt={"mmd": 1.0}, recipe=RECIPE, device="cuda", output=tmp_path / "whole")
    run_epoch = loop.TrainingRun.run_epoch

    def interrupted(run, *arguments):
        if run.epoch == 1:
            raise RuntimeError("stop")
        return run_epoch(run, *arguments)

    monkeypatch.setattr(loop.TrainingRun, "run_epoch", interrupted)
    with pytest.raises(RuntimeError, match="stop"):
        train(*domains, adapt={"mmd": 1.0}, recipe=RECIPE, device="cuda", output=tmp_path / "parts")
    monkeypatch.setattr(loop.TrainingRun, "run_epoch", run_epoch)
    resumed = train(*domains, adapt={"mmd": 1.0}, recipe=RECIPE, device="cuda", output=tmp_path / "parts")
    assert all(map(torch.equal, weights(whole), weights(resumed)))


def test_one_process_of_nccl_wraps_and_averages(tmp_path):
    script = tmp_path / "one.py"
    script.write_text(NCCL)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["SyncBatchNorm", "0.5"]
