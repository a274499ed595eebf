"""fifo: management commands by a named pipe, as SER 0.9's core had it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipyard.arguments import Generation
from sipyard.management.fifo import Fifo, ReplyPipes
from sipyard.management.ownership import Ownership
from sipyard.module import Module, Parameter

if TYPE_CHECKING:
    from sipyard.engine import Engine

_NEW: Final = Generation.SER_2_0


class FifoModule(Module):
    """fifo: management commands by a named pipe."""

    name = "fifo"

    fifo_file = Parameter(str, "", "The pipe; empty: none is made.", generations=_NEW)
    fifo_dir = Parameter(str, "/tmp/", "Folder of the pipes that answers go to.", generations=_NEW)  # noqa: S108
    mode = Parameter(int, 0o660, "Rights of the pipe.", generations=_NEW)
    user = Parameter(str, "", "Its owner, by name or number.", generations=_NEW)
    group = Parameter(str, "", "Its group.", generations=_NEW)
    reply_retries = Parameter(int, 4, "How often a pipe for an answer is waited for.", generations=_NEW)
    reply_wait = Parameter(int, 80_000, "Microseconds of each wait.", generations=_NEW)

    _door: Fifo | None = None

    async def start(self, engine: Engine) -> None:
        """Make the pipe."""
        if not (self.fifo_file and engine.takes_commands):
            return
        replies = ReplyPipes(Path(self.fifo_dir), max(self.reply_retries, 0), self.reply_wait / 1e6)
        ownership = Ownership(self.mode, self.user, self.group)
        self._door = Fifo(engine.commands, self.fifo_file, replies, ownership)
        await self._door.start()

    async def stop(self) -> None:
        """Remove it."""
        if self._door is not None:
            await self._door.stop()
