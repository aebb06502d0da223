"""Sphinx configuration, on top of that which Astropy's affiliated packages share."""

import os
import sys
from pathlib import Path

from sphinx_astropy.conf.v2 import (  # noqa: F401 - read by Sphinx
    copybutton_prompt_is_regexp,
    copybutton_prompt_text,
    default_role,
    extensions,
    html_theme,
    html_theme_options,
    linkcheck_timeout,
    numpydoc_show_class_members,
)

import galmerge_da

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "gallery")]

from tables import write_tables  # noqa: E402

project = "galmerge_da"
author = "The galmerge_da developers"
copyright = f"2026, {author}"
version = release = galmerge_da.__version__

#: Set it where there is no network: links to other packages' pages are then left as plain text.
OFFLINE = bool(os.environ.get("GALMERGE_DA_DOCS_OFFLINE"))

# formulas come from the pages themselves, not from another server
extensions = [*extensions, "sphinx-mathjax-offline", "sphinx_gallery.gen_gallery", "constants"]
exclude_patterns = ["_build", "_generated", "gallery/*.rst", "auto_gallery/*.ipynb", "sg_execution_times.rst"]
html_title = f"galmerge_da {release}"
html_theme_options = {**html_theme_options, "show_toc_level": 2, "header_links_before_dropdown": 6}
copybutton_line_continuation_character = "\\"
html_sidebars = {page: [] for page in ("index", "install", "quickstart")}  # they have no sections of their own to list
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_favicon = "_static/favicon.svg"
templates_path = ["_templates"]
autosummary_generate = True
autodoc_typehints = "none"
nitpicky = True

intersphinx_mapping = {
    "astropy": ("https://docs.astropy.org/en/stable/", None),
    "matplotlib": ("https://matplotlib.org/stable/", None),
    "numpy": ("https://numpy.org/doc/stable/", None),
    "photutils": ("https://photutils.readthedocs.io/en/stable/", None),
    "pluggy": ("https://pluggy.readthedocs.io/en/stable/", None),
    "python": ("https://docs.python.org/3/", None),
    "torch": ("https://docs.pytorch.org/docs/stable/", None),
}
nitpick_ignore = [
    # pluggy's own words about its markers
    ("py:class", "PluginManager"),
    ("py:meth", "PluginManager.add_hookspecs"),
    ("py:meth", "PluginManager.register"),
    # names within a module that have no page of their own, or one under another name
    ("py:obj", "Cutouts"),
    ("py:obj", "SimulateOptions"),
    ("py:obj", "extract_cutouts"),
    ("py:obj", "galmerge_da.training.TrainingResult"),
    ("py:obj", "mean_rank"),
    ("py:obj", "stand_in"),
]
if OFFLINE:
    standard = ["collections", "concurrent", "dataclasses", "importlib", "pathlib"]
    others = "|".join([*intersphinx_mapping, *standard])
    nitpick_ignore_regex = [("py:.*", rf"({others})\..*")]
    intersphinx_mapping = {}

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"domains\.py",
    "image_scrapers": ("gallery_tools.scrape_figures",),
    "within_subsection_order": "gallery_tools.ReadingOrder",
    "abort_on_example_error": True,
    "show_memory": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "backreferences_dir": None,
    "capture_repr": ("_repr_html_", "__str__"),
}

write_tables(HERE / "_generated")
