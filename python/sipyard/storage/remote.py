"""A database on a server: PostgreSQL and MariaDB/MySQL behind one class, the driver given as `Connect`.

Options of the URL: `pool` connections (8), `timeout` seconds for a connection or a statement (5).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import MetaData, String, bindparam, insert, select
from sqlalchemy.schema import CreateTable

from sipyard.storage.batches import Batches
from sipyard.storage.database import Changes, Database, StoredTable, Transaction
from sipyard.storage.layout import Key, Layout, Row, version_table
from sipyard.storage.pool import Connect, Link, LinkLost, Pool
from sipyard.storage.row_sql import RowSql
from sipyard.storage.statement import Compiled, Statement, dialect_of
from sipyard.storage.statement import Row as ResultRow
from sipyard.storage.url import POSTGRESQL, DatabaseUrl

_OPTIONS: Final = frozenset({"pool", "timeout", "sslmode"})
_PIECE: Final = 2_000
"""Rows read at a time: converting them takes the deciding thread a few milliseconds."""

_VERSIONS = version_table(MetaData())
_VERSION = Statement(
    select(_VERSIONS.c.table_version).where(_VERSIONS.c.table_name == bindparam("name", type_=String)), "name"
)
_SET_VERSION = Statement(insert(_VERSIONS), "table_name", "table_version")
_COLUMNS = {
    True: "SELECT column_name FROM information_schema.columns"
    " WHERE table_name = $1 AND table_schema = current_schema()",
    False: "SELECT column_name FROM information_schema.columns"
    " WHERE table_name = %s AND table_schema = DATABASE()",
}

_Write = tuple["RemoteTable", Changes]


class RemoteTransaction(Transaction):
    """Statements on one connection."""

    def __init__(self, pool: Pool, link: Link, kind: str) -> None:
        self._pool = pool
        self._link = link
        self._kind = kind

    async def execute(self, statement: Statement, *values: object) -> list[ResultRow]:
        return await _run(self._pool, self._link, statement.compiled(self._kind), values)

    async def fetch(self, text: str, parameters: Sequence[object] = ()) -> Sequence[Sequence[Any]]:
        """One statement in the database's own language."""
        return await self._pool.fetch(self._link, text, parameters)


async def _run(pool: Pool, link: Link, compiled: Compiled, values: Sequence[object]) -> list[ResultRow]:
    found = await pool.fetch(link, compiled.text, compiled.parameters(values))
    return compiled.rows(found) if compiled.returns_rows else []


class RemoteDatabase(Database):
    """One database on a server."""

    def __init__(self, url: DatabaseUrl, connect: Connect) -> None:
        url.refuse_unknown(_OPTIONS)
        self.url = url
        self.kind = url.kind
        self.pool = Pool(url, connect, url.option("pool", 8, 200), url.option("timeout", 5, 60))
        self._batches: Batches[_Write] = Batches(self._carry_out)

    @property
    def is_there(self) -> bool:
        return self.pool.is_there

    async def execute(self, statement: Statement, *values: object) -> list[ResultRow]:
        compiled = statement.compiled(self.kind)
        try:
            async with self.pool.link() as link:
                return await _run(self.pool, link, compiled, values)
        except LinkLost:
            # An idle connection that the server closed is found out only now. A select may be asked again.
            if not compiled.is_read or not self.pool.is_there:
                raise
        async with self.pool.link() as link:
            return await _run(self.pool, link, compiled, values)

    async def columns(self, table: str) -> frozenset[str]:
        async with self.pool.link() as link:
            found = await self.pool.fetch(link, _COLUMNS[self.kind == POSTGRESQL], [table])
        return frozenset(str(row[0]) for row in found)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[RemoteTransaction]:
        async with self.pool.link() as link:
            await self.pool.fetch(link, "BEGIN")
            try:
                yield RemoteTransaction(self.pool, link, self.kind)
            except LinkLost:
                raise
            except BaseException:
                if link.is_open:
                    await self.pool.fetch(link, "ROLLBACK")
                raise
            await self.pool.fetch(link, "COMMIT")

    def table(self, layout: Layout) -> RemoteTable:
        return RemoteTable(self, layout)

    def write(self, table: RemoteTable, changes: Changes) -> asyncio.Future[None]:
        """Queue rows of a table; see `StoredTable.write`."""
        return self._batches.write((table, changes))

    async def _carry_out(self, writes: Sequence[_Write]) -> None:
        merged: dict[RemoteTable, dict[Key, Row | None]] = {}
        for table, changes in writes:
            # Only what a row is in the end matters; the order of the calls decides what that is.
            merged.setdefault(table, {}).update(changes)
        for table in merged:
            await table.prepare()
        try:
            await self._write_rows(merged)
        except LinkLost:
            # Rows are written by key: writing them once more is harmless when the first commit did succeed.
            await self._write_rows(merged)

    async def _write_rows(self, merged: dict[RemoteTable, dict[Key, Row | None]]) -> None:
        async with self.transaction() as transaction:
            for table, rows in merged.items():
                for text, parameters in table.sql.statements(rows):
                    await transaction.fetch(text, parameters)

    async def close(self) -> None:
        await self._batches.close()
        await self.pool.close()


class RemoteTable(StoredTable):
    """One table of a database on a server."""

    def __init__(self, database: RemoteDatabase, layout: Layout) -> None:
        self.layout = layout
        self.missing = frozenset()
        self._database = database
        self._is_prepared = False
        self.sql = RowSql(database.kind, layout, self.missing)

    async def prepare(self) -> None:
        if self._is_prepared:
            return
        layout = self.layout
        async with self._database.transaction() as transaction:
            existing = await self._columns(transaction)
            if not existing:
                for table in (version_table(MetaData()), layout.table):
                    create = CreateTable(table, if_not_exists=True)
                    await transaction.fetch(str(create.compile(dialect=dialect_of(self._database.kind))))
                existing = await self._columns(transaction)
            found = await transaction.execute(_VERSION, layout.name)
            if not found:
                await transaction.execute(_SET_VERSION, layout.name, layout.version)
        self.missing = layout.check(found[0][0] if found else layout.version, existing)
        self.sql = RowSql(self._database.kind, layout, self.missing)
        self._is_prepared = True

    async def _columns(self, transaction: RemoteTransaction) -> set[str]:
        text = _COLUMNS[self._database.kind == POSTGRESQL]
        return {str(row[0]) for row in await transaction.fetch(text, [self.layout.name])}

    async def count(self) -> int:
        async with self._database.pool.link() as link:
            return int((await self._database.pool.fetch(link, self.sql.count))[0][0])

    async def rows(self) -> AsyncIterator[list[Row]]:
        """By pages along the key, so that no statement is long and the loop is never busy for long."""
        after: Key | None = None
        readers = self.sql.readers()
        positions = [self.layout.columns.index(name) for name in self.layout.key]
        while True:
            text, parameters = self.sql.page(after, _PIECE)
            async with self._database.pool.link() as link:
                found = await self._database.pool.fetch(link, text, parameters)
            if not found:
                return
            piece = []
            for one in found:
                values = list(one)
                for index, convert in readers:
                    values[index] = convert(values[index])
                piece.append(tuple(values))
            yield piece
            after = tuple(found[-1][position] for position in positions)

    def write(self, changes: Changes) -> asyncio.Future[None]:
        return self._database.write(self, changes)
