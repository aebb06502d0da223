"""How the gallery finds its pictures."""

from sphinx_gallery.scrapers import figure_rst


def scrape_figures(block, block_vars, gallery_conf):
    """Save what a block of an example leaves in the variable ``figure``: the package draws without pyplot."""
    names = block_vars["example_globals"]
    figure = names.pop("figure", None)
    if figure is None:
        return ""
    path = next(block_vars["image_path_iterator"])
    figure.savefig(path, dpi=120, bbox_inches="tight")
    return figure_rst([path], gallery_conf["src_dir"])
