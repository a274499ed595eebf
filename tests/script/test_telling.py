"""Routes that tell what they do (`sipyard explain`) decide as those that serve."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipyard.explain.story import Teller
from sipyard.explain.telling import telling_compiler
from sipyard.script import load_script
from sipyard.script.check import read_file
from sipyard.script.program import build
from sipyard.site import Site

from .scenario import Scenario

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "path",
    [ROOT / "tests/script/translated/odd.cfg", ROOT / "examples/ser-0.9.cfg", ROOT / "examples/ser.cfg"],
    ids=lambda path: path.name,
)
def test_telling_changes_nothing(path: Path) -> None:
    """Routes that tell what they do decide as those that serve."""

    @settings(max_examples=10, deadline=None, database=None, derandomize=True)
    @given(st.integers(0, 1_000_000))
    def same(seed: int) -> None:
        checked, teller = read_file(path), Teller()
        telling = build(checked, telling_compiler(teller, checked.report.source, checked.loading))
        plain = Scenario(Site.of_script("plain", load_script(path)), seed).run()
        told = Scenario(Site.of_script("telling", telling), seed).run()
        assert plain == told

    same()
