"""From a URI to where to send: RFC 3263 for hosts that are names. Numeric hosts never come here.

SER's rules are kept where they differ from RFC 3263: unless `dns_try_naptr` asks for more, the transport is
the URI's (UDP when it names none, TLS for sips); when SRV leads nowhere, addresses are asked for; a written
port means addresses only. All that is asked for one URI is bounded: `MAX_TARGETS` targets, found at no more
than `MAX_HOSTS` hosts.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from sipyard._native.core import Uri
from sipyard.sip.dns_records import Kind, Naptr, ResolutionError, Service
from sipyard.sip.dns_settings import DnsSettings
from sipyard.sip.lookup import Budget, DnsLookup, Lookup
from sipyard.sip.transports import PORTS

if TYPE_CHECKING:
    from sipyard._native.core import Core, Target

__all__ = [
    "MAX_TARGETS",
    "Budget",
    "DnsLookup",
    "Lookup",
    "Naptr",
    "ResolutionError",
    "Resolver",
    "Service",
    "drawn",
]

MAX_TARGETS: Final = 12
MAX_HOSTS: Final = 12
MAX_TRANSPORTS: Final = 4
"""NAPTR records of one domain that are followed."""
_SERVICES: Final = {
    "udp": "_sip._udp",
    "tcp": "_sip._tcp",
    "tls": "_sips._tcp",
    "ws": "_ws._tcp",
    "wss": "_wss._tcp",
}
_NAPTR_SERVICES: Final = {"sip+d2u": "udp", "sip+d2t": "tcp", "sips+d2t": "tls"}
_log = logging.getLogger("sipyard.resolver")


class NoServiceError(ResolutionError):
    """A domain says that it has no service of this transport."""


class Place(NamedTuple):
    """Where something may be sent."""

    protocol: str
    ip: str
    port: int


class Means(NamedTuple):
    """What we can send with: transports with the address families of their sockets, and luck for draws."""

    families: Mapping[str, tuple[bool, ...]]
    dice: random.Random
    budget: Budget


class Resolver:
    """Turns URIs into ordered targets.

    :param lookup: who is asked; the system's DNS servers by default.
    :param seed: for the weighted order of SRV records, so that a test can repeat it.
    :param settings: SER's `dns_*` parameters.
    """

    def __init__(
        self,
        lookup: Lookup | None = None,
        seed: int | None = None,
        settings: DnsSettings | None = None,
    ) -> None:
        self._settings = DnsSettings() if settings is None else settings
        self.lookup: Lookup = DnsLookup(self._settings) if lookup is None else lookup
        self._random = random.Random(seed)  # noqa: S311  # spreads load, hides nothing

    @property
    def settings(self) -> DnsSettings:
        """SER's `dns_*` parameters; they may be replaced while messages wait."""
        return self._settings

    @settings.setter
    def settings(self, value: DnsSettings) -> None:
        self._settings = value
        if isinstance(self.lookup, DnsLookup):
            self.lookup.settings = value

    def budget(self) -> Budget:
        """The time that a new message has for the DNS."""
        return Budget(self._settings.deadline)

    async def targets(
        self,
        core: Core,
        text: str,
        listener: int = -1,
        budget: Budget | None = None,
        key: str | None = None,
    ) -> list[Target]:
        """Targets of a URI whose host is a name, best first.

        :param listener: index of the one to send from, -1 for any.
        :param budget: what the message has left to wait for the DNS.
        :param key: equal keys draw equally among equal SRV records: who keeps no state must send a request
            that is repeated to where it went before (RFC 3263 §4.3).
        :raises ParseError: not a URI that names a host.
        :raises ResolutionError: the name leads nowhere.
        :raises ValueError: we have no listener for its transport.
        """
        sockets = self._sockets(core, listener)
        uri = Uri(text)
        places = await self.places(uri, sockets, budget, key)
        # RFC 5922 §4: the peer's certificate must be for the name that was asked for.
        return [core.named(core.target_for(*place, listener), uri.host) for place in places]

    async def places(
        self,
        uri: Uri,
        sockets: Mapping[str, tuple[bool, ...]],
        budget: Budget | None = None,
        key: str | None = None,
    ) -> list[Place]:
        """As `targets`, for sockets of these transports and address families (True is IPv6), best first."""
        if uri.scheme not in ("sip", "sips"):
            raise ResolutionError(f"{uri.scheme}: URIs cannot be routed to")
        dice = self._random if key is None else random.Random(key)  # noqa: S311  # as above
        means = Means(sockets, dice, self.budget() if budget is None else budget)
        host = (uri.parameter("maddr") or uri.host).rstrip(".").lower()
        return (await self._places(uri, host, means))[:MAX_TARGETS]

    async def addresses(self, host: str, ipv6: bool, budget: Budget | None = None) -> list[str]:
        """Addresses of one family of a host, without SRV.

        :raises ResolutionError: nobody says in time whether it has any.
        """
        host = host.strip("[]").rstrip(".").lower()
        if _is_local(host):
            return ["::1" if ipv6 else "127.0.0.1"]
        return await self.lookup.addresses(host, ipv6, self.budget() if budget is None else budget)

    def _sockets(self, core: Core, listener: int) -> dict[str, tuple[bool, ...]]:
        """Transports that we could use, with the wanted address families that their sockets have."""
        listeners = core.listeners
        chosen = [listeners[listener]] if 0 <= listener < len(listeners) else listeners
        found: dict[str, tuple[bool, ...]] = {}
        for one in chosen:
            has = {":" in other.ip for other in chosen if other.protocol == one.protocol}
            found[one.protocol] = tuple(family for family in self._settings.families if family in has)
        return found

    # -- transports ------------------------------------------------------------------------------------------

    async def _places(self, uri: Uri, host: str, means: Means) -> list[Place]:
        """RFC 3263 §4.1: which transport; then §4.2: where."""
        protocol = _written_transport(uri)
        if protocol is not None and protocol not in means.families:
            raise ValueError(f"no socket for {protocol} to {host}")
        if _is_local(host):
            protocol = protocol or _usual_transport(uri, means)
            local = ["::1" if ipv6 else "127.0.0.1" for ipv6 in means.families[protocol] or (False,)]
            return [Place(protocol, ip, uri.port or PORTS[protocol]) for ip in local]
        if uri.port is not None:
            return await self._at_addresses(host, uri.port, protocol or _usual_transport(uri, means), means)
        if not self._settings.try_naptr or uri.parameter("transport") is not None:
            protocol = protocol or _usual_transport(uri, means)
            return await self._at_service(host, protocol, means)
        return await self._at_any_transport(uri, host, means)

    async def _at_service(self, host: str, protocol: str, means: Means) -> list[Place]:
        """SRV of one transport, else addresses with the default port."""
        found = await self._at_srv(f"{_SERVICES[protocol]}.{host}", protocol, means)
        return found or await self._at_addresses(host, PORTS[protocol], protocol, means)

    async def _at_any_transport(self, uri: Uri, host: str, means: Means) -> list[Place]:
        """RFC 3263 §4.1 with NAPTR; without such records SRV of each transport that we have."""
        usable = [
            protocol
            for protocol in sorted(means.families, key=self._preference, reverse=True)
            if protocol in _NAPTR_SERVICES.values() and self._preference(protocol) >= 0
        ]
        if uri.scheme == "sips":
            usable = [protocol for protocol in usable if protocol == "tls"]
        chosen = self._chosen_by_naptr(await self._naptrs(host, means), usable)
        found = await self._at_all(chosen, means)
        if not found:
            ours = [(protocol, f"{_SERVICES[protocol]}.{host}") for protocol in usable]
            found = await self._at_all(ours, means, only_first=True)
        if found:
            return found
        protocol = _usual_transport(uri, means)
        return await self._at_addresses(host, PORTS[protocol], protocol, means)

    async def _at_all(
        self, names: Sequence[tuple[str, str]], means: Means, *, only_first: bool = False
    ) -> list[Place]:
        """Places of several transports' SRV names, in their order.

        :raises NoServiceError: none is left, since a domain said that it has no such service.
        """
        self.lookup.expect([(name, "SRV") for _, name in names])
        found: list[Place] = []
        refusal: NoServiceError | None = None
        for protocol, name in names:
            try:
                found += await self._at_srv(name, protocol, means)
            except NoServiceError as error:
                refusal = error
            if found and only_first:
                break
        if not found and refusal is not None:
            raise refusal
        return found

    def _chosen_by_naptr(self, records: Sequence[Naptr], usable: Sequence[str]) -> list[tuple[str, str]]:
        """Transports and their SRV names, best first. Only the flag "s" ends at SRV (RFC 3263 §4.1); others,
        which could lead in a circle, are passed over."""
        found = [
            (record, _NAPTR_SERVICES[record.service])
            for record in records
            if record.flags == "s"
            and _NAPTR_SERVICES.get(record.service) in usable
            and record.replacement != "."
        ]

        def rank(one: tuple[Naptr, str]) -> tuple[int, ...]:
            record, protocol = one
            ours = -self._preference(protocol)
            if self._settings.ignore_naptr_order:
                return (ours, record.order, record.preference)
            return (record.order, ours, record.preference)

        found.sort(key=rank)
        return [(protocol, record.replacement) for record, protocol in found[:MAX_TRANSPORTS]]

    def _preference(self, protocol: str) -> int:
        return self._settings.preferences.get(protocol, 0)

    # -- places ----------------------------------------------------------------------------------------------

    async def _naptrs(self, host: str, means: Means) -> list[Naptr]:
        try:
            return await self.lookup.naptrs(host, means.budget)
        except ResolutionError as error:
            _log.debug("NAPTR %s: %s", host, error)
            return []

    async def _at_srv(self, name: str, protocol: str, means: Means) -> list[Place]:
        """Hosts of SRV records in order; [] when there are none, or nobody can say: SER asks for addresses
        then.

        :raises NoServiceError: the domain says that it has no such service (RFC 2782, target ".").
        """
        try:
            services = await self.lookup.services(name, means.budget)
        except ResolutionError as error:
            _log.debug("SRV %s: %s", name, error)
            return []
        if [service.host for service in services] == ["."]:
            raise NoServiceError(f"{name}: there is no such service")
        hosts = [one for one in self.ordered(services, means.dice) if one.host != "."][:MAX_HOSTS]
        families = means.families[protocol]
        self.lookup.expect([(one.host, _kind(ipv6)) for one in hosts for ipv6 in families])
        found: list[Place] = []
        for one in hosts:
            try:
                found += await self._at_addresses(one.host, one.port, protocol, means)
            except ResolutionError as error:  # the next one may have an address
                _log.debug("SRV %s: %s", name, error)
            if len(found) >= MAX_TARGETS:
                break
        return found

    async def _at_addresses(self, host: str, port: int, protocol: str, means: Means) -> list[Place]:
        """Addresses of a host, those of the preferred family first.

        :raises ResolutionError: it has none that we could send to.
        """
        found: list[Place] = []
        failure: ResolutionError | None = None
        families = means.families[protocol]
        if len(families) > 1:
            self.lookup.expect([(host, _kind(ipv6)) for ipv6 in families])
        for ipv6 in families:
            try:
                found += [
                    Place(protocol, ip, port) for ip in await self.lookup.addresses(host, ipv6, means.budget)
                ]
            except ResolutionError as error:
                failure = error
        if not found:
            raise failure or ResolutionError(f"{host} has no address")
        return found

    def ordered(self, services: Sequence[Service], dice: random.Random) -> list[Service]:
        """RFC 2782: ascending priority; within one, drawn by weight, or the heaviest first when load is not
        to be balanced."""
        if len(services) < 2:
            return list(services)
        found: list[Service] = []
        for priority in sorted({service.priority for service in services}):
            group = [service for service in services if service.priority == priority]
            if self._settings.balances_srv:
                found += drawn(group, dice)
            else:
                found += sorted(group, key=lambda service: -service.weight)
        return found


