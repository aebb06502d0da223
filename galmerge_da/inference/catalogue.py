"""The catalogue that `classify` gives: columns, their descriptions and UCDs, and the header."""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Column, MaskedColumn

from galmerge_da.exceptions import InputWarning, PluginError
from galmerge_da.io.source import FLAGS_DESCRIPTION
from galmerge_da.morphology import MEASURES
from galmerge_da.plugins import get_backbone, get_loss

if TYPE_CHECKING:
    from galmerge_da.inference.classifier import MergerClassifier

__all__ = [
    "CITATION",
    "HEADER",
    "append_columns",
    "build_catalogue",
    "catalogue_meta",
    "flags_column",
    "morphology_columns",
    "radius_column",
]

#: The paper of the method; those of the network and of the losses come after it.
CITATION = "Ciprijanovic et al. 2021, MNRAS 506, 677"
#: Key of the header of a catalogue -> what it says.
HEADER = {
    "GMVERS": "version of this package",
    "GMDATE": "time of classification, UTC",
    "GMSHA256": "fingerprint of the weights",
    "GMTRAIN": "version of the package that trained the network, and when",
    "GMBACK": "backbone",
    "GMCLASS": "classes",
    "GMLOSS": "losses of domain adaptation, with their weights",
    "GMSRC": "source domain",
    "GMTGT": "target domain",
    "GMADAPT": "what of the target's own images took part in training",
    "GMPREP": "preprocessing",
    "GMCALIB": "temperature and bias of the calibration",
    "GMTHRESH": "probability from which a galaxy counts as a merger; it selects nothing",
    "GMCITE": "what to cite",
}
_UCD = "stat.probability;src.morph.type"
_MORPHOLOGY_UCD = "src.morph.param"


def build_catalogue(table, raw, calibrated, radius, flags, classes, meta, *, morphology=None):
    """The user's columns with the probabilities beside them.

    Parameters
    ----------
    table : `~astropy.table.Table`, N rows
        The user's columns without pixels; not modified.
    raw, calibrated : `~numpy.ndarray`, shape (N, K)
        Probabilities; NaN where there are none.
    radius : `~numpy.ndarray`, shape (N,)
        Petrosian radii in pixels; NaN where unknown.
    flags : `~numpy.ndarray` of int32, shape (N,)
        Quality of each row.
    classes : sequence of str
        Names of the K classes.
    meta : dict
        As `catalogue_meta` gives it; it wins over the table's own.
    morphology : mapping of str to `~numpy.ndarray`, shape (N,), optional
        As `~galmerge_da.morphology.measure_morphology` gives it.

    Returns
    -------
    `~astropy.table.Table`
        Of the same class. Two classes give ``merger_prob`` and
        ``merger_prob_raw`` (of the class called ``merger``, else of the
        second), more give ``prob_<class>`` and ``prob_<class>_raw``.

    Warns
    -----
    InputWarning
        If a column of the user has the name of a result; it is renamed ``<name>_in``.
    """
    columns = []
    merger = classes.index("merger") if "merger" in classes else 1
    for k, label in [(merger, "merger")] if len(classes) == 2 else enumerate(classes):
        name = "merger_prob" if len(classes) == 2 else f"prob_{label}"
        described = f"Probability of class {classes[k]}"
        columns.append(_probability(name, calibrated[:, k], f"{described}, calibrated"))
        columns.append(_probability(f"{name}_raw", raw[:, k], f"{described}, as the network gives it"))
    columns.append(radius_column(radius))
    columns += morphology_columns(morphology or {})
    catalogue = append_columns(table, [*columns, flags_column(flags)], stacklevel=5)
    catalogue.meta.update(meta)
    return catalogue


def append_columns(table, columns, *, stacklevel=4):
    """A copy of a table with results beside its columns.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Not modified.
    columns : list of `~astropy.table.Column`
    stacklevel : int, optional
        Of the warning, counted from inside; the caller's caller by default.

    Returns
    -------
    `~astropy.table.Table`

    Warns
    -----
    InputWarning
        If the table has a column of that name; it is renamed ``<name>_in``.
    """
    catalogue = table.copy()
    for column in columns:
        _make_room(catalogue, column.name, stacklevel)
    catalogue.add_columns(columns)
    return catalogue


def flags_column(flags):
    """The column of quality flags.

    Parameters
    ----------
    flags : `~numpy.ndarray` of int32, shape (N,)

    Returns
    -------
    `~astropy.table.Column`
    """
    return Column(flags, name="flags", description=FLAGS_DESCRIPTION, meta={"ucd": "meta.code.qual"})


