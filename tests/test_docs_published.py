"""What the page on published data says is so."""

import inspect
import io
import re
import textwrap
from pathlib import Path

import numpy as np

from galmerge_da import experiments
from galmerge_da.cli import main
from galmerge_da.inference.convert import STATISTICS
from galmerge_da.io import DATASETS, download

PAGE = Path(__file__).parents[1] / "docs" / "published_data.rst"


def test_every_data_set_is_on_the_page_with_where_it_comes_from():
    text = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\* - ``(deepmerge-\w+)``", text)) == set(DATASETS)
    for dataset in DATASETS.values():
        assert re.search(r"doi:\S+", dataset.reference)[0] in text


def test_its_commands_and_options_exist():
    text = PAGE.read_text(encoding="utf-8")
    for line in re.findall(r"\$ galmerge (.*)", text):
        name, *words = line.split()
        options = {option for parameter in main.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options
        assert all(word in DATASETS for word in words if word.startswith("deepmerge"))
        if "--statistics" in words:
            assert words[words.index("--statistics") + 1] in STATISTICS


def test_its_example_reads_what_is_downloaded(file_server, tmp_path, monkeypatch):
    monkeypatch.setattr("galmerge_da.io.downloads.get_cache_dir", lambda: str(tmp_path))
    images, labels = io.BytesIO(), io.BytesIO()
    np.save(images, np.random.default_rng(0).normal(size=(6, 3, 9, 9)))
    np.save(labels, np.arange(6) % 2)
    contents = [images.getvalue(), labels.getvalue()] * 2
    file_server.publish("deepmerge-simsim", dict(zip(DATASETS["deepmerge-simsim"].files, contents, strict=True)))
    download("deepmerge-simsim", base_url=file_server.url)
    file_server.asked.clear()
    code, study = re.findall(r"code-block:: python\n\n((?:   .*\n|\n)+)", PAGE.read_text(encoding="utf-8"))
    names = {}
    exec(textwrap.dedent(code), names)
    assert len(names["source"]) == len(names["target"]) == 6 and not file_server.asked
    asked, signature = [], inspect.signature(experiments.run_sim_to_sim)
    monkeypatch.setattr(experiments, "run_sim_to_sim", lambda *a, **k: asked.append(signature.bind(*a, **k).arguments))
    exec(textwrap.dedent(study), {})
    assert asked == [{"folder": "sim-to-sim-published", "data": "deepmerge-simsim", "n": None}]