def drawn(group: Sequence[Service], dice: random.Random) -> list[Service]:
    """Records of one priority in an order drawn by weight (RFC 2782): each place goes to one of those that
    are left with a chance in proportion to its weight. All that weigh nothing have together the chance of a
    weight of 1."""
    left = list(group)
    dice.shuffle(left)
    left.sort(key=lambda service: service.weight > 0)
    found: list[Service] = []
    while len(left) > 1:
        total = sum(service.weight for service in left)
        number = dice.randint(1 if left[0].weight else 0, total)
        for index, service in enumerate(left):
            number -= service.weight
            if number <= 0:
                found.append(left.pop(index))
                break
    return found + left


def _is_local(host: str) -> bool:
    """RFC 6761 §6.3: the DNS is never asked for these."""
    return host == "localhost" or host.endswith(".localhost")


def _written_transport(uri: Uri) -> str | None:
    """The transport that a URI asks for, None when it leaves that open.

    :raises ResolutionError: one that there is not.
    """
    written = (uri.parameter("transport") or "").lower()
    if uri.scheme == "sips":
        return "wss" if written in ("ws", "wss") else "tls"
    if written and written not in _SERVICES:
        raise ResolutionError(f"unknown transport {written}")
    return written or None


def _usual_transport(uri: Uri, means: Means) -> str:
    """RFC 3263 §4.1: TLS for sips, else UDP, else what we have.

    :raises ValueError: we have nothing at all.
    """
    usual = "tls" if uri.scheme == "sips" else "udp"
    if usual in means.families:
        return usual
    others = [protocol for protocol in _SERVICES if protocol in means.families and uri.scheme != "sips"]
    if not others:
        raise ValueError(f"no socket for {usual}")
    return others[0]


def _kind(ipv6: bool) -> Kind:
    return "AAAA" if ipv6 else "A"
