"""RFC 3665's cast: Alice at atlanta.example.com, Bob at biloxi.example.com, a proxy for each domain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sipyard.testing import Network, SipServer, UserAgent

HERE = Path(__file__).parent


@dataclass
class Cast:
    """Who plays: `ss1` is the proxy of atlanta, `ss2` of biloxi; both phones are registered."""

    network: Network
    ss1: SipServer
    ss2: SipServer
    alice: UserAgent
    bob: UserAgent


OVER_UDP = pytest.mark.parametrize("transport", ["udp"])
"""For flows that name contacts of UDP or are about sending again."""


@pytest.fixture(params=["udp", "tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    """What the phones speak; the proxies speak UDP with each other."""
    return str(request.param)


def listening(*addresses: str, transport: str) -> list[str]:
    """Where a server listens besides its address."""
    return [f"tcp:{address}" for address in addresses if transport == "tcp"]


@pytest.fixture
def cast(network: Network, transport: str) -> Cast:
    """Two domains, a proxy for each, one registered phone in each."""
    script = HERE / "proxy.cfg"
    proxies = [
        network.server(
            script,
            name=name,
            address=address,
            aliases=[domain],
            listen=listening(address, transport=transport),
        )
        for name, address, domain in (
            ("ss1", "10.1.0.1:5060", "atlanta.example.com"),
            ("ss2", "10.2.0.1:5060", "biloxi.example.com"),
        )
    ]
    ss1, ss2 = proxies
    alice = network.user_agent(
        "alice", "192.0.2.101:5060", proxy=ss1, domain="atlanta.example.com", transport=transport
    )
    bob = network.user_agent(
        "bob", "192.0.2.201:5060", proxy=ss2, domain="biloxi.example.com", transport=transport
    )
    registrations = [alice.register(), bob.register()]
    network.run(1)
    assert [each.status for each in registrations] == [200, 200]
    return Cast(network, ss1, ss2, alice, bob)


@pytest.fixture
def proxy(network: Network, transport: str) -> SipServer:
    """One registrar and proxy for biloxi.example.com."""
    address = "10.2.0.1:5060"
    listen = listening(address, transport=transport)
    return network.server(HERE / "proxy.cfg", address=address, aliases=["biloxi.example.com"], listen=listen)


@pytest.fixture
def bob(network: Network, proxy: SipServer, transport: str) -> UserAgent:
    """A phone of that domain, not registered yet."""
    return network.user_agent(
        "bob", "192.0.2.201:5060", proxy=proxy, domain="biloxi.example.com", transport=transport
    )


@pytest.fixture
def alice(network: Network, proxy: SipServer, transport: str) -> UserAgent:
    """Another phone that uses that proxy."""
    return network.user_agent(
        "alice", "192.0.2.101:5060", proxy=proxy, domain="biloxi.example.com", transport=transport
    )
