"""The classifier's file: safetensors for the weights, one JSON document in its header for all the rest.

Nothing here knows what the document means; `MergerClassifier` does. No pickle
is ever read.
"""

import hashlib
import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from galmerge_da.exceptions import ModelFileError

__all__ = ["FORMAT_VERSION", "read_model_file", "weights_sha256", "write_model_file"]

#: What this version writes, and the newest that it reads.
FORMAT_VERSION = 1
_KEY = "galmerge_da"


def weights_sha256(tensors):
    """Fingerprint of weights, whatever file they are in.

    Parameters
    ----------
    tensors : mapping of str to `~torch.Tensor`
        As ``state_dict`` gives them.

    Returns
    -------
    str
        64 hexadecimal digits over names, types, shapes and little-endian values.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.name} {array.shape}\n".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()


def write_model_file(path, tensors, header):
    """Write weights and a header; the file is complete or not there.

    Parameters
    ----------
    path : path-like
        An existing file is replaced.
    tensors : mapping of str to `~torch.Tensor`
    header : dict
        What JSON can hold; the format version and the weights' fingerprint are added.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written to.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format_version": FORMAT_VERSION, "weights_sha256": weights_sha256(tensors), **header}
    content = save(tensors, metadata={_KEY: json.dumps(header, sort_keys=True)})
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read_model_file(path):
    """Read what `write_model_file` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    tensors : dict of str to `~torch.Tensor`
        On the CPU.
    header : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, of another kind, or newer than this version.
    """
    if not isinstance(path, str | os.PathLike):
        raise ModelFileError(f"a model is named by the path of its file, got {type(path).__name__}")
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no model file {path}")
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder, not a model file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ModelFileError(
            f"{path} is not a classifier saved by galmerge_da, or it is damaged: no safetensors ({error})"
        ) from error
    if _KEY not in metadata:
        raise ModelFileError(f"{path} is a safetensors file, but not a classifier saved by galmerge_da")
    try:
        header = json.loads(metadata[_KEY])
        version = header["format_version"]
        fingerprint = header["weights_sha256"]
    except (ValueError, TypeError, KeyError) as error:
        raise ModelFileError(f"{path}: the header is damaged ({type(error).__name__}: {error})") from error
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelFileError(
            f"{path} has format {version!r}, this version of galmerge_da reads up to {FORMAT_VERSION}: upgrade it"
        )
    if weights_sha256(tensors) != fingerprint:
        raise ModelFileError(f"{path}: the weights are not those that were saved; the file is damaged")
    return tensors, header
