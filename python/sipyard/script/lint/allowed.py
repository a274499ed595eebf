"""Comments that silence one rule at one line: `# lint: allow RULE-ID reason`.

At the end of a line the comment speaks of that line; on a line of its own, of the next line that has text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sipyard.arguments import near
from sipyard.errors import Place
from sipyard.script.lint.rule import RULES
from sipyard.script.source import Findings, Problem, Source

_PIECES: Final = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'[^']*')|(?P<block>/\*.*?\*/)|(?P<comment>\#[^\n]*)""", re.DOTALL
)
_ALLOW: Final = re.compile(r"\#\s*lint:\s*(?P<verb>\w+)?\s*(?P<rule>[\w-]+)?\s*(?P<reason>.*)")


@dataclass(slots=True)
class Allowance:
    """One comment: the line that it speaks of and the rule that it silences there."""

    line: int
    rule: str
    place: Place
    was_used: bool = False


def allowances(source: Source, findings: Findings) -> list[Allowance]:
    """All comments of a script that silence a rule; those that say nothing sensible are reported."""
    found: list[Allowance] = []
    for piece in _PIECES.finditer(source.text):
        match = _ALLOW.fullmatch(piece["comment"].rstrip()) if piece["comment"] else None
        if match is None:
            continue
        place = source.place(piece.start(), piece.end())
        name, reason = match["rule"] or "", match["reason"].strip()
        if match["verb"] != "allow" or not name:
            findings.warning("this comment silences nothing", place, "write # lint: allow RULE-ID reason")
        elif name not in RULES:
            findings.warning(f"there is no lint rule {name}", place, near(name, RULES))
        elif not reason:
            findings.warning(f"why {name} is allowed here is not said", place, "add the reason after it")
        else:
            found.append(Allowance(_line_meant(source, place), name, place))
    return found


def _line_meant(source: Source, place: Place) -> int:
    if source.line(place.line)[: place.column - 1].strip():
        return place.line
    line, last = place.line + 1, source.text.count("\n") + 1
    while line <= last and source.line(line).strip()[:1] in ("", "#"):
        line += 1
    return line


def without_allowed(problems: list[Problem], allowed: list[Allowance], findings: Findings) -> list[Problem]:
    """Those problems that no comment silences. A comment that silences nothing is noted."""
    kept = []
    for problem in problems:
        matching = [each for each in allowed if (each.line, each.rule) == (problem.place.line, problem.rule)]
        for each in matching:
            each.was_used = True
        if not matching:
            kept.append(problem)
    for each in allowed:
        if not each.was_used:
            findings.note(f"{each.rule} has nothing to say in line {each.line}", each.place, "take it out")
    return kept
