"""A program that a script runs for one message: only that message waits, and the program never outlives it.

What it is given travels in its environment, its arguments and its standard input, never in the text of the
command, so that nothing a stranger wrote is read by a shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

#: Seconds for which the core remembers a request whose script has not decided: what a program says later
#: comes too late.
LONGEST: Final = 180.0


class _Child(asyncio.SubprocessProtocol):
    """Collects the output, up to a limit, and says when the program has ended."""

    def __init__(self, ended: asyncio.Future[None], limit: int) -> None:
        self.output = bytearray()
        self.ended = ended
        self.limit = limit
        self.reaped = asyncio.Event()

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        self.output += data[: self.limit - len(self.output)]

    def process_exited(self) -> None:
        self.reaped.set()
        if not self.limit:  # a background process may keep its input open; nobody waits for that
            self._end()

    def connection_lost(self, _error: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


_Start = Coroutine[Any, Any, tuple[asyncio.SubprocessTransport, _Child]]


async def run_program(
    command: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    output_limit: int = 0,
    deadline: float = LONGEST,
) -> tuple[int, bytes]:
    """Run a shell command in a process group of its own; to be awaited in a task.

    :param arguments: ``$1``, ``$2`` … of the command.
    :param environment: added to the server's own.
    :param output_limit: how many bytes of its output are wanted; the rest is read and dropped. With 0 it
        writes to /dev/null.
    :param deadline: seconds until the whole group is killed.
    :returns: exit status (negative: killed by that signal) and output.
    :raises TimeoutError: it was killed. OSError: it cannot be started.
    """
    loop = asyncio.get_running_loop()
    child = _Child(loop.create_future(), output_limit)
    start = loop.subprocess_exec(
        lambda: child,
        *("/bin/sh", "-c", command, *(("sh", *arguments) if arguments else ())),
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if output_limit else asyncio.subprocess.DEVNULL,
        stderr=None,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    transport = await _unless_cancelled(child, start)
    try:
        if stdin:
            _feed(transport, stdin)
        async with asyncio.timeout(deadline):
            await child.ended
        return transport.get_returncode() or 0, bytes(child.output)
    except BaseException:
        await _kill(child, transport)
        raise
    finally:
        transport.close()


async def _unless_cancelled(child: _Child, start: _Start) -> asyncio.SubprocessTransport:
    """The program once it is started. It runs before asyncio says so, and then ends with its whole group."""
    starting = asyncio.ensure_future(start)
    try:
        return (await asyncio.shield(starting))[0]
    except asyncio.CancelledError:
        transport = (await starting)[0]
        await _kill(child, transport)
        transport.close()
        raise


def _feed(transport: asyncio.SubprocessTransport, data: bytes) -> None:
    pipe: Any = transport.get_pipe_transport(0)
    pipe.write(data)
    pipe.close()  # once all is written


async def _kill(child: _Child, transport: asyncio.SubprocessTransport) -> None:
    with contextlib.suppress(ProcessLookupError):  # they have all ended by themselves
        os.killpg(transport.get_pid(), signal.SIGKILL)
    await child.reaped.wait()
