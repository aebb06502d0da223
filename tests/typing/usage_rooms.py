"""What users write who look into the rooms; mypy checks it, nothing runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table

from galmerge_da import Cutouts, Flag
from galmerge_da.experiments import (
    REAL_RUNS,
    RealRun,
    compare_selectors,
    format_scores,
    published_pair,
    report_real,
    run_demo,
    run_recipe,
    run_sim_to_real,
    run_sim_to_sim,
    score_real,
    train_for_survey,
)
from galmerge_da.flags import FATAL, describe_flags
from galmerge_da.inference import MergerClassifier, catalogue_meta, convert_checkpoint, default_model_path
from galmerge_da.io import (
    DATASETS,
    CutoutSource,
    download,
    fetch_cutouts,
    fetch_sdss_pictures,
    find_twins,
    load_published,
    open_cutouts,
    open_field,
    prefetch,
    save_cutouts,
)
from galmerge_da.morphology import MEASURES, gini, lotz_merger, m20, measure_morphology, segment_galaxies, smoothness
from galmerge_da.options import Options, describe_options, make_config, option, suggest
from galmerge_da.photometry import edge_background, find_nucleus, mirror_template, petrosian_radius
from galmerge_da.preprocessing import (
    Frames,
    MaskNeighbours,
    MatchPSF,
    PreprocessingRecipe,
    SubtractBackground,
    explain_steps,
    frame_radii,
    given_radii,
    linearise,
    match_bands,
    matching_kernel,
    measure_radii,
    preprocess,
    warn_of_mismatch,
    wavelengths,
)
from galmerge_da.resampling import covered, resample
from galmerge_da.scaffold import new_plugin
from galmerge_da.simulation import CLASSES, STAGES, draw_scenes, simulate
from galmerge_da.specs import LossSpec, SurveySpec
from galmerge_da.surveys import galmerge_da_surveys


def read(images: list[str], field: str, galaxies: Table) -> Iterator[Cutouts]:
    source = open_cutouts(images, bands="g,r,z", pixel_scale=0.262 * u.arcsec, zero_point=22.5, radius="measure")
    yield from prefetch(source)
    cut: CutoutSource = open_field(galaxies, {"g": field}, "8 radius", survey="decals", radius="radius")
    yield cut.read(0, 10)
    for cutouts in prefetch([source.read(), cut.read()]):
        bands: tuple[str, ...] = cutouts.bands or ("?",) * cut.n_bands
        print(len(cutouts), bands, cut.survey, cut.stretched)
        yield cutouts


def fetch(galaxies: Table, folder: Path) -> list[Path]:
    save_cutouts(fetch_cutouts(galaxies, "legacy", (75, 61), folder, rate=2), folder / "legacy.fits", overwrite=True)
    fetch_sdss_pictures(galaxies, str(folder), progress=True)
    for name, dataset in DATASETS.items():
        print(name, dataset.files, dataset.url(dataset.files[0]))
    source, target = load_published("deepmerge-simsim", folder)
    print(find_twins(np.asarray(source["image"]), similar=False).max(), len(target))
    return download("deepmerge-simsim", folder)


def prepare(cutouts: Cutouts) -> Frames:
    recipe = PreprocessingRecipe(
        ["g", "r"], 64, background="mesh", psf={"fwhm": [1.5, 1.4]}, neighbours=MaskNeighbours("all", growth=2)
    )
    again = PreprocessingRecipe.from_dict({**recipe.to_dict(), "psf": MatchPSF(1.5)})
    background: SubtractBackground = again.background
    print(background.method, [step.note for step in recipe.steps], again.psf and again.psf.fwhm)
    for view in explain_steps(cutouts, recipe, row=3):
        print(view.name, view.note, view.image.shape, bool(view.flags & FATAL))
    frames = preprocess(cutouts, recipe)
    radii = np.where(np.isnan(given_radii(cutouts)), frame_radii(frames, recipe), frames.radius)
    print(radii, measure_radii(frames.data, np.zeros((len(frames), 2))))
    warn_of_mismatch(frames.flags, open_cutouts(cutouts), recipe)
    order: list[int] = match_bands(("r", "g"), recipe.bands)
    print(order, wavelengths(["g", "r"]), matching_kernel(3, 4.5, profile="moffat").sum())
    print(resample(linearise(frames.data), 32, width=48).shape, 1 - covered((64, 64), 80.0))
    return frames


def measure(frames: Frames, classifier: MergerClassifier) -> float:
    images = frames.data.mean(axis=1)
    level, sigma = edge_background(frames.data, width=4)
    nuclei = find_nucleus(images, max_offset=5)
    radii = petrosian_radius(mirror_template(images, nuclei, threshold=3 * sigma[:, 0]), nuclei, deblend=False)
    galaxy, neighbours = segment_galaxies(images, nuclei, 9)
    mergers = lotz_merger(gini(images, galaxy), m20(images, galaxy)) > 0
    shape = measure_morphology(images - level[:, :1, None], radii)
    print([shape[name][mergers] for name in MEASURES], smoothness(images, nuclei, 9, ignore=neighbours))
    raw, calibrated = classifier.predict(frames.data, turns=True, device="cpu", batch_size=32)
    print(catalogue_meta(classifier, classifier.threshold)["GMBACK"], raw.shape, classifier.classes[1])
    return float(calibrated[:, 1].mean())


def make_galaxies(survey: SurveySpec) -> Table:
    for preset in galmerge_da_surveys():
        print(preset.name, preset.bands, preset.n_bands, preset.depth is not None)
    scenes = draw_scenes(3, seed=1)
    print([scene.stage for scene in scenes if scene.stage != STAGES[0]])
    return simulate(12, survey, classes=CLASSES, n_jobs=2)


@dataclass(frozen=True)
class Config(Options):
    """Options of a plugin."""

    scale: float = option(None, "scale", above=0, optional=True)
    kind: str = option("soft", "kind", choices=("soft", "hard"))

    def __post_init__(self) -> None:
        super().__post_init__()


def offer(folder: Path) -> list[LossSpec]:
    config = make_config(Config, {"kind": "hard"}, "mine")
    print(config.kind, [each["name"] for each in describe_options(Config)], suggest("sort", ("soft", "hard")))
    print(new_plugin("mine", "loss", folder / "mine")[0].name)
    return [LossSpec("mine", lambda config, context: None, Config)]


def study(folder: Path, labels: Table) -> None:
    print(format_scores(run_demo(folder / "demo", n=100, surveys=("sdss", "decals"))))
    scores, summary = run_sim_to_sim(folder, n=None, seeds=[1, 2])
    runs = [*REAL_RUNS[:2], RealRun("mine", {"mmd": 0.5, "entropy": {"weight": 0.05}}, composites=0.5)]
    catalogue = run_sim_to_real(folder, "pictures", runs=runs, objid="objid")
    catalogue["label"] = labels["label"]
    looked = score_real(
        catalogue, "label", [run.name for run in runs if run.sees_target], ledger=folder / "looks.jsonl"
    )
    selectors = compare_selectors(folder, catalogue, "label")
    page = report_real(folder, catalogue, call="study", scores=looked, selectors=selectors, label="label")
    train_for_survey(folder, "pictures", run=runs[-1]).save(page.with_name("model.safetensors"))
    source, target, truth = published_pair(folder, "deepmerge-simsim", n=500)
    result = run_recipe({"model": {"backbone": "deepmerge"}}, source, target, seed=3)
    result.classifier.save(default_model_path().with_name("other.safetensors"))
    convert_checkpoint(folder / "best_model.pth.tar", statistics=([0.1] * 3, [1.2] * 3)).save("old.safetensors")
    print(truth["target"].sum(), len(scores), len(summary), [meaning for _, _, meaning in describe_flags()], Flag.BLANK)


def mistakes(cutouts: Cutouts, folder: Path) -> None:
    open_cutouts("cutouts.fits", axes="WHC")  # type: ignore[arg-type]
    fetch_cutouts(Table(), "sloan", 75, folder)  # type: ignore[arg-type]
    preprocess(cutouts, {"size": 75})  # type: ignore[arg-type]
    PreprocessingRecipe(sise=75)  # type: ignore[call-arg]
    find_nucleus(np.zeros((1, 8, 8)))  # type: ignore[call-arg]
    RealRun("mine", ["mmd"])  # type: ignore[arg-type]
    simulate("3")  # type: ignore[arg-type]
    cutouts.pixels  # type: ignore[attr-defined]  # noqa: B018
