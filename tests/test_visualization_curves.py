"""ROC curves and training histories as figures."""

import subprocess
import sys

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score, roc_curve

from galmerge_da.exceptions import InputError
from galmerge_da.visualization import plot_history, plot_roc


@pytest.fixture
def scored():
    generator = np.random.default_rng(3)
    labels = generator.integers(2, size=200)
    return labels, labels + generator.normal(size=200)


def test_roc_curve_goes_through_the_points_of_scikit_learn(scored):
    ax = plot_roc({"noDA": scored})
    x, y = ax.lines[0].get_data()
    expected_x, expected_y, _ = roc_curve(*scored, drop_intermediate=False)
    np.testing.assert_allclose(np.interp(expected_x, x, y), np.interp(expected_x, expected_x, expected_y))
    assert ax.get_legend().get_texts()[0].get_text() == f"noDA (AUC {roc_auc_score(*scored):.2f})"


def test_roc_draws_one_line_per_curve_and_the_diagonal(scored):
    labels, scores = scored
    assert len(plot_roc({"a": scored, "b": (labels, -scores)}).lines) == 3


def test_figures_draw_on_the_axes_they_are_given(scored):
    ax = Figure().subplots()
    assert plot_roc({"a": scored}, ax) is ax
    assert plot_history(Table({"epoch": [0, 1], "loss": [1.0, 0.5]}), ax) is ax


def test_no_curve_is_an_error():
    with pytest.raises(InputError, match="at least one curve"):
        plot_roc({})


def test_history_draws_the_float_columns_that_have_values():
    history = Table({"epoch": [0, 1], "loss": [1.0, 0.5], "mmd": [np.nan] * 2, "best": [True, False]})
    ax = plot_history(history)
    assert [line.get_label() for line in ax.lines] == ["loss"]
    np.testing.assert_array_equal(ax.lines[0].get_data(), [[0, 1], [1.0, 0.5]])


@pytest.mark.parametrize("columns", [["speed"], None])
def test_history_without_the_column_is_an_error(columns):
    with pytest.raises(InputError, match="epoch"):
        plot_history(Table({"epoch": [0, 1]}), columns=columns)


def test_figures_leave_pyplot_alone():
    code = "import sys, galmerge_da.visualization as v; v.plot_roc({'a': ([0, 1], [0, 1])}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "matplotlib.pyplot" not in done.stdout.split()
