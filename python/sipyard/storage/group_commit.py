"""The writer thread of a store: writes that wait while one is being made durable share the next commit.

A write is handed over by the deciding thread and awaited there. The thread takes everything that waits, has
it carried out in one transaction, and wakes the loop once for all of them. When the store refuses a row, each
write of the batch is tried alone, so that one impossible row does not fail its neighbours.

What may not live here: SQL. `carry_out` is the driver's, and is called in the writer thread only.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

from sipyard.errors import StorageError

Write = TypeVar("Write")
_Future = asyncio.Future[None]
_Outcome = tuple[_Future, StorageError | None]


class RowRefused(StorageError):
    """The store works but will not take this row; others are not affected."""


MAX_WAITING = 20_000
"""Writes handed over and not yet durable; more are refused, so that memory stays bounded."""

MAX_BATCH = 4_096
"""Writes in one transaction: bounds how long the first of them waits."""


class GroupCommit(Generic[Write]):
    """One writer thread. `carry_out(writes)` makes them durable or raises StorageError having done
    nothing."""

    def __init__(self, carry_out: Callable[[Sequence[Write]], None], name: str) -> None:
        self._carry_out = carry_out
        self._queue: SimpleQueue[tuple[Write, _Future] | None] = SimpleQueue()
        self._closed = False
        self.waiting = 0
        self.commits = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, write: Write) -> asyncio.Future[None]:
        """Hand over; the future is done when it is durable, or fails with StorageError. Writes are carried
        out in the order of these calls.

        :raises StorageError: closed, or too much waits already.
        """
        if self._closed:
            raise StorageError("the store is closed")
        if self.waiting >= MAX_WAITING:
            raise StorageError(f"the store is slow: {self.waiting} writes wait", retry_after=10)
        future: _Future = asyncio.get_running_loop().create_future()
        self.waiting += 1
        self._queue.put((write, future))
        return future

    def close(self) -> None:
        """Let the thread finish what was handed over, and wait for it."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        more = True
        while more:
            batch: list[tuple[Write, _Future]] = []
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if len(batch) >= MAX_BATCH or self._queue.empty():
                    break
                item = self._queue.get()
            more = item is not None
            if batch:
                self._settle(batch)

    def _settle(self, batch: list[tuple[Write, _Future]]) -> None:
        error = self._attempt([write for write, _ in batch])
        outcomes: list[_Outcome]
        if error is None:
            outcomes = [(future, None) for _, future in batch]
        elif len(batch) > 1 and isinstance(error, RowRefused):
            outcomes = [(future, self._attempt([write])) for write, future in batch]
        else:
            outcomes = [(future, error) for _, future in batch]
        self._wake(outcomes)

    def _attempt(self, writes: Sequence[Write]) -> StorageError | None:
        try:
            self._carry_out(writes)
        except StorageError as error:
            return error
        except Exception as error:  # the thread must live, and the caller must learn of a bug of ours
            failure = StorageError(f"writing failed: {error!r}")
            failure.__cause__ = error
            return failure
        self.commits += 1
        return None

    def _wake(self, outcomes: Sequence[_Outcome]) -> None:
        """Settle the futures in their loop, waking it once per loop (in practice there is one)."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
        for outcome in outcomes:
            by_loop.setdefault(outcome[0].get_loop(), []).append(outcome)
        for loop, settled in by_loop.items():
            # A loop that was closed meanwhile has nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._finish, settled)

    def _finish(self, settled: Sequence[_Outcome]) -> None:
        self.waiting -= len(settled)
        for future, error in settled:
            if future.done():  # whoever waited was cancelled
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
