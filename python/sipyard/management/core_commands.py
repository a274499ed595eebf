"""Management commands of the server itself (SER's `core.*`, and what 0.9's FIFO offered of them)."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipyard import __version__
from sipyard._native.core import version as core_version
from sipyard.management.registry import CHANGES, RpcFault
from sipyard.sip.hostport import shown

if TYPE_CHECKING:
    from sipyard.engine import Engine


class CoreCommands:
    """Commands about the process and the core of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._started = time.time()

    def declare(self) -> None:
        """Offer them."""
        add = self._engine.commands.add
        add("core.version", self.version, old_name="version")
        add("core.uptime", self.uptime, old_name="uptime")
        add("core.prints", self.prints, old_name="print")
        add("core.ps", self.processes, old_name="ps")
        add("core.pwd", self.directory, old_name="pwd")
        add("core.arg", self.arguments, old_name="arg")
        add("core.kill", self.kill, old_name="kill", traits=CHANGES)
        add("core.shmmem", self.memory)
        add("core.tcp_info", self.connections)
        add("core.tcp_list", self.connection_list)
        add("core.tcp_close", self.close_connection, traits=CHANGES)
        add("core.counters", self.counters)
        add("core.live", self.live)
        add("dst_blacklist.debug", self.blacklist)
        add("dst_blacklist.mem_info", self.blacklist_memory)
        add("dst_blacklist.delete_all", self.clear_blacklist, traits=CHANGES)

    def version(self) -> str:
        """Version of the server and of its native core."""
        return f"Sipyard {__version__} (core {core_version()}, Python {sys.version.split()[0]})"

    def uptime(self) -> dict[str, str | int]:
        """Now, the start, and the seconds between."""
        now = time.time()
        return {
            "now": time.ctime(now),
            "up_since": time.ctime(self._started),
            "uptime": int(now - self._started),
        }

    def prints(self, text: str) -> str:
        """Give back the text."""
        return text

    def processes(self) -> list[int | str]:
        """Process id and what it does: there is one that decides."""
        return [os.getpid(), "sipyard"]

    def directory(self) -> str:
        """Working directory."""
        return str(Path.cwd())

    def arguments(self) -> list[str]:
        """Command line."""
        return list(sys.argv)

    def kill(self, number: int = 15) -> None:
        """Send a signal to the server (15: an orderly stop). The answer goes out first."""
        if number not in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
            raise RpcFault(400, "only HUP (1), INT (2), USR1 (10) and TERM (15) may be sent")
        import asyncio  # what answers has a loop

        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), number)

    def memory(self) -> dict[str, int]:
        """Memory of the process in bytes; there is no pool of fixed size, so `free` and `fragments` are 0."""
        now = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return {"total": now, "free": 0, "used": now, "max_used": most, "fragments": 0}

    def connections(self) -> dict[str, int]:
        """How many connections there are and may be (`readers` is SER's count of processes)."""
        core = self._engine.core
        return {
            "readers": 0,
            "max_connections": core.most_connections,
            "opened_connections": len(core.connections()),
        }

    def connection_list(self, number: int | None = None) -> list[dict[str, Any]]:
        """Connections, or the one of this number: peers, own addresses, and the seconds until each is closed
        if nothing happens (not in SER)."""
        core = self._engine.core
        found = [core.connection(one) for one in (core.connections() if number is None else [number])]
        return [
            {
                "number": one.number,
                "proto": one.protocol,
                "remote": shown(*one.remote),
                "local": shown(*one.local),
                "ours": one.is_ours,
                "open": one.is_open,
                "aliases": [shown(*alias) for alias in one.aliases],
                "expires": round(one.left),
            }
            for one in found
            if one is not None
        ]

    def close_connection(self, number: int) -> None:
        """Close a connection (not in SER)."""
        if self._engine.core.connection(number) is None:
            raise RpcFault(404, f"there is no connection {number}")
        self._engine.core.close_connection(number)

    def blacklist(self) -> list[dict[str, str | int]]:
        """Destinations that did not answer lately, with the seconds for which nothing is sent there."""
        return [
            {"proto": protocol, "ip": ip, "port": port, "expires": round(left)}
            for protocol, ip, port, left in self._engine.core.blacklist()
        ]

    def blacklist_memory(self) -> list[int]:
        """Bytes that the blacklist takes, about, and the most that it may take."""
        return list(self._engine.core.blacklist_memory)

    def clear_blacklist(self) -> int:
        """Forget all destinations that did not answer; returns how many (not in SER)."""
        return self._engine.core.clear_blacklist()

    def counters(self) -> dict[str, int]:
        """All counters of the core, by name."""
        return self._engine.core.counters()

    def live(self) -> dict[str, int]:
        """What there is now: transactions, timers, events in the queue, messages that wait."""
        return {**self._engine.core.live(), "waiting_handlers": len(self._engine.tasks)}
