"""Lines of several runs and seeds: means, spreads, and the same style for a run everywhere."""

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

from galmerge_da.exceptions import InputError
from galmerge_da.metrics import purity_at_prevalence
from galmerge_da.visualization import (
    plot_completeness_purity,
    plot_histories,
    plot_reliability,
    plot_roc_study,
    write_report,
)
from galmerge_da.visualization._axes import run_styles

RUNS = ("noDA", "MMD", "MMD+F")


def scored(seed, skill=1.0, n=300):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    return labels, 1 / (1 + np.exp(-skill * (2 * labels - 1) - rng.normal(size=n)))


def study(n_seeds=3):
    return {
        domain: {run: [scored(100 * k + seed, 0.4 + 0.3 * k) for seed in range(n_seeds)] for k, run in enumerate(RUNS)}
        for domain in ("source", "target")
    }


def text(legend):
    return [each.get_text() for each in legend.get_texts()]


def test_roc_of_a_study_is_the_mean_of_its_seeds():
    curves = study()
    axes = plot_roc_study(curves)
    assert [ax.get_title() for ax in axes] == ["source", "target"]
    x, y = axes[1].lines[1].get_data()
    expected = [np.interp(x, *roc_curve(*pair, drop_intermediate=False)[:2]) for pair in curves["target"]["MMD"]]
    np.testing.assert_allclose(y, np.mean(expected, axis=0), atol=1e-12)
    areas = [roc_auc_score(*pair) for pair in curves["target"]["MMD"]]
    assert text(axes[1].get_legend())[1] == f"MMD  {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}"
    band = axes[1].collections[1].get_paths()[0].vertices
    middle = np.argmin(np.abs(x - 0.5))
    at_half = band[np.isclose(band[:, 0], x[middle]), 1]
    assert np.ptp(at_half) == pytest.approx(2 * np.std(expected, axis=0, ddof=1)[middle])


def test_one_seed_is_drawn_as_it_is():
    curves = study(n_seeds=1)
    ax = plot_roc_study(curves)[0]
    x, y = ax.lines[0].get_data()
    expected_x, expected_y, _ = roc_curve(*curves["source"]["noDA"][0], drop_intermediate=False)
    np.testing.assert_allclose(np.interp(expected_x, x, y), np.interp(expected_x, expected_x, expected_y))
    assert not ax.collections and "±" not in text(ax.get_legend())[0]


def test_a_run_looks_alike_wherever_it_is_drawn():
    curves = study()
    del curves["target"]["noDA"]
    source, target = plot_roc_study(curves)
    assert to_hex(source.lines[1].get_color()) == to_hex(target.lines[0].get_color())
    assert len({(to_hex(line.get_color()), line.get_linestyle()) for line in source.lines[:3]}) == 3


def test_purity_is_that_at_the_prevalence():
    labels, probs = scored(5)
    axes = plot_completeness_purity({"target": {"noDA": [(labels, probs)]}}, prevalence=0.1)
    x, y = axes[0].lines[0].get_data()
    for threshold in (0.3, 0.5, 0.8):
        purity, completeness = purity_at_prevalence(labels, probs, 0.1, threshold)
        assert np.min(np.hypot(x - completeness, y - purity)) < 1e-12
    assert x[0] * labels.sum() <= 10 and len(x) == len(labels) - 9
    assert axes[0].get_ylabel() == "purity at 10% mergers"


def test_purity_of_several_seeds_begins_where_all_have_ten_galaxies():
    seeds = [scored(seed) for seed in range(3)]
    x, y = plot_completeness_purity({"target": {"noDA": seeds}})[0].lines[0].get_data()
    lines = [plot_completeness_purity({"target": {"noDA": [pair]}})[0].lines[0].get_data() for pair in seeds]
    assert max(line[0][0] for line in lines) <= x[0] < max(line[0][0] for line in lines) + 0.002
    np.testing.assert_allclose(y, np.mean([np.interp(x, *line) for line in lines], axis=0))


def test_reliability_is_that_of_scikit_learn():
    curves = study()
    ax = plot_reliability(curves, n_bins=5)[1]
    labels, probs = (np.concatenate([pair[i] for pair in curves["target"]["noDA"]]) for i in (0, 1))
    expected = calibration_curve(labels, probs, n_bins=5, strategy="quantile")
    np.testing.assert_allclose(np.array(ax.lines[0].get_data(), float), expected[::-1], atol=0.01)
    assert ax.get_xlim() == ax.get_ylim() == (0, 1)


def history(seed, losses=(), n=4):
    rng = np.random.default_rng(seed)
    names = ["cross_entropy", "validation_cross_entropy", "validation_auc", "weight_cross_entropy"]
    names += [name for loss in losses for name in (loss, f"weight_{loss}")]
    return Table({"epoch": np.arange(1, n + 1)} | {name: rng.random(n) for name in names})


