"""SIP lint: what a script is allowed to say but hardly means.

`subject.py` is what rules look at, `flow.py` the control flow, `effects.py` what functions do to a message;
`replies.py`, `relaying.py`, `blocks.py` and `attributes.py` hold the rules, each a declaration with its
reason and a function that finds where it is broken. docs/guides/check.md lists them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipyard.script.lint import attributes, blocks, relaying, replies
from sipyard.script.lint.allowed import allowances, without_allowed
from sipyard.script.lint.rule import RULES, Finding, Rule
from sipyard.script.lint.subject import Subject
from sipyard.script.source import Findings, Problem, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RULES", "Finding", "Rule", "Subject", "attributes", "blocks", "lint", "relaying", "replies"]


def lint(subject: Subject, source: Source) -> list[Problem]:
    """All findings about a script, but for those that comments in it allow."""
    findings = Findings()
    allowed = allowances(source, findings)
    problems = without_allowed(list(_problems(subject)), allowed, findings)
    return [*problems, *findings.problems]


def _problems(subject: Subject) -> Iterator[Problem]:
    for rule in RULES.values():
        for finding in rule.find(subject):
            hint = finding.mend or rule.mend
            yield Problem(
                rule.severity, finding.message, finding.place, hint, rule.id, rule.reason, rule.source
            )
