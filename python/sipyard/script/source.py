"""The text of a script, places in it, and what was found wrong with it."""

from __future__ import annotations

import enum
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from sipyard.errors import Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sipyard.arguments import Generation


class Origin(NamedTuple):
    """Where a line of an expanded text came from."""

    file: str
    line: int


class Source:
    """A script's text. Offsets are in characters; lines and columns count from 1.

    :ivar text: what is parsed.
    :ivar written: what the author wrote: the same, unless macros were expanded (`macros.py`); then `origins`
    say where each line came from, and places are places in there.
    """

    __slots__ = ("_origins", "_starts", "_written_lines", "file", "text", "written")

    def __init__(
        self, file: str, text: str, origins: Sequence[Origin] = (), written: str | None = None
    ) -> None:
        self.file = file
        self.text = text
        self.written = text if written is None else written
        self._origins = origins
        self._written_lines = self.written.split("\n")
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def place(self, start: int, end: int) -> Place:
        """The range of characters [start, end)."""
        line = bisect_right(self._starts, start)
        last = bisect_right(self._starts, max(end - 1, start))
        column = start - self._starts[line - 1] + 1
        end_column = end - self._starts[last - 1] + 1
        if not self._origins:
            return Place(self.file, line, column, last, end_column)
        origin, end_origin = self._origins[line - 1], self._origins[last - 1]
        if end_origin.file != origin.file or end_origin.line < origin.line:
            return Place(origin.file, origin.line, column)
        return Place(origin.file, origin.line, column, end_origin.line, end_column)

    def line(self, number: int) -> str:
        """A line as it was written, without its line end; "" beyond the text."""
        if not 1 <= number <= len(self._written_lines):
            return ""
        return self._written_lines[number - 1].rstrip("\r\n")


class Severity(enum.IntEnum):
    """How bad a finding is: only errors keep a script from running."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: what, where, and what was probably meant. The lint adds its rule's id, the reason of the
    rule and where that stands (an RFC's section)."""

    severity: Severity
    message: str
    place: Place
    hint: str | None = None
    rule: str | None = None
    reason: str | None = None
    reference: str | None = None

    def __str__(self) -> str:
        rule = f" [{self.rule}]" if self.rule else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.place}: {self.severity.name.lower()}: {self.message}{rule}{hint}"


class Piece(NamedTuple):
    """A part of what is shown: its text, and what it is, by which a terminal chooses a colour: place,
    message, rule, code, gutter, hint, reason, end, good, bad, or a severity in small letters."""

    role: str
    text: str


@dataclass(slots=True)
class Findings:
    """Collects problems while a script is read; one error a place, so that a mistake is said once."""

    problems: list[Problem] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def error(self, message: str, place: Place, hint: str | None = None) -> None:
        where = (place.line, place.column)
        if where not in self._seen:
            self._seen.add(where)
            self.problems.append(Problem(Severity.ERROR, message, place, hint))

    def warning(self, message: str, place: Place, hint: str | None = None) -> None:
        self.problems.append(Problem(Severity.WARNING, message, place, hint))

    def note(self, message: str, place: Place, hint: str | None = None) -> None:
        self.problems.append(Problem(Severity.NOTE, message, place, hint))

    @property
    def errors(self) -> int:
        return sum(each.severity is Severity.ERROR for each in self.problems)


@dataclass(slots=True)
class Report:
    """The outcome of a check."""

    source: Source
    problems: list[Problem]
    generation: Generation
    reason: str

    @property
    def errors(self) -> list[Problem]:
        return [each for each in self.problems if each.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Problem]:
        return [each for each in self.problems if each.severity is Severity.WARNING]

    @property
    def is_good(self) -> bool:
        return not self.errors

    def pieces(self, notes: bool = True) -> Iterator[Piece]:
        """All findings with the line and a caret under each, then one line of summary."""
        shown = [each for each in self.problems if notes or each.severity > Severity.NOTE]
        for each in sorted(shown, key=lambda each: each.place):
            yield from render(self.source, each)
            yield Piece("end", "\n")
        verdict = "good" if self.is_good else "bad"
        counts = f"{_count(len(self.errors), 'error')}, {_count(len(self.warnings), 'warning')}"
        yield Piece("place", f"{self.source.file}: ")
        yield Piece(verdict, verdict)
        yield Piece("message", f" ({counts}); read as {self.generation}: {self.reason}\n")

    def text(self, notes: bool = True) -> str:
        """The same as plain text."""
        return "".join(each.text for each in self.pieces(notes))


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


_SHOWN: Final = 160
"""Most characters of a line that are shown; of a longer one, those around the place."""


def _window(text: str, column: int, end: int) -> tuple[str, int, int]:
    """A line as it is shown, with the columns of what is marked in it."""
    if len(text) <= _SHOWN:
        return text, column, end
    start = max(0, min(column - _SHOWN // 4, len(text) - _SHOWN))
    head, tail = "…" if start else "", "…" if start + _SHOWN < len(text) else ""
    moved = len(head) - start
    shown = head + text[start : start + _SHOWN] + tail
    return shown, column + moved, min(end + moved, len(head) + _SHOWN + 1)


def render(source: Source, problem: Problem) -> Iterator[Piece]:
    """A finding as people read it:

    ser.cfg:12:9: error: function `t_rely` is not known
       12 |     if (!t_rely()) {
          |          ^^^^^^ did you mean t_relay?
    """
    place, severity = problem.place, problem.severity.name.lower()
    yield Piece("place", f"{place}: ")
    yield Piece(severity, f"{severity}: ")
    yield Piece("message", problem.message)
    if problem.rule:
        yield Piece("rule", f" [{problem.rule}]")
    text = source.line(place.line)
    if place.file == source.file and text.strip():
        end = place.end_column if place.end_line == place.line and place.end_column else len(text) + 1
        text, column, end = _window(text, place.column, end)
        width = max(1, min(end, len(text) + 1) - column)
        lead = "".join("\t" if char == "\t" else " " for char in text[: column - 1])
        yield Piece("gutter", f"\n{place.line:5} | ")
        yield Piece("code", text)
        yield Piece("gutter", "\n      | ")
        yield Piece(severity, lead + "^" * width)
        yield Piece("hint", f" {problem.hint}" if problem.hint else "")
    elif problem.hint:
        yield Piece("hint", f"\n      {problem.hint}")
    if problem.reason:
        yield Piece("gutter", "\n      = ")
        yield Piece("reason", f"{problem.reason} ({problem.reference})")