def test_histories_show_each_loss_of_any_run_once():
    histories = {"noDA": [history(0), history(1)], "MMD": [history(2, ("mmd",)), history(3, ("mmd",), n=3)]}
    axes = plot_histories(histories)
    titles = ["cross-entropy (training)", "cross-entropy (validation)", "AUC (source, validation)", "MMD loss", ""]
    assert [ax.get_title() for ax in axes] == titles
    assert [len(ax.lines) for ax in axes] == [2, 2, 2, 1, 0]
    expected = np.mean([table["mmd"][:3] for table in histories["MMD"]], axis=0)
    np.testing.assert_allclose(axes[3].lines[0].get_data(), [[1, 2, 3], expected])
    assert to_hex(axes[3].lines[0].get_color()) == to_hex(axes[0].lines[1].get_color())
    assert text(axes[4].get_legend()) == ["noDA", "MMD"]


def test_figures_draw_on_the_axes_they_are_given():
    curves = study(1)
    for plot in (plot_roc_study, plot_completeness_purity, plot_reliability):
        axes = Figure().subplots(1, 2)
        assert list(plot(curves, axes)) == list(axes)
        with pytest.raises(InputError, match="1 x 2 axes, got 3"):
            plot(curves, Figure().subplots(1, 3))
    axes = Figure().subplots(1, 3)
    assert list(plot_histories({"noDA": [history(0)]}, axes, columns=["validation_auc", "cross_entropy"])) == list(axes)


@pytest.mark.parametrize("curves", [{}, {"source": {}}, {"source": {"noDA": []}}])
@pytest.mark.parametrize("plot", [plot_roc_study, plot_completeness_purity, plot_reliability])
def test_nothing_to_draw_is_said(plot, curves):
    with pytest.raises(InputError, match="nothing to draw"):
        plot(curves)


def test_wrong_numbers_and_columns_are_said():
    with pytest.raises(InputError, match="between 0 and 1, got 5"):
        plot_completeness_purity(study(1), prevalence=5)
    with pytest.raises(InputError, match="n_bins must be a positive whole number, got 0"):
        plot_reliability(study(1), n_bins=0)
    with pytest.raises(InputError, match="no history has the columns .'speed'."):
        plot_histories({"noDA": [history(0)]}, columns=["speed"])


def test_a_report_shows_facts_tables_and_figures_safely(tmp_path):
    figure = tmp_path / "figures" / "roc.png"
    figure.parent.mkdir()
    plot_roc_study(study(1))[0].figure.savefig(figure)
    table = Table({"run": ["a<b"], "auc": [0.8714], "missing": [np.nan]})
    write_report(
        tmp_path / "report.html", "A & B", facts={"Seeds": "1, 2"}, tables={"Scores": table}, figures={figure: 'a "b"'}
    )
    page = (tmp_path / "report.html").read_text()
    for part in ("<h1>A &amp; B</h1>", "<dt>Seeds</dt><dd>1, 2</dd>", "<td>a&lt;b</td><td>0.871</td><td></td>"):
        assert part in page
    assert '<img src="figures/roc.png" alt="a &quot;b&quot;">' in page
    with pytest.raises(InputError, match="there is no figure"):
        write_report(tmp_path / "report.html", "", facts={}, tables={}, figures={tmp_path / "no.png": ""})


@pytest.mark.parametrize("n_runs", [2, 5, 8, 12])
@pytest.mark.parametrize("n_domains", [1, 2])
@pytest.mark.parametrize("plot", [plot_roc_study, plot_completeness_purity, plot_reliability])
def test_every_run_is_in_a_legend_that_lies_on_the_page(plot, n_runs, n_domains):
    curves = {
        domain: {f"run {k}+asymmetry": [scored(k), scored(k + 50)] for k in range(n_runs)}
        for domain in ("source", "target")[:n_domains]
    }
    ax = plot(curves)[0]
    ax.figure.draw_without_rendering()
    legend, page = ax.get_legend(), ax.figure.bbox
    assert len(text(legend)) == n_runs
    box = legend.get_window_extent()
    assert box.y0 >= page.y0 and box.y1 <= page.y1 and box.x0 >= page.x0 and box.x1 <= page.x1
    if box.y1 < ax.get_window_extent().y0:  # below the panel: no empty strip stays under it
        assert box.y0 < page.y0 + 0.2 * ax.figure.dpi


def test_twelve_runs_have_twelve_styles():
    styles = run_styles([f"run {k}" for k in range(12)])
    assert len({str(style) for style in styles.values()}) == 12
