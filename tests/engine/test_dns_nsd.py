"""The DNS client and resolver against a real authoritative server on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nsd import free_port, needs_nsd, serving
from sipyard._native.core import Uri
from sipyard.sip.dns_records import MAX_RECORDS
from sipyard.sip.dns_servers import NameServer, NameServers
from sipyard.sip.resolver import DnsLookup, Naptr, ResolutionError, Resolver, Service

pytestmark = needs_nsd
MANY = "".join(
    f"_sip._udp.big SRV 1 {number % 10} 5060 h{number}\nh{number} A 10.9.{number // 250}.{number % 250 + 1}\n"
    for number in range(1000)
)
CHAIN = "".join(f"c{number} CNAME c{number + 1}\n" for number in range(12)) + "c12 A 192.0.2.12\n"
ZONE = (
    """
@                 NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp
_sip._udp         SRV 10 1 5061 a
_sip._udp         SRV 20 1 5062 b
a                 A    192.0.2.1
a                 AAAA 2001:db8::1
b                 A    192.0.2.2
loop              CNAME loop2
loop2             CNAME loop
away              CNAME a.other.test.
1.1.1             NAPTR 100 10 "u" "E2U+sip" "!^\\\\+111(.*)$!sip:\\\\1@example.test!" .
"""
    + MANY
    + CHAIN
)
OTHER = "a A 192.0.2.99\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    zones = {"example.test.": ZONE, "other.test.": OTHER}
    with serving(tmp_path_factory.mktemp("nsd"), zones) as port:
        yield port


def lookup_at(*ports: int, timeout: float = 2.0) -> DnsLookup:
    known = NameServers(tuple(NameServer("127.0.0.1", port) for port in ports), timeout=timeout)
    return DnsLookup(servers=lambda _now: known)


def test_records(port: int) -> None:
    async def main() -> None:
        lookup = lookup_at(port)
        assert await lookup.addresses("a.example.test", False) == ["192.0.2.1"]
        assert await lookup.addresses("A.Example.Test", True) == ["2001:db8::1"]
        assert await lookup.addresses("none.example.test", False) == []
        assert await lookup.addresses("away.example.test", False) == ["192.0.2.99"]
        assert sorted(await lookup.services("_sip._udp.example.test")) == [
            Service(10, 1, 5061, "a.example.test"),
            Service(20, 1, 5062, "b.example.test"),
        ]
        assert await lookup.naptrs("example.test") == [
            Naptr(10, 20, "s", "sip+d2u", "", "_sip._udp.example.test")
        ]
        assert await lookup.naptrs("1.1.1.example.test") == [
            Naptr(100, 10, "u", "e2u+sip", r"!^\+111(.*)$!sip:\1@example.test!", ".")
        ]
        kept = {(name, kind): entry for name, kind, entry in lookup.cache.entries(0)}
        now = asyncio.get_running_loop().time()
        assert 299 <= kept["a.example.test", "A"].until - now <= 300
        assert 29 <= kept["none.example.test", "A"].until - now <= 30  # the zone's SOA says so

    asyncio.run(main())


def test_where_a_uri_leads(port: int) -> None:
    async def main() -> None:
        resolver = Resolver(lookup_at(port), seed=1)
        found = await resolver.places(Uri("sip:example.test"), {"udp": (False, True)})
        assert [(place.ip, place.port) for place in found] == [
            ("192.0.2.1", 5061),
            ("2001:db8::1", 5061),
            ("192.0.2.2", 5062),
        ]

    asyncio.run(main())


def test_a_thousand_srv_records_come_by_tcp(port: int) -> None:
    """The loop is never held up for long: the answer is read up to a bound."""

    async def main() -> None:
        lookup, loop = lookup_at(port), asyncio.get_running_loop()
        gaps: list[float] = []

        async def heartbeat() -> None:
            while True:
                begun = loop.time()
                await asyncio.sleep(0)
                gaps.append(loop.time() - begun)

        beating = loop.create_task(heartbeat())
        services = await lookup.services("_sip._udp.big.example.test")
        beating.cancel()
        assert len(services) == MAX_RECORDS
        assert max(gaps) < 0.1
        found = await Resolver(lookup, seed=1).places(Uri("sip:big.example.test"), {"udp": (False,)})
        assert len(found) == 12

    asyncio.run(main())


@pytest.mark.parametrize("name", ["loop", "c0"])
def test_aliases_without_end(port: int, name: str) -> None:
    async def main() -> None:
        with pytest.raises(ResolutionError):
            await lookup_at(port).addresses(f"{name}.example.test", False)

    asyncio.run(main())


def test_aliases_that_end(port: int) -> None:
    assert asyncio.run(lookup_at(port).addresses("c4.example.test", False)) == ["192.0.2.12"]


def test_a_zone_that_is_not_its_own_is_refused(port: int) -> None:
    with pytest.raises(ResolutionError, match="refused"):
        asyncio.run(lookup_at(port).addresses("example.org", False))


def test_the_next_server_is_asked(port: int) -> None:
    """One port is closed, at another somebody listens and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))

        async def main() -> None:
            lookup = lookup_at(free_port(), silent.getsockname()[1], port, timeout=0.3)
            begun = time.monotonic()
            assert await lookup.addresses("a.example.test", False) == ["192.0.2.1"]
            assert 0.3 <= time.monotonic() - begun < 1
            begun = time.monotonic()
            assert await lookup.addresses("b.example.test", False) == ["192.0.2.2"]
            assert time.monotonic() - begun < 0.3

        asyncio.run(main())


def test_hosts_come_first_without_the_cache(port: int, tmp_path: Path) -> None:
    async def main() -> list[str]:
        lookup = lookup_at(port)
        lookup.hosts = tmp_path / "hosts"
        lookup.hosts.write_text(
            "# mine\n198.51.100.7 pbx a.example.test\n::1 a.example.test\nbad a.example.test\n"
        )
        lookup.settings = type(lookup.settings)(use_cache=False)
        return await lookup.addresses("a.example.test", False)

    assert asyncio.run(main()) == ["198.51.100.7"]
