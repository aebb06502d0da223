"""What plugins hand over: frozen descriptions, checked when they are made.

A spec names a thing and how to build it; it never builds it itself, so that
listing plugins stays cheap.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any

import astropy.units as u
import numpy as np

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import NoOptions

__all__ = ["BackboneSpec", "LossSpec", "SurveySpec"]

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


@dataclass(frozen=True)
class _FactorySpec:
    name: str
    factory: Callable[..., Any]
    config_class: type[Any] = NoOptions
    reference: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        _check_name(type(self).__name__, self.name)
        if not callable(self.factory):
            raise ConfigError(f"{self.name}: factory must be callable, got {self.factory!r}")
        parameters = getattr(self.config_class, "__dataclass_params__", None)
        if not isinstance(self.config_class, type) or parameters is None or not parameters.frozen:
            raise ConfigError(f"{self.name}: config_class must be a frozen dataclass, got {self.config_class!r}")


@dataclass(frozen=True)
class LossSpec(_FactorySpec):
    """A domain-adaptation loss.

    Parameters
    ----------
    name : str
        How users ask for it: lower-case letters, digits, ``-`` and ``_``.
    factory : callable
        ``factory(config, context) -> AdaptationLoss``.
    config_class : type, optional
        A frozen dataclass of its options, which checks them in
        ``__post_init__``, or derives from `~galmerge_da.plugins.Options`, which
        does. ``weight``, ``schedule`` and ``warmup`` are every loss's already.
    reference : str, optional
        The paper that defines it.
    summary : str, optional
        One line for ``galmerge plugins``.

    Raises
    ------
    ConfigError
        If the name is malformed, the factory cannot be called, or
        ``config_class`` is not a frozen dataclass, or has an option that every
        loss has.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        taken = {item.name for item in fields(self.config_class)} & {"weight", "schedule", "warmup"}
        if taken:
            raise ConfigError(f"{self.name}: its config must not have {taken.pop()!r}, which every loss has already")


@dataclass(frozen=True)
class BackboneSpec(_FactorySpec):
    """A network that turns images into features.

    Parameters
    ----------
    name : str
        How users ask for it: lower-case letters, digits, ``-`` and ``_``.
    factory : callable
        ``factory(config, in_channels, image_size) -> torch.nn.Module`` that maps
        ``(N, C, H, W)`` to ``(N, feature_dim)`` and has ``feature_dim``. If it
        also has ``make_head(n_classes)``, that module is the classifying head;
        otherwise a single linear layer is.
    config_class : type, optional
        As for `LossSpec`, and so what follows.
    reference : str, optional
    summary : str, optional

    Raises
    ------
    ConfigError
        As for `LossSpec`.
    """


