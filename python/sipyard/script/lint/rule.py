"""A rule of the lint: a declaration and the function that finds where it is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from sipyard.errors import Place
from sipyard.script.source import Severity

if TYPE_CHECKING:
    from sipyard.script.lint.subject import Subject


class Finding(NamedTuple):
    """Where a rule is broken and how. `mend` is better advice than the rule's own, if there is any."""

    place: Place
    message: str
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """`id` is what `# lint: allow` names. `reason` says why it matters, with its source in `source`; `mend`
    how to put it right."""

    id: str
    severity: Severity
    summary: str
    reason: str
    source: str
    mend: str
    find: Callable[[Subject], Iterator[Finding]] = field(repr=False)


RULES: Final[dict[str, Rule]] = {}
"""All rules by id, in the order of declaration."""


def rule(
    identifier: str, severity: Severity, *, summary: str, reason: str, source: str, mend: str
) -> Callable[[Callable[[Subject], Iterator[Finding]]], Rule]:
    """Declare a rule; the decorated function yields what it finds in a script."""

    def declare(find: Callable[[Subject], Iterator[Finding]]) -> Rule:
        assert identifier not in RULES, identifier
        declared = Rule(identifier, severity, summary, reason, source, mend, find)
        RULES[identifier] = declared
        return declared

    return declare
