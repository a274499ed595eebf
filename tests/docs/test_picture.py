"""README's picture is what the check and a call through README's script print."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_picture_is_of_this_version() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "picture.py"))
    assert (ROOT / "docs" / "call.svg").read_text() == tool["draw"](), "run tools/picture.py"
