"""What users write; mypy checks it, nothing runs it. An ignored error that is none is an error itself."""

from pathlib import Path

from galmerge_da import (
    MergerClassifier,
    classify,
    decode_flags,
    extract_cutouts,
    find_sources,
    read_catalog,
    simulate,
    train,
    write_catalog,
)


def adapt_to_a_survey(folder: Path) -> int:
    source = simulate(100, "decals", seed=1)
    target = simulate(100, "decals", seed=2, classes=("nonmerger", "merger"))
    result = train(source, target, adapt={"mmd": 1.0, "entropy": {"weight": 0.05}}, recipe={"training": {"epochs": 1}})
    result.classifier.save(folder / "model.safetensors")
    classifier = MergerClassifier.load(folder / "model.safetensors")
    mergers = classifier.classify(target, survey="decals")
    write_catalog(mergers, folder / "mergers.fits", overwrite=True)
    return result.selected.epoch + len(read_catalog(str(folder / "mergers.fits")))


def classify_a_field(images: dict[str, str]) -> list[str]:
    sources, segments = find_sources(images, return_segments=True)
    cutouts = extract_cutouts(sources, images, "8 radius")
    mergers = classify(cutouts, radius="radius", bands=("g", "r", "z"))
    return decode_flags(int(mergers["flags"][0]))


def mistakes(images: dict[str, str]) -> None:
    simulate("many")  # type: ignore[arg-type]
    classify(images, axes="WHC")  # type: ignore[arg-type]
    classify(images, minimum=0.5)  # type: ignore[call-arg]
    train(images, adapt=1.0)  # type: ignore[arg-type]
    MergerClassifier.load(1)  # type: ignore[arg-type]
    number: int = decode_flags(3)  # type: ignore[assignment]
    print(number)
