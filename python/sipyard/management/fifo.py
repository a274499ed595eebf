"""The commands on a named pipe: requests go into it, each answer into the pipe that its request names."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sipyard.errors import ConfigError
from sipyard.management.line_protocol import Lines, Malformed, Request, answer
from sipyard.management.ownership import Ownership
from sipyard.management.registry import Commands

PATIENCE: Final = 5.0
"""Seconds in which a request must be whole, and its asker must read the answer."""
AT_ONCE: Final = 64
"""Requests that are carried out at a time; more are dropped."""
_log = logging.getLogger("sipyard.management")


@dataclass(frozen=True)
class ReplyPipes:
    """Where answers go: pipes of plain names in a folder, waited for so often (`wait` in seconds)."""

    folder: Path
    retries: int = 4
    wait: float = 0.08


class Fifo:
    """Serves commands on a named pipe, which it makes and takes away again."""

    def __init__(
        self, commands: Commands, path: str | Path, replies: ReplyPipes, ownership: Ownership
    ) -> None:
        self.path = Path(path)
        self._commands = commands
        self._replies = replies
        self._ownership = ownership
        self._lines = Lines(commands)
        self._pipe = -1
        self._deadline: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Make the pipe and listen.

        :raises ConfigError: it cannot be made, or something else has its name.
        """
        try:
            self._pipe = _made(self.path, self._ownership)
        except OSError as error:
            raise ConfigError(f"cannot make the pipe {self.path}: {error.strerror or error}") from error
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    async def stop(self) -> None:
        """Close and remove it."""
        if self._pipe < 0:
            return
        asyncio.get_running_loop().remove_reader(self._pipe)
        if self._deadline is not None:
            self._deadline.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        is_ours = os.fstat(self._pipe).st_ino
        os.close(self._pipe)
        self._pipe = -1
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == is_ours:
                self.path.unlink()

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, 65_536)
        except BlockingIOError:
            return
        loop = asyncio.get_running_loop()
        for found in self._lines.feed(data):
            if isinstance(found, Malformed):
                _log.warning("%s: %s", self.path, found)
                continue
            if len(self._tasks) >= AT_ONCE:
                _log.warning("%s: %s is dropped, too many others wait", self.path, found.command)
                continue
            task = loop.create_task(self._serve(found))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = loop.call_later(PATIENCE, self._lines.reset)

    async def _serve(self, request: Request) -> None:
        text = await answer(self._commands, request, f"somebody on {self.path}")
        if not request.reply:
            return
        try:
            pipe = await self._reply_pipe(request.reply)
        except OSError as error:
            _log.warning("%s: no answer to %s: %s", self.path, request.command, error.strerror or error)
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await _write(pipe, text)
        except (TimeoutError, OSError):
            _log.warning("%s: %s was not read to its end", self.path, request.reply)
        finally:
            os.close(pipe)

    async def _reply_pipe(self, name: str) -> int:
        """The open pipe of an asker.

        :raises OSError: the name is not plain, it is no pipe, or nobody reads it.
        """
        if "/" in name or name in (".", ".."):
            raise OSError(f"{name!r} is not a plain name")
        for attempt in range(self._replies.retries + 1):
            try:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW
                pipe = os.open(self._replies.folder / name, flags)
            except OSError:
                if attempt == self._replies.retries:
                    raise
                await asyncio.sleep(self._replies.wait)
                continue
            if stat.S_ISFIFO(os.fstat(pipe).st_mode):
                return pipe
            os.close(pipe)
            break
        raise OSError(f"{name!r} is no named pipe")


def _made(path: Path, ownership: Ownership) -> int:
    """The pipe, made and open; one that nobody reads any more is replaced.

    :raises OSError: it cannot be made. ConfigError: something else has its name.
    """
    if path.is_symlink() or (path.exists() and not path.is_fifo()):
        raise ConfigError(f"{path} is no named pipe, and not ours to remove")
    if path.exists():
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            raise ConfigError(f"cannot make the pipe {path}: another server has it")
        path.unlink()
    os.mkfifo(path, 0o600)
    ownership.apply(path)
    # Open for writing too, so that it does not end whenever a writer goes.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)


async def _write(pipe: int, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    while data:
        try:
            data = data[os.write(pipe, data) :]
        except BlockingIOError:
            ready = loop.create_future()
            loop.add_writer(pipe, ready.set_result, None)
            try:
                await ready
            finally:
                loop.remove_writer(pipe)
