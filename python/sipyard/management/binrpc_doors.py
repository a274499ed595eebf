"""binrpc on streams (unix and TCP) and in datagrams (unix and UDP)."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from sipyard.errors import ConfigError
from sipyard.management import binrpc
from sipyard.management.datagram_socket import DatagramDoor
from sipyard.management.local_socket import bound, forget
from sipyard.management.ownership import Ownership
from sipyard.management.registry import Commands
from sipyard.management.unix_socket import CONNECTIONS, peer_of
from sipyard.sip.hostport import host_and_port, shown

PORT: Final = 2049
SILENCE: Final = 600.0
"""Seconds without a request after which a connection is closed."""
_log = logging.getLogger("sipyard.management")


@dataclass(frozen=True)
class Address:
    """Where to listen: `unixs`, `unixd`, `tcp` or `udp`, and a path or host and port."""

    kind: str
    place: str
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Address:
        """``unixs:/tmp/ser_ctl``, ``tcp:127.0.0.1:2049``, ``udp:localhost``; a bare path is unixs.

        :raises ValueError: it is none of these.
        """
        kind, colon, place = text.partition(":")
        if not colon or kind not in ("unix", "unixs", "unixd", "tcp", "udp"):
            kind, place = ("unixs", text) if "/" in text else ("udp", text)
        if kind.startswith("unix"):
            if not place:
                raise ValueError(f"{text!r} names no path")
            return cls("unixd" if kind == "unixd" else "unixs", place)
        try:
            host, port = host_and_port(place, PORT)
        except ValueError as error:
            raise ValueError(f"{text!r} names no place: {error}") from error
        return cls(kind, host or "127.0.0.1", port)

    def __str__(self) -> str:
        return f"{self.kind}:{shown(self.place, self.port) if self.port else self.place}"


@dataclass(eq=False)
class Talk:
    """One connection, for those who ask who is there (`ctl.who`)."""

    door: str
    peer: str
    began: float = field(default_factory=time.monotonic)


class StreamDoor:
    """binrpc over connections."""

    def __init__(self, commands: Commands, address: Address, ownership: Ownership) -> None:
        self.address = address
        self.talks: dict[asyncio.Task[None], Talk] = {}
        self._commands = commands
        self._ownership = ownership
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        :raises ConfigError: that is not possible.
        """
        if self.address.kind == "unixs":
            listening = bound(Path(self.address.place), socket.SOCK_STREAM, self._ownership)
            self._server = await asyncio.start_unix_server(self._talk, sock=listening)
            return
        try:
            self._server = await asyncio.start_server(self._talk, self.address.place, self.address.port)
        except OSError as error:
            raise ConfigError(f"cannot listen on {self.address}: {error.strerror or error}") from error

    async def stop(self) -> None:
        """Hang up."""
        if self._server is None:
            return
        self._server.close()
        for task in self.talks:
            task.cancel()
        await asyncio.gather(*self.talks, return_exceptions=True)
        if self.address.kind == "unixs":
            forget(Path(self.address.place))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self.talks) >= CONNECTIONS:
            writer.close()
            return
        talk = self.talks[task] = Talk(str(self.address), peer_of(writer))
        try:
            await self._answer_all(reader, writer, f"{talk.peer} on {talk.door}")
        except binrpc.BadPacket as error:
            _log.warning("%s: %s: %s", self.address, talk.peer, error)
        except (ConnectionError, TimeoutError):
            pass  # it is gone, or silent; there is nobody to tell
        finally:
            del self.talks[task]
            writer.close()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, by: str) -> None:
        data = b""
        while True:
            while (found := binrpc.take_packet(data)) is not None:
                asked, size = found
                data = data[size:]
                writer.write(await binrpc.answer(self._commands, asked, by))
                await writer.drain()
            async with asyncio.timeout(SILENCE):
                more = await reader.read(binrpc.LARGEST)
            if not more:
                return
            data += more


async def answer_datagram(commands: Commands, data: bytes, by: str) -> bytes:
    """The answer to a datagram that is one packet; what is none gets no answer."""
    try:
        found = binrpc.take_packet(data)
    except binrpc.BadPacket:
        return b""
    return b"" if found is None else await binrpc.answer(commands, found[0], by)


class UdpDoor:
    """binrpc in UDP datagrams."""

    def __init__(self, commands: Commands, address: Address) -> None:
        self.address = address
        self._door = DatagramDoor(str(address), partial(answer_datagram, commands))

    async def start(self) -> None:
        """Listen.

        :raises ConfigError: that is not possible.
        """
        place = (self.address.place, self.address.port)
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self._door, local_addr=place)
        except OSError as error:
            raise ConfigError(f"cannot listen on {self.address}: {error.strerror or error}") from error

    async def stop(self) -> None:
        """Close it."""
        await self._door.stop()
