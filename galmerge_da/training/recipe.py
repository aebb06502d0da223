"""The recipe: every choice of a training run, checked before anything starts.

A recipe is a TOML file or a dict with the tables ``[data]``,
``[preprocessing]``, ``[model]``, ``[training]`` and ``[adapt.<loss>]``.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from galmerge_da.adaptation import check_losses
from galmerge_da.augmentation import Augmentation
from galmerge_da.exceptions import ConfigError
from galmerge_da.models import EntranceConfig
from galmerge_da.options import make_config, suggest
from galmerge_da.plugins import get_backbone, parse_adapt
from galmerge_da.plugins.requests import AdaptLike
from galmerge_da.preprocessing import PreprocessingRecipe
from galmerge_da.training.selection import SELECTORS, WATCHED

__all__ = ["DataOptions", "ModelOptions", "Recipe", "TrainingOptions", "check_request", "read_recipe", "read_tables"]

PRECISIONS = ("auto", "full", "bfloat16")
WEIGHTINGS = ("fixed", "learned")
POST_TRAIN = ("adabn",)
#: Keywords of `galmerge_da.io.open_cutouts` that a recipe may set for a domain.
_READING = ("image", "bands", "axes", "survey", "pixel_scale", "psf_fwhm", "zero_point", "mask", "radius")


@dataclass(frozen=True)
class DataOptions:
    """The table ``[data]``: where in the tables things are.

    Parameters
    ----------
    label : str, optional
        Column of the source with the class: 0, 1, ... or the class's name.
    id : str, optional
        Column that names a row; without it the row's number does.
    group : str, optional
        Column that names the parent galaxy, whose images never fall into
        different splits; without it every id is its own group.
    classes : sequence of str, optional
        Names of the classes, in the order of the labels.
    source, target : mapping, optional
        Keywords of `galmerge_da.io.open_cutouts` for each domain, such as
        ``{survey = "sdss-jpeg"}``.

    Raises
    ------
    ConfigError
        If a value has the wrong type.
    """

    label: str = "label"
    id: str = "id"
    group: str = "group"
    classes: Sequence[str] = ("nonmerger", "merger")
    source: Mapping[str, Any] = field(default_factory=dict)
    target: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for key in ("label", "id", "group"):
            _require(isinstance(getattr(self, key), str), "data", key, "the name of a column", getattr(self, key))
        names = self.classes
        valid = isinstance(names, list | tuple) and all(isinstance(name, str) and name for name in names)
        _require(valid and len(set(names)) == len(names) > 1, "data", "classes", "two or more names", names)
        object.__setattr__(self, "classes", tuple(names))
        for key in ("source", "target"):
            options = getattr(self, key)
            _require(isinstance(options, Mapping), "data", key, "a table of options for reading", options)
            for name in options:
                if name not in _READING:
                    raise ConfigError(f"recipe: [data] {key} has no option {name!r}{suggest(name, _READING)}")


@dataclass(frozen=True)
class ModelOptions:
    """The table ``[model]``.

    Parameters
    ----------
    backbone : str, optional
        Name of the network.
    options : mapping, optional
        Options of the backbone.
    entrance : mapping, optional
        Fields of `~galmerge_da.models.EntranceConfig`.

    Raises
    ------
    ConfigError
        If a value has the wrong type.
    """

    backbone: str = "deepmerge"
    options: Mapping[str, Any] = field(default_factory=dict)
    entrance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        _require(isinstance(self.backbone, str), "model", "backbone", "a name", self.backbone)
        for key in ("options", "entrance"):
            _require(isinstance(getattr(self, key), Mapping), "model", key, "a table", getattr(self, key))


@dataclass(frozen=True)
class TrainingOptions:
    """The table ``[training]``.

    By default, the rate, the betas and the batch are those of the DeepMerge studies (Ciprijanovic et al. 2021,
    MNRAS 506, 677), and so is the weight decay but for the adversarial loss, with which theirs is 1e-4. Their
    cycles of the learning rate span 5 epochs, 8 with the adversarial loss; here one cycle spans all epochs.

    Parameters
    ----------
    seed : int, optional
        Of everything random: splits, weights, order, augmentation, losses.
    epochs : int, optional
        Passes over the source at most; the one-cycle schedule spans them all.
    batch_size : int, optional
        Images of each domain per step.
    learning_rate : float, optional
        Peak of the one-cycle schedule.
    betas : (float, float), optional
        Of Adam.
    weight_decay : float, optional
        Of Adam.
    patience : int, optional
        Epochs without a better one, for the selector, before training stops early.
    fractions : (float, float, float), optional
        Of groups for training, validation and test.
    selector : str, optional
        Which epoch's weights are kept: ``"source_validation"``, the one with
        the least cross-entropy on the validation split of the source;
        ``"last"``; or the best by ``"entropy"``, ``"infomax"``, ``"snd"``, ``"bnm"``,
        ``"class_ami"``, ``"dev"`` or ``"domain_classifier"``, which look at the
        validation split of the target. See `select_epoch`.
    watch : sequence of str or "all", optional
        Selectors whose scores are recorded too, where there is a target. By
        default those that cost nothing; ``class_ami``, ``dev`` and
        ``domain_classifier`` need features, and up to half a second an epoch.
    trace : bool, optional
        Keep the logits of held-out rows of every epoch, as ``trace`` of `~galmerge_da.TrainingResult`.
    weighting : {"fixed", "learned"}, optional
        Whether the weights of the losses are those given, or only start there
        and are learned, the cross-entropy's included
        (`~galmerge_da.adaptation.LearnedWeights`).
    post_train : sequence of str, optional
        What is done once when the epochs are over: ``"adabn"`` replaces the
        statistics of batch normalisation by those of the target
        (`~galmerge_da.adaptation.adabn`).
    precision : {"auto", "full", "bfloat16"}, optional
        Of the network in training: ``"auto"`` is bfloat16 on CUDA and full
        precision elsewhere. Losses are always computed in full precision.
    augmentation : mapping, optional
        Fields of `~galmerge_da.training.Augmentation`.

    Raises
    ------
    ConfigError
        If a value is out of range.
    """

    seed: int = 0
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 1e-3
    betas: Sequence[float] = (0.7, 0.8)
    weight_decay: float = 1e-3
    patience: int = 20
    fractions: Sequence[float] = (0.7, 0.1, 0.2)
    selector: str = "source_validation"
    watch: Sequence[str] = ("entropy", "infomax", "snd", "bnm")
    trace: bool = False
    weighting: Literal["fixed", "learned"] = "fixed"
    post_train: Sequence[str] = ()
    precision: Literal["auto", "full", "bfloat16"] = "auto"
    augmentation: Augmentation | Mapping[str, Any] = field(default_factory=Augmentation)

    def __post_init__(self):
        for key, least in (("seed", 0), ("epochs", 1), ("batch_size", 2), ("patience", 1)):
            value = getattr(self, key)
            whole = isinstance(value, Integral) and not isinstance(value, bool) and value >= least
            _require(whole, "training", key, f"a whole number of at least {least}", value)
        _require(_is_number(self.learning_rate) and self.learning_rate > 0, "training", "learning_rate",
                 "a positive number", self.learning_rate)  # fmt: skip
        _require(_is_number(self.weight_decay) and self.weight_decay >= 0, "training", "weight_decay",
                 "a number of at least 0", self.weight_decay)  # fmt: skip
        betas = _numbers(self.betas, 2)
        _require(
            betas and all(0 <= beta < 1 for beta in betas), "training", "betas", "two numbers in [0, 1)", self.betas
        )
        fractions = _numbers(self.fractions, 3)
        valid = fractions and all(value > 0 for value in fractions) and abs(sum(fractions) - 1) < 1e-6
        _require(valid, "training", "fractions", "three positive numbers that add up to 1", self.fractions)
        _require(self.selector in SELECTORS, "training", "selector", f"one of {', '.join(SELECTORS)}", self.selector)
        _require(self.weighting in WEIGHTINGS, "training", "weighting", "'fixed' or 'learned'", self.weighting)
        watch = WATCHED if self.watch == "all" else self.watch
        valid = isinstance(watch, list | tuple) and all(name in WATCHED for name in watch)
        _require(valid, "training", "watch", f"'all' or a list of {', '.join(WATCHED)}", watch)
        object.__setattr__(self, "watch", tuple(watch))
        precisions = ", ".join(PRECISIONS)
        _require(self.precision in PRECISIONS, "training", "precision", f"one of {precisions}", self.precision)
        _require(isinstance(self.trace, bool), "training", "trace", "true or false", self.trace)
        steps = self.post_train
        valid = isinstance(steps, list | tuple) and all(name in POST_TRAIN for name in steps)
        _require(valid, "training", "post_train", f"a list of {', '.join(POST_TRAIN)}", steps)
        object.__setattr__(self, "post_train", tuple(steps))
        object.__setattr__(self, "betas", betas)
        object.__setattr__(self, "fractions", fractions)
        if not isinstance(self.augmentation, Augmentation):
            _require(isinstance(self.augmentation, Mapping), "training", "augmentation", "a table", self.augmentation)
            made = make_config(Augmentation, self.augmentation, "recipe: [training] augmentation")
            object.__setattr__(self, "augmentation", made)


@dataclass(frozen=True)
class Recipe:
    """Every choice of a training run.

    Parameters
    ----------
    data : DataOptions
    preprocessing : `~galmerge_da.preprocessing.PreprocessingRecipe`
    model : ModelOptions
    training : TrainingOptions
    adapt : mapping of str to float or mapping
        Name of a loss -> its weight, or its ``weight`` and options.
    """

    data: DataOptions = field(default_factory=DataOptions)
    preprocessing: PreprocessingRecipe = field(default_factory=PreprocessingRecipe)
    model: ModelOptions = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    adapt: Mapping[str, float | Mapping[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values that JSON can hold; `read_recipe` takes them back.

        Returns
        -------
        dict
        """
        return {
            "data": _plain(asdict(self.data)),
            "preprocessing": self.preprocessing.to_dict(),
            "model": _plain(asdict(self.model)),
            "training": _plain(asdict(self.training)),
            "adapt": _plain(dict(self.adapt)),
        }


