"""When bindings end: one list per second, one entry per binding.

A refresh costs nothing here: the entry stays where it is, and when its second comes the binding is looked
at and, if it has been refreshed, put into the list of its new end. Only a binding that is to end earlier
than its entry gets another one; the old entry is then stale, known by `contact.bucket` naming another
second. Entries of removed bindings are stale likewise and are swept a piece per tick, so registering and
leaving in a loop does not pile them up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sipyard.modules.usrloc.contact import NEVER, NO_BUCKET, Contact

SWEEP: Final = 50_000
"""Entries that one sweep looks at, about."""
STALE_ENOUGH: Final = 1_000
"""Stale entries below which nothing is swept."""
EXPIRED_A_TICK: Final = 20_000
"""Bindings that one tick reports at most; the rest wait for the next (lookup does not offer them anyway)."""


class Expiry:
    """The ends of all bindings of a table. Seconds are those of the clock that `Contact.expires` uses."""

    __slots__ = ("_buckets", "_overdue", "_past", "_to_sweep", "stale")

    def __init__(self, now: float) -> None:
        self._buckets: dict[int, list[Contact]] = {}
        self._overdue: list[Contact] = []
        self._past = int(now)
        self._to_sweep: list[int] = []
        self.stale = 0

    def __len__(self) -> int:
        """Entries, stale ones included."""
        return sum(map(len, self._buckets.values())) + len(self._overdue)

    def watch(self, contact: Contact) -> None:
        """Look at the contact when it ends; call whenever `expires` was set."""
        if contact.expires == NEVER:
            self.forget(contact)
            return
        second = int(contact.expires) + 1
        bucket = contact.bucket
        if bucket != NO_BUCKET and second >= bucket:
            return
        if second <= self._past:
            second = self._past + 1
        if bucket != NO_BUCKET:
            if second >= bucket:
                return
            self.stale += 1
        contact.bucket = second
        entries = self._buckets.get(second)
        if entries is None:
            self._buckets[second] = [contact]
        else:
            entries.append(contact)

    def forget(self, contact: Contact) -> None:
        """The contact was removed, or never ends."""
        if contact.bucket != NO_BUCKET:
            contact.bucket = NO_BUCKET
            self.stale += 1

    def ended(self, now: float) -> list[Contact]:
        """The contacts that have ended by now. Each is reported again next time unless it is forgotten or
        refreshed before."""
        overdue, self._overdue = self._overdue, []
        for second in self._seconds_until(int(now)):
            overdue += self._live_entries(second)
        ended: list[Contact] = []
        for contact in overdue:
            if contact.bucket == NO_BUCKET:  # forgotten while it waited here
                self.stale -= 1
            elif contact.expires > now:
                contact.bucket = NO_BUCKET
                self.watch(contact)
            else:
                self._overdue.append(contact)
                if len(ended) < EXPIRED_A_TICK:
                    ended.append(contact)
        return ended

    def _seconds_until(self, now: int) -> Iterator[int]:
        if now - self._past <= len(self._buckets) + 1:
            seconds = [second for second in range(self._past + 1, now + 1) if second in self._buckets]
        else:  # the clock has jumped
            seconds = sorted(second for second in self._buckets if second <= now)
        self._past = max(self._past, now)
        return iter(seconds)

    def _live_entries(self, second: int) -> list[Contact]:
        entries = self._buckets.pop(second)
        live = [contact for contact in entries if contact.bucket == second]
        self.stale -= len(entries) - len(live)
        return live

    def sweep(self, live: int) -> None:
        """Drop stale entries of some buckets when they are many compared with `live` bindings."""
        if self.stale < STALE_ENOUGH or self.stale < live // 4:
            return
        budget = SWEEP
        if not self._to_sweep:
            self._to_sweep = list(self._buckets)
        while budget > 0 and self._to_sweep:
            second = self._to_sweep.pop()
            entries = self._buckets.get(second)
            if entries is None:
                continue
            budget -= len(entries)
            kept = self._live_entries(second)
            if kept:
                self._buckets[second] = kept
