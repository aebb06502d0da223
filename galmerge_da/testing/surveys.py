"""`check_survey_plugin` looks at a survey's numbers and lets it see simulated galaxies."""

import pickle

import numpy as np

from galmerge_da.exceptions import PluginError
from galmerge_da.plugins import SurveySpec
from galmerge_da.simulation import simulate
from galmerge_da.testing._run import run_checks

__all__ = ["check_survey_plugin"]

#: Quantity -> range in its unit outside of which it is most likely a slip.
_PLAUSIBLE = {
    "pixel_scale": (1e-3, 60),
    "psf_fwhm": (1e-3, 300),
    "wavelength": (0.1, 30),
    "magnitude": (-5, 40),
    "radius": (1e-2, 3600),
}
_N_GALAXIES = 6


def check_survey_plugin(spec: SurveySpec) -> None:
    """Check that a survey plugin keeps its contract.

    That every number has its unit and one value a band is checked when the spec
    is made. Here:

    - ``numbers``: scale, seeing, wavelengths, magnitudes and radii are those of
      a telescope, ranges go upwards, and its typical galaxies are larger than a
      pixel and brighter than its depth;
    - ``pickle``: it can be sent to another process;
    - ``images``: simulated galaxies have finite images in all bands, and light.

    Parameters
    ----------
    spec : `~galmerge_da.plugins.SurveySpec`

    Raises
    ------
    PluginError
        At the first check that fails, which the message names.
    """
    if not isinstance(spec, SurveySpec):
        raise PluginError(f"check_survey_plugin needs a SurveySpec, got {spec!r}")
    run_checks(spec, _CHECKS, f"survey {spec.name!r}")


def _check_numbers(spec):
    for name, (low, high) in _PLAUSIBLE.items():
        quantity = getattr(spec, name)
        if np.any((quantity.value < low) | (quantity.value > high)):
            return f"{name} is {quantity}, expected {low:g} to {high:g} {quantity.unit}: is the unit right?"
    for name in ("magnitude", "radius"):
        first, last = getattr(spec, name).value
        if not first < last:
            return f"{name} must go from the smaller number to the larger, got {getattr(spec, name)}"
    if spec.radius[0] < spec.pixel_scale:
        return f"its typical galaxies, of {spec.radius}, are smaller than a pixel of {spec.pixel_scale}"
    if spec.depth is not None and np.any(spec.depth.value < spec.magnitude[0].value):
        return f"its typical galaxies, of {spec.magnitude}, are fainter than its depth of {spec.depth}"
    return None


def _check_pickle(spec):
    again = pickle.loads(pickle.dumps(spec))
    return None if (again.name, again.bands) == (spec.name, spec.bands) else "it comes back from pickle as another"


def _check_images(spec):
    images = simulate(_N_GALAXIES, spec, seed=0, n_jobs=1)["image"]
    if images.shape[:2] != (_N_GALAXIES, spec.n_bands):
        return f"images of {_N_GALAXIES} galaxies in {spec.n_bands} bands have shape {images.shape}"
    if not np.all(np.isfinite(images)):
        return "simulated images are not finite"
    dark = [band for band, image in zip(spec.bands, np.moveaxis(images, 1, 0), strict=True) if not image.max() > 0]
    return f"no galaxy can be seen in {', '.join(dark)}" if dark else None


_CHECKS = {"numbers": _check_numbers, "pickle": _check_pickle, "images": _check_images}
