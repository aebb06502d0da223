"""Runs the examples of a page in their order, as a reader would copy them."""

import re
import shlex
import textwrap

from click.testing import CliRunner

from galmerge_da.cli import main


def blocks(path, quick=None):
    """(language, code) of the Python and console blocks of a page; words are replaced by those that make them quick."""
    found = re.findall(r"code-block:: (python|console)\n\n((?:   .*\n|\n)+)", path.read_text(encoding="utf-8"))
    codes = [(language, textwrap.dedent(code)) for language, code in found]
    for shown, other in (quick or {}).items():
        assert any(shown in code for _, code in codes), shown
        codes = [(language, code.replace(shown, other)) for language, code in codes]
    return codes


def run_lines(code):
    """Run the ``galmerge`` lines of a console block in the working directory; their output. Others are left out."""
    outputs = []
    for words in re.findall(r"^\$ galmerge (.*)", code.replace("\\\n", " "), re.MULTILINE):
        done = CliRunner().invoke(main, shlex.split(words, comments=True))
        assert done.exit_code == 0, f"galmerge {words}: {done.output} {done.exception!r}"
        outputs.append(done.output)
    return outputs


def run_page(path, quick=None):
    """Run all blocks of a page in the working directory; the names that its Python has at the end, and all output."""
    names, outputs = {}, []
    for language, code in blocks(path, quick):
        if language == "python":
            exec(code, names)
        else:
            outputs += run_lines(code)
    return names, outputs
