"""The commands on a unix socket for their owner alone (mode 0600): lines of JSON-RPC, any number of them."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path
from typing import Final

from sipyard.management.json_rpc import LINE_LIMIT, TOO_LONG, answer
from sipyard.management.local_socket import bound, forget
from sipyard.management.ownership import Ownership
from sipyard.management.registry import Commands

CONNECTIONS: Final = 32
"""Connections at a time; more are hung up on."""


class UnixSocket:
    """Serves commands on a socket file.

    :param path: of the file; one that nobody listens on any more is replaced.
    """

    def __init__(self, commands: Commands, path: str | Path) -> None:
        self.path = Path(path)
        self._commands = commands
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen.

        :raises ConfigError: it cannot be made, or another server has it.
        """
        listening = bound(self.path, socket.SOCK_STREAM, Ownership())
        self._server = await asyncio.start_unix_server(self._talk, sock=listening, limit=LINE_LIMIT)

    async def stop(self) -> None:
        """Hang up and take the file away, if it is still ours."""
        if self._server is None:
            return
        self._server.close()
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        forget(self.path)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._talks) >= CONNECTIONS:
            writer.close()
            return
        self._talks.add(task)
        by = f"{peer_of(writer)} on {self.path}"
        try:
            while line := await _line_of(reader):
                writer.write(await answer(self._commands, line, by))
                await writer.drain()
        except ValueError:  # asyncio's word for a line beyond the limit
            writer.write(TOO_LONG)
        except ConnectionError:
            pass  # it is gone; there is nobody to tell
        finally:
            self._talks.discard(task)
            writer.close()


def peer_of(writer: asyncio.StreamWriter) -> str:
    """Who is at the other end: an address, or on a unix socket whom the kernel knows."""
    one = writer.get_extra_info("socket")
    if one.family != socket.AF_UNIX:
        return str(writer.get_extra_info("peername")[0])
    found = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, user, _ = struct.unpack("3i", found)
    return f"user {user} (process {process})"


async def _line_of(reader: asyncio.StreamReader) -> bytes:
    """The next line that is not blank, b"" at the end."""
    while (line := await reader.readline()) and not line.strip():
        pass
    return line
