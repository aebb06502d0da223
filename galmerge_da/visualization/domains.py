"""Galaxies of two domains: what they look like, where their features lie, and what a network looks at."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from galmerge_da.exceptions import InputError
from galmerge_da.visualization._axes import (
    COLORS,
    DOMAIN_MARKERS,
    FULL_WIDTH,
    AxesGrid,
    AxesLike,
    get_axes_grid,
    paper_style,
)

__all__ = ["plot_examples", "plot_gradcam", "plot_tsne"]

_CLASSES = ("non-mergers", "mergers")
_CLASS_COLORS = (COLORS[1], COLORS[3], "0.35")
#: Decades below the peak that pictures show.
_DECADES = 3
_GAP = 2
#: Square points that the markers of a panel cover together, unless they would be too small or too large.
_INK = 4000


@paper_style
def plot_examples(
    images: Mapping[str, ArrayLike],
    labels: Mapping[str, ArrayLike],
    axes: AxesLike | None = None,
    *,
    n: int = 4,
    classes: Sequence[str] = _CLASSES,
    seed: int = 0,
) -> AxesGrid:
    """Galaxies of each class, one row per domain, on a logarithmic scale.

    Parameters
    ----------
    images : mapping of str to array_like, shape (N, C, H, W)
        Domain -> linear flux; the mean of the bands is shown, relative to its
        peak, over three decades.
    labels : mapping of str to array_like of int, shape (N,)
        Domain -> class of each image.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        One per domain and class, row by row; those of a new figure by default.
    n : int, optional
        Galaxies of each class at most, drawn at random.
    classes : sequence of str, optional
        Names of the classes.
    seed : int, optional
        Of the draw.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (number of domains, number of classes)

    Raises
    ------
    InputError
        If shapes do not fit, or a domain has no galaxy of a class.
    """
    shape = (len(images), len(classes))
    grid = get_axes_grid(axes, shape, (FULL_WIDTH, 0.92 * FULL_WIDTH / (n * len(classes)) * len(images) + 0.25))
    generator = np.random.default_rng(seed)
    for row, (domain, pixels) in enumerate(images.items()):
        pixels, truth = np.asarray(pixels), np.asarray(labels[domain])
        if pixels.ndim != 4 or truth.shape != (len(pixels),):
            raise InputError(f"{domain}: images and labels do not fit: {pixels.shape} and {truth.shape}")
        for column, name in enumerate(classes):
            chosen = generator.permutation(np.flatnonzero(truth == column))[:n]
            if not len(chosen):
                raise InputError(f"{domain} has no galaxy of the class {name!r}")
            ax = grid[row, column]
            picture = ax.imshow(_strip(_log_flux(pixels[chosen])), cmap="magma", vmin=-_DECADES, vmax=0)
            _frame_off(ax)
            if row == 0:
                ax.set_title(name)
        grid[row, 0].set_ylabel(domain)
    bar = grid[0, 0].figure.colorbar(
        picture, ax=list(grid.flat), shrink=0.9, aspect=25, pad=0.01, ticks=range(-_DECADES, 1)
    )
    bar.set_label(r"$\log_{10}$ flux / peak")
    bar.ax.tick_params(labelsize=7, width=0.6, length=2.5)
    bar.outline.set_linewidth(0.6)
    return grid


@paper_style
def plot_tsne(
    panels: Mapping[str, Mapping[str, tuple[ArrayLike, ArrayLike]]],
    axes: AxesLike | None = None,
    *,
    classes: Sequence[str] = _CLASSES,
) -> AxesGrid:
    """Galaxies of both domains in the plane of their features, one panel per network.

    Parameters
    ----------
    panels : mapping of str to mapping of str to (array_like, array_like)
        Network -> domain -> points, shape (N, 2), as
        `galmerge_da.evaluation.project` gives them, and classes, shape (N,). The first
        domain, the source, is faint circles, the next triangles.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        One per panel; those of a new figure by default.
    classes : sequence of str, optional
        Names of the classes; the third is grey. One without a galaxy is not in the legend.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (number of panels,)

    Raises
    ------
    InputError
        If there is no panel.
    """
    if not panels:
        raise InputError("plot_tsne needs at least one panel")
    n = len(panels)
    n_columns = n if n < 4 or axes is not None else 4 if n == 4 else 3
    n_rows = -(-n // n_columns)
    grid = get_axes_grid(axes, (n_rows, n_columns), (FULL_WIDTH, (FULL_WIDTH / n_columns + 0.15) * n_rows + 0.35))
    used, spare = grid.flat[:n], grid.flat[n:]
    for ax in spare:
        ax.remove()
    handles = {}
    for ax, (name, domains) in zip(used, panels.items(), strict=True):
        size = np.clip(_INK / sum(len(np.asarray(points)) for points, _ in domains.values()), 3, 8)
        for k, (domain, (points, labels)) in enumerate(domains.items()):
            points, labels = np.asarray(points, float), np.asarray(labels)
            for value, class_name in enumerate(classes):
                own = points[labels == value]
                if not len(own):
                    continue
                handles[f"{domain}, {class_name}"] = ax.scatter(
                    own[:, 0], own[:, 1], s=size, marker=DOMAIN_MARKERS[k % len(DOMAIN_MARKERS)],
                    color=_CLASS_COLORS[value % 3], alpha=0.3 if k == 0 else 0.9, linewidth=0, rasterized=True,
                )  # fmt: skip
        ax.set(xticks=[], yticks=[], title=name)
        ax.set_box_aspect(1)
        ax.set_anchor("S")
    figure = used[0].figure
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False,
        markerscale=2.5, handletextpad=0.1, columnspacing=1.5,
    )  # fmt: skip
    return used


@paper_style
def plot_gradcam(
    images: ArrayLike,
    maps: Mapping[tuple[str, str], ArrayLike],
    axes: AxesLike | None = None,
    *,
    rows: Sequence[str],
    probs: Mapping[str, ArrayLike] | None = None,
) -> AxesGrid:
    """What speaks for each class in a few galaxies, according to several networks.

    Heat is drawn over the image, both relative to their largest; the maps of one
    network and galaxy have one scale, so that its classes can be compared.

    Parameters
    ----------
    images : array_like, shape (R, C, H, W)
        Linear frames, as the networks got them.
    maps : mapping of (str, str) to array_like, shape (R, H, W)
        (network, class) -> heat maps, as `galmerge_da.evaluation.gradcam` gives
        them; one column each, in this order.
    axes : sequence of `~matplotlib.axes.Axes`, optional
        R times one more than there are maps, row by row; those of a new figure by default.
    rows : sequence of str
        What each galaxy is.
    probs : mapping of str to array_like, shape (R,), optional
        Network -> merger probability, written into its first map.

    Returns
    -------
    `~numpy.ndarray` of `~matplotlib.axes.Axes`, shape (R, 1 + number of maps)

    Raises
    ------
    InputError
        If there is no map, or shapes do not fit.
    """
    images = np.asarray(images)
    heats = {key: np.asarray(values, float) for key, values in maps.items()}
    wanted = (len(images), *images.shape[2:])
    if images.ndim != 4 or not heats or len(rows) != len(images) or any(m.shape != wanted for m in heats.values()):
        shapes = [values.shape for values in heats.values()]
        raise InputError(f"{len(rows)} rows, images {images.shape} and maps {shapes} do not fit")
    n_columns = 1 + len(heats)
    side = FULL_WIDTH / (n_columns + 0.3)
    grid = get_axes_grid(axes, (len(images), n_columns), (FULL_WIDTH, side * len(images) + 0.35))
    pictures = _log_flux(images)
    scale: dict[str, Any] = {}
    for (network, _), values in heats.items():
        scale[network] = np.fmax(scale.get(network, 0), np.nanmax(np.abs(values), axis=(1, 2)))
    for i, name in enumerate(rows):
        for ax in grid[i]:
            ax.imshow(pictures[i], cmap="gray", vmin=-_DECADES, vmax=0)
            _frame_off(ax)
        grid[i, 0].set_ylabel(name)
        for ax, ((network, _), values) in zip(grid[i, 1:], heats.items(), strict=True):
            heat = values[i] / scale[network][i] if scale[network][i] > 0 else np.zeros(wanted[1:])
            ax.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.65 * np.clip(np.nan_to_num(2 * heat), 0, 1))
    firsts = {network: 1 + k for k, (network, _) in reversed(list(enumerate(heats)))}
    shown = {} if probs is None else {column: np.asarray(probs[network]) for network, column in firsts.items()}
    for column, values in shown.items():
        for i in range(len(rows)):
            text = f"$p$ = {values[i]:.2f}"
            written = grid[i, column].text(
                0.04, 0.96, text, color="white", fontsize=7, va="top", transform=grid[i, column].transAxes
            )
            written.set_path_effects([withStroke(linewidth=1.5, foreground="black")])
    grid[0, 0].set_title("image")
    for ax, (network, class_name) in zip(grid[0, 1:], heats, strict=True):
        ax.set_title(f"{network}\n{class_name}")
    return grid


def _log_flux(images):
    """Logarithm of the mean over bands over its peak, (N, H, W), not below the range that is shown."""
    flux = np.nan_to_num(np.asarray(images, float).mean(axis=1))
    peak = np.maximum(flux.max(axis=(1, 2), keepdims=True), np.finfo(float).tiny)
    return np.log10(np.clip(flux / peak, 10.0**-_DECADES, 1))


def _strip(pictures):
    """Pictures (N, H, W) side by side, with gaps of NaN."""
    gap = np.full((pictures.shape[1], _GAP), np.nan)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.hstack(parts[:-1])


def _frame_off(ax):
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
