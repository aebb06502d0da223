"""Options of the test run, what several tests compare with, and a folder that plugins can be installed into."""

import importlib
import json
import sys
from pathlib import Path

import pytest

#: A distribution of its own, which is installed and not read from here.
collect_ignore = ["plugin_example"]


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests that take more than a few seconds")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(skip)


class Reference:
    """Values and gradients of losses in other implementations, on fixed inputs.

    ``values`` are the entries by name, ``inputs`` and ``gradients`` arrays by name.
    """

    def __init__(self, folder):
        import numpy as np

        self.values = json.loads((folder / "ref_losses.json").read_text())
        with np.load(folder / "ref_inputs.npz") as inputs, np.load(folder / "ref_grads.npz") as gradients:
            self.inputs, self.gradients = dict(inputs), dict(gradients)

    def leaves(self, *names):
        """Inputs as tensors that collect gradients."""
        import torch

        return [torch.from_numpy(self.inputs[name]).requires_grad_() for name in names]

    def agrees(self, entry, value, factor=1.0, offset=0.0, rel=1e-4, grad_rel=1e-4, **tensors):
        """Assert that ``factor * value + offset`` is an entry's value, and that gradients are its gradients.

        Parameters
        ----------
        entry : str
        value : torch.Tensor, shape ()
            Is sent backward.
        factor, offset : float
            Between the definitions.
        rel, grad_rel : float
            Relative tolerance of the value, and of gradients as vectors.
        **tensors : torch.Tensor
            The leaves, by the entry's names of its inputs.
        """
        import numpy as np

        expected = self.values[entry]
        assert factor * value.item() + offset == pytest.approx(expected.get("numpy64", expected["value"]), rel=rel)
        value.backward()
        for name, tensor in tensors.items():
            gradient = factor * tensor.grad.numpy()
            norm = expected["grad_norm"].get(name)
            if norm is not None:
                assert np.linalg.norm(gradient) == pytest.approx(norm, rel=grad_rel, abs=1e-9), name
            whole = self.gradients.get(f"{entry}|{name}")
            if whole is not None:
                error = np.linalg.norm(gradient - whole)
                assert error <= grad_rel * np.linalg.norm(whole) + 1e-9, (name, error / np.linalg.norm(whole))


@pytest.fixture(scope="session")
def reference():
    """The reference values; skips where they are not at hand."""
    folders = [parent / "shared" / "reference" for parent in Path(__file__).parents]
    folder = next((each for each in folders if each.is_dir()), None)
    if folder is None:
        pytest.skip("the reference values of other implementations are not here")
    return Reference(folder)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path, and a function that installs a distribution of one module there."""
    from galmerge_da.plugins import reset

    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    modules = []

    def install(distribution, module, source, group="galmerge_da.surveys", entry="main"):
        (folder / f"{module}.py").write_text(source)
        info = folder / f"{distribution.replace('-', '_')}-4.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 4.5\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry} = {module}\n")
        modules.append(module)
        importlib.invalidate_caches()
        reset()

    yield install
    reset()
    for module in modules:
        sys.modules.pop(module, None)