def radius_column(radius):
    """The column of radii that frames were scaled by.

    Parameters
    ----------
    radius : `~numpy.ndarray`, shape (N,)
        In pixels of the image; NaN where unknown.

    Returns
    -------
    `~astropy.table.Column`
    """
    described = "Petrosian radius in pixels of the image, given or measured, that the frame was scaled by"
    return Column(radius, name="frame_radius", unit="pix", description=described, meta={"ucd": "phys.angSize"})


def morphology_columns(values):
    """Measures of morphology as columns.

    Parameters
    ----------
    values : mapping of str to `~numpy.ndarray`, shape (N,)
        As `~galmerge_da.morphology.measure_morphology` gives it.

    Returns
    -------
    list of `~astropy.table.Column`
        Each says what it is; NaN stay NaN.
    """
    return [
        Column(values[name], name=name, description=MEASURES[name], meta={"ucd": _MORPHOLOGY_UCD}) for name in values
    ]


def catalogue_meta(classifier: "MergerClassifier", threshold: float) -> dict[str, Any]:
    """The header of a catalogue: flat, keys of at most eight characters, plain ASCII.

    Parameters
    ----------
    classifier : `~galmerge_da.MergerClassifier`
    threshold : float
        Probability from which a galaxy is taken as a merger.

    Returns
    -------
    dict
        The keys of ``HEADER``, which has a word on each.
    """
    provenance = classifier.provenance
    calibrator = classifier.calibrator
    meta = {
        "GMVERS": version("galmerge_da"),
        "GMDATE": datetime.now(UTC).isoformat(timespec="seconds"),
        "GMSHA256": classifier.weights_sha256,
        "GMTRAIN": f"galmerge_da {provenance['version']}, {provenance['created']}",
        "GMBACK": classifier.network.describe()["backbone"],
        "GMCLASS": ",".join(classifier.classes),
        "GMLOSS": _flat(provenance.get("losses")),
        "GMSRC": provenance.get("source") or "unknown",
        "GMTGT": provenance.get("target") or "none",
        "GMADAPT": _adaptation(provenance),
        "GMPREP": _flat(classifier.preprocessing.to_dict()),
        "GMCALIB": "none" if calibrator is None else _flat(calibrator.to_dict()),
        "GMTHRESH": threshold,
        "GMCITE": _papers(classifier),
    }
    return {key: _ascii(value) if isinstance(value, str) else value for key, value in meta.items()}


def _adaptation(provenance):
    """Which images of a survey a model has learnt from, without their labels; a catalogue of them is transductive."""
    ways = provenance.get("adapted_by")
    return "unknown" if ways is None else ", ".join(ways) or "none"


def _probability(name, values, description):
    known = dict(name=name, description=description, meta={"ucd": _UCD})
    missing = np.isnan(values)
    return MaskedColumn(values, mask=missing, **known) if missing.any() else Column(values, **known)


def _make_room(catalogue, name, stacklevel):
    if name not in catalogue.colnames:
        return
    new = f"{name}_in"
    while new in catalogue.colnames:
        new += "_in"
    catalogue.rename_column(name, new)
    warnings.warn(
        f"the input has a column {name!r}; it is called {new!r} in the catalogue", InputWarning, stacklevel=stacklevel
    )


def _flat(mapping):
    """A dict as ``name=value`` words; lists joined by commas, ``table.name=value`` in a table."""
    words = []
    for key, value in (mapping or {}).items():
        if isinstance(value, Mapping):
            words += [f"{key}.{word}" for word in _flat(value).split(" ")]
        else:
            words.append(f"{key}={','.join(map(str, value)) if isinstance(value, list | tuple) else value}")
    return " ".join(words) or "none"


def _ascii(text):
    return text.replace("\n", " ").encode("ascii", "backslashreplace").decode()


def _papers(classifier):
    """The paper of the method, and those of the network and of the losses, as far as they are installed here."""
    papers = [CITATION]
    with suppress(PluginError):
        papers.append(get_backbone(classifier.network.describe()["backbone"]).reference)
    for name in classifier.provenance.get("losses") or {}:
        with suppress(PluginError):
            papers.append(get_loss(name).reference)
    return "; ".join(dict.fromkeys(paper for each in papers if each for paper in each.split("; ")))
