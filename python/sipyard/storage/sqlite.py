"""SQLite: one file, one writer thread, write-ahead log.

`sqlite:///sipyard.db?synchronous=full&threads=1`, the options being

* `synchronous` = full (a commit survives a power cut), normal (survives the death of the process; a power cut
  may take the last commits), off;
* `threads` = 1 (writes in the writer thread, many share a commit), 0 (in the caller, so that a simulation has
  no second thread);
* `timeout` = milliseconds to wait for another process that writes (2000).

A batch is written by a few statements of many rows each: the interpreter's lock is given up for each
statement, so rows one by one would make the writer and the deciding thread wait for each other at every row.

Values: DateTime columns cross as unix seconds (UTC) and are stored as `YYYY-MM-DD HH:MM:SS`, as SER's tools
read them. Text that is not UTF-8 is stored as a blob, so it survives.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from sqlalchemy import Column, DateTime, MetaData
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.schema import CreateTable

from sipyard.errors import ConfigError, StorageError
from sipyard.storage.database import Changes, Database, StoredTable
from sipyard.storage.group_commit import GroupCommit, RowRefused
from sipyard.storage.layout import Layout, Row, version_table

_PIECE = 10_000
"""Rows read at a time."""
_ROWS_A_STATEMENT = 256
_MODES = ("full", "normal", "off")
_REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)

_Write = tuple["SqliteTable", Changes]


class SqliteDatabase(Database):
    """One SQLite file."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        path = unquote(parts.path).removeprefix("/")
        if not path or path == ":memory:":
            raise ConfigError(f"{url}: a file is needed; to keep bindings in memory only, set db_mode to 0")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if unknown := options.keys() - {"synchronous", "threads", "timeout"}:
            raise ConfigError(f"{url}: unknown option {sorted(unknown)[0]}")
        self.synchronous = options.get("synchronous", "full")
        if self.synchronous not in _MODES:
            raise ConfigError(f"{url}: synchronous is one of {', '.join(_MODES)}")
        try:
            self._timeout = int(options.get("timeout", "2000"))
            threads = int(options.get("threads", "1"))
        except ValueError:
            raise ConfigError(f"{url}: timeout and threads are numbers") from None
        self.path = Path(path)
        self._connection = self.connect()
        self.commits: GroupCommit[_Write] | None = (
            GroupCommit(self.carry_out, f"sqlite {self.path.name}") if threads else None
        )

    def connect(self) -> sqlite3.Connection:
        """A further connection, set up as ours; StorageError."""
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            connection.execute(f"PRAGMA busy_timeout={self._timeout}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={self.synchronous.upper()}")
        except sqlite3.Error as error:
            raise StorageError(f"cannot open {self.path}: {error}") from error
        return connection

    def table(self, layout: Layout) -> SqliteTable:
        return SqliteTable(self, layout)

    def carry_out(self, writes: Sequence[_Write]) -> None:
        """All writes in one transaction; RowRefused or StorageError, and then nothing was written."""
        merged: dict[SqliteTable, dict[tuple[object, ...], Row | None]] = {}
        for table, changes in writes:
            # Only what a row is in the end matters; the order of the calls decides what that is.
            merged.setdefault(table, {}).update(changes)
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                for table, rows in merged.items():
                    table.put(connection, rows)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except _REFUSALS as error:
            raise RowRefused(f"{self.path}: {error}") from error
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: {error}") from error

    async def close(self) -> None:
        if self.commits is not None:
            self.commits.close()
        self._connection.close()


