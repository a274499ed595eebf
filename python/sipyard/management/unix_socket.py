"""The commands on a unix socket for their owner alone (mode 0600): lines of JSON-RPC, any number of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Final

from sipyard.errors import ConfigError
from sipyard.management.json_rpc import LINE_LIMIT, TOO_LONG, answer
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
        self._identity: tuple[int, int] | None = None

    async def start(self) -> None:
        """Listen.

        :raises ConfigError: it cannot be made, or another server has it.
        """
        listening = _bound(self.path)
        found = self.path.stat()
        self._identity = (found.st_dev, found.st_ino)
        self._server = await asyncio.start_unix_server(self._talk, sock=listening, limit=LINE_LIMIT)

    async def stop(self) -> None:
        """Hang up and take the file away, if it is still ours."""
        if self._server is None:
            return
        self._server.close()
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        with contextlib.suppress(OSError):
            found = self.path.stat()
            if (found.st_dev, found.st_ino) == self._identity:
                self.path.unlink()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._talks) >= CONNECTIONS:
            writer.close()
            return
        self._talks.add(task)
        try:
            while line := await _line_of(reader):
                writer.write(await answer(self._commands, line))
                await writer.drain()
        except ValueError:  # asyncio's word for a line beyond the limit
            writer.write(TOO_LONG)
        except ConnectionError:
            pass  # it is gone; there is nobody to tell
        finally:
            self._talks.discard(task)
            writer.close()


async def _line_of(reader: asyncio.StreamReader) -> bytes:
    """The next line that is not blank, b"" at the end."""
    while (line := await reader.readline()) and not line.strip():
        pass
    return line


def _bound(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody else may connect, not even for a moment
    try:
        if path.is_socket() and not _is_served(path):
            path.unlink()
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        taken = " (another server has it)" if path.is_socket() else ""
        raise ConfigError(f"cannot listen on {path}: {error.strerror or error}{taken}") from error
    finally:
        os.umask(before)
    listening.setblocking(False)
    return listening


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        try:
            asker.connect(str(path))
        except ConnectionRefusedError:
            return False
        return True
