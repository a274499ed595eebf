"""Connections (TCP) of the virtual network.

What one end says reaches the other once and in order, late where packets are lost, and where a cable was
pulled only after it is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .trace import Address, Packet

if TYPE_CHECKING:
    from .clock import Timer
    from .network import Network
    from .node import Node

RETRANSMISSION: Final = 0.2
"""Seconds after which a lost segment is sent again, each time twice as long (RFC 6298; Linux's minimum)."""
LONGEST: Final = 2.0
"""Longest of these waits while nothing gets through."""
PATIENCE: Final = 60.0
"""Seconds without getting anything through after which an end gives up."""
_FIRST_PORT: Final = 40_000
#: Gets a new connection's end; whether it is taken.
Accept = Callable[["StreamEnd"], bool]


@dataclass(frozen=True, slots=True)
class Segment:
    """Something on its way to the other end: data in a packet, or the end of the connection."""

    packet: Packet | None


class StreamEnd:
    """One end of a connection. Its owner sets `on_open`, `on_data(bytes)` and `on_close(refused)`."""

    def __init__(self, streams: Streams, node: Node, local: Address, peer: Address, peer_name: str) -> None:
        self.node, self.local, self.peer, self.peer_name = node, local, peer, peer_name
        self.is_over = False
        self.on_open: Callable[[], None] = _nothing
        self.on_data: Callable[[bytes], None] = _nothing
        self.on_close: Callable[[bool], None] = _nothing
        self.other: StreamEnd | None = None
        self._streams = streams
        self._waiting: deque[Segment] = deque()
        self._last_arrival_us = 0
        self._retry: Timer | None = None
        self._stuck_since: float | None = None

    def send(self, data: bytes) -> None:
        """Say something to the other end; nothing once the connection is over."""
        if not self.is_over:
            packet = self._streams.packet_of(self, data)
            self._waiting.append(Segment(packet))
            self.pump()

    def close(self) -> None:
        """Hang up: the other end hears it after all that was said."""
        if not self.is_over:
            self.is_over = True
            self._waiting.append(Segment(None))
            self.pump()

    def pump(self) -> None:
        """Send what waits, as far as the network lets it."""
        streams = self._streams
        while self._waiting:
            if streams.is_cut(self.node.name, self.peer_name):
                self._try_later()
                return
            self._stuck_since = None
            arrival = max(streams.arrival_us(self.node.name, self.peer_name), self._last_arrival_us)
            self._last_arrival_us = arrival
            streams.network.timeline.at_us(arrival, self._arrived, self._waiting.popleft())

    def _try_later(self) -> None:
        now = self._streams.network.now
        if self._stuck_since is None:
            self._stuck_since = now
        if now - self._stuck_since > PATIENCE:
            self._waiting.clear()
            self.ended(refused=False)
        elif self._retry is None or not self._retry.is_pending:
            stuck = now - self._stuck_since
            self._retry = self._streams.network.after(min(max(stuck, RETRANSMISSION), LONGEST), self.pump)

    def _arrived(self, segment: Segment) -> None:
        other = self.other
        packet = segment.packet
        if packet is not None:
            packet.arrived_us = self._streams.network.timeline.now_us
            packet.fate = "refused" if other is None or other.is_over else "delivered"
        if other is None or other.is_over:
            return
        if packet is None:
            other.ended(refused=False)
        else:
            other.on_data(packet.data)

    def ended(self, *, refused: bool) -> None:
        """It is over, and this end did not end it."""
        if not self.is_over:
            self.is_over = True
            self.on_close(refused)


class Streams:
    """All connections of a network."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._listening: dict[Address, tuple[Node, Accept]] = {}
        self._ends: list[StreamEnd] = []
        self._next_port = _FIRST_PORT

    def listen(self, node: Node, address: Address, accept: Accept) -> None:
        """Have `accept` called with the ends of connections to an address.

        :raises ValueError: somebody listens there.
        """
        if address in self._listening:
            raise ValueError(f"{node.name} cannot have tcp:{address}: somebody listens there")
        self._listening[address] = node, accept

    def connect(self, node: Node, ip: str, destination: Address) -> StreamEnd:
        """Ask for a connection: the end's `on_open` or `on_close(True)` is called when it is known what came
        of it, neither when nobody answers."""
        self._next_port += 1
        holder = self._listening.get(destination)
        name = self.network.node_name(destination) if holder is None else holder[0].name
        end = StreamEnd(self, node, Address(ip, self._next_port), destination, name)
        self._ends = [*(one for one in self._ends if not one.is_over), end]
        self._knock(end)
        return end

    def _knock(self, end: StreamEnd) -> None:
        if end.is_over:
            return
        if self.is_cut(end.node.name, end.peer_name):
            self.network.after(1.0, self._knock, end)
        else:
            self.network.timeline.at_us(self.arrival_us(end.node.name, end.peer_name), self._knocked, end)

    def _knocked(self, end: StreamEnd) -> None:
        holder = self._listening.get(end.peer)
        if end.is_over or (holder is None and not self.network.host_exists(end.peer.ip)):
            return
        back = self.arrival_us(end.peer_name, end.node.name)
        if holder is not None:
            node, accept = holder
            other = StreamEnd(self, node, end.peer, end.local, end.node.name)
            end.other, other.other = other, end
            if accept(other):
                self._ends.append(other)
                self.network.timeline.at_us(back, self._opened, end)
                return
        self.network.timeline.at_us(back, lambda: end.ended(refused=True))

    @staticmethod
    def _opened(end: StreamEnd) -> None:
        if not end.is_over:
            end.on_open()

    def leave(self, node: Node) -> None:
        """A node's program has ended: its connections end, and nobody answers at its addresses."""
        self._listening = {at: holder for at, holder in self._listening.items() if holder[0] is not node}
        for end in self._ends:
            if end.node is node:
                end.close()
        self._ends = [end for end in self._ends if not end.is_over]

    # -- what ends ask ---------------------------------------------------------------------------------------

    def packet_of(self, end: StreamEnd, data: bytes) -> Packet:
        """A packet of the trace."""
        trace, now = self.network.trace, self.network.timeline.now_us
        names = (end.node.name, end.peer_name)
        packet = Packet(len(trace) + 1, now, *names, end.local, end.peer, data)
        trace.add(packet)
        return packet

    def is_cut(self, source: str, destination: str) -> bool:
        """Nothing gets through."""
        return not self.network.path(source, destination).is_up or self.network.is_unplugged(
            source, destination
        )

    def arrival_us(self, source: str, destination: str) -> int:
        """When a segment that is sent now arrives; lost ones are sent again."""
        link, dice = self.network.path(source, destination), self.network.dice
        wait, late = RETRANSMISSION, 0.0
        while link.loss and late < PATIENCE and dice.random() < link.loss:
            late += wait
            wait *= 2
        delay = link.latency + late + (link.jitter * dice.random() if link.jitter else 0.0)
        return self.network.timeline.now_us + round(delay * 1_000_000)


class Lines:
    """The connections of a phone, by whom they lead to, with messages out of their bytes."""

    def __init__(self, streams: Streams, node: Node) -> None:
        self._streams, self._node = streams, node
        self._ends: dict[Address, StreamEnd] = {}
        self._unsent: dict[StreamEnd, list[bytes]] = {}
        streams.listen(node, node.address, self._accept)

    def _accept(self, end: StreamEnd) -> bool:
        self._adopt(end)
        return True

    def _adopt(self, end: StreamEnd) -> None:
        self._ends[end.peer] = end
        rest = bytearray()

        def take(data: bytes) -> None:
            rest.extend(data)
            for message in messages_of(rest):
                self._node.receive(message, end.peer, self._node.address)

        def over(refused: bool) -> None:
            if self._ends.get(end.peer) is end:
                del self._ends[end.peer]
            for data in self._unsent.pop(end, []):
                self._node.unreachable(data, self._node.address, end.peer)

        end.on_data, end.on_close = take, over

    def send(self, data: bytes, destination: Address) -> None:
        """Send by the connection that leads there, or by a new one."""
        end = self._ends.get(destination)
        if end is None:
            end = self._streams.connect(self._node, self._node.address.ip, destination)
            self._unsent[end] = []
            self._adopt(end)
            end.on_open = lambda: self._opened(end)
        if end in self._unsent:
            self._unsent[end].append(data)
        else:
            end.send(data)

    def _opened(self, end: StreamEnd) -> None:
        for data in self._unsent.pop(end, []):
            end.send(data)

    def cut(self) -> None:
        """Hang up on everybody."""
        ends, self._ends = list(self._ends.values()), {}
        for end in ends:
            end.close()


def messages_of(rest: bytearray) -> list[bytes]:
    """The whole messages at the beginning of bytes (RFC 3261 §18.3), which are taken off; line ends between
    them are keep-alives."""
    found: list[bytes] = []
    while True:
        while rest[:2] == b"\r\n":
            del rest[:2]
        end = rest.find(b"\r\n\r\n")
        if end < 0:
            return found
        length = 0
        for line in bytes(rest[:end]).split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() in (b"content-length", b"l"):
                length = int(value)
        if len(rest) < end + 4 + length:
            return found
        found.append(bytes(rest[: end + 4 + length]))
        del rest[: end + 4 + length]


def _nothing(*_: object) -> None:
    """Until somebody wants to know."""
