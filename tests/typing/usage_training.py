"""Training, losses, scores and figures as users and authors of plugins write them; mypy checks it, nothing runs it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from astropy.table import Table

from galmerge_da import MergerClassifier, train
from galmerge_da.adaptation import AdaptationLoss, DomainBatch, LossContext, StepContext, build_losses, functional
from galmerge_da.evaluation import (
    append_look,
    domain_gap,
    embed,
    explain_galaxy,
    gradcam,
    project,
    score_catalog,
    selection_report,
    train_forest,
)
from galmerge_da.metrics import TemperatureCalibrator, binary_scores, purity_at_prevalence, roc_curve
from galmerge_da.metrics import selection as selectors
from galmerge_da.models import EntranceConfig, Network, build_network, choose_device
from galmerge_da.plugins import LossSpec, Options, describe_plugins, get_survey, list_plugins, option, parse_adapt
from galmerge_da.testing import check_backbone_plugin, check_loss_plugin, check_survey_plugin
from galmerge_da.training import Recipe, TrainingOptions, assign_splits, read_recipe, select_epoch
from galmerge_da.visualization import (
    plot_candidates,
    plot_gradcam,
    plot_history,
    plot_montage,
    plot_roc,
    plot_roc_study,
    plot_steps,
    plot_tsne,
    write_report,
)


@dataclass(frozen=True)
class CentersConfig(Options):
    goal: float = option(0.5, "distance of the centres", above=0)


class Centers(AdaptationLoss):
    def __init__(self, config: CentersConfig, context: LossContext) -> None:
        super().__init__()
        self.goal = config.goal

    def forward(self, source: DomainBatch, target: DomainBatch, step: StepContext) -> torch.Tensor:
        return functional.mmd(source.features, target.features, bandwidths=(1.0, 2.0)) * self.goal


def check_a_plugin() -> list[str]:
    spec = LossSpec("centers", Centers, CentersConfig)
    check_loss_plugin(spec, {"goal": 0.2})
    check_survey_plugin(get_survey("sdss"))
    losses = build_losses(["mmd=1.0", "entropy"], LossContext(12, 2, torch.Generator()))
    shares: dict[str, float] = losses.weights(0.5)
    return (
        [record.spec.name for record in list_plugins("loss")]
        + [each["name"] for each in describe_plugins()]
        + [*shares]
    )


def build(folder: Path) -> Network:
    network = build_network(
        in_channels=3, image_size=75, entrance=EntranceConfig(stretch="lupton", percentiles=(1, 99))
    )
    network.entrance.fit(np.zeros((4, 3, 75, 75), np.float32)).channel_names(("g", "r", "i"))
    features, logits = network.forward(torch.zeros(1, 3, 75, 75, device=choose_device()))
    return Network.from_description(network.describe())


def train_and_look(source: Table, target: Table, labels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    recipe: Recipe = read_recipe({"training": {"epochs": 2}}, adapt={"mmd": {"weight": 1.0}}, backbone="resnet18")
    options = TrainingOptions(watch="all", trace=True, precision="full")
    result = train(source, target, recipe=recipe, adapt=parse_adapt("mmd=1.0 dann".split()), seed=options.seed)
    report = selection_report(result, labels)
    epoch: int = select_epoch(result.history, "snd") + select_epoch([{"epoch": 1, "validation_cross_entropy": 0.3}])
    for (domain, split), traced in (result.trace or {}).items():
        print(domain, split, traced.logits.shape, selectors.infomax(traced.logits[epoch]), len(report))
    inside = [embed(result.classifier, table) for table in (source, target)]
    gap = domain_gap(inside[0], inside[1], [labels, labels], seed=1)
    points = project(inside[0], "pca")
    both = project(inside, seed=1)
    plot_tsne({"MMD": {"source": (points, labels), "target": (both[1], labels)}})[0].set_title("MMD")
    return float(gap["mmd"][0]) + float(points.mean())


def score(catalog: Table, classifier: MergerClassifier, folder: Path) -> float:
    probs, labels = np.asarray(catalog["merger_prob"]), [0, 1, 1]
    scores = binary_scores(labels, probs)
    purity, completeness = purity_at_prevalence(labels, probs, 0.05)
    false, true, thresholds = roc_curve(labels, list(probs))
    calibrator = TemperatureCalibrator.fit(np.zeros((3, 2)), labels)
    again = TemperatureCalibrator.from_dict(calibrator.to_dict()).transform([[0.1, 0.9]])
    append_look(folder / "looks.jsonl", dataset="gz2", command="score", figures={"auc": scores["auc"], "n": 3})
    table = score_catalog(catalog, "label", asymmetry="asymmetry")
    forest = train_forest(catalog, labels).predict_proba(catalog)
    splits = assign_splits(["a", "b"], (0.6, 0.2, 0.2), seed=1)
    print(again.sum(), table, forest[:, 1], splits == "train", purity + completeness)
    return float(np.interp(0.1, false, true) + thresholds[1])


def draw(catalog: Table, classifier: MergerClassifier, history: Table, folder: Path) -> None:
    ax = plot_roc({"noDA": ([0, 1], np.array([0.2, 0.8]))})
    plot_history(history, ax, columns=["mmd"]).set_title("history")
    plot_montage(np.zeros((2, 3, 9, 9)), ["a", "b"], order=(2, 1, 0)).set_title("montage")
    plot_candidates(catalog, {"g": "g.fits"}, model="model.safetensors", n=20)
    plot_steps(explain_galaxy(classifier, catalog, 3, survey="sdss"))[0, 0].figure.savefig(folder / "steps.png")
    maps = gradcam(classifier, catalog, class_name="merger", device="cpu")
    plot_gradcam(np.zeros((1, 3, 9, 9)), {("MMD", "merger"): maps}, rows=["a"], probs={"MMD": [0.4]})
    plot_roc_study({"source": {"MMD": [([0, 1], [0.1, 0.9])]}}, ax)
    write_report(
        folder / "report.html", "Report", facts={"seed": "1"}, tables={"Scores": history},
        figures={folder / "steps.png": "Steps."},
    )  # fmt: skip


def mistakes(images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    build_network("deepmerge", in_channels=3)  # type: ignore[call-arg]
    EntranceConfig(stretch="arcsinh")  # type: ignore[arg-type]
    TrainingOptions(precision="half")  # type: ignore[arg-type]
    project(images, "umap")  # type: ignore[call-overload]
    check_backbone_plugin("deepmerge")  # type: ignore[arg-type]
    plot_montage(images, columns=3)  # type: ignore[call-arg]
    binary_scores([0, 1])  # type: ignore[call-arg]
    epoch: str = select_epoch([])  # type: ignore[assignment]
    print(epoch)