def read_recipe(
    recipe: str | PathLike[str] | Mapping[str, object] | Recipe | None = None,
    *,
    adapt: AdaptLike = None,
    backbone: str | None = None,
    seed: int | None = None,
) -> Recipe:
    """Make a recipe from a file or a dict, and from keywords that override it.

    Parameters
    ----------
    recipe : path-like, mapping or Recipe, optional
        A TOML file or its content; all defaults if None.
    adapt : mapping or iterable of str, optional
        Replaces the losses of the recipe; ``{}`` leaves none.
    backbone : str, optional
        Replaces ``[model] backbone``, and drops that backbone's options if it is another.
    seed : int, optional
        Replaces ``[training] seed``.

    Returns
    -------
    Recipe

    Raises
    ------
    ConfigError
        If the file is not TOML, or an entry is unknown (the closest one is
        suggested) or wrong.
    FileNotFoundError
        If there is no such file.
    """
    tables = recipe.to_dict() if isinstance(recipe, Recipe) else read_tables(recipe)
    known = ("data", "preprocessing", "model", "training", "adapt")
    for name, table in tables.items():
        if name not in known:
            raise ConfigError(f"recipe: no table [{name}]{suggest(name, known)}")
        if not isinstance(table, Mapping):
            raise ConfigError(f"recipe: {name} must be a table, got {table!r}")
    model, training = dict(tables.get("model", {})), dict(tables.get("training", {}))
    if backbone is not None:
        if backbone != model.get("backbone", ModelOptions.backbone):
            model.pop("options", None)
        model["backbone"] = backbone
    if seed is not None:
        training["seed"] = seed
    return Recipe(
        data=make_config(DataOptions, tables.get("data"), "recipe: [data]"),
        preprocessing=PreprocessingRecipe.from_dict(tables.get("preprocessing", {})),
        model=make_config(ModelOptions, model, "recipe: [model]"),
        training=make_config(TrainingOptions, training, "recipe: [training]"),
        adapt=parse_adapt(tables.get("adapt", {}) if adapt is None else adapt),
    )


