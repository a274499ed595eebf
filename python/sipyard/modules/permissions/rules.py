"""Files of rules in the manner of hosts.allow: who may reach whom.

    # a comment
    ALL : "^sip:[0-9]{3}@"
    "^sip:boss@", "^sip:.*@office" EXCEPT "^sip:trainee" : ALL EXCEPT "^sip:00"

On the left of a colon stand expressions for the one side, on the right for the other; a rule matches when
both sides do. Expressions are POSIX extended ones, in any case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sipyard.errors import ConfigError, Place
from sipyard.regex import Regex

_TOKEN: Final = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(ALL|EXCEPT)\b|([,:])|(#.*)|(\S))')


@dataclass(frozen=True, slots=True)
class Side:
    """Expressions of one side; none mean ALL."""

    wanted: tuple[Regex, ...]
    excepted: tuple[Regex, ...]
    excepts_all: bool = False

    def matches(self, text: str) -> bool:
        """Whether the text is meant."""
        if self.wanted and not any(each.search(text) for each in self.wanted):
            return False
        return not self.excepts_all and not any(each.search(text) for each in self.excepted)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line."""

    left: Side
    right: Side


Rules = Sequence[Rule]


def matches(rules: Rules, left: str, right: str) -> bool:
    """Whether a rule is about these two."""
    return any(rule.left.matches(left) and rule.right.matches(right) for rule in rules)


def read_rules(path: Path) -> Rules:
    """All rules of a file.

    :raises ConfigError: a line is no rule, with its place. OSError: the file cannot be read.
    """
    rules = []
    text = path.read_text("utf-8").replace("\\\n", "")
    for number, line in enumerate(text.splitlines(), 1):
        try:
            rule = _rule(line)
        except ValueError as error:
            raise ConfigError(f"{error}", Place(str(path), number)) from None
        if rule is not None:
            rules.append(rule)
    return rules


def _rule(line: str) -> Rule | None:
    sides: list[list[str]] = [[]]
    place = 0
    while place < len(line.rstrip()):
        found = _TOKEN.match(line, place)
        if found is None:
            break
        quoted, word, mark, comment, odd = found.groups()
        if odd is not None:
            raise ValueError(f"{odd!r} is neither ALL, EXCEPT nor an expression in quotes")
        place = found.end()
        if mark == ":":
            sides.append([])
        elif comment is None and mark is None:
            sides[-1].append(word if quoted is None else f'"{quoted}')
    if sides == [[]]:
        return None
    if len(sides) != 2:
        raise ValueError("a rule has two sides with a colon between them")
    return Rule(_side(sides[0]), _side(sides[1]))


def _side(words: list[str]) -> Side:
    if not words:
        raise ValueError("a side of the rule is empty")
    at = words.index("EXCEPT") if "EXCEPT" in words else len(words)
    wanted, excepted = words[:at], words[at + 1 :]
    if not wanted or "EXCEPT" in excepted or (at < len(words) and not excepted):
        raise ValueError("EXCEPT stands between expressions")
    return Side(
        () if "ALL" in wanted else tuple(map(_expression, wanted)),
        tuple(_expression(word) for word in excepted if word != "ALL"),
        "ALL" in excepted,
    )


def _expression(word: str) -> Regex:
    return Regex(re.sub(r"\\([\"])", r"\1", word[1:]), ignore_case=True)
