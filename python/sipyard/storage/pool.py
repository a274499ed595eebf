"""Connections to a database server: a few, shared, found again after the server was away.

While it is away nothing waits for it: whoever wants a connection is told at once, and one task looks for the
server, less and less often. What may not live here: SQL, and anything about one driver.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sipyard.errors import StorageError
from sipyard.storage.backoff import Backoff
from sipyard.storage.url import DatabaseUrl

_log = logging.getLogger("sipyard.storage")

MAX_WAITING: Final = 5_000
"""Callers that may wait for a connection; more are refused, so that memory stays bounded."""


class LinkLost(StorageError):
    """The connection broke; whether what was asked took effect is not known."""


class Link(ABC):
    """One connection of one driver. Its methods raise StorageError; LinkLost when it cannot be used again."""

    @abstractmethod
    async def fetch(self, text: str, parameters: Sequence[object] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement; its rows."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """False once it is known to be broken."""

    @abstractmethod
    async def close(self) -> None:
        """Say goodbye and close; raises nothing."""

    @abstractmethod
    def abort(self) -> None:
        """Close without waiting for anybody."""


Connect = Callable[[DatabaseUrl], Awaitable[Link]]
"""Opens a connection; StorageError when the server does not answer or refuses."""


class Pool:
    """Up to `size` connections.

    :param connect: of a driver.
    :param size: connections at most.
    :param patience: seconds to wait for a connection, and for one statement.
    """

    def __init__(self, url: DatabaseUrl, connect: Connect, size: int, patience: float) -> None:
        self._url = url
        self._connect = connect
        self._size = size
        self.patience = patience
        self._idle: list[Link] = []
        self._count = 0
        """Connections that are open or being opened."""
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._away_since: float | None = None
        self._why = ""
        self._search: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_there(self) -> bool:
        """Whether the server answered when it was last asked."""
        return self._away_since is None

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """A connection for one caller; given back, or closed when it broke.

        :raises StorageError: there is none: the server is away, or all are busy for too long.
        """
        link = await self._take()
        try:
            yield link
        except LinkLost as error:
            self._drop(link)
            # What ended this one ended its neighbours, most likely; not all drivers know it before they ask.
            self._drop_idle()
            _log.warning("%s: connection lost: %s", self._url, error.message)
            raise
        except BaseException as error:
            # Whoever gave up in the middle of a statement leaves an answer that nobody reads.
            if isinstance(error, StorageError) and link.is_open:
                self._give_back(link)
            else:
                self._drop(link)
            raise
        else:
            self._give_back(link)

    async def fetch(
        self, link: Link, text: str, parameters: Sequence[object] = ()
    ) -> Sequence[Sequence[Any]]:
        """`link.fetch`, given up after `patience` seconds."""
        # No `asyncio.timeout`: a route that is stepped by hand is no task that it could interrupt.
        expired = False

        def give_up() -> None:
            nonlocal expired
            expired = True
            link.abort()

        timer = asyncio.get_running_loop().call_later(self.patience, give_up)
        try:
            return await link.fetch(text, parameters)
        except StorageError as error:
            if expired:
                raise LinkLost(f"{self._url}: no answer within {self.patience:g} s") from error
            raise
        finally:
            timer.cancel()

    async def _take(self) -> Link:
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            if self._is_closed:
                raise StorageError(f"{self._url}: closed")
            while self._idle:
                link = self._idle.pop()
                if link.is_open:
                    return link
                self._drop(link)
            if self._away_since is not None:
                raise self._away()
            if self._count < self._size:
                return await self._open()
            await self._wait(deadline)

    def _away(self) -> StorageError:
        assert self._away_since is not None
        seconds = time.monotonic() - self._away_since
        return StorageError(f"{self._url} is away since {seconds:.0f} s: {self._why}")

    async def _wait(self, deadline: float) -> None:
        if len(self._waiters) >= MAX_WAITING:
            raise StorageError(f"{self._url} is slow: {len(self._waiters)} statements wait", retry_after=10)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.append(waiter)
        timer = loop.call_at(deadline, self._expire, waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._wake()  # it was this one's turn: pass it on
            raise
        finally:
            timer.cancel()

    def _expire(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_exception(StorageError(f"{self._url}: all {self._size} connections are busy"))

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _open(self) -> Link:
        self._count += 1
        try:
            # Drivers want a task here; who asks may be a route that is stepped by hand.
            link = await asyncio.get_running_loop().create_task(self._connect_soon())
        except BaseException as error:
            self._count -= 1
            self._wake()
            if isinstance(error, TimeoutError):
                error = StorageError(f"no answer within {self.patience:g} s")
            if isinstance(error, StorageError):
                self._went_away(error.message)
                raise self._away() from error
            raise
        self._came_back()
        return link

    async def _connect_soon(self) -> Link:
        async with asyncio.timeout(self.patience):
            return await self._connect(self._url)

    def _give_back(self, link: Link) -> None:
        if self._is_closed or not link.is_open:
            self._drop(link)
            return
        self._idle.append(link)
        self._wake()

    def _drop(self, link: Link) -> None:
        self._count -= 1
        link.abort()
        self._wake()

    def _drop_idle(self) -> None:
        while self._idle:
            self._drop(self._idle.pop())

    # -- away and back ---------------------------------------------------------------------------------------

    def _went_away(self, why: str) -> None:
        self._why = why
        if self._away_since is None:
            self._away_since = time.monotonic()
            _log.error("%s is away: %s; what needs it is refused until it answers", self._url, why)
        self._drop_idle()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        if not self._is_closed and (self._search is None or self._search.done()):
            self._search = asyncio.get_running_loop().create_task(self._look_for_it())

    async def _look_for_it(self) -> None:
        backoff = Backoff()
        while self._away_since is not None and not self._is_closed:
            await asyncio.sleep(backoff.delay())
            try:
                link = await self._open()
            except StorageError as error:
                _log.debug("%s", error)
            else:
                self._give_back(link)

    def _came_back(self) -> None:
        if self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            self._away_since = None
            # As loud as what it ends: who read that it is away must read this.
            _log.error("%s is back after %.0f s", self._url, seconds)

    async def close(self) -> None:
        """Close all connections; those in use when they are given back."""
        self._is_closed = True
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        while self._idle:
            self._count -= 1
            await self._idle.pop().close()
