"""What is read whole from a database: at the start, again until that has succeeded, and when asked to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sipyard.errors import StorageError
from sipyard.storage.backoff import Backoff

T = TypeVar("T")
_log = logging.getLogger("sipyard.storage")


class Snapshot(Generic[T]):
    """A value made of tables. Readers see the old one until a new one is complete.

    :param name: what it is, for the log.
    :param read: makes one; may raise StorageError.
    """

    def __init__(self, name: str, read: Callable[[], Awaitable[T]]) -> None:
        self.value: T | None = None
        """None until it was read for the first time."""
        self._name = name
        self._read = read
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read it; while the database is away, go on trying beside."""
        try:
            self.value = await self._read()
        except StorageError as error:
            _log.error("%s: %s; trying again until it can be read", self._name, error.message)
            self._task = asyncio.get_running_loop().create_task(self._retry())

    async def _retry(self) -> None:
        backoff = Backoff()
        while self.value is None:
            await asyncio.sleep(backoff.delay())
            try:
                self.value = await self._read()
            except StorageError as error:
                _log.info("%s still cannot be read: %s", self._name, error.message)

    async def reload(self) -> T:
        """Read it anew; the old value stays when that fails.

        :raises StorageError: the database is away.
        """
        value = self.value = await self._read()
        return value

    async def stop(self) -> None:
        """Stop trying."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
