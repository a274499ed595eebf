"""Who keeps the deciding thread from its work: a thread that looks when it has not come by for too long.

The loop's selector takes back a mark (`is_late`) whenever it is about to wait: that is all that this costs a
message. Only while the mark stays does the watchdog look at the thread's stack, every half limit; the same
handler seen for the whole limit is named by file and line of the script or routes file.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
import threading
import time
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

from sipyard.incidents import is_own
from sipyard.loop import EndpointSelector

_log = logging.getLogger("sipyard.watchdog")
_PACKAGE: Final = str(Path(__file__).parent)
_MODULES: Final = str(Path(_PACKAGE) / "modules")
_ROUNDS: Final = (EndpointSelector.select.__code__, asyncio.Handle._run.__code__)
"""Where handlers are called from, in the end."""
_WAITING: Final = (EndpointSelector.select.__code__, selectors.EpollSelector.select.__code__)
PLACES: Final = 64
"""Different places that are counted; further ones count as one."""


class Heart(Protocol):
    """What the deciding thread passes whenever it is about to wait for something to do."""

    is_late: bool


def stack_of(frame: FrameType | None) -> Iterator[FrameType]:
    """Frames from the innermost outwards."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def handler_in(frame: FrameType) -> tuple[FrameType, str]:
    """The outermost frame of what is being handled, and its place in words: the innermost ``file:line`` of
    the script (without one, of a module), and what that has called."""
    frames = list(takewhile(lambda each: each.f_code not in _ROUNDS, stack_of(frame))) or [frame]
    own = [each for each in frames if is_own(each.f_code.co_filename)]
    own = own or [each for each in frames if each.f_code.co_filename.startswith(_MODULES)] or frames[:1]
    place = _place(own[0])
    return own[-1], place if frames[0] is own[0] else f"{place}, in {_place(frames[0])}"


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"


class Watchdog:
    """Watches the thread that makes it.

    :param heart: what that thread passes when it is idle.
    :param limit: seconds that one handler may compute or block without being named; 0: any.
    """

    def __init__(self, heart: Heart, limit: float) -> None:
        self.limit = limit
        self.stalls = 0
        self.longest = 0.0
        self.places: dict[str, int] = {}
        self._heart = heart
        self._watched = threading.get_ident()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._handler: FrameType | None = None
        self._since = 0.0
        self._named = ""

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._watch, name="sipyard-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def status(self) -> dict[str, Any]:
        """Handlers that computed or blocked too long: how many, the longest in seconds, and where."""
        return {
            "limit": self.limit,
            "stalls": self.stalls,
            "longest": round(self.longest, 3),
            "places": dict(sorted(self.places.items())),
        }

    def _watch(self) -> None:
        while not self._ended.wait(self.limit / 2 or 1.0):
            if self.limit and self._heart.is_late:
                self._look()
            else:
                self._came_back()
            self._heart.is_late = True

    def _look(self) -> None:
        """It has not come by since the last time: waiting, busy with many, or held up by one?"""
        frame = sys._current_frames().get(self._watched)
        if frame is None or frame.f_code in _WAITING:
            self._came_back()
            return
        handler, place = handler_in(frame)
        now = time.monotonic()
        if handler is not self._handler:
            self._came_back()
            self._handler, self._since = handler, now
        elif not self._named and now - self._since >= self.limit:
            self._name(place, now - self._since)

    def _name(self, place: str, seconds: float) -> None:
        self._named = place
        self.stalls += 1
        where = place if place in self.places or len(self.places) < PLACES else "elsewhere"
        self.places[where] = self.places.get(where, 0) + 1
        _log.error("%s has kept everybody waiting for %.1f s and still does", place, seconds)

    def _came_back(self) -> None:
        if self._named:
            seconds = time.monotonic() - self._since
            self.longest = max(self.longest, seconds)
            _log.warning("%s: done after about %.1f s", self._named, seconds)
        self._handler, self._named = None, ""
