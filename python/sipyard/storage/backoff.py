"""How long to wait before trying again: longer each time, and never all at once."""

from __future__ import annotations

import random


class Backoff:
    """Delays that double from `first` to `most` seconds, each shortened by up to a half at random, so that
    many servers do not come back to a database in the same moment."""

    def __init__(self, first: float = 0.5, most: float = 30.0) -> None:
        self._first = first
        self._most = most
        self._next = first

    def delay(self) -> float:
        """Seconds to wait now."""
        full, self._next = self._next, min(self._next * 2, self._most)
        return full * random.uniform(0.5, 1.0)  # noqa: S311  (no secret depends on it)

    def reset(self) -> None:
        """It worked: begin with the shortest delay again."""
        self._next = self._first
