"""Writes that wait while others are being made durable share the next transaction.

As `group_commit`, for drivers that are asynchronous themselves: a task of the loop instead of a thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sipyard.errors import StorageError
from sipyard.storage.group_commit import MAX_BATCH, MAX_WAITING, RowRefused

Write = TypeVar("Write")
_Future = asyncio.Future[None]


class Batches(Generic[Write]):
    """`carry_out(writes)` makes them durable or raises StorageError having done nothing."""

    def __init__(self, carry_out: Callable[[Sequence[Write]], Awaitable[None]]) -> None:
        self._carry_out = carry_out
        self._queue: deque[tuple[Write, _Future]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.waiting = 0
        self.commits = 0

    def write(self, write: Write) -> _Future:
        """Hand over; the future is done when it is durable, or fails with StorageError. Writes are carried
        out in the order of these calls.

        :raises StorageError: closed, or too much waits already.
        """
        if self._closed:
            raise StorageError("the store is closed")
        if self.waiting >= MAX_WAITING:
            raise StorageError(f"the store is slow: {self.waiting} writes wait", retry_after=10)
        loop = asyncio.get_running_loop()
        future: _Future = loop.create_future()
        self.waiting += 1
        self._queue.append((write, future))
        if self._task is None:
            self._task = loop.create_task(self._run())
        return future

    async def close(self) -> None:
        """Finish what was handed over."""
        self._closed = True
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
                await self._settle(batch)
        finally:
            self._task = None

    async def _settle(self, batch: Sequence[tuple[Write, _Future]]) -> None:
        error = await self._attempt([write for write, _ in batch])
        if len(batch) > 1 and isinstance(error, RowRefused):
            # One impossible row must not fail its neighbours.
            for write, future in batch:
                self._finish(future, await self._attempt([write]))
        else:
            for _, future in batch:
                self._finish(future, error)

    async def _attempt(self, writes: Sequence[Write]) -> Exception | None:
        try:
            await self._carry_out(writes)
        except Exception as error:  # the task must live, and the caller must learn of a bug of ours
            return error
        self.commits += 1
        return None

    def _finish(self, future: _Future, error: Exception | None) -> None:
        self.waiting -= 1
        if future.done():  # whoever waited was cancelled
            return
        if error is None:
            future.set_result(None)
        elif isinstance(error, StorageError):
            future.set_exception(error)
        else:
            failure = StorageError(f"writing failed: {error!r}")
            failure.__cause__ = error
            future.set_exception(failure)
