"""Checkpoints of the published DeepMerge code, made into a `MergerClassifier`.

This is the only place where a file in pickle form is opened, and only by
torch's restricted reader, which builds tensors and plain containers and
refuses everything else.
"""

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import torch

from galmerge_da.exceptions import ConfigError, ModelFileError
from galmerge_da.inference.classifier import MergerClassifier
from galmerge_da.models import build_network
from galmerge_da.options import suggest
from galmerge_da.plugins import get_survey
from galmerge_da.preprocessing import PreprocessingRecipe

__all__ = ["STATISTICS", "convert_checkpoint"]

#: Domain -> survey preset, and mean and standard deviation of each band as the published code notes them.
STATISTICS = {
    "simsim-source": (
        "deepmerge-z2-pristine", (0.0375126, 0.03326255, 0.06786563), (1.30893517, 1.02839041, 1.12307501),
    ),
    "simsim-target": ("deepmerge-z2", (0.03749673, 0.03331003, 0.06772753), (1.37418461, 1.16330922, 1.19831419)),
    "simreal-source": ("sdss", (0.60699224, 0.63178635, 0.56252038), (1.8455255, 1.84083951, 1.4652102)),
    "simreal-target": ("sdss", (25.81263733, 21.12583733, 14.25884247), (35.08432007, 29.94885445, 19.8165493)),
}  # fmt: skip

#: Backbones of the published code: what they are called there, here, and with which options.
_BACKBONES = {"DeepMerge": ("deepmerge", {}), "ResNet18": ("resnet18", {"stem": "imagenet", "bottleneck": 256})}

_SIZE = 75
#: Where the published code keeps the network in a checkpoint, and what a few others do.
_PLACES = ("base_network", "state_dict", "model_state_dict", "model")


def convert_checkpoint(
    path: str | PathLike[str], *, statistics: str | tuple[Sequence[float], Sequence[float]] = "simsim-target"
) -> MergerClassifier:
    """Make a classifier from a checkpoint of the published DeepMerge code.

    Parameters
    ----------
    path : path-like
        What the code of Ciprijanovic et al. 2021 saves (``best_model.pth.tar``), or a
        bare state dict, of its DeepMerge or its ResNet-18 with the bottleneck.
    statistics : str or (sequence of float, sequence of float), optional
        Mean and standard deviation of each band that images are normalised
        with, which the checkpoint does not have: those of a domain of the
        paper, ``"simsim-source"``, ``"simsim-target"``, ``"simreal-source"`` or
        ``"simreal-target"``, or two sequences of numbers.

    Returns
    -------
    MergerClassifier
        Without calibration. Its frames are 75 x 75 pixels, the images'
        middle as it is, neither stretched nor scaled.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file holds anything but tensors and plain values (it is not
        run), or not the weights of one of the two networks.
    ConfigError
        If the statistics are unknown, or not as many as there are bands.

    Notes
    -----
    Layers are matched by kind, order and shape, since their names differ between
    versions of the code. The published code normalises every data set by its own
    mean and standard deviation; its authors noted those of the four domains of the
    paper, which are used here.

    References
    ----------
    Ciprijanovic et al. 2021, MNRAS 506, 677
    """
    path = Path(path)
    state = _find_state(_load(path), path)
    layers = _layers(state, path)
    for published in _BACKBONES:
        network = _build(*_BACKBONES[published], layers)
        if network is not None:
            break
    else:
        shapes = ", ".join(
            f"{name} {tuple(tensors['weight'].shape)}" for kind in layers.values() for name, tensors in kind
        )
        raise ModelFileError(f"{path}: these are not the layers of the published DeepMerge or ResNet-18: {shapes}")
    survey, mean, std = _statistics(statistics, network.in_channels)
    network.entrance.mean.copy_(mean)
    network.entrance.std.copy_(std)
    bands = None if survey is None else get_survey(survey).bands
    return MergerClassifier(
        network,
        PreprocessingRecipe(bands=bands, size=_SIZE, scale="pixels", background="none"),
        classes=("nonmerger", "merger") if network.n_classes == 2 else [f"class{i}" for i in range(network.n_classes)],
        provenance={
            "converted_from": path.name,
            "converted_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "published_network": published,
            "statistics": statistics if isinstance(statistics, str) else "given by the caller",
            "citation": "Ciprijanovic et al. 2021, MNRAS 506, 677",
        },
    )


