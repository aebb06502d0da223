"""Score a classifier on real labels, beside rotational asymmetry, and write the look down.

Labels of real galaxies are for final scores only, and every look at them
counts: nothing may be tuned on what is seen. This and the two
studies (``galmerge experiment --ledger``) are all that looks, and each look
becomes a line of a ledger::

    python -m galmerge_da.experiments.score labels.csv --image filename \\
        --label merger --survey sdss-jpeg --ledger docs/looks.jsonl
"""

import argparse
import shlex
import sys
from pathlib import Path

from galmerge_da.evaluation import append_look, rotational_asymmetry_table, score_catalog
from galmerge_da.inference import MergerClassifier, default_model_path

__all__ = ["main", "make_parser", "score_labelled"]


def score_labelled(source, label, *, model=None, dataset, ledger, command="", note="", progress=False, **reading):
    """Classify labelled galaxies, measure their asymmetry, and score both.

    Parameters
    ----------
    source : object
        Anything that `galmerge_da.classify` takes, with a column of labels.
    label : str
        That column: 1 for a merger, 0 for another galaxy.
    model : path-like or `~galmerge_da.MergerClassifier`, optional
        The packaged default if not given.
    dataset : str
        Name of the data, for the ledger.
    ledger : path-like
        Where the look is written down; made if it is not there.
    command, note : str, optional
        For the ledger.
    progress : bool, optional
        Show progress bars.
    **reading
        Keywords of `galmerge_da.classify` that say how to read the source.

    Returns
    -------
    scores : `~astropy.table.Table`
        As `~galmerge_da.evaluation.score_catalog` gives it: one row for the
        probability and one for the asymmetry.
    catalogue : `~astropy.table.Table`
        The classified table with an ``asymmetry`` column.

    Raises
    ------
    InputError
        If the source cannot be read or has no such labels.
    ModelFileError
        If ``model`` is not a classifier.
    """
    if not isinstance(model, MergerClassifier):
        model = MergerClassifier.load(default_model_path() if model is None else model)
    catalogue = model.classify(source, progress=progress, **reading)
    catalogue["asymmetry"] = rotational_asymmetry_table(source, progress=progress, **reading)["asymmetry"]
    scores = score_catalog(catalogue, label, asymmetry="asymmetry")
    figures = {
        f"{row['score']}_{name}": row[name]
        for row in scores
        for name in ("n", "n_pos", "auc", "auc_err", "ap", "ap_err", "brier", "ece")
    }
    append_look(ledger, dataset=dataset, command=command, model_sha256=model.weights_sha256, figures=figures, note=note)
    return scores, catalogue


def make_parser():
    """What the command line takes.

    Returns
    -------
    `~argparse.ArgumentParser`
    """
    parser = argparse.ArgumentParser(prog="python -m galmerge_da.experiments.score", description=__doc__.split("\n")[0])
    parser.add_argument("source", help="labelled galaxies, in any form that galmerge classify takes")
    parser.add_argument("--label", required=True, help="column of labels: 1 for a merger, 0 for another galaxy")
    parser.add_argument("--ledger", required=True, help="file to which the look is added")
    parser.add_argument("--image", default="image", help="column of images or of their paths")
    parser.add_argument("--survey", help="what the images are, as in galmerge classify")
    parser.add_argument("--model", help="model file; the packaged one by default")
    parser.add_argument("--dataset", help="name of the data; that of the source's folder by default")
    parser.add_argument("--note", default="", help="words for the ledger")
    return parser


def main(arguments=None):
    """Run from the command line.

    Parameters
    ----------
    arguments : list of str, optional
        ``sys.argv[1:]`` by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    given = make_parser().parse_args(arguments)
    dataset = given.dataset or Path(given.source).resolve().parent.name
    names = {given.source: dataset, given.model: given.model and Path(given.model).name}
    shown = [names.get(part, part) for part in arguments]
    scores, _ = score_labelled(
        given.source,
        given.label,
        model=given.model,
        dataset=dataset,
        ledger=given.ledger,
        command=f"python -m galmerge_da.experiments.score {shlex.join(shown)}",
        note=given.note,
        progress=sys.stderr.isatty(),
        image=given.image,
        survey=given.survey,
    )
    scores.round(3)
    print("\n".join(scores.pformat(max_lines=-1, max_width=-1)))


if __name__ == "__main__":
    main()
