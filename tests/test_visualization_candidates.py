"""The galaxies that are ranked highest, drawn as the classifier saw them."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table

from galmerge_da import Flag, simulate
from galmerge_da.exceptions import InputError
from galmerge_da.inference import MergerClassifier
from galmerge_da.io import open_cutouts
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe, preprocess
from galmerge_da.visualization import color_composite, plot_candidates

RECIPE = PreprocessingRecipe(bands=("g", "r", "z"))


@pytest.fixture(scope="module")
def model():
    return MergerClassifier(build_network(in_channels=3, image_size=75).eval(), RECIPE)


@pytest.fixture(scope="module")
def galaxies():
    return simulate(6, "decals", seed=1, n_jobs=1)


def catalogue(**columns):
    table = Table({"merger_prob": MaskedColumn([0.2, 0.9, 0.5, 0.99, 0.7, np.nan], mask=[0, 0, 0, 0, 1, 0])})
    table["flags"] = np.array([0, 0, 0, Flag.NOT_CLASSIFIED, 0, 0], np.int32)
    for name, values in columns.items():
        table[name] = values
    return table


def tiles(ax):
    """The pictures of a montage, from left to right and from top to bottom."""
    (image,) = ax.images
    canvas = np.asarray(image.get_array())
    return [canvas[y : y + 75, x : x + 75] for y in range(0, len(canvas), 77) for x in range(0, canvas.shape[1], 77)]


@pytest.mark.parametrize("n, rows", [(30, [1, 2, 0]), (2, [1, 2])])
def test_frames_stand_in_the_order_of_their_probability(model, galaxies, n, rows):
    ax = plot_candidates(catalogue(), galaxies, model=model, n=n)
    frames = preprocess(open_cutouts(galaxies).read(), RECIPE).data[rows]
    expected = color_composite(frames, order=(2, 1, 0))
    assert all(np.allclose(tile, picture, atol=1e-5) for tile, picture in zip(tiles(ax), expected, strict=True))
    said = [text.get_text() for text in ax.texts]
    assert said == ["0.900\n1", "0.500\n2", "0.200\n0"][:n]


def test_another_column_may_rank_them(model, galaxies):
    ax = plot_candidates(catalogue(rank=[1.0, 2, 3, 4, 5, 6]), galaxies, model=model, column="rank", n=3)
    assert [text.get_text().split("\n")[1] for text in ax.texts] == ["5", "4", "2"]  # row 3 is not classified


def test_only_what_is_drawn_is_read(model, galaxies, monkeypatch):
    source, read = open_cutouts(galaxies), []
    original = type(source).read
    monkeypatch.setattr(type(source), "read", lambda self, *rows: (read.append(rows), original(self, *rows))[1])
    plot_candidates(catalogue(), source, model=model, n=2)
    assert read == [(1, 2), (2, 3)]


def test_errors_are_clear(model, galaxies):
    with pytest.raises(InputError, match="6 cutouts for a catalogue of 5 rows"):
        plot_candidates(catalogue()[:5], galaxies, model=model)
    with pytest.raises(InputError, match="no column 'rank'"):
        plot_candidates(catalogue(), galaxies, model=model, column="rank")
    with pytest.raises(InputError, match="no row of the catalogue has a value"):
        plot_candidates(catalogue(empty=np.full(6, np.nan)), galaxies, model=model, column="empty")
