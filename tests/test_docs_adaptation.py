"""The page on domain adaptation says what every loss costs."""

import re
from pathlib import Path

from galmerge_da.plugins import list_plugins

PAGE = Path(__file__).parents[1] / "docs" / "adaptation.rst"


def test_every_loss_has_its_cost():
    section = PAGE.read_text(encoding="utf-8").partition("What they cost\n")[2].partition("Label shift\n")[0]
    rows = dict(re.findall(r"^ *``([\w.=]+)`` .* (\d\.\d\d) +-?\d+\.\d$", section, re.M))
    built_in = {record.spec.name for record in list_plugins("loss") if record.distribution == "galmerge_da"}
    assert set(rows) == built_in | {"mmd.variant=published"}
    assert max(float(rows[name]) for name in ("mmd", "mmd.variant=published", "dann")) <= 1.25
