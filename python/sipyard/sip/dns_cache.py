"""What the DNS has said, kept for as long as it is true and within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sipyard.sip.dns_records import Kind, Record

if TYPE_CHECKING:
    from sipyard.sip.dns_settings import DnsSettings

STALE_TTL: Final = 30
ENTRY_BYTES: Final = 400
RECORD_BYTES: Final = 200
FAILURE_TTL: Final = 5
"""Most seconds for which it is remembered that nobody answered (RFC 9520 §3.2: at least one)."""


@dataclass(slots=True)
class Entry:
    """An answer. No records and no `failure`: there are none. `failure`: nobody could say, and why.

    :ivar until: moment of the loop's clock until which it holds.
    :ivar serves_until: until when its records serve all the same as long as nobody gives newer ones.
    :ivar is_stale: it holds no longer and serves all the same.
    """

    records: tuple[Record, ...]
    until: float
    failure: str = ""
    serves_until: float = 0.0
    is_stale: bool = False

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return ENTRY_BYTES + RECORD_BYTES * len(self.records) + len(self.failure)


class DnsCache:
    """Entries by name and kind; the one that was not used for longest makes room."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, Kind], Entry] = OrderedDict()
        self._swept_at = 0.0
        self.used = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: str, kind: Kind, now: float) -> Entry | None:
        """What is known at this moment."""
        key = (name, kind)
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until <= now:
            if entry.serves_until <= now:
                self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def has_stale(self, name: str, kind: Kind, now: float) -> bool:
        """Whether something was known that serves while nobody answers."""
        entry = self._entries.get((name, kind))
        return entry is not None and entry.serves_until > now

    def renewed(self, name: str, kind: Kind, settings: DnsSettings, now: float) -> Entry | None:
        """That, kept to serve for another moment (RFC 8767 §4: 30 seconds)."""
        entry = self._entries.get((name, kind))
        if entry is None or entry.serves_until <= now:
            return None
        entry = replace(entry, until=min(now + STALE_TTL, entry.serves_until), is_stale=True)
        self.put(name, kind, entry, settings, now)
        return entry

    def put(self, name: str, kind: Kind, entry: Entry, settings: DnsSettings, now: float) -> None:
        """Keep an answer, unless it has no time to live or there is no room for it at all."""
        key = (name, kind)
        if key in self._entries:
            self._drop(key)
        if entry.until <= now or entry.size > settings.cache_memory:
            return
        if now - self._swept_at >= max(settings.cache_gc_interval, 1):
            self.sweep(now)
        self._entries[key] = entry
        self.used += entry.size
        while self.used > settings.cache_memory:
            self._drop(next(iter(self._entries)))

    def sweep(self, now: float) -> None:
        """Drop what holds no longer."""
        self._swept_at = now
        for key in [
            key for key, entry in self._entries.items() if entry.until <= now and entry.serves_until <= now
        ]:
            self._drop(key)

    def forget(self, name: str = "") -> int:
        """Drop what is known of a name (of any kind), or everything; returns how many answers."""
        keys = [key for key in self._entries if not name or key[0] == name]
        for key in keys:
            self._drop(key)
        return len(keys)

    def entries(self, now: float) -> Iterator[tuple[str, Kind, Entry]]:
        """All that holds, the one that was not used for longest first."""
        for (name, kind), entry in self._entries.items():
            if entry.until > now:
                yield name, kind, entry

    def _drop(self, key: tuple[str, Kind]) -> None:
        self.used -= self._entries.pop(key).size


def seconds_to_keep(ttl: int, settings: DnsSettings) -> int:
    """The TTL of records within the bounds that the script sets."""
    return min(max(ttl, settings.cache_min_ttl), max(settings.cache_max_ttl, 0))


def seconds_of_absence(ttl: int | None, settings: DnsSettings) -> int:
    """How long it holds that there are no such records: the zone's word, at most the script's."""
    most = max(settings.cache_negative_ttl, 0)
    return most if ttl is None else min(ttl, most)
