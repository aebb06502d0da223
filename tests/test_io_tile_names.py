"""Images, weights and masks that are given by the names of their bands."""

import numpy as np
import pytest
from astropy.table import Table

from galmerge_da.exceptions import InputError
from galmerge_da.io import extract_cutouts


def test_a_name_that_the_images_do_not_have_is_an_error_and_never_another_band():
    images = {"r": np.full((9, 9), 2.0), "g": np.full((9, 9), 1.0), "i": np.full((9, 9), 3.0)}
    catalog = Table({"x": [4.0], "y": [4.0]})
    with pytest.raises(InputError, match="no band 'z' among r, g, i"):
        extract_cutouts(catalog, images, 5, bands=("g", "r", "z"))
    two = {name: images[name] for name in ("g", "r")}
    for keyword in ("masks", "weights"):
        with pytest.raises(InputError, match="no band"):
            extract_cutouts(catalog, two, 5, **{keyword: {"r": np.ones((9, 9)), "u": np.ones((9, 9))}})
    chosen = extract_cutouts(catalog, images, 5, bands=("i", "g"))
    assert chosen["image"][0, :, 0, 0].tolist() == [3.0, 1.0]
