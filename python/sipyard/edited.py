"""Which bytes of a message modules have edited, so that no two edits meet.

Edits refer to the message as received and are carried out when it is written. Two edits of the same bytes
would leave the text of both, so the second is not made: the function that asked returns -1.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from sipyard.sip.header_name import canonical

if TYPE_CHECKING:
    from sipyard._native.core import Message
    from sipyard.context import Context

_REQUEST, _REPLY = "edited", "edited.reply"


class Ranges:
    """Disjoint ranges in order; what touches or overlaps is merged."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add start..end."""
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def overlap(self, start: int, end: int) -> bool:
        """Whether a byte of start..end is in a range."""
        place = bisect_right(self._ends, start)
        return place < len(self._starts) and self._starts[place] < end

    def contain(self, offset: int) -> bool:
        """Whether an offset is strictly inside a range."""
        place = bisect_right(self._ends, offset)
        return place < len(self._starts) and self._starts[place] < offset

    def cover(self, start: int, end: int) -> bool:
        """Whether all of start..end is in one range."""
        place = bisect_left(self._ends, end)
        return place < len(self._starts) and self._starts[place] <= start


class Edited:
    """The edits of one message, by ranges of the received bytes."""

    __slots__ = ("_insertions", "_removed", "_replaced", "done", "id", "included", "raw")

    def __init__(self, message: Message) -> None:
        self.id = message.id
        self.raw = message.raw
        #: What modules did to this message that is not to be done twice, by names of their own.
        self.done: set[str] = set()
        #: Elements that were added to the sets that headers list, by the header's name in lower case.
        self.included: dict[str, set[str]] = {}
        self._replaced = Ranges()
        self._removed = Ranges()
        self._insertions: list[int] = []

    def is_free(self, start: int, end: int) -> bool:
        """Whether nothing between start and end was edited; edits that only touch it do not matter."""
        return not self._removed.overlap(start, end) and self._has_no_text(start, end)

    def _has_no_text(self, start: int, end: int) -> bool:
        if self._replaced.overlap(start, end):
            return False
        place = bisect_right(self._insertions, start)
        return place == len(self._insertions) or self._insertions[place] >= end

    def is_gone(self, start: int, end: int) -> bool:
        """Whether this range was removed."""
        return self._removed.cover(start, end)

    def replace(self, message: Message, start: int, end: int, text: bytes) -> bool:
        """Replace a range; False, and nothing done, when an edit is in it."""
        if start == end:
            return self.insert(message, start, text)
        if not self.is_free(start, end):
            return False
        self._replaced.add(start, end)
        message.replace_range(start, end, text)
        return True

    def remove(self, message: Message, start: int, end: int) -> bool:
        """Remove a range, what was removed of it before included; False when new text is in it."""
        if not self._has_no_text(start, end):
            return False
        self._removed.add(start, end)
        message.replace_range(start, end, b"")
        return True

    def insert(self, message: Message, offset: int, text: bytes) -> bool:
        """Insert; False when that place is inside an edit."""
        if self._replaced.contain(offset) or self._removed.contain(offset):
            return False
        insort(self._insertions, offset)
        message.insert_at(offset, text)
        return True

    def copy(self) -> Edited:
        """The same edits, for a copy of the message that goes ways of its own."""
        return copy.deepcopy(self)


def edited(msg: Context) -> Edited:
    """What was edited in the message of a route. Later routes of a transaction have its notes: those on the
    request's copies go on with the request's edits, each reply has its own."""
    name = _REQUEST if msg.message.is_request else _REPLY
    found = msg.note(name)
    if not isinstance(found, Edited) or found.id != msg.message.id:
        found = msg.notes[name] = Edited(msg.message)
    return found


def share_edits(msg: Context, branch: Context) -> None:
    """Tell the context of a branch, which has a copy of the message, what was edited before it was copied."""
    found = msg.note(_REQUEST)
    if isinstance(found, Edited):
        branch.notes[_REQUEST] = found.copy()


def remove_fields(msg: Context, name: str) -> int:
    """Remove every field of a header that is not edited; returns how many."""
    edits, wanted = edited(msg), canonical(name)
    fields = ((start, end) for written, _, start, end in msg.message.fields() if canonical(written) == wanted)
    return sum(edits.remove(msg.message, start, end) for start, end in fields)


def headers_start(raw: bytes) -> int:
    """Where the first header field begins."""
    return raw.find(b"\n") + 1