class SqliteTable(StoredTable):
    """One table of a SQLite file."""

    def __init__(self, database: SqliteDatabase, layout: Layout) -> None:
        self.layout = layout
        self._database = database
        with closing(database.connect()) as connection:
            try:
                self.missing = _prepare(connection, layout)
            except sqlite3.Error as error:
                raise StorageError(f"{database.path}: table {layout.name}: {error}") from error
        self._columns = tuple(column for column in layout.carried if column.name not in self.missing)
        self._positions = tuple(
            index for index, name in enumerate(layout.columns) if name not in self.missing
        )
        self._put: dict[int, str] = {}
        self._delete: dict[int, str] = {}

    def count(self) -> int:
        with closing(self._database.connect()) as connection:
            found = connection.execute(f"SELECT COUNT(*) FROM {_quoted(self.layout.name)}")  # noqa: S608
            return int(found.fetchone()[0])

    def rows(self) -> Iterator[list[Row]]:
        selected = ", ".join(self._read(column) for column in self.layout.carried)
        try:
            with closing(self._database.connect()) as connection:
                found = connection.execute(f"SELECT {selected} FROM {_quoted(self.layout.name)}")  # noqa: S608
                while piece := found.fetchmany(_PIECE):
                    yield [row if bytes not in map(type, row) else _decoded(row) for row in piece]
        except sqlite3.Error as error:
            raise StorageError(f"{self._database.path}: {error}") from error

    def write(self, changes: Changes) -> asyncio.Future[None]:
        if self._database.commits is not None:
            return self._database.commits.write((self, changes))
        self._database.carry_out([(self, changes)])
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def put(self, connection: sqlite3.Connection, changes: Changes) -> None:
        """Within a transaction: insert, replace and delete rows."""
        gone = [key for key, row in changes.items() if row is None]
        for start, count in _pieces(len(gone)):
            values = [_storable(value) for key in gone[start : start + count] for value in key]
            connection.execute(self._delete_statement(count), values)
        kept = [row for row in changes.values() if row is not None]
        positions = self._positions
        for start, count in _pieces(len(kept)):
            values = [_storable(row[index]) for row in kept[start : start + count] for index in positions]
            connection.execute(self._put_statement(count), values)

    def _read(self, column: Column[object]) -> str:
        if column.name in self.missing:
            return "NULL"
        if isinstance(column.type, DateTime):
            return f"CAST(strftime('%s', {_quoted(column.name)}) AS INTEGER)"
        return _quoted(column.name)

    def _put_statement(self, rows: int) -> str:
        text = self._put.get(rows)
        if text is None:
            names = [_quoted(column.name) for column in self._columns]
            # As unix seconds in, SER's text out; converted by the database, not by the interpreter.
            marks = [
                "datetime(?, 'unixepoch')" if isinstance(column.type, DateTime) else "?"
                for column in self._columns
            ]
            one = f"({', '.join(marks)})"
            updates = ", ".join(
                f"{name} = excluded.{name}"
                for name, column in zip(names, self._columns, strict=True)
                if column.name not in self.layout.key
            )
            text = self._put[rows] = (
                f"INSERT INTO {_quoted(self.layout.name)} ({', '.join(names)}) "  # noqa: S608
                f"VALUES {', '.join([one] * rows)} "
                f"ON CONFLICT ({_list(self.layout.key)}) DO UPDATE SET {updates}"
            )
        return text

    def _delete_statement(self, rows: int) -> str:
        text = self._delete.get(rows)
        if text is None:
            one = f"({', '.join('?' * len(self.layout.key))})"
            text = self._delete[rows] = (
                f"DELETE FROM {_quoted(self.layout.name)} "  # noqa: S608
                f"WHERE ({_list(self.layout.key)}) IN (VALUES {', '.join([one] * rows)})"
            )
        return text


def _pieces(total: int) -> Iterator[tuple[int, int]]:
    """Split into full statements and powers of two, so that few statement texts are ever prepared."""
    start = 0
    while start < total:
        left = total - start
        count = _ROWS_A_STATEMENT if left >= _ROWS_A_STATEMENT else 1 << (left.bit_length() - 1)
        yield start, count
        start += count


def _storable(value: object) -> object:
    if type(value) is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
    return value


def _decoded(row: Row) -> Row:
    return tuple(
        value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value for value in row
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names))


def _prepare(connection: sqlite3.Connection, layout: Layout) -> frozenset[str]:
    """Create the table and its version row when missing, else check both; returns missing optional
    columns."""
    versions = version_table(MetaData())
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in (versions, layout.table):
            statement = CreateTable(table, if_not_exists=True).compile(dialect=dialect())
            connection.execute(str(statement))
        found = connection.execute(
            "SELECT table_version FROM version WHERE table_name = ?", (layout.name,)
        ).fetchone()
        if found is None:
            connection.execute("INSERT INTO version VALUES (?, ?)", (layout.name, layout.version))
        elif found[0] != layout.version:
            raise ConfigError(
                f"table {layout.name} is of version {found[0]}, version {layout.version} is needed",
                hint="SER 0.9 and SER 2.0 keep their tables differently: use a database of its own for each",
            )
        existing = {row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(layout.name)})")}
        missing = frozenset(layout.columns) - existing
        if lacking := missing - layout.optional:
            raise ConfigError(f"table {layout.name} has no column {', '.join(sorted(lacking))}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return missing
