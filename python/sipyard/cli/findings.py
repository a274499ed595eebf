"""The findings of a check for people (in colour where the terminal has it) and for programs (JSON)."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from sipyard.script import Problem, Report, Severity

SCHEMA: Final = 1
"""Version of the JSON; it grows when a key changes its meaning or goes."""

_STYLES: Final = {
    "place": "bold",
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
    "message": "",
    "rule": "dim",
    "code": "",
    "gutter": "blue",
    "hint": "green",
    "reason": "italic",
    "end": "",
    "good": "bold green",
    "bad": "bold red",
}


def show(report: Report) -> None:
    """Print to standard output. Colours need a terminal (or FORCE_COLOR) and no NO_COLOR."""
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True, markup=False, emoji=False)
    if not console.is_terminal or os.environ.get("NO_COLOR"):
        sys.stdout.write(_printable(report.text()))
        return
    text = Text()
    for piece in report.pieces():
        text.append(_printable(piece.text), _STYLES[piece.role])
    console.print(text, end="")


def _printable(text: str) -> str:
    """Bytes of a script that are no UTF-8, and control characters, shown as escapes."""
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in shown)


def as_json(report: Report) -> str:
    """One object; docs/guides/check.md says what its keys mean."""
    counts = {severity: 0 for severity in Severity}
    for problem in report.problems:
        counts[problem.severity] += 1
    return json.dumps(
        {
            "schema": SCHEMA,
            "file": report.source.file,
            "good": report.is_good,
            "generation": str(report.generation),
            "generation_reason": report.reason,
            "errors": counts[Severity.ERROR],
            "warnings": counts[Severity.WARNING],
            "notes": counts[Severity.NOTE],
            "findings": [_finding(each) for each in sorted(report.problems, key=lambda each: each.place)],
        },
        indent=2,
    )


def _finding(problem: Problem) -> dict[str, Any]:
    place = problem.place
    return {
        "severity": problem.severity.name.lower(),
        "message": problem.message,
        "hint": problem.hint,
        "rule": problem.rule,
        "reason": problem.reason,
        "reference": problem.reference,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "end_line": place.end_line or place.line,
        "end_column": place.end_column or place.column + 1,
    }
