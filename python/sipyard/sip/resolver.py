"""From a URI to where to send: RFC 3263 for hosts that are names. Numeric hosts never come here.

SER's rules are kept where they differ from RFC 3263: the transport is the URI's (UDP when it names none,
TLS for sips), so NAPTR is not asked; a written port means addresses only. Answers are kept as long as
their TTL allows; one question is asked once however many messages wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from sipyard._native.core import Uri

if TYPE_CHECKING:
    from sipyard._native.core import Core, Target

MAX_TARGETS: Final = 12
_SERVICES: Final = {
    "udp": "_sip._udp",
    "tcp": "_sip._tcp",
    "tls": "_sips._tcp",
    "ws": "_ws._tcp",
    "wss": "_wss._tcp",
}
_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}
_log = logging.getLogger("sipyard.resolver")


class ResolutionError(Exception):
    """A name has no address, or nobody said in time. The peer's URI is at fault: SER answers 478."""


class Service(NamedTuple):
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    host: str


class Lookup(Protocol):
    """Questions to the DNS. Both raise ResolutionError when there is no answer in time; [] means "none"."""

    async def services(self, name: str) -> list[Service]:
        """SRV records of a name such as ``_sip._udp.example.com``."""

    async def addresses(self, name: str, ipv6: bool) -> list[str]:
        """A or AAAA records as text."""


class Resolver:
    """Turns URIs into ordered targets.

    :param lookup: who is asked; the system's DNS servers by default.
    :param seed: for the weighted order of SRV records, so that a test can repeat it.
    """

    def __init__(self, lookup: Lookup | None = None, seed: int | None = None) -> None:
        self.lookup: Lookup = DnsLookup() if lookup is None else lookup
        self.try_ipv6 = True
        self._random = random.Random(seed)  # noqa: S311  # spreads load, hides nothing

    async def targets(self, core: Core, text: str, listener: int = -1) -> list[Target]:
        """Targets of a URI whose host is a name, best first.

        :raises ParseError: not a URI that names a host.
        :raises ResolutionError: the name leads nowhere.
        :raises ValueError: we have no listener for its transport.
        """
        uri = Uri(text)
        if uri.scheme not in ("sip", "sips"):
            raise ResolutionError(f"{uri.scheme}: URIs cannot be routed to")
        protocol = "tls" if uri.scheme == "sips" else (uri.parameter("transport") or "udp").lower()
        if protocol not in _SERVICES:
            raise ResolutionError(f"unknown transport {protocol}")
        host = (uri.parameter("maddr") or uri.host).rstrip(".").lower()
        places = await self._places(host, uri.port, protocol, _families(core, listener))
        return [core.target_for(protocol, ip, port, listener) for ip, port in places[:MAX_TARGETS]]

    async def _places(
        self, host: str, port: int | None, protocol: str, families: tuple[bool, ...]
    ) -> list[tuple[str, int]]:
        """RFC 3263 §4.2: with a port addresses only, else SRV and then addresses with the default port."""
        if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 §6.3: never asked
            local = ["::1" if ipv6 else "127.0.0.1" for ipv6 in families]
            return [(ip, port or _PORTS[protocol]) for ip in local]
        found: list[tuple[str, int]] = []
        if port is None:
            for service in self._ordered(await self._services(f"{_SERVICES[protocol]}.{host}")):
                found += [(ip, service.port) for ip in await self._addresses(service.host, families)]
                if len(found) >= MAX_TARGETS:
                    break
        if not found:
            found = [(ip, port or _PORTS[protocol]) for ip in await self._addresses(host, families)]
        if not found:
            raise ResolutionError(f"{host} has no address")
        return found

    async def _services(self, name: str) -> list[Service]:
        try:
            return await self.lookup.services(name)
        except ResolutionError as error:  # SER falls back to addresses as well
            _log.debug("SRV %s: %s", name, error)
            return []

    async def _addresses(self, host: str, families: tuple[bool, ...]) -> list[str]:
        found: list[str] = []
        failure: ResolutionError | None = None
        for ipv6 in families:
            if ipv6 and not self.try_ipv6:
                continue
            try:
                found += await self.lookup.addresses(host, ipv6)
            except ResolutionError as error:
                failure = error
        if not found and failure is not None:
            raise failure
        return found

    def _ordered(self, services: list[Service]) -> list[Service]:
        """RFC 2782: ascending priority; within one, drawn by weight. A single "." says there is no
        service."""
        ordered: list[Service] = []
        for priority in sorted({service.priority for service in services}):
            group = [service for service in services if service.priority == priority and service.host != "."]
            while group:
                # Weight 0 still has a small chance beside others.
                drawn = self._random.choices(group, [service.weight or 0.01 for service in group])[0]
                group.remove(drawn)
                ordered.append(drawn)
        return ordered


