"""Real databases under a virtual clock: while one is asked, virtual time stands still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from sipyard.storage import Database, Databases, Layout, Row, Statement, StoredTable, Transaction
from sipyard.storage.database import Changes

from .clock import VirtualSelector


class StandingStill:
    """Says to the clock that something outside is under way."""

    def __init__(self, selector: VirtualSelector) -> None:
        self._selector = selector

    @contextmanager
    def while_asked(self) -> Iterator[None]:
        """No virtual time passes inside."""
        self._selector.busy += 1
        try:
            yield
        finally:
            self._selector.busy -= 1


class StandingDatabases(Databases):
    """The stores of a server under test."""

    def __init__(self, selector: VirtualSelector) -> None:
        super().__init__()
        self._still = StandingStill(selector)
        self._standing: dict[str, StandingDatabase] = {}

    def get(self, url: str) -> Database:
        """As `Databases.get`."""
        found = super().get(url)
        standing = self._standing.get(url)
        if standing is None:
            standing = self._standing[url] = StandingDatabase(found, self._still)
        return standing

    async def close(self) -> None:
        """As `Databases.close`."""
        self._standing.clear()
        with self._still.while_asked():
            await super().close()


class StandingDatabase(Database):
    """One store."""

    def __init__(self, database: Database, still: StandingStill) -> None:
        self._database = database
        self._still = still
        self.url = database.url

    @property
    def is_there(self) -> bool:
        """As the store says."""
        return self._database.is_there

    async def execute(self, statement: Statement, *values: object) -> list[tuple[object, ...]]:
        """As the store does."""
        with self._still.while_asked():
            return await self._database.execute(statement, *values)

    async def columns(self, table: str) -> frozenset[str]:
        """As the store does."""
        with self._still.while_asked():
            return await self._database.columns(table)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """As the store's."""

        @asynccontextmanager
        async def standing() -> AsyncIterator[Transaction]:
            with self._still.while_asked():
                async with self._database.transaction() as transaction:
                    yield transaction

        return standing()

    def table(self, layout: Layout) -> StoredTable:
        """As the store's."""
        return _StandingTable(self._database.table(layout), self._still)

    async def close(self) -> None:
        """Close the store."""
        with self._still.while_asked():
            await self._database.close()


class _StandingTable(StoredTable):
    def __init__(self, table: StoredTable, still: StandingStill) -> None:
        self._table = table
        self._still = still
        self.layout = table.layout

    @property
    def missing(self) -> frozenset[str]:  # type: ignore[override]  # known to the table only once it is prepared
        return self._table.missing

    async def prepare(self) -> None:
        with self._still.while_asked():
            await self._table.prepare()

    async def count(self) -> int:
        with self._still.while_asked():
            return await self._table.count()

    async def rows(self) -> AsyncIterator[list[Row]]:
        with self._still.while_asked():
            async for rows in self._table.rows():
                yield rows

    def write(self, changes: Changes) -> asyncio.Future[None]:
        future = self._table.write(changes)
        still = self._still.while_asked()
        still.__enter__()
        future.add_done_callback(lambda _: still.__exit__(None, None, None))
        return future
