"""Errors and warnings of the whole package.

Every error is a `GalmergeError` and also the built-in that users expect:
`ValueError` for what they passed, `RuntimeError` for what went wrong on the
way. Warnings derive from astropy's, so that one filter silences both.
"""

from astropy.utils.exceptions import AstropyUserWarning

__all__ = [
    "ConfigError",
    "DownloadError",
    "GalmergeError",
    "GalmergeWarning",
    "InputError",
    "InputWarning",
    "ModelFileError",
    "PluginError",
    "PluginWarning",
    "TrainingError",
]


class GalmergeError(Exception):
    """Root of every error raised on purpose by galmerge_da."""


class InputError(GalmergeError, ValueError):
    """The data handed over cannot be what the call says it is."""


class ConfigError(GalmergeError, ValueError):
    """A recipe, an option or a survey description is wrong."""


class DownloadError(GalmergeError, RuntimeError):
    """A published file could not be fetched, or is not what was published."""


class ModelFileError(GalmergeError, ValueError):
    """A file is not a classifier that this version can read."""


class PluginError(GalmergeError, RuntimeError):
    """Two plugins collide, one is misspelt, or one is missing."""


class TrainingError(GalmergeError, RuntimeError):
    """Training cannot go on: a loss is not finite, a split is empty."""


class GalmergeWarning(AstropyUserWarning):
    """Root of every warning issued by galmerge_da."""


class InputWarning(GalmergeWarning):
    """The input was usable only after a change, which the message names."""


class PluginWarning(GalmergeWarning):
    """An installed plugin could not be loaded and was left out."""
