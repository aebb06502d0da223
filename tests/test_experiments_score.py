"""Scoring on real labels: both scores, and a line in the ledger for every look."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from galmerge_da import MergerClassifier, simulate
from galmerge_da.evaluation import read_ledger
from galmerge_da.exceptions import InputError
from galmerge_da.experiments.score import main, score_labelled
from galmerge_da.io import save_cutouts
from galmerge_da.models import build_network
from galmerge_da.preprocessing import PreprocessingRecipe


@pytest.fixture(scope="module")
def galaxies():
    return simulate(30, "sdss-jpeg", seed=9)


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    network = build_network(in_channels=3, image_size=75)
    return MergerClassifier(network, PreprocessingRecipe(bands=("i", "r", "g")))


def test_a_look_is_scored_and_written_down(galaxies, classifier, tmp_path):
    ledger = tmp_path / "looks.jsonl"
    for look in (1, 2):
        scores, catalogue = score_labelled(galaxies, "label", model=classifier, dataset="made up", ledger=ledger)
        assert len(read_ledger(ledger)) == look
    line = read_ledger(ledger)[0]
    for row in scores:
        expected = roc_auc_score(np.asarray(galaxies["label"]), np.asarray(catalogue[row["score"]]))
        assert row["auc"] == pytest.approx(expected)
        assert line[f"{row['score']}_auc"] == pytest.approx(expected)
    assert line["model_sha256"] == classifier.weights_sha256
    assert list(catalogue["id"]) == list(galaxies["id"])


def test_the_command_names_the_data_and_not_where_it_lies(galaxies, classifier, tmp_path, capsys):
    folder = tmp_path / "survey"
    folder.mkdir()
    save_cutouts(galaxies, folder / "cutouts.fits")
    classifier.save(folder / "model.safetensors")
    source, ledger = str(folder / "cutouts.fits"), tmp_path / "looks.jsonl"
    main([source, "--label", "label", "--ledger", str(ledger), "--model", str(folder / "model.safetensors")])
    assert "merger_prob" in capsys.readouterr().out
    (line,) = read_ledger(ledger)
    assert line["dataset"] == "survey"
    assert source not in line["command"]


def test_a_missing_label_column_is_no_look(galaxies, classifier, tmp_path):
    ledger = tmp_path / "looks.jsonl"
    with pytest.raises(InputError, match="truth"):
        score_labelled(galaxies, "truth", model=classifier, dataset="made up", ledger=ledger)
    assert not ledger.exists()
