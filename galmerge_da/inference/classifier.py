"""`MergerClassifier`: a trained network with everything needed to use it, in one file."""

import importlib.resources
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import NDArray

from galmerge_da.exceptions import ConfigError, GalmergeError, InputError, ModelFileError
from galmerge_da.inference.modelfile import read_model_file, weights_sha256, write_model_file
from galmerge_da.inference.predict import predict_logits
from galmerge_da.metrics import TemperatureCalibrator
from galmerge_da.models import Network, choose_device
from galmerge_da.plugins import list_plugins
from galmerge_da.preprocessing import PreprocessingRecipe

__all__ = ["MergerClassifier", "default_model_path"]


class MergerClassifier:
    """A network, the preprocessing it was trained with, its calibration and its provenance.

    Parameters
    ----------
    network : `~galmerge_da.models.Network`
        Its entrance holds the frozen statistics of the training data.
    preprocessing : `~galmerge_da.preprocessing.PreprocessingRecipe`
        How images become the network's frames.
    classes : sequence of str, optional
        Names of the classes, in the order of the logits.
    calibrator : `~galmerge_da.metrics.TemperatureCalibrator`, optional
        From logits to calibrated probabilities; without it they stay as they are.
    threshold : float, optional
        Probability from which a galaxy is taken as a merger, for the catalogue's header.
    provenance : mapping, optional
        Where it comes from; what JSON can hold. ``version`` and ``created``
        are added if they are not there.

    Raises
    ------
    ConfigError
        If the classes, the calibrator and the network do not have the same
        number of classes, the network takes other frames than preprocessing
        makes, or the threshold is not in [0, 1].
    """

    def __init__(
        self,
        network: Network,
        preprocessing: PreprocessingRecipe,
        *,
        classes: Sequence[str] = ("nonmerger", "merger"),
        calibrator: TemperatureCalibrator | None = None,
        threshold: float = 0.5,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        classes = tuple(classes)
        if len(set(classes)) != len(classes) or not all(isinstance(name, str) and name for name in classes):
            raise ConfigError(f"classes must be different names, got {classes!r}")
        if network.n_classes != len(classes):
            raise ConfigError(f"the network tells {network.n_classes} classes apart, got names for {len(classes)}")
        if calibrator is not None and len(calibrator.bias) != len(classes):
            raise ConfigError(f"the calibrator is for {len(calibrator.bias)} classes, not for {len(classes)}")
        n_bands = len(preprocessing.bands or range(network.in_channels))
        if (n_bands, preprocessing.size) != (network.in_channels, network.image_size):
            raise ConfigError(
                f"preprocessing makes frames of {n_bands} bands and {preprocessing.size} pixels, "
                f"the network takes {network.in_channels} and {network.image_size}"
            )
        self.network: Network = network.eval()
        self.preprocessing = preprocessing
        self.classes: tuple[str, ...] = classes
        self.calibrator = calibrator
        self.threshold: float = check_threshold(threshold)
        self.provenance: dict[str, Any] = {
            "version": version("galmerge_da"),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **(provenance or {}),
        }

    def __repr__(self) -> str:
        bands = ",".join(self.bands or ())
        return (
            f"<MergerClassifier {self.network.describe()['backbone']} bands={bands} classes={','.join(self.classes)}>"
        )

    @property
    def bands(self) -> tuple[str, ...] | None:
        """Names of the bands, in the network's order; None if it was trained without names."""
        return self.preprocessing.bands

    @property
    def weights_sha256(self) -> str:
        """Fingerprint of the weights."""
        return weights_sha256(self.network.state_dict())

    def predict(
        self,
        frames: NDArray[Any],
        *,
        turns: bool = False,
        device: str | torch.device | None = None,
        batch_size: int | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Probabilities of preprocessed frames.

        Parameters
        ----------
        frames : `~numpy.ndarray` of float32, shape (N, C, H, W)
            Linear frames, as `galmerge_da.preprocessing.preprocess` gives them.
        turns : bool, optional
            Whether to take the mean of the logits over the eight turns and flips of
            each frame: eight times the work, and no direction is preferred.
        device : str or `~torch.device`, optional
            The best there is by default.
        batch_size : int, optional
            Images per forward pass.

        Returns
        -------
        raw, calibrated : `~numpy.ndarray` of float64, shape (N, K)
            The same array twice if there is no calibrator. A row whose pixels
            overflow the network is NaN.

        Raises
        ------
        InputError
            If the frames do not have the network's shape.
        """
        frames = np.ascontiguousarray(frames, dtype=np.float32)
        size = self.preprocessing.size
        if frames.ndim != 4 or frames.shape[2:] != (size, size) or frames.shape[1] != self.network.in_channels:
            raise InputError(
                f"frames must have shape (N, {self.network.in_channels}, {size}, {size}), got {frames.shape}"
            )
        device = choose_device(device)
        views = _turns(frames) if turns else [frames]
        logits = np.mean(
            [
                predict_logits(self.network, np.ascontiguousarray(view), device=device, batch_size=batch_size)
                for view in views
            ],
            axis=0,
            dtype=np.float64,
        )
        identity = TemperatureCalibrator(1.0, (0.0,) * len(self.classes))
        raw = identity.transform(logits)
        return raw, raw if self.calibrator is None else self.calibrator.transform(logits)

    def classify(self, cutouts: object, **options: Any) -> Table:
        """Probabilities of a table of cutouts: `galmerge_da.classify` with this model.

        Parameters
        ----------
        cutouts
            Whatever holds the images.
        **options
            The keywords of `galmerge_da.classify`.

        Returns
        -------
        `~astropy.table.Table`
        """
        from galmerge_da.inference.api import classify

        return classify(cutouts, self, **options)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the classifier to one ``.safetensors`` file; an existing one is replaced.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        OSError
            If the folder does not exist or cannot be written to.

        Examples
        --------
        >>> from galmerge_da import MergerClassifier
        >>> from galmerge_da.inference import default_model_path
        >>> classifier = MergerClassifier.load(default_model_path())
        >>> classifier.save("copy.safetensors")
        >>> MergerClassifier.load("copy.safetensors").weights_sha256 == classifier.weights_sha256
        True
        """
        network = self.network.describe()
        header = {
            "network": network,
            "backbone_distribution": _distribution(network["backbone"]),
            "preprocessing": self.preprocessing.to_dict(),
            "calibration": self.calibrator and self.calibrator.to_dict(),
            "classes": list(self.classes),
            "threshold": self.threshold,
            "provenance": self.provenance,
        }
        write_model_file(path, self.network.state_dict(), header)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "MergerClassifier":
        """Read a classifier that `save` wrote.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        MergerClassifier
            On the CPU.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If the file is damaged, of another kind (a pickle is never opened),
            newer than this version, or needs a backbone that is not installed.

        Examples
        --------
        >>> from galmerge_da import MergerClassifier
        >>> from galmerge_da.inference import default_model_path
        >>> MergerClassifier.load(default_model_path()).bands
        ('i', 'r', 'g')
        """
        tensors, header = read_model_file(path)
        try:
            description, origin = header["network"], header["backbone_distribution"]
            if description["backbone"] not in _backbones():
                raise ModelFileError(
                    f"{path} needs the backbone {description['backbone']!r} of the distribution {origin}: install that"
                )
            network = Network.from_description(description)
            network.load_state_dict(tensors)
            calibration = header["calibration"]
            return cls(
                network,
                PreprocessingRecipe.from_dict(header["preprocessing"]),
                classes=header["classes"],
                calibrator=calibration and TemperatureCalibrator.from_dict(calibration),
                threshold=header["threshold"],
                provenance=header["provenance"],
            )
        except ModelFileError:
            raise
        except KeyError as error:
            raise ModelFileError(f"{path}: the header has no entry {error}") from error
        except (GalmergeError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ModelFileError(f"{path} cannot be used by this version of galmerge_da: {error}") from error


def check_threshold(threshold):
    """``threshold`` as a float; ConfigError unless it is a number in [0, 1]."""
    try:
        value = float(threshold)
    except (TypeError, ValueError):
        value = np.nan
    if not 0 <= value <= 1:
        raise ConfigError(f"threshold must be a probability in [0, 1], got {threshold!r}")
    return value


def default_model_path() -> Path:
    """Where the model that ships with the package lies.

    Returns
    -------
    `~pathlib.Path`

    Raises
    ------
    ModelFileError
        If this installation has none.
    """
    path = Path(str(importlib.resources.files("galmerge_da"))) / "data" / "default.safetensors"
    if not path.is_file():
        raise ModelFileError(f"this installation of galmerge_da has no default model ({path}); name one")
    return path


def _backbones():
    """Backbone name -> the distribution that offers it, with its version."""
    return {record.spec.name: f"{record.distribution} {record.version}" for record in list_plugins("backbone")}


def _distribution(backbone):
    return _backbones().get(backbone, "unknown")


def _turns(frames):
    """The eight turns and flips of frames, one after the other."""
    for flipped in (frames, frames[..., ::-1]):
        for quarter in range(4):
            yield np.rot90(flipped, quarter, (2, 3))
