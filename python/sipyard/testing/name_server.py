"""DNS on the virtual network: a name server with a zone of its own, and how a server asks it.

The name server speaks the DNS in datagrams that can be lost, late, forged or cut off like any others; what is
too long for one is asked for again over TCP, of which the virtual network knows only that it takes two round
trips.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sipyard.sip.dns_servers import NameServer, NameServers

from .node import Node
from .trace import Address

if TYPE_CHECKING:
    from .network import Network
    from .server import SipServer

_TTL = 300
_LONGEST_CHAIN = 20
_SMALLEST = 512


class VirtualNameServer(Node):
    """Answers what its zone says, and what is not in it with "no such name".

    :param zone: lines as in a zone file, each ``name [ttl] type data``, with full names.

    Its faults are attributes: `is_silent` (no answer), `delay` (seconds), `rcode` ("SERVFAIL": all it says),
    `takes_tcp`, and `forge`, which is called with each reply and returns the datagrams to send in its place.
    `questions` are those that were asked, as ``SRV _sip._udp.example.com``.
    """

    def __init__(self, network: Network, name: str, address: Address | str, zone: str) -> None:
        super().__init__(network, name, address)
        self.questions: list[str] = []
        self.is_silent = False
        self.takes_tcp = True
        self.delay = 0.0
        self.rcode = ""
        self.absence_ttl: int | None = None
        self.forge: Callable[[dns.message.Message], list[bytes]] | None = None
        self._zone: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {}
        self.add(zone)
        network.attach(self)

    def add(self, zone: str) -> None:
        """Add records. ValueError for a line that is none."""
        for line in zone.splitlines():
            if line.strip():
                self._add(line.split(maxsplit=1))

    def _add(self, words: list[str]) -> None:
        try:
            owner, rest = dns.name.from_text(words[0]), words[1].split(maxsplit=1)
            ttl = int(rest[0]) if rest[0].isdecimal() else _TTL
            if rest[0].isdecimal():
                rest = rest[1].split(maxsplit=1)
            kind = dns.rdatatype.from_text(rest[0])
            data = dns.rdata.from_text(dns.rdataclass.IN, kind, rest[1])
        except (dns.exception.DNSException, IndexError) as error:
            raise ValueError(f"not a record: {' '.join(words)} ({error})") from error
        kinds = self._zone.setdefault(owner, {})
        found = kinds.setdefault(kind, dns.rrset.RRset(owner, dns.rdataclass.IN, kind))
        found.add(data, ttl)

    def clear(self) -> None:
        """Forget the zone."""
        self._zone.clear()

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """A question; the answer leaves after `delay`."""
        reply = self.answer(data)
        if reply is None:
            return
        limit = max(reply.request_payload, _SMALLEST)
        try:
            datagrams = (
                self.forge(reply)
                if self.forge is not None
                else [reply.to_wire(max_size=limit, want_shuffle=False)]
            )
        except dns.exception.TooBig:
            cut = dns.message.make_response(dns.message.from_wire(data))
            cut.flags |= dns.flags.TC
            datagrams = [cut.to_wire()]
        for one in datagrams:
            self.network.after(self.delay, self.network.send, self.address, source, one)

    def answer(self, data: bytes) -> dns.message.Message | None:
        """What there is to say; None when it says nothing."""
        query = dns.message.from_wire(data)
        asked = query.question[0]
        self.questions.append(f"{asked.rdtype.name} {asked.name.to_text(omit_final_dot=True)}")
        if self.is_silent:
            return None
        reply = dns.message.make_response(query, recursion_available=True)
        if self.rcode:
            reply.set_rcode(dns.rcode.from_text(self.rcode))
            return reply
        name = asked.name
        for _ in range(_LONGEST_CHAIN):
            kinds = self._zone.get(name)
            if kinds is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
                break
            if asked.rdtype in kinds:
                reply.answer.append(kinds[asked.rdtype])
                return reply
            alias = kinds.get(dns.rdatatype.CNAME)
            if alias is None:
                break
            if alias not in reply.answer:
                reply.answer.append(alias)
            name = alias[0].target
        if self.absence_ttl is not None:
            soa = f"ns.{asked.name} root.{asked.name} 1 1 1 1 {self.absence_ttl}"
            reply.authority.append(dns.rrset.from_text(asked.name, self.absence_ttl, "IN", "SOA", soa))
        return reply


class NetworkExchange:
    """How a server on the virtual network asks name servers there (`sipyard.sip.dns_client.Exchange`)."""

    def __init__(self, network: Network, server: SipServer) -> None:
        self._network = network
        self._server = server
        self._ports: _Ports | None = None

    def servers(self, _now: float) -> NameServers:
        """All of the network, in the order in which they came."""
        return NameServers(tuple(NameServer(*one.address) for one in self._network.name_servers))

    async def datagram(
        self, server: NameServer, data: bytes, accept: Callable[[bytes], bool], seconds: float
    ) -> bytes:
        """See `Exchange`."""
        if self._ports is None:
            self._ports = _Ports(self._network, f"{self._server.name} dns", self._server.address)
        peer, port = Address(*server), self._ports.open()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._ports.waiting[port] = (peer, answer, accept)
        try:
            self._network.send(port, peer, data)
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            del self._ports.waiting[port]
            self._network.release(port)

    async def stream(self, server: NameServer, data: bytes, seconds: float) -> bytes:
        """See `Exchange`."""
        node = next(one for one in self._network.name_servers if one.address == Address(*server))
        link = self._network.link(self._server, node)
        if not node.takes_tcp:
            raise ConnectionRefusedError("connection refused")
        async with asyncio.timeout(seconds):
            reply = node.answer(data)
            await asyncio.sleep(4 * link.latency + node.delay if reply is not None else seconds + 1)
        assert reply is not None  # else it took too long
        return reply.to_wire(max_size=65535, want_shuffle=False)


class _Ports(Node):
    """Ports of a server from which it asks, one for each question."""

    def __init__(self, network: Network, name: str, address: Address) -> None:
        super().__init__(network, name, address)
        self.waiting: dict[Address, tuple[Address, asyncio.Future[bytes], Callable[[bytes], bool]]] = {}

    def open(self) -> Address:
        """A port that nobody has."""
        while True:
            port = Address(self.address.ip, self.network.dice.randrange(10_000, 60_000))
            if not self.network.has(port):
                self.network.attach(self, port)
                return port

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """An answer, if it comes from whom was asked; a connected socket sees no other."""
        peer, answer, accept = self.waiting[destination]
        if source == peer and not answer.done() and accept(data):
            answer.set_result(data)

    def unreachable(self, data: bytes, source: Address, destination: Address) -> None:
        """There is no name server."""
        _, answer, _ = self.waiting[source]
        if not answer.done():
            answer.set_exception(ConnectionRefusedError("connection refused"))