def read_tables(recipe: str | PathLike[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """The tables of a recipe as they were written, nothing checked.

    Parameters
    ----------
    recipe : path-like, mapping or None

    Returns
    -------
    dict

    Raises
    ------
    ConfigError
        If it is neither, or the file is not TOML.
    FileNotFoundError
        If there is no such file.
    """
    if recipe is None or isinstance(recipe, Mapping):
        return dict(recipe or {})
    if not isinstance(recipe, str | PathLike):
        raise ConfigError(f"recipe must be a path or a dict of tables, got {recipe!r}")
    try:
        with Path(recipe).open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"no recipe {recipe}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{recipe} is not a TOML file: {error}") from error


def check_request(recipe, *, has_target):
    """Refuse what cannot be done, before any data are read or made.

    Parameters
    ----------
    recipe : Recipe
    has_target : bool
        Whether there will be a target.

    Raises
    ------
    ConfigError
        If a loss or its options are wrong or there is no such network, or if
        something needs a target and there is none.
    """
    check_losses(recipe.adapt)
    make_config(get_backbone(recipe.model.backbone).config_class, recipe.model.options, "recipe: [model] options")
    make_config(EntranceConfig, recipe.model.entrance, "recipe: [model] entrance")
    if recipe.training.weighting == "learned" and not recipe.adapt:
        raise ConfigError("weighting = 'learned' needs losses that adapt, whose weights it learns")
    if has_target:
        return
    if recipe.adapt:
        raise ConfigError(f"{', '.join(recipe.adapt)}: losses that adapt need a target")
    if recipe.training.post_train:
        raise ConfigError(f"post_train: {', '.join(recipe.training.post_train)} needs a target")
    if recipe.training.selector in WATCHED:
        raise ConfigError(f"selector {recipe.training.selector!r} needs a target")


def _require(condition, table, key, expected, got):
    if not condition:
        raise ConfigError(f"recipe: [{table}] {key} must be {expected}, got {got!r}")


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) < float("inf")


def _numbers(values, length):
    """``values`` as a tuple of floats, or None if it is not so many numbers."""
    if not isinstance(values, list | tuple) or len(values) != length or not all(map(_is_number, values)):
        return None
    return tuple(float(value) for value in values)


def _plain(value):
    """``value`` with every mapping as a dict, every sequence as a list, and what JSON cannot hold as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