def _load(path):
    """What a checkpoint holds; no code in it is run."""
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        with warnings.catch_warnings(action="ignore"):  # what matters is an error
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))  # the rest of what torch says is how to run it nevertheless
        raise ModelFileError(
            f"{path} holds more than tensors and plain values{f', {found[1]}' if found else ''}, or is no checkpoint; "
            "nothing in it was run"
        ) from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelFileError(f"{path} is not a checkpoint of torch: {_first_line(error)}") from None


def _first_line(error):
    return str(error).partition("\n")[0] or type(error).__name__


def _find_state(content, path):
    """The state dict of the network in what a checkpoint holds."""
    if isinstance(content, Mapping):
        for place in _PLACES:
            if _is_state(content.get(place)):
                return content[place]
        if _is_state(content):
            return content
    held = ", ".join(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
    raise ModelFileError(f"{path} has no state dict of a network, under any of {', '.join(_PLACES)} or itself: {held}")


def _is_state(value):
    return isinstance(value, Mapping) and bool(value) and all(isinstance(each, torch.Tensor) for each in value.values())


def _layers(state, path):
    """Layers with weights in the order of the file, as (name, tensors): convolutions, normalisations, dense ones."""
    modules = {}
    for key, tensor in state.items():
        if not key.startswith("feature_layers.") and ".feature_layers." not in key:  # the ResNet's layers once more
            name, _, part = key.rpartition(".")
            modules.setdefault(name, {})[part] = tensor
    layers = {"convolution": [], "normalisation": [], "dense": []}
    for name, tensors in modules.items():
        if "weight" not in tensors:
            raise ModelFileError(f"{path}: {name or 'the state dict'} has {', '.join(tensors)}, but no weight")
        kind = (
            "normalisation" if "running_mean" in tensors else {4: "convolution", 2: "dense"}.get(tensors["weight"].ndim)
        )
        if kind is None:
            raise ModelFileError(f"{path}: {name} has weights of shape {tuple(tensors['weight'].shape)}")
        layers[kind].append((name, tensors))
    return layers


def _build(backbone, options, layers):
    """A network with these weights, or None if they are those of another."""
    if not layers["convolution"] or not layers["dense"]:
        return None
    in_channels, n_classes = layers["convolution"][0][1]["weight"].shape[1], len(layers["dense"][-1][1]["weight"])
    if n_classes < 2:
        return None
    network = build_network(
        backbone, options, in_channels=in_channels, image_size=_SIZE, n_classes=n_classes,
        entrance={"stretch": "none", "flux_scale": "none"},
    )  # fmt: skip
    own = network.state_dict()
    entrance = {key: own.pop(key) for key in list(own) if key.startswith("entrance.")}
    matched = {}
    for kind, mine in _layers(own, backbone).items():
        if len(mine) != len(layers[kind]):
            return None
        for (name, wanted), (_, given) in zip(mine, layers[kind], strict=True):
            for part, tensor in wanted.items():
                if part == "num_batches_tracked":
                    matched[f"{name}.{part}"] = tensor
                elif part not in given or given[part].shape != tensor.shape:
                    return None
                else:
                    matched[f"{name}.{part}"] = given[part].to(tensor.dtype)
    network.load_state_dict({**entrance, **matched})
    return network


def _statistics(statistics, n_bands):
    """Survey or None, mean and standard deviation as tensors."""
    if isinstance(statistics, str):
        if statistics not in STATISTICS:
            raise ConfigError(
                f"no statistics {statistics!r}{suggest(statistics, STATISTICS)}; there are {', '.join(STATISTICS)}"
            )
        survey, mean, std = STATISTICS[statistics]
    else:
        survey = None
        try:
            mean, std = statistics
        except (TypeError, ValueError):
            raise ConfigError(
                f"statistics must be a name, or means and standard deviations; got {statistics!r}"
            ) from None
    try:
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (mean, std))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"statistics must be numbers: {error}") from None
    if mean.shape != (n_bands,) or std.shape != (n_bands,) or not bool((torch.isfinite(mean) & (std > 0)).all()):
        raise ConfigError(
            f"the network has {n_bands} bands: give as many finite means and positive standard deviations, "
            f"got {mean.tolist()} and {std.tolist()}"
        )
    return survey, mean, std
