"""Options of the test run, what several tests compare with, and a folder that plugins can be installed into."""

import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # what several tests share: small_classifier, input_forms

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


class FileServer:
    """Files over HTTP on this machine, with the ways in which a server can fail.

    ``files`` maps a path, with its query, to bytes. ``asked`` lists (path, Range) of all requests.
    """

    def __init__(self):
        import http.server
        import threading

        self.files, self.asked = {}, []
        self.ranges, self.tags, self.lengths = True, True, True
        self.kind = "application/octet-stream"
        self.cut = []  # bytes after which the next answers break off
        self.failures = []  # (status, headers) of the next answers
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                owner.answer(self)

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def tag(self, content):
        import hashlib

        return f'"{hashlib.sha256(content).hexdigest()[:16]}"'

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        if self.failures:
            status, headers = self.failures.pop(0)
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        content = self.files.get(request.path)
        if content is None:
            request.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        condition = request.headers.get("If-Range")
        if condition is not None and condition != self.tag(content):
            start = 0
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.tags:
            request.send_header("ETag", self.tag(content))
        if self.lengths:
            request.send_header("Content-Length", str(len(content) - start))
        request.send_header("Content-Type", self.kind)
        request.end_headers()
        body = content[start:]
        request.wfile.write(body[: self.cut.pop(0)] if self.cut else body)

    def publish(self, name, files, record=True):
        """Put a data set there under its own paths, with Zenodo's record of checksums."""
        import hashlib

        from galmerge_da.io import DATASETS

        dataset = DATASETS[name]
        for file, content in files.items():
            self.files[dataset.path.format(file=file)] = content
        if record and dataset.record:
            entries = [
                {"key": file, "size": len(content), "checksum": f"md5:{hashlib.md5(content).hexdigest()}"}
                for file, content in files.items()
            ]
            self.files[dataset.record] = json.dumps({"files": entries}).encode()


@pytest.fixture
def file_server(monkeypatch):
    """A server of files; nothing waits between tries, and no proxy is asked."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("galmerge_da.io.transfer.WAIT", (0.0, 0.0))
    server = FileServer()
    yield server
    server.close()
