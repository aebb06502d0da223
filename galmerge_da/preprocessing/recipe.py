"""How frames are made: the part of preprocessing that travels with a model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import Options, make_config
from galmerge_da.preprocessing.framing import MakeFrame
from galmerge_da.preprocessing.steps import (
    ConvertFlux,
    FillBadPixels,
    Linearise,
    MaskNeighbours,
    MatchPSF,
    PickBands,
    SubtractBackground,
)

__all__ = ["PreprocessingRecipe"]

_SCALES = ("radius", "pixels", "image")

_Step = Linearise | PickBands | FillBadPixels | ConvertFlux | SubtractBackground | MaskNeighbours | MatchPSF | MakeFrame

#: The default background: a word, until it is made the step that it names.
_EDGE: Any = "edge"

#: Tables of the recipe, and the step that each is.
_TABLES = {"flux": ConvertFlux, "background": SubtractBackground, "neighbours": MaskNeighbours, "psf": MatchPSF}


@dataclass(frozen=True)
class PreprocessingRecipe(Options):
    """How frames are made.

    Training and inference run the same `steps`, in the same order. Tables may be given as mappings.

    Parameters
    ----------
    bands : tuple of str or None, optional
        Names of the bands of a frame, in order; None takes them as they come.
    size : int, optional
        Pixels along each side of a frame, at least 8.
    scale : {"radius", "pixels", "image"}, optional
        What a frame covers: ``frame_radii`` Petrosian radii of the galaxy, the
        ``size`` pixels in the middle of the image, or the whole image.
    frame_radii : float, optional
        Petrosian radii across a frame.
    background : {"edge", "none", "annulus", "mesh"} or SubtractBackground, optional
        How the sky is measured that is subtracted; ``"edge"`` is the median along
        the edge of the image.
    pixel_scale : float or None, optional
        With ``scale = "pixels"``, arcsec per pixel of a frame: images of another
        scale are resampled, and those whose scale nobody states are flagged.
        None takes the pixels as they are. Training fills in that of its source, where it is one for all.
    trained_scales : (float, float, float) or None, optional
        Where pixels are taken as they are: 5, 50 and 95 per cent of the scales, in arcsec
        per pixel, that the training images had. Training fills it in; images beyond it are flagged.
    flux : ConvertFlux or None, optional
        Bring the bands to one zero point.
    neighbours : MaskNeighbours or None, optional
        Take out stars, or all sources that do not touch the galaxy.
    psf : MatchPSF or None, optional
        Smooth to one point-spread function.

    Raises
    ------
    ConfigError
        If a value is not one of these, or a keyword or a name in a table is not
        known (the closest one is suggested).
    """

    bands: tuple[str, ...] | None = None
    size: int = 75
    scale: str = "radius"
    frame_radii: float = 7.2
    background: SubtractBackground = _EDGE
    pixel_scale: float | None = None
    trained_scales: tuple[float, float, float] | None = None
    flux: ConvertFlux | None = None
    neighbours: MaskNeighbours | None = None
    psf: MatchPSF | None = None

    if TYPE_CHECKING:  # more is taken than is kept

        def __init__(
            self,
            bands: Sequence[str] | None = None,
            size: int = 75,
            scale: str = "radius",
            frame_radii: float = 7.2,
            background: SubtractBackground | Mapping[str, Any] | str = "edge",
            pixel_scale: float | None = None,
            trained_scales: Sequence[float] | None = None,
            flux: ConvertFlux | Mapping[str, Any] | None = None,
            neighbours: MaskNeighbours | Mapping[str, Any] | None = None,
            psf: MatchPSF | Mapping[str, Any] | None = None,
        ) -> None: ...

    def __post_init__(self):
        if self.bands is not None:
            if not isinstance(self.bands, list | tuple) or not all(isinstance(band, str) for band in self.bands):
                raise ConfigError(f"preprocessing: bands must be a list of names, got {self.bands!r}")
            object.__setattr__(self, "bands", tuple(self.bands))
            if not self.bands or len(set(self.bands)) != len(self.bands):
                raise ConfigError(f"preprocessing: bands must be different names, got {self.bands!r}")
        if not isinstance(self.size, Integral) or isinstance(self.size, bool) or self.size < 8:
            raise ConfigError(f"preprocessing: size must be a whole number of at least 8 pixels, got {self.size!r}")
        if self.scale not in _SCALES:
            raise ConfigError(f"preprocessing: scale must be one of {', '.join(_SCALES)}, got {self.scale!r}")
        object.__setattr__(self, "size", int(self.size))
        object.__setattr__(self, "frame_radii", _positive("frame_radii", self.frame_radii))
        if self.pixel_scale is not None:
            object.__setattr__(self, "pixel_scale", _positive("pixel_scale", self.pixel_scale))
            if self.scale != "pixels":
                raise ConfigError(f"preprocessing: pixel_scale needs scale = 'pixels', got {self.scale!r}")
        if self.trained_scales is not None:
            object.__setattr__(self, "trained_scales", _scales(self.trained_scales))
            if self.scale != "pixels" or self.pixel_scale is not None:
                raise ConfigError("preprocessing: trained_scales needs scale = 'pixels' without a pixel_scale")
        for name, kind in _TABLES.items():
            object.__setattr__(self, name, _table(name, kind, getattr(self, name)))
        n_wanted = len(self.psf.fwhm) if self.psf else 1
        if self.bands is not None and n_wanted not in (1, len(self.bands)):
            raise ConfigError(f"preprocessing: psf.fwhm has {n_wanted} values for {len(self.bands)} band(s)")

    @property
    def steps(self) -> tuple[_Step, ...]:
        """The steps in their order, as a tuple; those that are not asked for are left out."""
        steps = (
            Linearise(),
            PickBands(),
            FillBadPixels(),
            self.flux,
            self.background,
            self.neighbours,
            self.psf,
            MakeFrame(self.size, self.scale, self.frame_radii, self.pixel_scale),
        )
        return tuple(step for step in steps if step is not None)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values that JSON and TOML can hold; steps that are not asked for are left out.

        Returns
        -------
        dict
        """
        values = {key: value for key, value in asdict(self).items() if value is not None}
        values["bands"] = None if self.bands is None else list(self.bands)
        if self.background == SubtractBackground(self.background.method):
            values["background"] = self.background.method
        if self.trained_scales is not None:
            values["trained_scales"] = list(self.trained_scales)
        if self.psf is not None:
            values["psf"]["fwhm"] = list(self.psf.fwhm)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The recipe that `to_dict` wrote.

        Parameters
        ----------
        values : mapping
            Names and values; what is missing takes its default.

        Returns
        -------
        PreprocessingRecipe

        Raises
        ------
        ConfigError
            If a name is not known (the closest one is suggested) or a value is wrong.
        """
        return make_config(cls, values, "preprocessing")


def _positive(name, value):
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ConfigError(f"preprocessing: {name} must be a positive number, got {value!r}")
    return float(value)


def _scales(values):
    """Three positive numbers in ascending order."""
    if not isinstance(values, list | tuple) or len(values) != 3:
        raise ConfigError(f"preprocessing: trained_scales must be three scales, got {values!r}")
    scales = tuple(_positive("trained_scales", value) for value in values)
    if list(scales) != sorted(scales):
        raise ConfigError(f"preprocessing: trained_scales must be in ascending order, got {values!r}")
    return scales


def _table(name, kind, value):
    """The step that a table or a word describes, or None."""
    if isinstance(value, kind) or (value is None and name != "background"):
        return value
    if name == "background" and isinstance(value, str):
        value = {"method": value}
    if not isinstance(value, Mapping):
        raise ConfigError(f"preprocessing: {name} must be a table of options, got {value!r}")
    return make_config(kind, value, f"preprocessing.{name}")
