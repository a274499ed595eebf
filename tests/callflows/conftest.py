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


@pytest.fixture
def cast(network: Network) -> Cast:
    """Two domains, a proxy for each, one registered phone in each."""
    script = HERE / "proxy.cfg"
    ss1 = network.server(script, name="ss1", address="10.1.0.1:5060", aliases=["atlanta.example.com"])
    ss2 = network.server(script, name="ss2", address="10.2.0.1:5060", aliases=["biloxi.example.com"])
    alice = network.user_agent("alice", "192.0.2.101:5060", proxy=ss1, domain="atlanta.example.com")
    bob = network.user_agent("bob", "192.0.2.201:5060", proxy=ss2, domain="biloxi.example.com")
    registrations = [alice.register(), bob.register()]
    network.run(1)
    assert [each.status for each in registrations] == [200, 200]
    return Cast(network, ss1, ss2, alice, bob)


@pytest.fixture
def proxy(network: Network) -> SipServer:
    """One registrar and proxy for biloxi.example.com."""
    return network.server(HERE / "proxy.cfg", address="10.2.0.1:5060", aliases=["biloxi.example.com"])


@pytest.fixture
def bob(network: Network, proxy: SipServer) -> UserAgent:
    """A phone of that domain, not registered yet."""
    return network.user_agent("bob", "192.0.2.201:5060", proxy=proxy, domain="biloxi.example.com")


@pytest.fixture
def alice(network: Network, proxy: SipServer) -> UserAgent:
    """Another phone that uses that proxy."""
    return network.user_agent("alice", "192.0.2.101:5060", proxy=proxy, domain="biloxi.example.com")
