"""From cutouts to a catalogue: the classifier, its one-file format, and `classify`."""

from galmerge_da.inference.api import classify
from galmerge_da.inference.catalogue import catalogue_meta
from galmerge_da.inference.classifier import MergerClassifier, default_model_path
from galmerge_da.inference.convert import convert_checkpoint
from galmerge_da.inference.predict import predict_features, predict_logits

__all__ = [
    "MergerClassifier",
    "catalogue_meta",
    "classify",
    "convert_checkpoint",
    "default_model_path",
    "predict_features",
    "predict_logits",
]
