"""ctl: management commands by binrpc (sercmd, kamcmd) and by a named pipe."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipyard.arguments import Generation
from sipyard.management.binrpc_doors import Address, StreamDoor, UdpDoor, answer_datagram
from sipyard.management.datagram_socket import UnixDatagrams
from sipyard.management.fifo import Fifo, ReplyPipes
from sipyard.management.ownership import Ownership
from sipyard.module import ArgumentError, Module, Parameter, parameter, rpc

if TYPE_CHECKING:
    from sipyard.engine import Engine

DEFAULT: Final = "unixs:/tmp/ser_ctl"
Door = StreamDoor | UdpDoor | UnixDatagrams | Fifo


class Control(Module):
    """ctl: management commands by binrpc, and by a named pipe. Without `binrpc` and `fifo` it listens on
    unixs:/tmp/ser_ctl, for the server's own user alone."""

    name = "ctl"

    mode = Parameter(int, 0o600, "Rights of sockets and pipes.", generations=Generation.SER_2_0)
    user = Parameter(str, "", "Their owner, by name or number.", generations=Generation.SER_2_0)
    group = Parameter(str, "", "Their group.", generations=Generation.SER_2_0)

    def __init__(self) -> None:
        super().__init__()
        self._addresses: list[Address] = []
        self._fifos: list[Path] = []
        self._doors: list[Door] = []

    @parameter(str, generations=Generation.SER_2_0)
    def binrpc(self, value: str) -> None:
        """Where binrpc is spoken: ``unixs:path``, ``unixd:path``, ``tcp:host:port`` or ``udp:host:port``
        (port 2049). May be given several times."""
        try:
            self._addresses.append(Address.parse(value))
        except ValueError as error:
            raise ArgumentError(str(error)) from error

    @parameter(str, generations=Generation.SER_2_0)
    def fifo(self, value: str) -> None:
        """A named pipe, ``fifo:path`` or a path, for the line protocol; answers go to pipes beside it. May be
        given several times."""
        self._fifos.append(Path(value.removeprefix("fifo:")))

    async def start(self, engine: Engine) -> None:
        """Open the doors."""
        if not engine.takes_commands:
            return
        commands, ownership = engine.commands, Ownership(self.mode, self.user, self.group)
        addresses = self._addresses or ([] if self._fifos else [Address.parse(DEFAULT)])
        self._doors = []
        for address in addresses:
            door: Door
            if address.kind == "udp":
                door = UdpDoor(commands, address)
            elif address.kind == "unixd":
                door = UnixDatagrams(address.place, ownership, partial(answer_datagram, commands))
            else:
                door = StreamDoor(commands, address, ownership)
            await door.start()
            self._doors.append(door)
        for path in self._fifos:
            pipe = Fifo(commands, path, ReplyPipes(path.parent), ownership)
            await pipe.start()
            self._doors.append(pipe)

    async def stop(self) -> None:
        """Close them."""
        doors, self._doors = self._doors, []
        for door in doors:
            await door.stop()

    # -- commands --------------------------------------------------------------------------------------------

    @rpc("ctl.who")
    def who(self) -> list[dict[str, str | int]]:
        """Connections of those who ask, and the seconds that they have been there."""
        now = time.monotonic()
        return [
            {"door": talk.door, "peer": talk.peer, "age": round(now - talk.began)}
            for door in self._doors
            if isinstance(door, StreamDoor)
            for talk in door.talks.values()
        ]

    @rpc("ctl.connections")
    def connections(self) -> dict[str, int]:
        """How many connections there are."""
        return {"open": len(self.who())}

    @rpc("ctl.listen")
    def listen(self) -> list[str]:
        """Where commands are taken."""
        return [f"fifo:{door.path}" if isinstance(door, Fifo) else str(_place(door)) for door in self._doors]


def _place(door: StreamDoor | UdpDoor | UnixDatagrams) -> str:
    return f"unixd:{door.path}" if isinstance(door, UnixDatagrams) else str(door.address)
