"""Compiled routes are code of the script: tracebacks, coverage and breakpoints point into it."""

from __future__ import annotations

import dis
import sys
import traceback
from pathlib import Path
from types import FrameType

import pytest

from .probe import context, load

TEXT = """# a comment
route {
    say("one");
    if (yes() &&
        broken()) {
        say("two");
    }
}
route[SUB] {
    say("three");
    broken();
}
"""


def frames(text: str, route: str, file: str) -> list[traceback.FrameSummary]:
    script, _ = load(text, None, file)
    with pytest.raises(ValueError, match="on purpose") as caught:
        script.routes[route](context()).send(None)
    return [frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename == file]


def test_tracebacks_name_the_line_and_the_route(tmp_path: Path) -> None:
    file = tmp_path / "ser.cfg"
    file.write_text(TEXT)
    (frame,) = frames(TEXT, "0", str(file))
    assert (frame.lineno, frame.name) == (5, "route")
    assert frame.line == "broken()) {"
    (frame,) = frames(TEXT, "SUB", str(file))
    assert (frame.lineno, frame.name, frame.line) == (11, "route[SUB]", "broken();")
    assert (frame.colno, frame.end_colno) == (4, 12)


def test_nested_routes_make_nested_frames() -> None:
    text = "route {\n route(SUB);\n}\nroute[SUB] {\n broken();\n}\n"
    found = [(frame.name, frame.lineno) for frame in frames(text, "0", "nested.cfg")]
    assert found == [("route", 2), ("route[SUB]", 5)]


def lines_run(text: str, file: str) -> set[int]:
    script, _ = load(text, None, file)
    assert script.main is not None
    lines: set[int] = set()

    def trace(frame: FrameType, event: str, argument: object) -> object:
        if frame.f_code.co_filename == file and event == "line":
            lines.add(frame.f_lineno)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        with pytest.raises(StopIteration):
            script.main(context()).send(None)
    finally:
        sys.settrace(before)
    return lines


def test_coverage_sees_the_lines_that_ran() -> None:
    text = 'route {\n  if (yes()) {\n    say("a");\n  } else {\n    say("b");\n  }\n  say("c");\n}\n'
    assert lines_run(text, "cover.cfg") >= {2, 3, 7}
    assert 5 not in lines_run(text, "cover.cfg")


def test_every_statement_has_a_line_to_break_on() -> None:
    script, _ = load(TEXT, None, "lines.cfg")
    lines = {line for _, line in dis.findlinestarts(script.routes["SUB"].__code__)}  # type: ignore[attr-defined]
    assert {10, 11} <= lines
