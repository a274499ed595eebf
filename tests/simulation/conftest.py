"""One registrar and proxy, two phones, and a stranger who writes packets by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sipyard.testing import Address, Network, Node, SipServer, UserAgent

SCRIPT = Path(__file__).parent.parent / "callflows" / "proxy.cfg"


class Stranger(Node):
    """Sends what it likes and keeps what it gets."""

    def __init__(self, network: Network, name: str = "stranger", address: str = "198.51.100.66:5060") -> None:
        super().__init__(network, name, address)
        self.seen: list[bytes] = []
        network.attach(self)

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """Keep it."""
        self.seen.append(data)

    def statuses(self) -> list[int]:
        """The status codes of the responses it got."""
        return [int(data[8:11]) for data in self.seen if data.startswith(b"SIP/2.0 ")]


@dataclass
class Scene:
    """What the tests of attacks play with; both phones are registered."""

    network: Network
    proxy: SipServer
    alice: UserAgent
    bob: UserAgent
    stranger: Stranger


@pytest.fixture
def scene(network: Network) -> Scene:
    """The scene, with both phones registered."""
    script = SCRIPT.read_text().replace('"max_limit", 70', '"max_limit", 16')  # SER's default
    proxy = network.server(script, aliases=["example.com"])
    alice = network.user_agent("alice", proxy=proxy, domain="example.com")
    bob = network.user_agent("bob", proxy=proxy, domain="example.com")
    outcomes = [alice.register(), bob.register()]
    network.run(1)
    assert [outcome.status for outcome in outcomes] == [200, 200]
    return Scene(network, proxy, alice, bob, Stranger(network))
