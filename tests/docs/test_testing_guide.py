"""The tests in docs/guides/testing.md are run as they stand there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "testing.md"


def _tests() -> dict[str, Callable[..., Any]]:
    """All test functions of the guide's Python blocks, which share one namespace."""
    namespace: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), namespace)
    return {name: value for name, value in namespace.items() if name.startswith("test_")}


@pytest.mark.parametrize(
    "name", sorted(re.findall(r"^def (test_\w+)", GUIDE.read_text("utf-8"), re.MULTILINE))
)
def test_guide(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them, in the repository's root as the guide has it."""
    monkeypatch.chdir(GUIDE.parents[2])
    test = _tests()[name]
    test(**{fixture: request.getfixturevalue(fixture) for fixture in inspect.signature(test).parameters})
