"""A network that exists only in virtual time: nodes, paths between them, and a trace of every packet."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from sipyard._native.core import Uri

from .clock import MICROSECONDS, Timeline, Timer, VirtualLoop
from .link import Link
from .node import Node
from .streams import Streams
from .trace import Address, Packet, Trace

if TYPE_CHECKING:
    from .name_server import VirtualNameServer
    from .server import Routing, SipServer
    from .user_agent import UserAgent

Result = TypeVar("Result")

#: RFC 3261's longest wait of one transaction, 64*T1, in seconds: how long `run_until` waits if it is not
#: told.
PATIENCE = 64 * 0.5


class StillWaiting(AssertionError):
    """`run_until` gave up; the message holds the ladder of what did happen."""


class Network:
    """Nodes joined by paths of UDP and TCP, under one virtual clock.

    `seed` decides everything that is random (loss, jitter, tags, branches): the same seed and the same
    scenario give the same `trace.to_bytes()`. The remaining arguments are the default `Link` settings of
    every path.

    Use it as a context manager, or call `close()`; the pytest fixture `network` does that for you::

        with Network(seed=7, loss=0.1) as network:
            server = network.server("ser.cfg", address="10.0.0.1:5060")
            alice = network.user_agent("alice", proxy=server)
            alice.register()
            network.run(5)
    """

    def __init__(self, seed: int | str = 0, **link: Any) -> None:
        self.seed = seed
        self.dice = random.Random(f"network {seed}")  # noqa: S311  # reproducible luck, no secret
        self.timeline = Timeline()
        self.trace = Trace(self.timeline.now_us)
        #: Names that virtual hosts resolve: host name -> addresses in the order they are to be tried.
        self.names: dict[str, list[Address]] = {}
        #: DNS servers, asked by every server that is started after the first of them.
        self.name_servers: list[VirtualNameServer] = []
        self.nodes: dict[str, Node] = {}
        #: Who gets packets for addresses that nobody has, if anybody.
        self.elsewhere: Node | None = None
        self._default_link = Link(**link)
        self._links: dict[tuple[str, str], Link] = {}
        self._by_address: dict[Address, Node] = {}
        self._columns: list[str] = []
        self._unplugged: set[str] = set()
        #: Nodes with work of their own between packets, in the order of their coming (a set would have none).
        self._deciding: list[Node] = []
        self._hosts_without_program: set[str] = set()
        self._next_host = 0
        #: Connections between nodes.
        self.streams = Streams(self)
        self._idle = False
        self._failure: BaseException | None = None
        self.loop = VirtualLoop(self.timeline)
        self.loop.set_exception_handler(self._loop_failed)
        self.loop.selector.settle = self._settle
        self.loop.selector.time_moved = self._time_moved
        self.loop.selector.finished = self._finished
        self.loop.selector.is_quiet = self._is_quiet

    # --- nodes ----------------------------------------------------------------------------------------------

    def server(
        self, routing: Routing, *, address: str | Address = "10.0.0.1:5060", **options: Any
    ) -> SipServer:
        """Start the real server on this network; see `SipServer` for what `routing` and the options may
        be."""
        from .server import SipServer  # a network without a server needs no engine

        return SipServer(self, routing, address=address, **options)

    def user_agent(self, name: str, address: str | Address | None = None, **options: Any) -> UserAgent:
        """Add a phone; see `UserAgent` for the options. Without an address it gets the next of
        192.0.2.0/24."""
        from .user_agent import UserAgent  # user_agent imports what needs a network

        return UserAgent(self, name, self._address_for_phone() if address is None else address, **options)

    def name_server(self, zone: str, *, address: str | Address = "10.0.0.53:53") -> VirtualNameServer:
        """Start a DNS server; servers that are started from now on ask it (and not `names`). See
        `VirtualNameServer` for the zone."""
        from .name_server import VirtualNameServer  # few networks need one

        name = f"dns{len(self.name_servers) + 1}"
        made = VirtualNameServer(self, name, address, zone)
        self.name_servers.append(made)
        return made

    def attach(self, node: Node, *addresses: Address) -> None:
        """Put a node on the network, on its own address and any others. ValueError if a name or address is
        taken."""
        if self.nodes.get(node.name, node) is not node:
            raise ValueError(f"there is already a node named {node.name!r} on this network")
        for address in addresses or (node.address,):
            holder = self._by_address.get(address)
            if holder is not None:
                raise ValueError(f"{node.name} cannot have {address}: {holder.name} has it")
            self._by_address[address] = node
        self.nodes[node.name] = node
        if node.name not in self._columns:
            self._columns.append(node.name)
        if type(node).settle is not Node.settle:
            self._deciding.append(node)

    def detach(self, node: Node) -> None:
        """Take a node away, as if its program had ended: it sends no more, its host stays, so packets for
        it are answered by ICMP."""
        self.streams.leave(node)
        self.nodes.pop(node.name, None)
        if node in self._deciding:
            self._deciding.remove(node)
        for address in [address for address, holder in self._by_address.items() if holder is node]:
            del self._by_address[address]
            self._hosts_without_program.add(address.ip)

    def has(self, address: Address) -> bool:
        """Whether some node has this address."""
        return address in self._by_address

    def release(self, address: Address) -> None:
        """Close one port of a node; its host stays."""
        del self._by_address[address]
        self._hosts_without_program.add(address.ip)

    def unplug(self, *nodes: Node) -> None:
        """Pull the cable: nothing reaches these nodes or leaves them, and nobody is told."""
        self._unplugged.update(node.name for node in nodes)

    def plug(self, *nodes: Node) -> None:
        """Put the cable back."""
        self._unplugged.difference_update(node.name for node in nodes)

    def name(self, host: str, *addresses: str | Address | Node) -> None:
        """Give a host name addresses; `network.name("biloxi.example.com", proxy)`."""
        self.names[host.lower()] = [
            item.address if isinstance(item, Node) else Address.parse(item) for item in addresses
        ]

    def resolve(self, uri: str) -> Address:
        """Where a URI points to: its numeric host, or the first address of a name given to `name()`.

        LookupError for a name that nobody has on this network.
        """
        parsed = Uri(uri)
        host = parsed.parameter("maddr") or parsed.host
        if host.startswith("[") or host.replace(".", "").isdigit():
            return Address(host.strip("[]"), parsed.port or 5060)
        known = self.names.get(host.lower())
        if not known:
            raise LookupError(f"nobody on this network is called {host!r}: network.name({host!r}, node)")
        return known[0] if parsed.port is None else Address(known[0].ip, parsed.port)

    def _address_for_phone(self) -> Address:
        while True:
            self._next_host += 1
            address = Address(f"192.0.2.{self._next_host}", 5060)
            if address not in self._by_address:
                return address

    # --- paths ----------------------------------------------------------------------------------------------

    def link(
        self, source: Node | str, destination: Node | str, *, both_ways: bool = True, **settings: Any
    ) -> Link:
        """Change the path between two nodes (or, without `both_ways`, one direction); returns that of the
        first.

        The names of settings are those of `Link`; what is not named stays as it is.
        """
        ends = [node.name if isinstance(node, Node) else node for node in (source, destination)]
        link = self._link(ends[0], ends[1])
        link.change(**settings)
        if both_ways:
            self._link(ends[1], ends[0]).change(**settings)
        return link

    def every_link(self, **settings: Any) -> None:
        """Change the default settings and those of every path."""
        for link in (self._default_link, *self._links.values()):
            link.change(**settings)

    def partition(self, *group: Node) -> None:
        """Cut these nodes off from all the others (among themselves they still talk)."""
        inside = {node.name for node in group}
        for one in self.nodes:
            for other in self.nodes:
                if (one in inside) != (other in inside):
                    self._link(one, other).change(is_up=False)

    def heal(self) -> None:
        """Make every path perfect again: up, no loss, no duplication, no reordering, no corruption, no
        jitter."""
        self.every_link(is_up=True, loss=0.0, duplication=0.0, reordering=0.0, corruption=0.0, jitter=0.0)
        self._unplugged.clear()

    def path(self, source: str, destination: str) -> Link:
        """One direction between two nodes, by their names."""
        return self._link(source, destination)

    def is_unplugged(self, *names: str) -> bool:
        """Whether the cable of one of these nodes is pulled."""
        return not self._unplugged.isdisjoint(names)

    def _link(self, source: str, destination: str) -> Link:
        link = self._links.get((source, destination))
        if link is None:
            link = self._links[source, destination] = self._default_link.copy()
        return link

    # --- packets --------------------------------------------------------------------------------------------

    def send(self, source: Address, destination: Address, data: bytes) -> Packet:
        """Put a datagram on the network. Nodes call this; a test may, to forge one."""
        now_us = self.timeline.now_us
        sender, receiver = self.node_name(source), self.node_name(destination)
        packet = Packet(len(self.trace) + 1, now_us, sender, receiver, source, destination, data)
        self.trace.add(packet)
        link = self._link(sender, receiver)
        cut = sender in self._unplugged or receiver in self._unplugged
        arrivals = [] if cut else link.arrivals(now_us, self.dice)
        packet.copies = len(arrivals)
        if not arrivals:
            packet.fate = "lost"
        for moment_us in arrivals:
            self.timeline.at_us(moment_us, self._deliver, packet, link.corrupted(data, self.dice))
        return packet

    def _holder(self, address: Address) -> Node | None:
        return self._by_address.get(address, self.elsewhere)

    def node_name(self, address: Address) -> str:
        """Who has an address; the address itself when nobody has."""
        node = self._holder(address)
        return node.name if node is not None else str(address)

    def _deliver(self, packet: Packet, data: bytes) -> None:
        receiver = self._holder(packet.destination_address)
        packet.arrived_us = self.timeline.now_us
        if receiver is not None and receiver.name not in self._unplugged:
            packet.fate = "delivered"
            receiver.receive(data, packet.source_address, packet.destination_address)
        elif receiver is not None:
            packet.fate = "lost"
        elif self.host_exists(packet.destination_address.ip):
            packet.fate = "refused"
            self._refuse(packet)
        else:
            packet.fate = "nobody"

    def host_exists(self, ip: str) -> bool:
        """Whether there is a computer of this address, with or without a program."""
        return ip in self._hosts_without_program or any(address.ip == ip for address in self._by_address)

    def _refuse(self, packet: Packet) -> None:
        """ICMP port unreachable goes back to the sender over the same path."""
        for moment_us in self._link(packet.destination, packet.source).arrivals(
            self.timeline.now_us, self.dice
        )[:1]:
            self.timeline.at_us(moment_us, self._tell_sender, packet)

    def _tell_sender(self, packet: Packet) -> None:
        sender = self._by_address.get(packet.source_address)
        if sender is not None and sender.name not in self._unplugged:
            sender.unreachable(packet.data, packet.source_address, packet.destination_address)

    def ladder(self) -> str:
        """Everything so far as a ladder diagram; the columns stand in the order in which nodes were added."""
        seen = {end for packet in self.trace for end in (packet.source, packet.destination)}
        return self.trace.ladder(*(name for name in self._columns if name in seen))

    # --- time -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the network began."""
        return self.timeline.elapsed

    def after(self, seconds: float, action: Callable[..., object], *arguments: Any) -> Timer:
        """Have `action(*arguments)` called in so many virtual seconds; the returned timer can be
        cancelled."""
        return self.timeline.after(seconds, action, *arguments)

    def run(self, seconds: float | None = None) -> None:
        """Let virtual time pass: so many seconds, or (without) until nothing at all is left to happen."""
        self._drive(seconds, None)

    def run_until(self, condition: Callable[[], bool], *, within: float = PATIENCE) -> None:
        """Let time pass until `condition()` is true. StillWaiting (an AssertionError) after `within`
        seconds."""
        if not self.advance_until(condition, within):
            name = getattr(condition, "__name__", "the condition")
            raise StillWaiting(f"{name} is still false after {within:g} s of virtual time\n{self.ladder()}")

    def advance_until(self, condition: Callable[[], bool], within: float) -> bool:
        """As `run_until`, but returns whether the condition came true."""
        if condition():
            return True
        self._drive(within, condition)
        return condition()

    def complete(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end under the virtual clock (an RPC of the server, say) and return its
        result."""
        return self.loop.complete(coroutine)

    @property
    def is_idle(self) -> bool:
        """True if the last `run` ended because nothing was left to happen."""
        return self._idle

    def _drive(self, seconds: float | None, condition: Callable[[], bool] | None) -> None:
        selector = self.loop.selector
        selector.horizon_us = (
            None if seconds is None else self.timeline.now_us + round(seconds * MICROSECONDS)
        )
        selector.condition, selector.until_idle = condition, seconds is None
        try:
            self.loop.run_forever()
        finally:
            selector.horizon_us, selector.condition, selector.until_idle = None, None, False
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _settle(self) -> None:
        for node in self._deciding:
            node.settle()

    def _time_moved(self) -> None:
        for node in self._deciding:
            node.time_moved()

    def _is_quiet(self) -> bool:
        return all(node.is_quiet for node in self._deciding)

    def _finished(self, idle: bool) -> None:
        self._idle = idle
        self.loop.stop()

    def _loop_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that no task's owner will see (a task nobody awaited…): the test must fail with it."""
        error = context.get("exception")
        self._failure = (
            error if isinstance(error, BaseException) else RuntimeError(str(context.get("message")))
        )

    # --- end ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop every node and the loop. Closing twice does nothing."""
        if self.loop.is_closed():
            return
        for node in list(self.nodes.values()):
            node.close()
        pending = asyncio.all_tasks(self.loop)
        for task in pending:
            task.cancel()
        if pending:
            with contextlib.suppress(asyncio.CancelledError):
                self.loop.complete(_gather(pending))
        self.loop.complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        self.close()


async def _gather(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
