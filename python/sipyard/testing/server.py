"""The real server on the virtual network: its engine and its core, with time and datagrams handed in."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sipyard._native.core import OfflineEndpoint
from sipyard.engine import Route, Routes
from sipyard.registry import Modules
from sipyard.reload import prepare, take_over
from sipyard.routes import PythonRoutes
from sipyard.settings import Settings
from sipyard.sip.dns_records import Kind, Naptr, ResolutionError, Service
from sipyard.sip.lookup import Budget, DnsLookup, Lookup
from sipyard.sip.resolver import Resolver
from sipyard.site import Site

from .clock import Timer
from .databases import StandingDatabases
from .name_server import NetworkExchange
from .node import Node
from .recording import Recording, RouteRun
from .streams import StreamEnd
from .trace import Address

if TYPE_CHECKING:
    from .network import Network

#: What a server runs: the path of a `.cfg` script or of a `.py` routes file, the text of a script (it has
#: line ends),
#: a loaded `Site`, routes, or one `async def` function as the main route.
Routing: TypeAlias = str | Path | Site | Routes | Route


EPOCH: Final = 1_800_000_000.0
"""Seconds since 1970 at which every virtual network begins."""


class SipServer(Node):
    """A server under test: nothing in it is a mock.

    :param routing: see `Routing`.
    :param address: where it listens; `listen` names further addresses, ``tcp:10.0.0.1:5060`` for connections.
    :param name: its column, `proxy` by default.
    :param modules: loaded modules, for routes written in Python.
    :param settings: settings of the core (`Core.configure`): timers, aliases, limits …
    :param aliases: host names that are this server's own; they are given to the network's names as well.
    :param records: keep what routes do, for `runs` and `log`.

    `engine` and `core` are there to be looked at. Errors in routes are logged as always; `logging` shows
    them.
    """

    def __init__(
        self,
        network: Network,
        routing: Routing,
        *,
        address: Address | str = "10.0.0.1:5060",
        listen: Sequence[Address | str] = (),
        name: str = "proxy",
        modules: Modules | None = None,
        settings: dict[str, Any] | None = None,
        aliases: Sequence[str] = (),
        advertised: str | None = None,
        records: bool = False,
    ) -> None:
        super().__init__(network, name, address)
        self.endpoint = OfflineEndpoint(seed=network.dice.getrandbits(63))
        self.endpoint.advance(network.timeline.now)
        self.core = self.endpoint.core
        places = [("udp", self.address), *map(_place, listen)]
        self.addresses = [address for _, address in places]
        self._listeners: dict[Address, int] = {}
        self._connections: dict[int, StreamEnd] = {}
        for protocol, each in places:
            listener = self.endpoint.listen(protocol, each.ip, each.port, advertised_host=advertised)
            if protocol == "udp":
                self._listeners[each] = listener.index
            else:
                network.streams.listen(self, each, partial(self._accept, listener.index))
        self._wake: Timer | None = None
        self.site = _site_of(routing, modules)
        self.site.settings.alias += aliases
        self._recording: Recording | None = None
        if records:
            self._recording = Recording(self.site.routes)
            self.site = replace(self.site, routes=self._recording)
        resolver = Resolver(self._lookup(), seed=network.dice.getrandbits(32))
        self.engine = self.site.engine(self.core, resolver=resolver)
        self.engine.databases = StandingDatabases(network.loop.selector)
        self.engine.wall = lambda: EPOCH + network.timeline.now
        self.engine.random_bytes = network.dice.randbytes
        self.engine.takes_commands = False
        for alias in aliases:
            network.name(alias, self.address)
        network.attach(self, *self._listeners)
        network.complete(self.engine.start())
        if settings:
            self.core.configure(**settings)  # after the modules: what a test sets beats their parameters

    def _lookup(self) -> Lookup:
        """The network's DNS servers, or its table of names when it has none."""
        if not self.network.name_servers:
            return NetworkLookup(self.network)
        exchange = NetworkExchange(self.network, self)
        return DnsLookup(exchange=exchange, servers=exchange.servers)

    # --- what a test asks -----------------------------------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        """What the core has counted."""
        return self.core.counters()

    @property
    def live(self) -> dict[str, int]:
        """What the core holds at this moment: transactions, timers …; all zero when nothing is going on."""
        return self.core.live()

    @property
    def is_quiet(self) -> bool:
        """No route waits for anything."""
        return self.engine.is_idle

    @property
    def runs(self) -> list[RouteRun]:
        """Every run of a block so far, in the order in which they ended. LookupError without `records`."""
        return self._recorded.runs

    @property
    def log(self) -> list[str]:
        """What the script has logged (`log`, `xlog`), subject to its own `debug`. LookupError without
        `records`."""
        return self._recorded.log

    @property
    def _recorded(self) -> Recording:
        if self._recording is None:
            raise LookupError(f"{self.name} keeps no records: start it with records=True")
        return self._recording

    def rpc(self, command: str, *arguments: object) -> Any:
        """Call a management command and return its result; RpcFault when it refuses."""
        return self.network.complete(self.engine.commands.call(command, *arguments))

    def reload(self, routing: str | Path) -> list[str]:
        """Let another version of the script take over, as `sipyard ctl reload` does: a path, or text with
        line ends. Returns what parameters it changed; ConfigError: it is refused, the old one stays."""
        change = prepare(self.site, lambda: _site_of(routing, None))
        take_over(self.engine, self.site, change)
        return change.names

    def stop(self) -> None:
        """Stop in order (modules save what they have) and leave the network; the address is free again."""
        self.network.complete(self.engine.stop())
        self.crash()

    def crash(self) -> None:
        """Vanish at once, without a chance to save anything; the host stays, so peers get ICMP errors."""
        self._quit()
        self.network.detach(self)

    # --- what the network asks ------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """Hand a datagram to the core. What it wants done is done when time would move on."""
        now = self.network.timeline.now
        self.endpoint.receive(now, data, self._listeners[destination], source.ip, source.port)

    def unreachable(self, data: bytes, source: Address, destination: Address) -> None:
        """Hand an ICMP error to the core."""
        self.endpoint.transport_failed(self.network.timeline.now, data, destination.ip, destination.port)

    def time_moved(self) -> None:
        """Tell the core the time before a route that slept goes on."""
        self.endpoint.advance(self.network.timeline.now)

    def settle(self) -> None:
        """Run routes, send what the core wants sent, and plan its next timer."""
        self.engine.poll()
        for index, _protocol, ip, port, data in self.endpoint.poll_transmits():
            self.network.send(self.addresses[index], Address(ip, port), data)
        while actions := self.endpoint.poll_streams(self.network.timeline.now):
            for number, where, said in actions:
                self._act(number, where, said)
        self._plan()

    # --- connections ----------------------------------------------------------------------------------------

    def _accept(self, listener: int, end: StreamEnd) -> bool:
        number = self.endpoint.accept(self.network.timeline.now, listener, end.peer.ip, end.peer.port)
        if number is None:
            return False
        self._adopt(number, end)
        return True

    def _adopt(self, number: int, end: StreamEnd) -> None:
        timeline, endpoint = self.network.timeline, self.endpoint

        def over(refused: bool) -> None:
            self._connections.pop(number, None)
            endpoint.hang_up(timeline.now, number, refused)

        self._connections[number] = end
        end.on_data = lambda data: endpoint.receive_stream(timeline.now, number, data)
        end.on_open = lambda: endpoint.connected(timeline.now, number, end.local.ip, end.local.port)
        end.on_close = over

    def _act(self, number: int, where: tuple[str, str, str, int] | None, said: bytes | None) -> None:
        """What the core wants done with a connection: make it, say something, or end it."""
        if where is not None:
            _protocol, own, ip, port = where
            self._adopt(number, self.network.streams.connect(self, own, Address(ip, port)))
        elif said is not None:
            if number in self._connections:
                self._connections[number].send(said)
        elif (end := self._connections.pop(number, None)) is not None:
            end.close()

    def close(self) -> None:
        """The network ends: stop the modules."""
        self.network.complete(self.engine.stop(0.0))
        self._quit()

    def _quit(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
        if self._recording is not None:
            self._recording.close()

    def _plan(self) -> None:
        due = self.endpoint.next_timeout()
        due_us = None if due is None else max(round(due * 1_000_000), self.network.timeline.now_us)
        if self._wake is not None and self._wake.is_pending:
            if self._wake.due_us == due_us:
                return
            self._wake.cancel()
        if due_us is not None:
            self._wake = self.network.timeline.at_us(due_us, self.time_moved)


def _place(item: Address | str) -> tuple[str, Address]:
    """Protocol and address of what `listen` names."""
    if isinstance(item, str) and item.startswith("tcp:"):
        return "tcp", Address.parse(item.removeprefix("tcp:"))
    return "udp", Address.parse(item)


def _site_of(routing: Routing, modules: Modules | None) -> Site:
    """What the given thing amounts to; TypeError when it is none of the possible ones."""
    if isinstance(routing, Site):
        return routing
    if isinstance(routing, Path):
        return Site.load(routing)
    if isinstance(routing, str):
        return Site.of_text(routing, "<test>") if "\n" in routing else Site.load(routing)
    routes: Any = routing
    if inspect.iscoroutinefunction(routing):
        routes = PythonRoutes(main=routing)
    elif not hasattr(routing, "main"):
        raise TypeError(
            f"a server cannot run {routing!r}: give it a script's path or text, a routes file, a Site, "
            "routes, or an async function"
        )
    return Site("<test>", routes, Modules() if modules is None else modules, Settings())


class NetworkLookup:
    """The DNS of a virtual network: the names given to `Network.name`. A name whose address has a port
    other than 5060 has SRV records too, so that the port is found."""

    def __init__(self, network: Network) -> None:
        self.network = network

    async def naptrs(self, name: str, budget: Budget | None = None) -> list[Naptr]:
        """Nobody has NAPTR records here."""
        return []

    def expect(self, questions: Iterable[tuple[str, Kind]]) -> None:
        """Everything is known already."""

    async def services(self, name: str, budget: Budget | None = None) -> list[Service]:
        """SRV records: one for each address with a port of its own, in the order given."""
        service, _, rest = name.partition("._udp.")
        if service != "_sip":
            return []
        places = self.network.names.get(rest.lower(), [])
        if all(place.port == 5060 for place in places):
            return []
        return [Service(number, 1, place.port, place.ip) for number, place in enumerate(places)]

    async def addresses(self, name: str, ipv6: bool, budget: Budget | None = None) -> list[str]:
        """Addresses of one family. ResolutionError when the network knows no such name."""
        if name.replace(".", "").isdigit() or ":" in name:  # the target of a service above
            return [name] if (":" in name) == ipv6 else []
        places = self.network.names.get(name.lower())
        if places is None:
            raise ResolutionError(f"nobody on the virtual network is called {name}")
        return [place.ip for place in places if (":" in place.ip) == ipv6]
