"""A node of the virtual network: whatever holds an address and receives datagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .trace import Address

if TYPE_CHECKING:
    from .network import Network


class Node:
    """Base of servers and user agents; subclass it for a peer of your own, and `network.attach` it.

    `name` is the column in ladder diagrams; `address` is where packets reach it.
    """

    def __init__(self, network: Network, name: str, address: Address | str) -> None:
        self.network = network
        self.name = name
        self.address = Address.parse(address)

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """A datagram arrived on our address `destination`."""
        raise NotImplementedError

    def unreachable(self, data: bytes, source: Address, destination: Address) -> None:
        """ICMP: what we sent from `source` to `destination` found no such port. By default that is
        ignored."""

    def settle(self) -> None:
        """Hand out everything there is to send at this moment. Called before virtual time moves on."""

    def time_moved(self) -> None:
        """The clock shows a new time although no packet came."""

    @property
    def is_reliable(self) -> bool:
        """What is sent arrives or is known not to; so of connections, not of datagrams."""
        return False

    @property
    def is_quiet(self) -> bool:
        """False while something of this node waits on a timer of the asyncio loop (a route that sleeps)."""
        return True

    def send(self, data: bytes, destination: Address) -> None:
        """Send a datagram from our address; nothing is sent any more once the node was detached."""
        if self.network.nodes.get(self.name) is self:
            self.network.send(self.address, destination, data)

    def close(self) -> None:
        """The network is being closed."""
