"""How frames are made: the part of preprocessing that travels with a model."""

from dataclasses import asdict, dataclass
from numbers import Integral, Real

from galmerge_da.exceptions import ConfigError
from galmerge_da.options import make_config

__all__ = ["PreprocessingRecipe"]

_CHOICES = {"scale": ("radius", "pixels", "image"), "background": ("edge", "none")}


@dataclass(frozen=True)
class PreprocessingRecipe:
    """How frames are made.

    Parameters
    ----------
    bands : tuple of str or None, optional
        Names of the bands of a frame, in order; None takes them as they come.
    size : int, optional
        Pixels along each side of a frame, at least 8.
    scale : {"radius", "pixels", "image"}, optional
        What a frame covers: ``frame_radii`` Petrosian radii of the galaxy, the
        ``size`` pixels in the middle of the image as they are, or the whole image.
    frame_radii : float, optional
        Petrosian radii across a frame.
    background : {"edge", "none"}, optional
        Subtract in each band the median along the edge of the image, or nothing.

    Raises
    ------
    ConfigError
        If a value is not one of these.
    """

    bands: tuple | None = None
    size: int = 75
    scale: str = "radius"
    frame_radii: float = 7.2
    background: str = "edge"

    def __post_init__(self):
        if self.bands is not None:
            if isinstance(self.bands, str) or not all(isinstance(band, str) for band in self.bands):
                raise ConfigError(f"preprocessing: bands must be a list of names, got {self.bands!r}")
            object.__setattr__(self, "bands", tuple(self.bands))
            if not self.bands or len(set(self.bands)) != len(self.bands):
                raise ConfigError(f"preprocessing: bands must be different names, got {self.bands!r}")
        if not isinstance(self.size, Integral) or isinstance(self.size, bool) or self.size < 8:
            raise ConfigError(f"preprocessing: size must be a whole number of at least 8 pixels, got {self.size!r}")
        if not isinstance(self.frame_radii, Real) or not 0 < self.frame_radii < float("inf"):
            raise ConfigError(f"preprocessing: frame_radii must be a positive number, got {self.frame_radii!r}")
        object.__setattr__(self, "size", int(self.size))
        object.__setattr__(self, "frame_radii", float(self.frame_radii))
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise ConfigError(
                    f"preprocessing: {key} must be one of {', '.join(choices)}, got {getattr(self, key)!r}"
                )

    def to_dict(self):
        """The recipe as plain values that JSON and TOML can hold.

        Returns
        -------
        dict
        """
        values = asdict(self)
        values["bands"] = None if self.bands is None else list(self.bands)
        return values

    @classmethod
    def from_dict(cls, values):
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
