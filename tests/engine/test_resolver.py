"""RFC 3263: from names to targets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from sipyard._native.core import Core, OfflineEndpoint
from sipyard.sip.dns_records import Kind
from sipyard.sip.resolver import Budget, Naptr, ResolutionError, Resolver, Service


class Zone:
    """A DNS in a table; counts the questions."""

    def __init__(self, services: dict[str, list[Service]], addresses: dict[str, list[str]]) -> None:
        self._services = services
        self._addresses = addresses
        self.asked: list[str] = []

    async def naptrs(self, name: str, budget: Budget | None = None) -> list[Naptr]:
        self.asked.append(name)
        return []

    def expect(self, questions: Iterable[tuple[str, Kind]]) -> None:
        """Everything is known at once."""

    async def services(self, name: str, budget: Budget | None = None) -> list[Service]:
        self.asked.append(name)
        return self._services.get(name, [])

    async def addresses(self, name: str, ipv6: bool, budget: Budget | None = None) -> list[str]:
        self.asked.append(name)
        if name not in self._addresses:
            raise ResolutionError(name)
        return [ip for ip in self._addresses[name] if (":" in ip) == ipv6]


@pytest.fixture
def core() -> Core:
    endpoint = OfflineEndpoint(seed=1)
    endpoint.listen("udp", "10.0.0.1", 5060)
    return endpoint.core


def places(zone: Zone, core: Core, uri: str) -> list[tuple[str, int]]:
    targets = asyncio.run(Resolver(zone, seed=1).targets(core, uri))
    return [(target.ip, target.port) for target in targets]


ADDRESSES = {
    "example.com": ["192.0.2.1"],
    "a.example.com": ["192.0.2.10", "192.0.2.11"],
    "b.example.com": ["192.0.2.20"],
}
SERVICES = {
    "_sip._udp.example.com": [
        Service(20, 1, 5070, "b.example.com"),
        Service(10, 1, 5060, "a.example.com"),
    ]
}


def test_srv_by_priority(core: Core) -> None:
    zone = Zone(SERVICES, ADDRESSES)
    assert places(zone, core, "sip:bob@example.com") == [
        ("192.0.2.10", 5060),
        ("192.0.2.11", 5060),
        ("192.0.2.20", 5070),
    ]


def test_a_port_means_no_srv(core: Core) -> None:
    zone = Zone(SERVICES, ADDRESSES)
    assert places(zone, core, "sip:bob@example.com:5080") == [("192.0.2.1", 5080)]
    assert zone.asked == ["example.com"]


def test_no_srv_means_addresses(core: Core) -> None:
    assert places(Zone({}, ADDRESSES), core, "sip:bob@EXAMPLE.com.") == [("192.0.2.1", 5060)]


def test_maddr_is_where_it_goes(core: Core) -> None:
    uri = "sip:bob@elsewhere.invalid:5080;maddr=b.example.com"
    assert places(Zone({}, ADDRESSES), core, uri) == [("192.0.2.20", 5080)]


def test_weights_share_the_load(core: Core) -> None:
    services = {
        "_sip._udp.example.com": [Service(1, 9, 1, "a.example.com"), Service(1, 1, 2, "b.example.com")]
    }
    resolver = Resolver(Zone(services, ADDRESSES), seed=3)

    async def first() -> str:
        return (await resolver.targets(core, "sip:example.com"))[0].ip

    async def many() -> list[str]:
        return [await first() for _ in range(500)]

    drawn = asyncio.run(many())
    assert 400 < drawn.count("192.0.2.10") < 490


def test_unknown_names_and_schemes(core: Core) -> None:
    zone = Zone({}, {})
    for uri in ("sip:bob@nowhere.invalid", "mailto:bob@example.com", "sip:b@example.com;transport=pigeon"):
        with pytest.raises(ResolutionError):
            places(zone, core, uri)


def test_localhost_is_never_asked(core: Core) -> None:
    zone = Zone({}, {})
    assert places(zone, core, "sip:bob@localhost:5070") == [("127.0.0.1", 5070)]
    assert zone.asked == []
