"""A record as a line of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sipyard.accounting.accountant import Verdict
from sipyard.sip.field_text import for_log, one_line

_WORDS: Final = {
    Verdict.ANSWERED: "transaction answered",
    Verdict.MISSED: "call missed",
    Verdict.EARLY: "early media",
    Verdict.ACKNOWLEDGED: "request acknowledged",
    Verdict.REQUEST: "request accounted",
}


def line_of(verdict: Verdict, parts: Sequence[tuple[str, str | None]]) -> str:
    """A record as one line of the log; what a peer sent cannot start another."""
    shown = ", ".join(f"{name}={for_log(one_line(value or 'n/a'))}" for name, value in parts)
    return f"ACC: {_WORDS[verdict]}: {shown}"
