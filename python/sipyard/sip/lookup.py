"""Questions to the DNS as the resolver and modules ask them: known answers at once, one question once however
many messages wait for its answer, and no message waiting longer than its budget."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, cast

from sipyard.sip.dns_cache import FAILURE_TTL, DnsCache, Entry, seconds_of_absence, seconds_to_keep
from sipyard.sip.dns_client import DnsClient, Exchange
from sipyard.sip.dns_records import (
    MAX_ALIASES,
    NXDOMAIN,
    Kind,
    Naptr,
    Record,
    Reply,
    ResolutionError,
    Service,
    name_of,
)
from sipyard.sip.dns_servers import HOSTS, NameServers, SystemNameServers, hosts_addresses
from sipyard.sip.dns_settings import DnsSettings

MAX_ASKED: Final = 500
"""Questions under way at once; more are refused, so that a flood of odd names stays cheap."""
LONGEST_WAIT: Final = 600.0
"""Seconds that a message waits for one answer when it has no other limit."""
STALE_PATIENCE: Final = 1.8
"""Seconds that a message waits for a newer answer when there is an old one (RFC 8767 §5)."""
_log = logging.getLogger("sipyard.resolver")


class Budget:
    """Seconds that one message may still wait for the DNS, whatever it asks."""

    __slots__ = ("left",)

    def __init__(self, seconds: float) -> None:
        self.left = seconds


@dataclass(slots=True)
class DnsCounters:
    """What became of questions since the start.

    :ivar known: answered from the cache.
    :ivar joined: answered by a question that was under way already.
    :ivar asked: name servers were asked.
    :ivar failed: none of them could say.
    :ivar too_late: a message could not wait for the answer.
    :ivar stale: an answer served that held no longer.
    :ivar refused: too many were under way.
    """

    known: int = 0
    joined: int = 0
    asked: int = 0
    failed: int = 0
    too_late: int = 0
    stale: int = 0
    refused: int = 0


class Lookup(Protocol):
    """Questions to the DNS. All raise ResolutionError when there is no answer in time; [] means "none"."""

    async def naptrs(self, name: str, budget: Budget | None = None) -> list[Naptr]:
        """NAPTR records of a name, in any order."""

    async def services(self, name: str, budget: Budget | None = None) -> list[Service]:
        """SRV records of a name such as ``_sip._udp.example.com``."""

    async def addresses(self, name: str, ipv6: bool, budget: Budget | None = None) -> list[str]:
        """A or AAAA records as text."""

    def expect(self, questions: Iterable[tuple[str, Kind]]) -> None:
        """These are going to be asked: what is not known may be found out now, all at the same time."""


class DnsLookup:
    """Asks DNS servers.

    :param settings: may be replaced at any time (`settings`); what is under way goes on as it began.
    :param exchange: how bytes get to servers; sockets by default.
    :param servers: which ones, asked for with the loop's time; those of ``/etc/resolv.conf`` by default.
    """

    def __init__(
        self,
        settings: DnsSettings | None = None,
        exchange: Exchange | None = None,
        servers: Callable[[float], NameServers] | None = None,
    ) -> None:
        self.settings = DnsSettings() if settings is None else settings
        self.cache = DnsCache()
        self.counters = DnsCounters()
        self.hosts = HOSTS
        self._client = DnsClient(exchange)
        self._servers = SystemNameServers() if servers is None else servers
        self._asked: dict[tuple[str, Kind], asyncio.Task[Entry]] = {}

    async def naptrs(self, name: str, budget: Budget | None = None) -> list[Naptr]:
        """See `Lookup`."""
        return cast("list[Naptr]", await self._records(name, "NAPTR", budget))

    async def services(self, name: str, budget: Budget | None = None) -> list[Service]:
        """See `Lookup`."""
        return cast("list[Service]", await self._records(name, "SRV", budget))

    async def addresses(self, name: str, ipv6: bool, budget: Budget | None = None) -> list[str]:
        """See `Lookup`. An address is its own; without the cache ``/etc/hosts`` comes first, as in SER."""
        try:
            return [name] if (ipaddress.ip_address(name).version == 6) == ipv6 else []
        except ValueError:
            pass
        if not self.settings.use_cache and (found := hosts_addresses(name, ipv6, self.hosts)):
            return found
        return cast("list[str]", await self._records(name, "AAAA" if ipv6 else "A", budget))

    def expect(self, questions: Iterable[tuple[str, Kind]]) -> None:
        """See `Lookup`."""
        if not self.settings.use_cache:
            return  # what is found out now could not be kept until it is asked for
        now = asyncio.get_running_loop().time()
        for name, kind in questions:
            if self._known(name, kind, now) is None and len(self._asked) < MAX_ASKED:
                self._begin(name.lower(), kind)

    @property
    def under_way(self) -> int:
        """Questions that wait for an answer."""
        return len(self._asked)

    def _known(self, name: str, kind: Kind, now: float) -> Entry | None:
        return self.cache.get(name.lower(), kind, now) if self.settings.use_cache else None

    async def _records(self, name: str, kind: Kind, budget: Budget | None) -> list[Record]:
        loop = asyncio.get_running_loop()
        entry = self._known(name, kind, loop.time())
        if entry is not None:
            self.counters.known += 1
        else:
            task = self._asked.get((name.lower(), kind))
            if task is not None:
                self.counters.joined += 1
            else:
                if len(self._asked) >= MAX_ASKED:
                    self.counters.refused += 1
                    raise ResolutionError(f"{name} {kind}: too many questions under way")
                task = self._begin(name.lower(), kind)
            budget = Budget(self.settings.deadline) if budget is None else budget
            entry = await self._awaited(task, name.lower(), kind, budget)
        if entry.failure:
            raise ResolutionError(entry.failure)
        return list(entry.records)

    async def _awaited(self, task: asyncio.Task[Entry], name: str, kind: Kind, budget: Budget) -> Entry:
        """The answer to a question that is under way. Who has an old one waits for a newer one only a
        little."""
        now = asyncio.get_running_loop().time()
        has_old = self.settings.use_cache and self.cache.has_stale(name, kind, now)
        if await _in_time(task, budget, STALE_PATIENCE if has_old else None):
            return task.result()
        entry = self._stale(name, kind)
        if entry is None:
            self.counters.too_late += 1
            raise ResolutionError(f"{name} {kind}: no answer within the time that a message has for the DNS")
        return entry

    def _stale(self, name: str, kind: Kind) -> Entry | None:
        """An old answer, kept to serve for another moment."""
        if not self.settings.use_cache:
            return None
        entry = self.cache.renewed(name, kind, self.settings, asyncio.get_running_loop().time())
        self.counters.stale += entry is not None
        return entry

    def _begin(self, name: str, kind: Kind) -> asyncio.Task[Entry]:
        """Ask, as a task that nobody's impatience ends: its answer is kept for whoever comes next."""
        key = (name, kind)
        task = self._asked.get(key)
        if task is None:
            self.counters.asked += 1
            loop = asyncio.get_running_loop()
            task = self._asked[key] = loop.create_task(self._found_out(name, kind), name=f"dns {kind} {name}")
            task.add_done_callback(lambda _done: self._asked.pop(key, None))
        return task

    async def _found_out(self, name: str, kind: Kind) -> Entry:
        settings, loop = self.settings, asyncio.get_running_loop()
        try:
            reply = await self._searched(name, kind, settings)
        except ResolutionError as error:
            self.counters.failed += 1
            _log.debug("%s", error)
            seconds = min(FAILURE_TTL, max(settings.cache_negative_ttl, 0))
            entry = self._stale(name, kind) or Entry((), loop.time() + seconds, str(error))
        else:
            stale_for = max(settings.cache_stale, 0)
            seconds = (
                seconds_to_keep(reply.ttl or 0, settings)
                if reply.records
                else seconds_of_absence(reply.ttl, settings)
            )
            until = loop.time() + seconds
            entry = Entry(reply.records, until, serves_until=until + stale_for)
        if settings.use_cache:
            self.cache.put(name, kind, entry, settings, loop.time())
        return entry

    async def _searched(self, name: str, kind: Kind, settings: DnsSettings) -> Reply:
        """The answer to the first full name that the name may mean and that there is."""
        servers = self._servers(asyncio.get_running_loop().time()).as_set(settings)
        reply = Reply(NXDOMAIN, False)
        for candidate in servers.candidates(name):
            reply = await self._followed(servers, candidate, kind)
            if reply.records:
                break
        return reply

    async def _followed(self, servers: NameServers, name: str, kind: Kind) -> Reply:
        """The answer at the end of aliases that a server leaves to us (RFC 1034 §3.6.2)."""
        wanted = name_of(name)
        followed, ttl = 0, 2**31 - 1
        while True:
            reply = await self._client.ask(servers, wanted, kind)
            followed += reply.aliases
            if followed > MAX_ALIASES:
                raise ResolutionError(
                    f"{name} {kind}: more than {MAX_ALIASES} aliases, or they lead in a circle"
                )
            if reply.alias is None or reply.rcode == NXDOMAIN:
                if reply.records and reply.ttl is not None:
                    reply = Reply(reply.rcode, False, reply.records, ttl=min(ttl, reply.ttl))
                return reply
            ttl = min(ttl, reply.ttl or 0)
            wanted = reply.alias


async def _in_time(task: asyncio.Task[Entry], budget: Budget, patience: float | None) -> bool:
    """Wait for an answer as long as the budget lasts, or for `patience` seconds of it; whether it came. The
    question goes on without us."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    seconds = min(max(budget.left, 0.0), LONGEST_WAIT if patience is None else patience)
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_task: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    task.add_done_callback(wake)
    alarm = loop.call_at(begun + seconds, wake)
    try:
        await waiter
    finally:
        alarm.cancel()
        task.remove_done_callback(wake)
        budget.left -= loop.time() - begun
    return task.done()
