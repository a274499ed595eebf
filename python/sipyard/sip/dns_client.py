"""Asking DNS servers: one question, several servers, tries, TCP when an answer is cut off (RFC 1035, 7766).

Each try goes out of a socket of its own with a number of its own; what comes from elsewhere, with another
number, to another question, or later, is never looked at (RFC 5452). Nothing here is remembered but which
server was silent lately: it is asked last for a while, so that a dead one costs one wait and not one a
question.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final, Protocol

import dns.name

from sipyard.sip.dns_records import (
    FORMERR,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    RCODES,
    Kind,
    Question,
    Reply,
    ResolutionError,
)
from sipyard.sip.dns_servers import NameServer, NameServers

SILENT_FOR: Final = 30.0
"""Seconds for which a server that did not answer comes last."""
MAX_SILENT: Final = 64
_log = logging.getLogger("sipyard.resolver")


class Exchange(Protocol):
    """How bytes get to a server and back. Both raise OSError when it cannot be reached; TimeoutError, which
    is one, when nothing that `accept` takes has come after `seconds`."""

    async def datagram(
        self, server: NameServer, data: bytes, accept: Callable[[bytes], bool], seconds: float
    ) -> bytes:
        """Send a datagram from a port of its own; the first answer from that server that `accept` takes."""

    async def stream(self, server: NameServer, data: bytes, seconds: float) -> bytes:
        """The same over a connection."""


class DnsClient:
    """Asks servers until one of them knows.

    :param exchange: over what; the sockets of the system by default.
    """

    def __init__(self, exchange: Exchange | None = None) -> None:
        self._exchange: Exchange = SocketExchange() if exchange is None else exchange
        self._silent: dict[NameServer, float] = {}

    async def ask(self, known: NameServers, name: dns.name.Name, kind: Kind) -> Reply:
        """What the first server says that has an answer, be it that there is none.

        :raises ResolutionError: no server does.
        """
        now = asyncio.get_running_loop().time
        refusals: dict[NameServer, str] = {}
        for _ in range(known.attempts):
            for server in self._ordered(known.servers, now()):
                if server in refusals:
                    continue
                try:
                    reply = await self._try(server, name, kind, known.timeout)
                except TimeoutError:
                    self._note_silent(server, now())
                    continue
                except OSError as error:
                    self._note_silent(server, now())
                    refusals[server] = f"{server}: {error.strerror or error}"
                    continue
                self._silent.pop(server, None)
                if reply.rcode in (NOERROR, NXDOMAIN):
                    return reply
                code = reply.rcode
                refusals[server] = f"{server}: {RCODES[code] if code < len(RCODES) else f'error {code}'}"
        silent = [f"{server} is silent" for server in known.servers if server not in refusals]
        asked = f"{name.to_text(omit_final_dot=True)} {kind}"
        raise ResolutionError(f"{asked}: {'; '.join([*refusals.values(), *silent])}")

    async def _try(self, server: NameServer, name: dns.name.Name, kind: Kind, seconds: float) -> Reply:
        reply = await self._once(server, name, kind, seconds, extended=True)
        if reply.rcode in (FORMERR, NOTIMP):  # RFC 6891 §7: it may be one that does not know EDNS
            reply = await self._once(server, name, kind, seconds, extended=False)
        return reply

    async def _once(
        self, server: NameServer, name: dns.name.Name, kind: Kind, seconds: float, *, extended: bool
    ) -> Reply:
        question = Question(secrets.randbits(16), name, kind, extended)
        found: list[Reply] = []

        def accept(data: bytes) -> bool:
            reply = question.read(data)
            if reply is None:
                _log.debug("from %s came no answer to %s %s", server, name, kind)
                return False
            found.append(reply)
            return True

        wire = question.to_wire()
        await self._exchange.datagram(server, wire, accept, seconds)
        if not found[0].is_truncated:
            return found[0]
        reply = question.read(await self._exchange.stream(server, wire, seconds))
        if reply is None or reply.is_truncated:
            raise OSError("what came over TCP is no answer")
        return reply

    def _ordered(self, servers: tuple[NameServer, ...], now: float) -> list[NameServer]:
        return sorted(servers, key=lambda server: self._silent.get(server, now) > now)

    def _note_silent(self, server: NameServer, now: float) -> None:
        self._silent[server] = now + SILENT_FOR
        if len(self._silent) > MAX_SILENT:
            self._silent.pop(next(iter(self._silent)))


class SocketExchange:
    """Sockets of the system, on the running loop."""

    async def datagram(
        self, server: NameServer, data: bytes, accept: Callable[[bytes], bool], seconds: float
    ) -> bytes:
        """See `Exchange`. The socket is connected: the kernel drops what others send, and tells of ICMP
        errors."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        async with asyncio.timeout(seconds):
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Listener(answer, accept), remote_addr=(server.ip, server.port)
            )
            try:
                transport.sendto(data)
                return await answer
            finally:
                transport.close()

    async def stream(self, server: NameServer, data: bytes, seconds: float) -> bytes:
        """See `Exchange`."""
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(server.ip, server.port)
            try:
                writer.write(len(data).to_bytes(2, "big") + data)
                length = int.from_bytes(await reader.readexactly(2), "big")
                return await reader.readexactly(length)
            except asyncio.IncompleteReadError as error:
                raise OSError("the connection ended too early") from error
            finally:
                writer.close()


class _Listener(asyncio.DatagramProtocol):
    """Waits for the one datagram."""

    def __init__(self, answer: asyncio.Future[bytes], accept: Callable[[bytes], bool]) -> None:
        self._answer = answer
        self._accept = accept

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        if not self._answer.done() and self._accept(data):
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)
