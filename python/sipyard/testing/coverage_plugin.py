"""coverage.py plugin: which lines and branches of SER scripts ran.

    [run]
    plugins = sipyard.testing.coverage_plugin
    branch = true

    [sipyard.testing.coverage_plugin]
    suffixes = .cfg .ser

A compiled route carries the script's file name and lines, so the tracer needs no help; what coverage.py does
not know is which lines of a script could run. They are read from the code that the script compiles to.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

from coverage.exceptions import CoverageException
from coverage.plugin import CoveragePlugin, FileReporter, FileTracer

from sipyard.script.check import read_file
from sipyard.script.compile import Compiler
from sipyard.script.tree import If, Statement, Tree

if TYPE_CHECKING:
    from coverage.plugin_support import Plugins
    from coverage.types import TArc, TLineNo

_ENDS = frozenset({"RETURN_VALUE", "RETURN_CONST"})
_LEAVES = frozenset({"RAISE_VARARGS", "RERAISE", *_ENDS})


class ScriptPlugin(CoveragePlugin):
    """Claims files by their suffix."""

    def __init__(self, suffixes: Iterable[str]) -> None:
        self.suffixes = tuple(suffixes)

    def file_tracer(self, filename: str) -> FileTracer | None:
        """A tracer for what was compiled from a script."""
        return ScriptTracer(filename) if filename.endswith(self.suffixes) else None

    def file_reporter(self, filename: str) -> FileReporter:
        """What coverage.py asks about a script."""
        return ScriptReporter(filename)

    def find_executable_files(self, src_dir: str) -> Iterator[str]:
        """Scripts below a directory, so that one which no test loads is reported at 0 %."""
        for path in sorted(Path(src_dir).rglob("*")):
            if path.name.endswith(self.suffixes) and path.is_file() and read_file(path).tree.routes:
                yield str(path)

    def configure(self, config: Any) -> None:
        """Nothing: the tracer needs no settings of the run."""

    def sys_info(self) -> list[tuple[str, str]]:
        """For `coverage debug sys`."""
        return [("suffixes", " ".join(self.suffixes))]


class ScriptTracer(FileTracer):
    """Lines of a script's code are lines of the script."""

    def __init__(self, filename: str) -> None:
        self.filename = filename

    def source_filename(self) -> str:
        """The script."""
        return self.filename


class ScriptReporter(FileReporter):
    """Lines and arcs that a script has."""

    @cached_property
    def _checked(self) -> tuple[Tree, CodeType]:
        checked = read_file(self.filename)
        if not checked.report.is_good:
            raise CoverageException(f"Couldn't read '{self.filename}':\n{checked.report.text(notes=False)}")
        return checked.tree, Compiler(checked.tree, self.filename, checked.report.generation).code()

    @cached_property
    def _first_lines(self) -> dict[int, int]:
        """Lines of statements and conditions that go on over several, to their first line."""
        first: dict[int, int] = {}
        for statement in _statements(self._checked[0]):
            ends = statement.condition.place if isinstance(statement, If) else statement.place
            for line in range(statement.place.line, (ends.end_line or ends.line) + 1):
                first.setdefault(line, statement.place.line)
        return first

    @cached_property
    def _arcs(self) -> set[TArc]:
        tree, code = self._checked
        conditions = {each.place.line for each in _statements(tree) if isinstance(each, If)}
        found: set[TArc] = set()
        for each in _codes(code):
            if each is code:
                continue  # defining blocks branches nowhere
            arcs = self.translate_arcs(_arcs_of(each))
            found |= {arc for arc in arcs if not _is_implied(arc, arcs, conditions)}
        return found

    def source(self) -> str:
        """The script's text; bytes that are not UTF-8 are replaced."""
        return Path(self.filename).read_text("utf-8", "replace")

    def lines(self) -> set[TLineNo]:
        """Lines that can run: route blocks and statements."""
        found = {line for code in _codes(self._checked[1]) for _, line in dis.findlinestarts(code) if line}
        return self.translate_lines(found)

    def arcs(self) -> set[TArc]:
        """Ways from line to line; a negative end is the way into or out of a block."""
        return self._arcs

    def exit_counts(self) -> dict[TLineNo, int]:
        """How many ways lead on from each line; those with more than one are branches."""
        counts: dict[TLineNo, int] = {}
        for start, _ in self._arcs:
            if start > 0:
                counts[start] = counts.get(start, 0) + 1
        return counts

    def translate_lines(self, lines: Iterable[TLineNo]) -> set[TLineNo]:
        """A statement over several lines counts as its first one."""
        return {self._first_lines.get(line, line) for line in lines}

    def translate_arcs(self, arcs: Iterable[TArc]) -> set[TArc]:
        """The same for arcs."""
        first = self._first_lines
        translated = {(first.get(start, start), first.get(end, end)) for start, end in arcs}
        return {arc for arc in translated if arc[0] != arc[1]}


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all that it defines."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _statements(tree: Tree) -> Iterator[Statement]:
    waiting = [statement for route in tree.routes for statement in route.body]
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, If):
            waiting += [*statement.then, *(statement.otherwise or ())]


def _is_implied(arc: TArc, arcs: set[TArc], conditions: set[int]) -> bool:
    """A call that returns 0 ends the script: a way out of the block that nobody wrote. It is no branch that a
    test must take."""
    start, end = arc
    if end >= 0 or start < 0:
        return False
    others = sum(1 for each in arcs if each[0] == start and each[1] > 0)
    return others >= (2 if start in conditions else 1)


def _arcs_of(code: CodeType) -> set[TArc]:
    """Every way from one line to another that the instructions allow, those of exceptions left out."""
    steps = list(dis.get_instructions(code))
    index = {step.offset: number for number, step in enumerate(steps)}
    lines = _lines_of(code, steps)
    outside = -code.co_firstlineno
    arcs: set[TArc] = set()
    seen: set[tuple[int, int]] = set()
    waiting = [(0, outside)]
    while waiting:
        number, before = waiting.pop()
        if (number, before) in seen or number >= len(steps):
            continue
        seen.add((number, before))
        step, line = steps[number], lines[number] or before
        if before == outside and line == code.co_firstlineno:
            line = outside  # what makes it a coroutine; no line is reported there
        elif line != before:
            arcs.add((before, line))
        if step.opname in _ENDS:
            arcs.add((line, outside))
        if step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
            waiting.append((index[step.argval], line))
        if step.opname not in _LEAVES and not _always_jumps(step.opname):
            waiting.append((number + 1, line))
    return arcs


def _always_jumps(name: str) -> bool:
    return name.startswith("JUMP_") and "IF" not in name


def _lines_of(code: CodeType, steps: list[dis.Instruction]) -> list[int | None]:
    by_offset: dict[int, int | None] = {
        offset: line for start, end, line in code.co_lines() for offset in range(start, end, 2)
    }
    return [by_offset.get(step.offset) for step in steps]


def coverage_init(reg: Plugins, options: dict[str, str]) -> None:
    """Called by coverage.py. Option `suffixes`: file names that are scripts, `.cfg` by default."""
    reg.add_file_tracer(ScriptPlugin(options.get("suffixes", ".cfg").split()))
