"""A report as one static HTML page beside its figures."""

import os
from collections.abc import Mapping
from html import escape
from os import PathLike
from pathlib import Path

import numpy as np
from astropy.table import Table

from galmerge_da.exceptions import InputError

__all__ = ["write_report"]

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 Georgia, serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1, h2, figcaption, table {{ font-family: Helvetica, Arial, sans-serif; }}
table {{ border-collapse: collapse; font-size: 13px; }}
div {{ overflow-x: auto; }}
th, td {{ padding: 0.2rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }}
th {{ border-bottom: 2px solid #888; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1rem; font-size: 14px; }}
dt {{ font-weight: bold; }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
figure {{ margin: 2rem 0; }}
img {{ max-width: 100%; height: auto; }}
figcaption {{ font-size: 14px; color: #444; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def write_report(
    path: str | PathLike[str],
    title: str,
    *,
    facts: Mapping[str, str],
    tables: Mapping[str, Table],
    figures: Mapping[str, str] | Mapping[Path, str] | Mapping[str | PathLike[str], str],
) -> None:
    """Write a page with what was done, tables and figures.

    Parameters
    ----------
    path : path-like
        The page; an existing one is replaced. Links to the figures are relative to it.
    title : str
    facts : mapping of str to str
        How it was made: a list at the top.
    tables : mapping of str to `~astropy.table.Table`
        Heading -> table. Floats get three decimals; NaN is left empty.
    figures : mapping of path-like to str
        Image -> caption.

    Raises
    ------
    InputError
        If a figure does not exist.
    """
    path = Path(path)
    if missing := [str(figure) for figure in figures if not Path(figure).is_file()]:
        raise InputError(f"there is no figure {', '.join(missing)}")
    parts = [_facts(facts)]
    parts += [f"<h2>{escape(heading)}</h2>\n{_table(table)}" for heading, table in tables.items()]
    parts += [_figure(Path(os.path.relpath(figure, path.parent)), caption) for figure, caption in figures.items()]
    path.write_text(_PAGE.format(title=escape(title), body="\n".join(parts)), encoding="utf-8")


def _facts(facts):
    lines = [f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items()]
    return "\n".join(["<dl>", *lines, "</dl>"])


def _table(table):
    head = "".join(f"<th>{escape(name)}</th>" for name in table.colnames)
    rows = ["<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in table]
    return "\n".join(["<div><table>", f"<tr>{head}</tr>", *rows, "</table></div>"])


def _cell(value):
    if isinstance(value, float | np.floating):
        return f"{value:.3f}" if np.isfinite(value) else ""
    return escape(str(value))


def _figure(link, caption):
    return (
        f'<figure>\n<img src="{escape(link.as_posix(), quote=True)}" alt="{escape(caption, quote=True)}">\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )
