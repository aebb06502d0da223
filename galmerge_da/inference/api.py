"""`classify`: a table of cutouts in, a catalogue of merger probabilities out, a chunk at a time."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from os import PathLike
from typing import Any, Literal

import numpy as np
from astropy.table import QTable, Table
from astropy.units import Quantity
from tqdm import tqdm

from galmerge_da.exceptions import ConfigError
from galmerge_da.flags import FATAL, Flag
from galmerge_da.inference.catalogue import build_catalogue, catalogue_meta
from galmerge_da.inference.classifier import MergerClassifier, check_threshold, default_model_path
from galmerge_da.inference.predict import limit_threads
from galmerge_da.io import open_cutouts, prefetch
from galmerge_da.morphology import MEASURES, measure_morphology
from galmerge_da.plugins import SurveySpec
from galmerge_da.preprocessing import frame_radii, match_bands, preprocess, warn_of_mismatch

__all__ = ["classify"]

_Array = np.ndarray[Any, Any]

#: Galaxies read at once, and chunks handed to a client at once.
_CHUNK = 256
_WINDOW = 16


def classify(
    cutouts: object,
    model: MergerClassifier | str | PathLike[str] | None = None,
    *,
    image: str | Sequence[str] = "image",
    bands: Sequence[str] | None = None,
    axes: Literal["CHW", "HWC"] = "CHW",
    survey: str | SurveySpec | None = None,
    pixel_scale: Quantity | str | None = None,
    psf_fwhm: Quantity | str | None = None,
    zero_point: float | Sequence[float] | _Array | Quantity | None = None,
    mask: str | Sequence[str] | _Array | None = None,
    radius: str | Quantity | _Array | None = None,
    threshold: float | None = None,
    device: object = None,
    n_threads: int | None = None,
    client: object = None,
    turns: bool = False,
    morphology: bool = False,
    progress: bool = False,
) -> Table:
    """Give every galaxy of a table the probability that it is merging.

    Parameters
    ----------
    cutouts : `~astropy.table.Table`, array or path
        One galaxy per row: whatever `galmerge_da.io.open_cutouts` reads.
    model : None, path-like or `MergerClassifier`, optional
        The model that ships with the package by default.
    image : str or sequence of str, optional
        Column of the images or of their paths, or one column per band.
    bands : sequence of str, optional
        Names of the bands, in the order of the images' band axis.
    axes : str, optional
        ``"CHW"`` or ``"HWC"``: the order of an image's axes.
    survey : str or `~galmerge_da.plugins.SurveySpec`, optional
        Where the images come from; gives bands and scales that are not given.
    pixel_scale, psf_fwhm : `~astropy.units.Quantity` or str, optional
        Angle, or the column that has it. The scale serves radii that are
        angles and models whose frames have one; the PSF models that match it.
    zero_point : float, array_like or `~astropy.units.Quantity`, optional
        AB magnitude of one unit of flux, one for all or one a band, for models
        that need it; the images' unit or the survey says it otherwise.
    mask : str or array of bool, optional
        True where a pixel must not be used.
    radius : str, `~astropy.units.Quantity` or array, optional
        Petrosian radius of each galaxy: pixels or an angle, or its column.
        Without it the radius is that which a survey or the data set states for its frames, else it is
        measured; ``"measure"`` measures it in any case.
    threshold : float, optional
        Probability from which a galaxy is taken as a merger; only written to
        the header. The model's own by default.
    device : str or `~torch.device`, optional
        The best there is by default.
    n_threads : int, optional
        CPU threads of the network, in this process and during this call.
    client : object with ``map``, optional
        A `concurrent.futures.Executor`, or a client of dask: chunks are
        classified there.
    turns : bool, optional
        Take the mean over the eight turns and flips of each frame: no direction is
        preferred, at eight times the work of the network.
    morphology : bool, optional
        Also measure asymmetry, Gini, M20, concentration and smoothness, on the
        frames that the network sees. It takes a few milliseconds a galaxy.
    progress : bool, optional
        Show a progress bar.

    Returns
    -------
    `~astropy.table.Table`
        Every column of the input except pixels, same rows, same order, and
        ``merger_prob`` (calibrated), ``merger_prob_raw``, ``frame_radius`` (Petrosian
        radius in pixels of the image, by which it was scaled), ``flags`` (bits of
        `~galmerge_da.Flag`); with K classes ``prob_<class>`` and
        ``prob_<class>_raw``; with ``morphology``, the columns that
        `~galmerge_da.morphology.MEASURES` lists, NaN and flagged where it could
        not be measured. A `~astropy.table.QTable` where one was given. The
        probability of a row that could not be classified is masked (NaN
        underneath), and its flags say why. `~galmerge_da.inference.catalogue_meta` lists the keys of
        ``meta``.

    Raises
    ------
    InputError
        If the call does not fit the data: a missing column, a wrong number of bands,
        an unknown survey.
    ConfigError
        If ``threshold``, ``n_threads``, ``device`` or ``client`` is wrong.
    ModelFileError
        If ``model`` is not the path of a classifier.
    FileNotFoundError
        If there is no such model or data set.

    Warns
    -----
    InputWarning
        If a column had to be renamed, bands were matched by their order, or
        cutouts do not fit the model (`~galmerge_da.preprocessing.warn_of_mismatch`).

    Examples
    --------
    >>> from galmerge_da import classify, simulate
    >>> galaxies = simulate(3, "sdss-jpeg", seed=1)
    >>> mergers = classify(galaxies, survey="sdss-jpeg")
    >>> mergers["merger_prob"].shape
    (3,)
    >>> "image" in mergers.colnames
    False
    """
    if model is None:
        model = default_model_path()
    classifier = model if isinstance(model, MergerClassifier) else MergerClassifier.load(model)
    threshold = classifier.threshold if threshold is None else check_threshold(threshold)
    source = open_cutouts(
        cutouts, image=image, bands=bands, axes=axes, survey=survey, pixel_scale=pixel_scale, psf_fwhm=psf_fwhm,
        zero_point=zero_point, mask=mask, radius=radius, chunk_size=_CHUNK,
    )  # fmt: skip
    if client is not None and not callable(getattr(client, "map", None)):
        raise ConfigError(f"client must have a method map, as an Executor or a client of dask; got {client!r:.60}")
    n_rows, n_classes = len(source), len(classifier.classes)
    raw, calibrated = np.full((2, n_rows, n_classes), np.nan)
    flags, radii = np.zeros(n_rows, np.int32), np.full(n_rows, np.nan)
    shape = {name: np.full(n_rows, np.nan) for name in MEASURES} if morphology else {}
    work = partial(_classify_chunk, classifier, device, bool(turns), bool(morphology))
    with limit_threads(n_threads), tqdm(total=n_rows, disable=not progress, desc="classify", unit="galaxy") as bar:
        with closing(_map(work, name_bands(source, classifier.bands), client)) as results:
            for rows, chunk_raw, chunk_calibrated, chunk_radii, chunk_flags, chunk_shape in results:
                raw[rows], calibrated[rows], radii[rows] = chunk_raw, chunk_calibrated, chunk_radii
                flags[rows] = chunk_flags
                for name in shape:
                    shape[name][rows] = chunk_shape[name]
                bar.update(len(rows))
    warn_of_mismatch(flags, source, classifier.preprocessing)
    table = source.table
    if isinstance(cutouts, QTable) and not isinstance(table, QTable):
        table = QTable(table)
    meta = catalogue_meta(classifier, threshold)
    return build_catalogue(table, raw, calibrated, radii, flags, classifier.classes, meta, morphology=shape)


def name_bands(source, wanted, chunks=None):
    """Chunks whose bands have the names that the network knows: matched once, with one warning, for all of them.

    The chunks are those of the source unless they are given.
    """
    names = None
    for cutouts in source if chunks is None else chunks:
        if names is None and wanted is not None and np.any((cutouts.flags & FATAL) == 0):
            given = source.n_bands if source.bands is None else source.bands
            order = match_bands(given, wanted)
            names = [None] * len(order) if source.bands is None else list(source.bands)
            for band, position in zip(wanted, order, strict=True):
                names[position] = band
        yield cutouts if names is None else replace(cutouts, bands=tuple(names))


def _classify_chunk(classifier, device, turns, morphology, cutouts):
    """Rows, raw and calibrated probabilities, radii, flags and morphology of one `Cutouts`."""
    frames = preprocess(cutouts, classifier.preprocessing)
    flags = frames.flags.astype(np.int32)
    usable = np.flatnonzero((flags & Flag.NOT_CLASSIFIED) == 0)
    raw, calibrated = np.full((2, len(flags), len(classifier.classes)), np.nan)
    if usable.size:
        raw[usable], calibrated[usable] = classifier.predict(frames.data[usable], turns=turns, device=device)
    flags[np.isnan(calibrated).any(axis=1)] |= Flag.NOT_CLASSIFIED
    shape = {}
    if morphology:
        shape = measure_morphology(frames.data.mean(axis=1), frame_radii(frames, classifier.preprocessing))
        flags[np.isnan(list(shape.values())).any(axis=0)] |= Flag.NO_MORPHOLOGY
    return cutouts.row, raw, calibrated, frames.radius, flags, shape


def _map(work, chunks, client):
    """Results in order: of this thread, or of a client that gets some chunks at a time; the next are read meanwhile."""
    if client is None:
        with closing(prefetch(chunks)) as chunks:
            yield from map(work, chunks)
        return
    gather = getattr(client, "gather", iter)
    chunks, pending = iter(chunks), None
    while window := list(islice(chunks, _WINDOW)):
        if pending is not None:
            yield from gather(pending)
        pending = client.map(work, window)
    if pending is not None:
        yield from gather(pending)
