"""Comments of a script, handed out in its order, for what is written anew from its tree."""

from __future__ import annotations

from dataclasses import dataclass

from sipyard.errors import Place
from sipyard.script.lexer import comments
from sipyard.script.source import Source


@dataclass(frozen=True, slots=True)
class Remark:
    """One comment without its signs; `lines` has at least one line."""

    place: Place
    lines: tuple[str, ...]


class Remarks:
    """All comments of a script; each is taken once."""

    def __init__(self, source: Source) -> None:
        self._waiting = [
            Remark(source.place(start, end), _lines(source.text[start:end]))
            for start, end in comments(source.text)
        ]

    def before(self, line: int, column: int = 0) -> list[Remark]:
        """Take those that begin before a position; column 0: on earlier lines only."""
        count = 0
        while count < len(self._waiting) and _at(self._waiting[count]) < (line, column):
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken


def _at(remark: Remark) -> tuple[int, int]:
    return remark.place.line, remark.place.column


def _lines(text: str) -> tuple[str, ...]:
    if text.startswith("#"):
        return (text[1:].rstrip().removeprefix(" "),)
    body = [line.strip().removeprefix("*").strip() for line in text[2:].removesuffix("*/").splitlines()]
    while body and not body[0]:
        del body[0]
    while body and not body[-1]:
        del body[-1]
    return tuple(body) or ("",)
