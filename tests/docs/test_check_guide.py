"""docs/guides/check.md shows what `sipyard check` prints; tools/reference.py holds its table of rules."""

from __future__ import annotations

import re
from pathlib import Path

from sipyard.script import check_text

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "check.md").read_text("utf-8")


def test_the_finding_is_shown_as_it_is_printed() -> None:
    script = re.search(r"```c\n(.*?)```", GUIDE, re.DOTALL)
    shown = re.search(r"\$ sipyard check ser.cfg\n(.*?)```", GUIDE, re.DOTALL)
    assert script is not None
    assert shown is not None
    assert check_text(script[1], "ser.cfg").text() == shown[1]