def _families(core: Core, listener: int) -> tuple[bool, ...]:
    """Which address families we could send to, IPv4 first: (False,), (True,) or both."""
    listeners = core.listeners
    chosen = [listeners[listener]] if 0 <= listener < len(listeners) else listeners
    return tuple(sorted({":" in one.ip for one in chosen})) or (False,)


class DnsLookup:
    """Asks DNS servers with dnspython, whose cache keeps answers for their TTL.

    :param budget: seconds that one question may take altogether.
    :param limit: questions under way at once; more are refused, so that a flood of odd names stays cheap.
    """

    NEGATIVE_TTL: Final = 60.0
    NEGATIVE_SIZE: Final = 10_000

    def __init__(self, budget: float = 4.0, limit: int = 1000, nameservers: list[str] | None = None) -> None:
        self.budget = budget
        self.limit = limit
        self._nameservers = nameservers
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._asked: dict[tuple[str, str], asyncio.Task[dns.resolver.Answer | None]] = {}
        self._failed: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def services(self, name: str) -> list[Service]:
        answer = await self._answer(name, "SRV")
        return [
            Service(
                one.priority,
                one.weight,
                one.port,
                one.target.to_text(omit_final_dot=one.target != dns.name.root),
            )
            for one in answer or ()
        ]

    async def addresses(self, name: str, ipv6: bool) -> list[str]:
        answer = await self._answer(name, "AAAA" if ipv6 else "A")
        return [one.address for one in answer or ()]

    def _system(self) -> dns.asyncresolver.Resolver:
        """Made at the first question: reading the system's settings may fail, and many scripts need none."""
        if self._resolver is None:
            try:
                self._resolver = dns.asyncresolver.Resolver(configure=self._nameservers is None)
            except dns.exception.DNSException as error:
                raise ResolutionError(f"no DNS server is configured: {error}") from error
            if self._nameservers is not None:
                self._resolver.nameservers = list(self._nameservers)
            self._resolver.lifetime = self.budget
            self._resolver.cache = dns.resolver.LRUCache(100_000)
        return self._resolver

    async def _answer(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """The records, None when there are none. Known answers come without waiting."""
        resolver, key = self._system(), (name, kind)
        try:
            cached = resolver.cache.get((dns.name.from_text(name), dns.rdatatype.from_text(kind), 1))
        except dns.exception.DNSException as error:
            raise ResolutionError(f"{name}: {error}") from error
        if cached is not None:
            return cached if cached.rrset is not None else None
        loop = asyncio.get_running_loop()
        if self._failed.get(key, 0.0) > loop.time():
            raise ResolutionError(f"{name}: no answer a moment ago")
        task = self._asked.get(key)
        if task is None:
            if len(self._asked) >= self.limit:
                raise ResolutionError("too many DNS questions under way")
            task = self._asked[key] = loop.create_task(
                self._ask(resolver, name, kind), name=f"dns {kind} {name}"
            )
            task.add_done_callback(lambda _done: self._asked.pop(key, None))
        try:
            # shield: whoever gives up must not take the answer away from the others
            return await asyncio.shield(task)
        except ResolutionError:
            self._remember_failure(key, loop.time() + self.NEGATIVE_TTL)
            raise

    async def _ask(
        self, resolver: dns.asyncresolver.Resolver, name: str, kind: str
    ) -> dns.resolver.Answer | None:
        try:
            answer = await resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise ResolutionError(f"{name} {kind}: {error}") from error
        return answer if answer.rrset is not None else None

    def _remember_failure(self, key: tuple[str, str], until: float) -> None:
        self._failed[key] = until
        self._failed.move_to_end(key)
        while len(self._failed) > self.NEGATIVE_SIZE:
            self._failed.popitem(last=False)
