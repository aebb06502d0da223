"""Constants in the reference have the ``#:`` comment that stands above them in the source.

Autodoc looks for it only in the module that a name is imported from, and a room imports its constants from modules of
its own; without a comment, it shows what Python says of any tuple or dict.
"""

import sys

from sphinx.pycode import ModuleAnalyzer

__all__ = ["find_comment", "setup"]


def find_comment(name):
    """Lines of the comment above a constant of a room, wherever below it that is; none if there is none.

    Parameters
    ----------
    name : str
        With its module, which has been imported.

    Returns
    -------
    list of str
    """
    room, _, constant = name.rpartition(".")
    for module in sorted(each for each in sys.modules if each == room or each.startswith(f"{room}.")):
        comments = ModuleAnalyzer.for_module(module).find_attr_docs()
        if ("", constant) in comments:
            return list(comments["", constant])
    return []


def _put_comment(app, what, name, obj, options, lines):
    if what == "data" and (found := find_comment(name)):
        lines[:] = found


def setup(app):
    """Take part in a build."""
    app.connect("autodoc-process-docstring", _put_comment, priority=900)  # after numpydoc
    return {"parallel_read_safe": True}
