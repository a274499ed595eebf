"""Asking RADIUS servers: tries, the next server, dead servers, and which answers are believed.

Each question has a socket of its own, so that identifiers (a byte) never run out and an answer that comes
late finds nobody; the number of questions under way is bounded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from pyrad.packet import (
    AccessAccept,
    AccessReject,
    AccessRequest,
    AccountingResponse,
    AcctPacket,
    AuthPacket,
    Packet,
    PacketError,
)

from sipyard.errors import StorageError
from sipyard.radius.settings import RadiusServer, RadiusSettings
from sipyard.radius.vocabulary import dictionary

_log = logging.getLogger("sipyard.radius")
UNDER_WAY: Final = 2000
"""Questions at once."""
Attributes = Sequence[tuple[str, str | int | bytes]]


class RadiusError(StorageError):
    """No server answered, or too much was asked at once."""


class RadiusClient:
    """A client of the servers of one file.

    :param clock: seconds that do not run backwards; they say when a dead server may be asked again.
    """

    def __init__(self, settings: RadiusSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.dropped = 0
        """Answers that were not believed."""
        self._clock = clock
        self._dead: dict[RadiusServer, float] = {}
        self._free = asyncio.Semaphore(UNDER_WAY)

    async def authenticate(self, attributes: Attributes) -> tuple[bool, Packet]:
        """Send an Access-Request (RFC 2865 §4.1) with Message-Authenticator; whether it was accepted, and the
        answer.

        :raises RadiusError: no server answered.
        """

        def make(server: RadiusServer) -> Packet:
            packet = AuthPacket(secret=server.secret, dict=dictionary())
            packet.add_message_authenticator()
            return packet

        answer = await self._ask(self.settings.auth, make, attributes)
        return answer.code == AccessAccept, answer

    async def account(self, attributes: Attributes) -> None:
        """Send an Accounting-Request (RFC 2866 §4.1) until a server has taken it.

        :raises RadiusError: no server answered.
        """
        await self._ask(
            self.settings.acct, lambda server: AcctPacket(secret=server.secret, dict=dictionary()), attributes
        )

    # -- servers ---------------------------------------------------------------------------------------------

    def _in_order(self, servers: Sequence[RadiusServer]) -> list[RadiusServer]:
        """Those that are not known to be dead first."""
        now = self._clock()
        return sorted(servers, key=lambda server: self._dead.get(server, 0.0) > now)

    async def _ask(
        self, servers: Sequence[RadiusServer], make: Callable[[RadiusServer], Packet], attributes: Attributes
    ) -> Packet:
        if not servers:
            raise RadiusError("no RADIUS server is configured")
        if self._free.locked():
            raise RadiusError(f"{UNDER_WAY} questions to RADIUS servers are under way")
        async with self._free:
            for server in self._in_order(servers):
                packet = make(server)
                for name, value in (*attributes, ("NAS-Identifier", self.settings.nas_identifier)):
                    packet.AddAttribute(name, value)
                answer = await self._ask_one(server, packet)
                if answer is not None:
                    self._dead.pop(server, None)
                    return answer
                if self._dead.get(server, 0.0) <= self._clock():
                    _log.warning("%s does not answer; asked last for %g s", server, self.settings.dead_time)
                self._dead[server] = self._clock() + self.settings.dead_time
        raise RadiusError(f"no RADIUS server answers ({', '.join(map(str, servers))})")

    async def _ask_one(self, server: RadiusServer, packet: Packet) -> Packet | None:
        """The first answer of a server that is believed; None when there is none."""
        loop = asyncio.get_running_loop()
        data = packet.RequestPacket()
        try:
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: _Answers(self, packet), remote_addr=(server.host, server.port)
            )
        except OSError as error:
            _log.warning("%s: %s", server, error)
            return None
        try:
            for _ in range(self.settings.retries + 1):
                transport.sendto(data)
                done, _pending = await asyncio.wait([protocol.answer], timeout=self.settings.timeout)
                if done:
                    return protocol.answer.result()
            return None
        finally:
            transport.close()

    def believed(self, packet: Packet, data: bytes) -> Packet | None:
        """The answer in a datagram, None when it is none to this question or cannot be trusted (RFC 2865 §3,
        RFC 3579 §3.2, CVE-2024-3596)."""
        needs = packet.code == AccessRequest and self.settings.requires_authenticator
        wanted = (AccessAccept, AccessReject) if packet.code == AccessRequest else (AccountingResponse,)
        try:
            answer = packet.CreateReply(packet=data)
            if answer.code in wanted and packet.VerifyReply(answer, data, enforce_ma=needs):
                return answer
            _log.warning("an answer was dropped: not of that server, or without Message-Authenticator")
        except (PacketError, ValueError, KeyError) as error:
            _log.warning("an answer was dropped: %s", error)
        self.dropped += 1
        return None


class _Answers(asyncio.DatagramProtocol):
    """Waits for the answer to one question."""

    def __init__(self, client: RadiusClient, packet: Packet) -> None:
        self.answer: asyncio.Future[Packet | None] = asyncio.get_running_loop().create_future()
        self._client = client
        self._packet = packet

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep what is believed."""
        if not self.answer.done() and (found := self._client.believed(self._packet, data)) is not None:
            self.answer.set_result(found)

    def error_received(self, exc: Exception) -> None:
        """ICMP: nobody is there."""
        if not self.answer.done():
            self.answer.set_result(None)
