"""SQLite: one file, one writer thread, write-ahead log.

`sqlite:///sipyard.db?synchronous=full&threads=1`, the options being

* `synchronous` = full (a commit survives a power cut), normal (survives the death of the process; a power cut
  may take the last commits), off;
* `threads` = 1 (writes in the writer thread, many share a commit), 0 (in the caller, so that a simulation has
  no second thread);
* `timeout` = milliseconds to wait for another process that writes (2000).

A select runs in the deciding thread: by key it takes some ten microseconds, a hand-over to a thread and back
a hundred. It never waits for a writer (write-ahead log, no busy timeout) and is cut off after `_STEPS` steps
of SQLite's machine, a millisecond or so; then it runs once more in a thread. What is left is the time of a
page fault, as the file is mapped into memory.

A batch is written by a few statements of many rows each: the interpreter's lock is given up for each
statement, so rows one by one would make the writer and the deciding thread wait for each other at every row.

Values: DateTime columns cross as unix seconds (UTC) and are stored as `YYYY-MM-DD HH:MM:SS`, as SER's tools
read them. Text that is not UTF-8 is stored as a blob, so it survives.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import MetaData
from sqlalchemy.schema import CreateTable

from sipyard.errors import ConfigError, StorageError
from sipyard.storage.database import Changes, Database, StoredTable, Transaction
from sipyard.storage.group_commit import GroupCommit, RowRefused
from sipyard.storage.layout import Layout, Row, version_table
from sipyard.storage.row_sql import RowSql
from sipyard.storage.statement import Compiled, Statement, dialect_of
from sipyard.storage.statement import Row as ResultRow
from sipyard.storage.url import SQLITE, DatabaseUrl

T = TypeVar("T")

_PIECE: Final = 2_000
"""Rows read at a time."""
_STEPS: Final = 20_000
_MAPPED: Final = 1 << 28
_MODES: Final = ("full", "normal", "off")
_REFUSALS: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)

_Write = tuple["SqliteTable", Changes]


class SqliteTransaction(Transaction):
    """Statements on the connection that writes."""

    def __init__(self, database: SqliteDatabase, connection: sqlite3.Connection) -> None:
        self._database = database
        self._connection = connection

    async def execute(self, statement: Statement, *values: object) -> list[ResultRow]:
        compiled = statement.compiled(SQLITE)
        return await self._database.in_thread(self._database.run, self._connection, compiled, values)


class SqliteDatabase(Database):
    """One SQLite file."""

    def __init__(self, url: DatabaseUrl) -> None:
        self.url = url
        if not url.database or url.database == ":memory:":
            raise ConfigError(f"{url}: a file is needed; to keep bindings in memory only, set db_mode to 0")
        url.refuse_unknown(frozenset({"synchronous", "threads", "timeout"}))
        self.synchronous = url.options.get("synchronous", "full")
        if self.synchronous not in _MODES:
            raise ConfigError(f"{url}: synchronous is one of {', '.join(_MODES)}")
        try:
            self._timeout = int(url.options.get("timeout", "2000"))
            self._threads = int(url.options.get("threads", "1"))
        except ValueError:
            raise ConfigError(f"{url}: timeout and threads are numbers") from None
        self.path = Path(url.database)
        self._is_there = True
        self._rows: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._writing = asyncio.Lock()
        self._executor: ThreadPoolExecutor | None = None
        self.commits: GroupCommit[_Write] | None = (
            GroupCommit(self.carry_out, f"sqlite {self.path.name}") if self._threads else None
        )

    @property
    def is_there(self) -> bool:
        return self._is_there

    def connect(self) -> sqlite3.Connection:
        """A further connection, set up as ours; StorageError."""
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout={self._timeout}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self.synchronous.upper()}")
        except sqlite3.Error as error:
            self._is_there = False
            raise StorageError(f"cannot open {self.path}: {error}") from error
        self._is_there = True
        return connection

    def failure(self, error: Exception) -> StorageError:
        """What an error of the driver means."""
        if isinstance(error, _REFUSALS):
            return RowRefused(f"{self.path}: {error}")
        return StorageError(f"{self.path}: {error}")

    # -- statements ------------------------------------------------------------------------------------------

    async def execute(self, statement: Statement, *values: object) -> list[ResultRow]:
        compiled = statement.compiled(SQLITE)
        if not compiled.is_read:
            async with self.transaction() as transaction:
                return await transaction.execute(statement, *values)
        try:
            found = self._reading().execute(compiled.text, compiled.parameters(values)).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in (sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_BUSY):
                raise self.failure(error) from error
            return await self.in_thread(self._run_slowly, compiled, values)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise self.failure(error) from error
        return compiled.rows(found)

    async def columns(self, table: str) -> frozenset[str]:
        try:
            found = self._reading().execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
        except sqlite3.Error as error:
            raise self.failure(error) from error
        return frozenset(name for (name,) in found)

    def _reading(self) -> sqlite3.Connection:
        """The connection on which the deciding thread reads."""
        if self._reader is None:
            self._reader = self.connect()
            self._reader.execute("PRAGMA busy_timeout=0")
            self._reader.execute("PRAGMA query_only=1")
            self._reader.execute(f"PRAGMA mmap_size={_MAPPED}")
            # Called after so many steps of one statement; anything but 0 ends it.
            self._reader.set_progress_handler(lambda: 1, _STEPS)
        return self._reader

    def _run_slowly(self, compiled: Compiled, values: Sequence[object]) -> list[ResultRow]:
        with closing(self.connect()) as connection:
            return self.run(connection, compiled, values)

    def run(
        self, connection: sqlite3.Connection, compiled: Compiled, values: Sequence[object]
    ) -> list[ResultRow]:
        """Run on that connection; RowRefused, StorageError."""
        try:
            found = connection.execute(compiled.text, compiled.parameters(values)).fetchall()
        except (sqlite3.Error, *_REFUSALS) as error:
            raise self.failure(error) from error
        return compiled.rows(found)

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread of ours, or here with `threads=0`."""
        if not self._threads:
            return work(*arguments)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(2, f"sqlite {self.path.name}")
        future = asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # A thread cannot be stopped: whoever gives up waits until the connection is free again.
            await asyncio.wait([future])
            future.exception()
            raise

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqliteTransaction]:
        async with self._writing:
            if self._writer is None:
                self._writer = await self.in_thread(self.connect)
            connection = self._writer
            try:
                await self.in_thread(self._command, connection, "BEGIN IMMEDIATE")
                yield SqliteTransaction(self, connection)
                await self.in_thread(self._command, connection, "COMMIT")
            except BaseException:
                if connection.in_transaction:
                    await self.in_thread(self._command, connection, "ROLLBACK")
                raise

    def _command(self, connection: sqlite3.Connection, text: str) -> None:
        try:
            connection.execute(text)
        except sqlite3.Error as error:
            raise self.failure(error) from error

    # -- rows by key -----------------------------------------------------------------------------------------

    def table(self, layout: Layout) -> SqliteTable:
        return SqliteTable(self, layout)

    def carry_out(self, writes: Sequence[_Write]) -> None:
        """All writes in one transaction; RowRefused or StorageError, and then nothing was written."""
        merged: dict[SqliteTable, dict[tuple[object, ...], Row | None]] = {}
        for table, changes in writes:
            # Only what a row is in the end matters; the order of the calls decides what that is.
            merged.setdefault(table, {}).update(changes)
        if self._rows is None:
            self._rows = self.connect()
        connection = self._rows
        for table in merged:
            table.prepare_now()
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for table, rows in merged.items():
                    for text, parameters in table.sql.statements(rows):
                        connection.execute(text, parameters)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, *_REFUSALS) as error:
            raise self.failure(error) from error

    async def close(self) -> None:
        if self.commits is not None:
            self.commits.close()
        if self._executor is not None:
            self._executor.shutdown()
        for connection in (self._rows, self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._rows = self._reader = self._writer = None


class SqliteTable(StoredTable):
    """One table of a SQLite file."""

    def __init__(self, database: SqliteDatabase, layout: Layout) -> None:
        self.layout = layout
        self.missing = frozenset()
        self._database = database
        self._is_prepared = False
        self.sql = RowSql(SQLITE, layout, self.missing)

    async def prepare(self) -> None:
        self.prepare_now()

    def prepare_now(self) -> None:
        """As `prepare`: a new file takes a few milliseconds."""
        if self._is_prepared:
            return
        with closing(self._database.connect()) as connection:
            try:
                self.missing = _prepare(connection, self.layout)
            except sqlite3.Error as error:
                text = f"{self._database.path}: table {self.layout.name}: {error}"
                raise StorageError(text) from error
        self.sql = RowSql(SQLITE, self.layout, self.missing)
        self._is_prepared = True

    async def count(self) -> int:
        with closing(self._database.connect()) as connection:
            try:
                return int(connection.execute(self.sql.count).fetchone()[0])
            except sqlite3.Error as error:
                raise self._database.failure(error) from error

    async def rows(self) -> AsyncIterator[list[Row]]:
        try:
            with closing(self._database.connect()) as connection:
                found = connection.execute(self.sql.select)
                while piece := found.fetchmany(_PIECE):
                    yield [row if bytes not in map(type, row) else _decoded(row) for row in piece]
                    if len(piece) == _PIECE:
                        await asyncio.sleep(0)
        except sqlite3.Error as error:
            raise self._database.failure(error) from error

    def write(self, changes: Changes) -> asyncio.Future[None]:
        if self._database.commits is not None:
            return self._database.commits.write((self, changes))
        self._database.carry_out([(self, changes)])
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


def _decoded(row: Row) -> Row:
    return tuple(
        value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value for value in row
    )


def _prepare(connection: sqlite3.Connection, layout: Layout) -> frozenset[str]:
    """Create the table and its version row when missing, else check both; returns missing optional
    columns."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in (version_table(MetaData()), layout.table):
            statement = CreateTable(table, if_not_exists=True).compile(dialect=dialect_of(SQLITE))
            connection.execute(str(statement))
        found = connection.execute(
            "SELECT table_version FROM version WHERE table_name = ?", (layout.name,)
        ).fetchone()
        if found is None:
            connection.execute("INSERT INTO version VALUES (?, ?)", (layout.name, layout.version))
        quoted = RowSql(SQLITE, layout, frozenset()).quoted(layout.name)
        existing = {row[1] for row in connection.execute(f"PRAGMA table_info({quoted})")}
        missing = layout.check(layout.version if found is None else found[0], existing)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return missing
