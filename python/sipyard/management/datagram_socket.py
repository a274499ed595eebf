"""The commands on a unix datagram socket (0.9's unixsock): a request a datagram, the answer to its sender."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, cast

from sipyard.management.line_protocol import Lines, Malformed, answer
from sipyard.management.local_socket import bound, forget
from sipyard.management.ownership import Ownership
from sipyard.management.registry import Commands

AT_ONCE: Final = 64
"""Requests that are carried out at a time; more are dropped."""
_log = logging.getLogger("sipyard.management")
Answer = Callable[[bytes, str], Awaitable[bytes]]
"""Takes a datagram and who sent it; gives what to send back, b"" for nothing."""


async def answer_lines(commands: Commands, data: bytes, by: str) -> bytes:
    """The answer to a datagram of the line protocol."""
    lines = Lines(commands)
    for found in [*lines.feed(data), *lines.finish()]:
        if isinstance(found, Malformed):
            return f"400 {found}\n".encode()
        return await answer(commands, found, by)
    return b"400 First line malformed\n"


class DatagramDoor(asyncio.DatagramProtocol):
    """Answers datagrams of a socket, whichever family it is of."""

    def __init__(self, name: str, reply: Answer) -> None:
        self._name = name
        self._answer = reply
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's word that it is ready."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's word that it is closed."""
        self._closed.set()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """A request."""
        if len(self._tasks) >= AT_ONCE:
            return
        task = asyncio.get_running_loop().create_task(self._serve(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def error_received(self, exc: Exception) -> None:
        """Somebody did not wait for his answer."""
        _log.info("%s: %s", self._name, exc)

    async def _serve(self, data: bytes, addr: object) -> None:
        # A sender without an address of its own wants no answer.
        who = f"{addr!r}" if addr else "somebody"
        reply = await self._answer(data, f"{who} on {self._name}")
        if reply and addr and self._transport is not None:
            self._transport.sendto(reply, addr)  # type: ignore[arg-type]  # a unix socket's is a str

    async def stop(self) -> None:
        """Close the socket."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()


class UnixDatagrams:
    """A unix datagram socket with its file."""

    def __init__(self, path: str | Path, ownership: Ownership, reply: Answer) -> None:
        self.path = Path(path)
        self._ownership = ownership
        self._door = DatagramDoor(str(path), reply)

    async def start(self) -> None:
        """Listen.

        :raises ConfigError: the socket cannot be made, or another server has it.
        """
        listening = bound(self.path, socket.SOCK_DGRAM, self._ownership)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self._door, sock=listening)

    async def stop(self) -> None:
        """Close it and take the file away."""
        await self._door.stop()
        forget(self.path)
