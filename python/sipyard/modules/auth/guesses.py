"""Who guesses passwords: failures by source and by user, and turns that make guessing slow.

After some failures an address may try only so often, and so may a user be tried from addresses that have not
proven to know the password: the owner, whose address has, is not held up by others' guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TABLE: Final = 50_000
"""Addresses and users that are watched; beyond, those that were quiet longest are forgotten."""
WINDOW: Final = 60.0
"""Seconds after which a failure counts half."""
KNOWN: Final = 24 * 3600.0
"""Seconds for which an address that knew a user's password may try again without waiting."""


@dataclass(slots=True)
class _Watched:
    failures: float
    since: float
    next_turn: float = 0.0


class Guesses:
    """Failures and turns.

    :param limit: failures within about a minute that are for free; 0: nobody is watched.
    :param delay: seconds between two tries beyond that.
    :param patience: seconds that a try may wait for its turn; one that would have to wait longer is refused.
    """

    def __init__(self, limit: int, delay: float, patience: float = 4.0) -> None:
        self.limit = limit
        self.delay = delay
        self.patience = patience
        self.refused = 0
        self._watched: dict[str, _Watched] = {}
        self._known: dict[tuple[str, str], float] = {}

    def turn(self, user: str, source: str, now: float) -> float | None:
        """Seconds to wait before this try is judged, None when it is refused."""
        if not self.limit or not self._watched or self._knows(user, source, now):
            return 0.0
        slow = [
            one for one in (self._of(f"ip {source}", now), self._of(f"user {user}", now)) if one is not None
        ]
        slow = [one for one in slow if one.failures > self.limit - 0.5]
        if not slow:
            return 0.0
        turn = max(now, *(one.next_turn for one in slow))
        if turn - now > self.patience:
            self.refused += 1
            return None
        for one in slow:
            one.next_turn = turn + self.delay
        return turn - now

    def _knows(self, user: str, source: str, now: float) -> bool:
        return self._known.get((user, source), 0.0) > now

    def _of(self, name: str, now: float) -> _Watched | None:
        found = self._watched.get(name)
        if found is not None:
            found.failures *= 0.5 ** ((now - found.since) / WINDOW)
            found.since = now
        return found

    def failed(self, user: str, source: str, now: float) -> None:
        """A wrong password, or an unknown user."""
        if not self.limit:
            return
        for name in (f"ip {source}", f"user {user}"):
            found = self._of(name, now)
            if found is None:
                while len(self._watched) >= TABLE:
                    del self._watched[next(iter(self._watched))]
                self._watched[name] = _Watched(1.0, now)
            else:
                found.failures += 1.0
                self._watched[name] = self._watched.pop(name)

    def succeeded(self, user: str, source: str, now: float) -> None:
        """The right password."""
        if not self.limit:
            return
        known = (user, source)
        if known not in self._known:
            while len(self._known) >= TABLE:
                del self._known[next(iter(self._known))]
        self._known[known] = now + KNOWN
