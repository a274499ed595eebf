"""Rows on their way into a table: bounded, written many at a time, and kept in a file while the database is
away."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sipyard.errors import StorageError
from sipyard.storage import Database, Statement
from sipyard.storage.backoff import Backoff
from sipyard.storage.group_commit import RowRefused

_log = logging.getLogger("sipyard.accounting")
BATCH: Final = 500
Row = tuple[Any, ...]


class Ledger:
    """One insert statement and what is to be inserted by it.

    What was accepted reaches the table exactly once as long as the process lives. With a spool file it also
    does when the process is killed after `put`'s future is done: rows that cannot be inserted now are written
    to the file and synced, and inserted when the database is back or at the next start. A row of the file is
    left out if it is in the table already (`exists`), as it is after a crash between insertion and removal.

    :param insert: takes a row.
    :param exists: finds a row by the values at the places `identity` of a row.
    :param spool: the file; None: rows wait in memory only.
    :param limit: rows that may wait; more are refused.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        insert: Statement,
        exists: Statement,
        identity: Sequence[int],
        *,
        spool: Path | None = None,
        limit: int = 200_000,
    ) -> None:
        self.name = name
        self.lost = 0
        self._database = database
        self._insert = insert
        self._exists = exists
        self._identity = identity
        self._spool = spool
        self._limit = limit
        self._waiting: deque[tuple[Row, asyncio.Future[None]]] = deque()
        self._has_work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def waiting(self) -> int:
        """Rows in memory that are not in the table yet."""
        return len(self._waiting)

    async def start(self) -> None:
        """Begin; rows of an earlier life are inserted first."""
        self._is_stopping = False
        if self._spool is not None and self._spool.exists():
            self._has_work.set()
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Insert what waits; what cannot be inserted goes to the file, or is said to be lost."""
        self._is_stopping = True
        self._has_work.set()
        if self._task is not None:
            await self._task
            self._task = None

    def put(self, row: Row) -> asyncio.Future[None]:
        """Accept a row. The future is done when it is in the table or in the file, and fails with
        StorageError when it was refused, which is logged with the row."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= self._limit:
            self._lose([row], "too many rows wait")
            future.set_exception(StorageError(f"{self.name}: too many rows wait"))
            future.exception()  # who does not ask is told by the log
            return future
        self._waiting.append((row, future))
        self._has_work.set()
        return future

    def _lose(self, rows: Sequence[Row], why: str) -> None:
        self.lost += len(rows)
        for row in rows:
            _log.error("%s: %s; this row is not recorded: %s", self.name, why, json.dumps(row, default=str))

    # -- writing ---------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        backoff = Backoff()
        while not (self._is_stopping and not self._waiting):
            await self._has_work.wait()
            try:
                await self._replay()
                await self._insert_waiting()
            except StorageError as error:
                _log.warning("%s: %s; %d rows wait", self.name, error.message, len(self._waiting))
                await self._save_waiting()
                if self._is_stopping:
                    return
                await self._pause(backoff.delay())
                continue
            backoff.reset()
            if not self._waiting and not self._is_stopping:
                self._has_work.clear()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when the server stops meanwhile; what comes meanwhile goes to the file at once."""
        end = asyncio.get_running_loop().time() + seconds
        while not self._is_stopping and (left := end - asyncio.get_running_loop().time()) > 0:
            self._has_work.clear()
            try:
                await asyncio.wait_for(self._has_work.wait(), left)
            except TimeoutError:
                break
            await self._save_waiting()
        self._has_work.set()

    async def _insert_waiting(self) -> None:
        while self._waiting:
            batch = [self._waiting[place][0] for place in range(min(BATCH, len(self._waiting)))]
            try:
                await self._insert_rows(batch)
            except RowRefused:  # one of them; all others are as good as before
                for row in batch:
                    try:
                        await self._insert_rows([row])
                    except RowRefused as error:
                        self._lose([row], error.message)
            self._done(len(batch))

    async def _insert_rows(self, rows: Sequence[Row]) -> None:
        async with self._database.transaction() as transaction:
            for row in rows:
                await transaction.execute(self._insert, *row)

    def _done(self, count: int) -> None:
        for _ in range(count):
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)

    # -- the file --------------------------------------------------------------------------------------------

    async def _save_waiting(self) -> None:
        if self._spool is None:
            if self._is_stopping:
                self._lose([row for row, _ in self._waiting], "the database is away")
                self._done(len(self._waiting))
            return
        rows = [row for row, _ in self._waiting]
        if not rows:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(None, _append, self._spool, rows)
        except OSError as error:
            _log.error("%s: cannot write %s: %s", self.name, self._spool, error)
            return
        self._done(len(rows))

    async def _replay(self) -> None:
        """Insert the rows of the file that are not in the table yet, then remove it."""
        spool = self._spool
        if spool is None or not spool.exists():
            return
        rows = await asyncio.get_running_loop().run_in_executor(None, _read, spool)
        for start in range(0, len(rows), BATCH):
            async with self._database.transaction() as transaction:
                for row in rows[start : start + BATCH]:
                    if not await transaction.execute(self._exists, *(row[place] for place in self._identity)):
                        await transaction.execute(self._insert, *row)
        spool.unlink()
        _log.warning("%s: %d rows of %s inserted", self.name, len(rows), spool)


def _append(path: Path, rows: Sequence[Row]) -> None:
    """Add rows to the file, a line each, and have them on the disk."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with path.open("ab") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> list[Row]:
    """All whole rows of the file. A last line that a crash has cut was promised to nobody."""
    found: list[Row] = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(tuple(json.loads(line)))
        except ValueError:
            _log.warning("%s: a row that was not written whole is left out", path)
    return found
