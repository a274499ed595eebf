"""Every error that Sipyard raises, by whose fault it is, where it happened and what to answer.

    SipyardError
    ├── PeerError       the other side sent something wrong            -> its own 4xx/5xx
    ├── ScriptError     the routing script did something wrong         -> 500, place in the script
    ├── ConfigError     what the operator wrote cannot be loaded       -> never at run time
    ├── StorageError    a database or file did not answer              -> 500 with Retry-After
    └── InternalError   Sipyard broke a promise to itself              -> 500

Who catches: the engine catches everything once per message and answers by `answer_to`; nobody else swallows.
`sipyard._native.core.ParseError` (a ValueError with offset, header and status) is a peer's fault as well and
is mapped here without importing the extension.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A range in a text that a person wrote: lines and columns count from 1, columns in characters, the end
    column is one past the last character. An `end_column` of 0 means a single point."""

    file: str
    line: int
    column: int = 1
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def to(self, end: Place) -> Place:
        """The range from the start of this place to the end of `end`."""
        return Place(self.file, self.line, self.column, end.end_line or end.line, end.end_column)


class SipyardError(Exception):
    """Base of the tree. `message` is one sentence without a place; `place` is where it happened, if known."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place is not None else self.message


class PeerError(SipyardError):
    """The peer's message cannot be served; `status` and `reason` are what to answer (RFC 3261 §21)."""

    def __init__(
        self, message: str, status: int = 400, reason: str = "Bad Request", *, header: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.header = header


class ScriptError(SipyardError):
    """The script asked for something impossible while it ran (a bad URI to rewrite to, nesting too deep…)."""


class ConfigError(SipyardError):
    """The script or the command line cannot be loaded. `hint` says what was probably meant."""

    def __init__(self, message: str, place: Place | None = None, *, hint: str | None = None) -> None:
        super().__init__(message, place)
        self.hint = hint


class StorageError(SipyardError):
    """A store failed; `retry_after` in seconds is what a peer may be told (RFC 3261 §20.33)."""

    def __init__(self, message: str, *, retry_after: int = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InternalError(SipyardError):
    """A promise inside Sipyard was broken: a bug of ours."""


class Answer(NamedTuple):
    """What to send for an error: status, reason phrase and extra header lines (each with CRLF)."""

    status: int
    reason: str
    headers: str = ""


def answer_to(error: BaseException) -> Answer:
    """The one mapping from errors to responses. Unknown errors are ours: 500."""
    if isinstance(error, PeerError):
        return Answer(error.status, error.reason)
    if isinstance(error, StorageError):
        return Answer(500, "Server Internal Error", f"Retry-After: {error.retry_after}\r\n")
    status = getattr(error, "status", None)
    if isinstance(error, ValueError) and isinstance(status, int) and 400 <= status <= 699:
        return Answer(status, str(error).splitlines()[0][:120] if str(error) else "Bad Request")
    return Answer(500, "Server Internal Error")