@dataclass(frozen=True, eq=False)
class SurveySpec:
    """How a survey sees galaxies.

    Parameters
    ----------
    name : str
        How users ask for it.
    bands : tuple of str
        Names of the bands, in the order of the image's first axis.
    pixel_scale : `~astropy.units.Quantity`
        Angle per native pixel.
    psf_fwhm : `~astropy.units.Quantity`, shape (n_bands,) or scalar
        Full width at half maximum of the point-spread function, an angle.
    zero_point : `~astropy.units.Quantity`, shape (n_bands,) or scalar
        AB magnitude of one unit of flux in the image.
    wavelength : `~astropy.units.Quantity`, shape (n_bands,)
        Effective wavelength of each band, as observed.
    depth : `~astropy.units.Quantity`, shape (n_bands,) or scalar, or None
        AB magnitude of a point source at five times its noise; None: no sky noise.
    gain : `~astropy.units.Quantity`, shape (n_bands,) or scalar, or None
        Electrons in the whole exposure per unit of flux; None: no photon noise.
    exposure : `~astropy.units.Quantity`, optional
        Exposure time, for the record.
    read_noise : `~astropy.units.Quantity`, optional
        Electrons per pixel, already a part of the noise that ``depth`` describes.
    stretched : bool, optional
        True for 8-bit colour pictures.
    radii_per_pixel : float or None, optional
        Petrosian radii per pixel, where the survey's pictures scale with the galaxy.
    magnitude : `~astropy.units.Quantity`, shape (2,), optional
        Range of AB magnitude of its typical galaxies in the middle band.
    radius : `~astropy.units.Quantity`, shape (2,), optional
        16th and 84th percentile of their Petrosian radius, an angle.
    redshift : float, optional
        Their typical redshift.
    source_density : `~astropy.units.Quantity` or None, optional
        Stars and galaxies per solid angle brighter than an AB magnitude of 22.5 in the
        middle band, unrelated to the galaxy; None: no faint ones are simulated.
    artefacts : bool, optional
        Simulate haloes of bright stars and edges of mosaics in a few frames; it needs a depth.
    reference : str, optional
        Where the numbers come from.

    Raises
    ------
    ConfigError
        If a unit is wrong, a per-band value has the wrong length, a value that
        must be positive is not, or the name or a band is malformed.
    """

    name: str
    bands: Sequence[str]
    pixel_scale: u.Quantity
    psf_fwhm: u.Quantity
    zero_point: u.Quantity
    wavelength: u.Quantity
    depth: u.Quantity | None = None
    gain: u.Quantity | None = None
    exposure: u.Quantity | None = None
    read_noise: u.Quantity | None = None
    stretched: bool = False
    radii_per_pixel: float | None = None
    magnitude: u.Quantity = field(default_factory=lambda: (14.5, 17.5) * u.ABmag)
    radius: u.Quantity = field(default_factory=lambda: (4.6, 11.3) * u.arcsec)
    redshift: float = 0.05
    source_density: u.Quantity | None = None
    artefacts: bool = False
    reference: str = ""

    def __post_init__(self) -> None:
        _check_name("SurveySpec", self.name)
        bands = tuple(self.bands)
        if isinstance(self.bands, str) or not bands or len(set(bands)) != len(bands) or not all(map(_is_word, bands)):
            raise ConfigError(f"survey {self.name!r}: bands must be different names, got {self.bands!r}")
        object.__setattr__(self, "bands", bands)
        n_bands = len(bands)
        for key, unit, shape in (
            ("pixel_scale", u.arcsec, ()),
            ("psf_fwhm", u.arcsec, (n_bands,)),
            ("zero_point", u.ABmag, (n_bands,)),
            ("wavelength", u.um, (n_bands,)),
            ("depth", u.ABmag, (n_bands,)),
            ("gain", u.electron, (n_bands,)),
            ("exposure", u.s, (n_bands,)),
            ("read_noise", u.electron, (n_bands,)),
            ("magnitude", u.ABmag, (2,)),
            ("radius", u.arcsec, (2,)),
            ("source_density", u.arcmin**-2, ()),
        ):
            value = getattr(self, key)
            if value is not None:
                object.__setattr__(self, key, _quantity(self.name, key, value, unit, shape))
        if self.radii_per_pixel is not None and not (_is_finite(self.radii_per_pixel) and self.radii_per_pixel > 0):
            raise ConfigError(
                f"survey {self.name!r}: radii_per_pixel must be a positive number, got {self.radii_per_pixel!r}"
            )
        if not _is_finite(self.redshift) or self.redshift < 0:
            raise ConfigError(f"survey {self.name!r}: redshift must be a number of at least 0, got {self.redshift!r}")

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return len(self.bands)


def _check_name(kind, name):
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{kind}: a name is lower-case letters and digits joined by '-' or '_', got {name!r}")


def _is_finite(value):
    return isinstance(value, Real) and bool(np.isfinite(value))


def _is_word(text):
    return isinstance(text, str) and bool(text) and text.split() == [text]


def _quantity(survey, key, value, unit, shape):
    """``value`` in ``unit``, broadcast to ``shape``, checked to be finite and positive."""
    try:
        value = u.Quantity(value, unit, subok=True) if hasattr(value, "unit") else None
        if value is None:
            raise TypeError("it has no unit")
        value = np.broadcast_to(value, shape, subok=True) if value.ndim == 0 else value
    except (u.UnitConversionError, u.UnitTypeError, TypeError, ValueError) as error:
        raise ConfigError(f"survey {survey!r}: {key} must be a Quantity in {unit}: {error}") from None
    if value.shape != shape:
        raise ConfigError(f"survey {survey!r}: {key} must have shape {shape}, got {value.shape}")
    numbers = np.asarray(value.value)
    if not np.all(np.isfinite(numbers)) or (unit != u.ABmag and np.any(numbers <= 0)):
        raise ConfigError(f"survey {survey!r}: {key} must be finite and positive, got {value}")
    return value
