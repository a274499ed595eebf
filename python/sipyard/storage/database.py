"""The interface of a store, and the choice of a driver by URL.

Opening a store asks it nothing: a server can be started while its database is away. Whatever needs an answer
raises StorageError then, at once and not after a timeout, until the driver has found it again.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager

from sipyard.storage.layout import Key, Layout, Row
from sipyard.storage.statement import Row as ResultRow
from sipyard.storage.statement import Statement
from sipyard.storage.url import POSTGRESQL, SQLITE, DatabaseUrl

Changes = Mapping[Key, Row | None]
"""What rows shall be after a write: by key, the whole row, or None for no row."""


class StoredTable(ABC):
    """One table whose rows are read at start and written by key."""

    layout: Layout
    missing: frozenset[str]
    """Optional columns that the table in the database does not have; known once it was prepared."""

    @abstractmethod
    async def prepare(self) -> None:
        """Create the table when it does not exist, else check its version and columns. Idempotent.

        :raises StorageError: the store does not answer.
        :raises ConfigError: the table is of another version or lacks columns.
        """

    @abstractmethod
    async def count(self) -> int:
        """How many rows there are now; StorageError."""

    @abstractmethod
    def rows(self) -> AsyncIterator[list[Row]]:
        """Every row, in pieces of some thousand; missing optional columns read as None. StorageError."""

    @abstractmethod
    def write(self, changes: Changes) -> asyncio.Future[None]:
        """Make the rows so, all or none. The future is done when that survives a crash, or fails with
        StorageError having written nothing.

        Writes are carried out in the order of the calls; many at a time share one transaction.

        :raises StorageError: it cannot even be queued.
        """


class Transaction(ABC):
    """Statements that take effect together."""

    @abstractmethod
    async def execute(self, statement: Statement, *values: object) -> list[ResultRow]:
        """As `Database.execute`, within this transaction."""


class Database(ABC):
    """One open store, shared by all modules that name its URL."""

    url: DatabaseUrl

    @property
    @abstractmethod
    def is_there(self) -> bool:
        """Whether it answered when it was last asked, or was not asked yet."""

    @abstractmethod
    async def execute(self, statement: Statement, *values: object) -> list[ResultRow]:
        """Run a statement with values in the order of its names; the rows of a select.

        Waits for one message only: never for the loop. On SQLite a select is answered without suspending.

        :raises StorageError: the store is away, too slow, or refuses.
        """

    @abstractmethod
    async def columns(self, table: str) -> frozenset[str]:
        """Names of the columns of a table, none when there is no such table; StorageError."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """`async with database.transaction() as t: await t.execute(…)`: all or nothing; StorageError."""

    @abstractmethod
    def table(self, layout: Layout) -> StoredTable:
        """A table that is written by key; `prepare` it before use."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what was handed over and close. Idempotent."""


def open_database(url: str) -> Database:
    """The store that a URL names: `sqlite:///relative.db`, `postgres://host/db`, `mysql://user:pw@host/db`.

    :raises ConfigError: no driver for that URL, or an option that it does not know.
    """
    address = DatabaseUrl.parse(url)
    if address.kind == SQLITE:
        from sipyard.storage.sqlite import SqliteDatabase

        return SqliteDatabase(address)
    from sipyard.storage.remote import RemoteDatabase

    if address.kind == POSTGRESQL:
        from sipyard.storage.postgresql import connect as connect_postgresql

        return RemoteDatabase(address, connect_postgresql)
    from sipyard.storage.mysql import connect as connect_mysql

    return RemoteDatabase(address, connect_mysql)


class Databases:
    """The stores of one server: modules that name the same URL share one."""

    def __init__(self) -> None:
        self._open: dict[str, Database] = {}

    def get(self, url: str) -> Database:
        """Open it, or the one that is open already; ConfigError."""
        found = self._open.get(url)
        if found is None:
            found = self._open[url] = open_database(url)
        return found

    async def close(self) -> None:
        """Close all; what was handed over is finished. Idempotent."""
        while self._open:
            await self._open.popitem()[1].close()
