"""Management commands about the DNS: what its cache holds, and where a URI leads (SER's `dns.*`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sipyard._native.core import ParseError
from sipyard.management.registry import CHANGES, RpcFault
from sipyard.sip.dns_records import KINDS, ResolutionError
from sipyard.sip.lookup import DnsLookup

if TYPE_CHECKING:
    from sipyard.engine import Engine


class DnsCommands:
    """Commands about one engine's resolver."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def declare(self) -> None:
        """Offer them."""
        add = self._engine.commands.add
        add("dns.mem_info", self.memory)
        add("dns.stats", self.statistics)
        add("dns.debug", self.summary)
        add("dns.debug_all", self.view)
        add("dns.view", self.view)
        add("dns.lookup", self.lookup)
        add("dns.resolve", self.resolve)
        add("dns.delete", self.delete, traits=CHANGES)
        add("dns.delete_all", self.delete_all, traits=CHANGES)

    @property
    def _lookup(self) -> DnsLookup:
        lookup = self._engine.resolver.lookup
        if not isinstance(lookup, DnsLookup):
            raise RpcFault(500, "this server asks no DNS")
        return lookup

    def memory(self) -> list[int]:
        """Bytes that the cache takes, about, and the most that it may take."""
        return [self._lookup.cache.used, self._engine.resolver.settings.cache_memory]

    def statistics(self) -> dict[str, int]:
        """What became of questions since the start: known (in the cache), joined (one that was under way),
        asked, failed, too_late for the message, stale (an old answer served), refused (too many); and how
        many are under_way now."""
        return {**asdict(self._lookup.counters), "under_way": self._lookup.under_way}

    def summary(self) -> list[dict[str, str | int]]:
        """What the cache holds: name, type, how many records, and the seconds for which they hold."""
        return [
            {
                "name": each["name"],
                "type": each["type"],
                "records": len(each["records"]),
                "expires": each["expires"],
            }
            for each in self._entries()
        ]

    def view(self) -> list[dict[str, Any]]:
        """What the cache holds, with every record."""
        return list(self._entries())

    def lookup(self, kind: str, name: str) -> dict[str, Any]:
        """What the cache holds of one type (A, AAAA, SRV, NAPTR) and name; 404 when it holds nothing."""
        if kind.upper() not in KINDS:
            raise RpcFault(400, f"type must be one of {', '.join(KINDS)}, not {kind}")
        wanted = name.lower().rstrip(".")
        for each in self._entries():
            if (each["type"], each["name"].rstrip(".")) == (kind.upper(), wanted):
                return each
        raise RpcFault(404, f"{kind.upper()} {wanted} is not in the cache")

    async def resolve(self, uri: str) -> list[dict[str, str | int]]:
        """Where a request to a URI would go now, in the order of trying (RFC 3263; the DNS is asked if need
        be)."""
        core = self._engine.core
        try:
            known = core.target(uri)
            targets = [known] if known is not None else await self._engine.resolver.targets(core, uri)
        except ParseError as error:
            raise RpcFault(400, f"{uri} is not a URI: {error}") from error
        except (ResolutionError, ValueError) as error:
            raise RpcFault(404, str(error)) from error
        return [{"proto": one.protocol, "ip": one.ip, "port": one.port} for one in targets]

    def delete(self, name: str) -> int:
        """Forget what the cache holds of a name; returns how many answers."""
        return self._lookup.cache.forget(name.lower().rstrip(".")) if name.strip(".") else 0

    def delete_all(self) -> int:
        """Forget all that the cache holds; returns how many answers."""
        return self._lookup.cache.forget()

    def _entries(self) -> Iterator[dict[str, Any]]:
        now = asyncio.get_running_loop().time()
        for name, kind, entry in self._lookup.cache.entries(now):
            yield {
                "name": name,
                "type": kind,
                "expires": round(entry.until - now),
                "failure": entry.failure,
                "stale": entry.is_stale,
                "records": [
                    record if isinstance(record, str) else record._asdict() for record in entry.records
                ],
            }
