"""unixsock: management commands by a unix datagram socket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from sipyard.arguments import ArgumentError, Generation
from sipyard.management.datagram_socket import UnixDatagrams, answer_lines
from sipyard.management.ownership import Ownership
from sipyard.module import Module, Parameter, parameter

if TYPE_CHECKING:
    from sipyard.engine import Engine

_NEW: Final = Generation.SER_2_0


class UnixSocketModule(Module):
    """unixsock: management commands by a unix datagram socket."""

    name = "unixsock"

    socket = Parameter(str, "", "The socket; empty: none is made.", generations=_NEW)
    children = Parameter(int, 1, "Accepted; one task serves all.", generations=_NEW)
    send_timeout = Parameter(int, 2000, "Accepted; an answer never waits.", generations=_NEW)
    socket_user = Parameter(str, "", "Its owner, by name or number.", generations=_NEW)
    socket_group = Parameter(str, "", "Its group.", generations=_NEW)

    _rights = 0o600
    _door: UnixDatagrams | None = None

    @parameter(str, generations=_NEW)
    def socket_mode(self, value: str) -> None:
        """Its rights, octal: 0600 if never given."""
        try:
            self._rights = int(value, 8)
        except ValueError:
            raise ArgumentError(f"{value!r} is no mode such as 0600") from None

    async def start(self, engine: Engine) -> None:
        """Make the socket."""
        if not (self.socket and engine.takes_commands):
            return
        ownership = Ownership(self._rights, self.socket_user, self.socket_group)
        self._door = UnixDatagrams(self.socket, ownership, partial(answer_lines, engine.commands))
        await self._door.start()

    async def stop(self) -> None:
        """Remove it."""
        if self._door is not None:
            await self._door.stop()
