"""What goes wrong while messages are handled, logged so that a peer cannot fill the disk by repeating it."""

from __future__ import annotations

import logging
import sysconfig
import time
import traceback
from pathlib import Path
from typing import Final

from sipyard.arguments import RouteKind
from sipyard.errors import SipyardError

_log = logging.getLogger("sipyard.engine")
_PACKAGE: Final = str(Path(__file__).parent)
_NOT_OWN: Final = (
    _PACKAGE,
    "<frozen ",
    *{sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)


def is_own(file: str) -> bool:
    """Whether code of this file is a script's or a routes file's: neither ours nor a library's."""
    return not file.startswith(_NOT_OWN)


def place_of(error: BaseException) -> str:
    """``file:line`` of the script's own innermost frame, or of the innermost one when no script took part."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    chosen = own[-1:] or frames[-1:]
    return f"{chosen[0].filename}:{chosen[0].lineno}" if chosen else "unknown place"


def _unless_quit(error: BaseException) -> None:
    """A debugger's `quit` is no failure of the route that it stands in: it ends the program."""
    from bdb import BdbQuit  # nobody serves in a debugger

    if isinstance(error, BdbQuit):
        raise error


class Incidents:
    """Counts incidents by what they are, and logs the first few of each kind in every second.

    :param rate: lines of one kind in one second; how many were left out is said with the next one.
    """

    SIZE: Final = 256

    def __init__(self, rate: int = 5) -> None:
        self.rate = rate
        self.script_failures = 0
        self.given_up = 0
        self._seen: dict[str, tuple[int, int]] = {}

    def _is_due(self, kind: str) -> tuple[bool, int]:
        second = int(time.monotonic())
        since, count = self._seen.get(kind, (second, 0))
        if since == second:
            self._seen[kind] = (second, count + 1)
            return count < self.rate, 0
        if len(self._seen) >= self.SIZE:
            self._seen.clear()
        self._seen[kind] = (second, 1)
        return True, max(0, count - self.rate)

    def note(self, text: str, level: int) -> None:
        """Log a line."""
        is_due, left_out = self._is_due(text)
        if is_due:
            _log.log(level, "%s%s", text, f" ({left_out} more like this)" if left_out else "")

    def waited_too_long(self, error: BaseException, kind: RouteKind, limit: float) -> None:
        """A message was given up at its deadline; `error` was thrown where it waited."""
        self.given_up += 1
        self.note(f"{place_of(error)}: {kind.block}: given up after waiting {limit:g} s", logging.ERROR)

    def script_failed(self, error: BaseException, kind: RouteKind) -> None:
        """A route raised. Errors that nobody declared come with their traceback."""
        _unless_quit(error)
        self.script_failures += 1
        place = place_of(error)
        is_due, left_out = self._is_due(place)
        if not is_due:
            return
        more = f" ({left_out} more at this place)" if left_out else ""
        if isinstance(error, SipyardError):
            _log.error("%s: %s: %s%s", error.place or place, kind.block, error.message, more)
        else:
            _log.error(
                "%s: %s: %s: %s%s", place, kind.block, type(error).__name__, error, more, exc_info=error
            )

    def handler_failed(self, error: BaseException) -> None:
        """What stands around a route raised: a bug of ours."""
        _unless_quit(error)
        place = place_of(error)
        is_due, left_out = self._is_due(place)
        if is_due:
            more = f" ({left_out} more at this place)" if left_out else ""
            _log.error("%s: %s: %s%s", place, type(error).__name__, error, more, exc_info=error)
