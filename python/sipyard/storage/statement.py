"""A statement written once in SQLAlchemy and run on any of the drivers.

    FIND = Statement(
        select(credentials.c.ha1, credentials.c.uid)
        .where(credentials.c.auth_username == bindparam("username", type_=String))
        .where(credentials.c.did == bindparam("did", type_=String)),
        "username", "did",
    )
    rows = await database.execute(FIND, "alice", "example.com")

The text is compiled once for each kind of database; running it costs no SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from sipyard.errors import InternalError
from sipyard.storage.url import MYSQL, POSTGRESQL, SQLITE
from sipyard.storage.values import Convert, binder, reader

Row = tuple[Any, ...]


def dialect_of(kind: str) -> Dialect:
    """SQLAlchemy's dialect of a kind of database, with the parameter marks of our driver."""
    if kind == SQLITE:
        from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

        return sqlite_dialect(paramstyle="qmark")
    if kind == POSTGRESQL:
        from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

        return asyncpg_dialect()  # type: ignore[no-untyped-call]
    if kind == MYSQL:
        from sqlalchemy.dialects.mysql.asyncmy import dialect as asyncmy_dialect

        return asyncmy_dialect()
    raise InternalError(f"no dialect for {kind}")


@dataclass(frozen=True, slots=True)
class Bound:
    """One parameter in the driver's order: the position among the caller's values, or a constant."""

    position: int
    constant: object
    convert: Convert | None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement's text for one kind of database."""

    text: str
    bounds: tuple[Bound, ...]
    readers: tuple[tuple[int, Convert], ...]
    is_read: bool
    returns_rows: bool

    def parameters(self, values: Sequence[object]) -> list[object]:
        """The caller's values as the driver takes them."""
        found: list[object] = []
        for bound in self.bounds:
            value = bound.constant if bound.position < 0 else values[bound.position]
            found.append(value if bound.convert is None else bound.convert(value))
        return found

    def rows(self, found: Sequence[Sequence[Any]]) -> list[Row]:
        """The driver's rows as the caller takes them."""
        if not self.readers:
            return [tuple(row) for row in found]
        rows = []
        for row in found:
            values = list(row)
            for index, convert in self.readers:
                values[index] = convert(values[index])
            rows.append(tuple(values))
        return rows


class Statement:
    """A statement and the names of its parameters in the order in which values are given.

    :param element: select, insert, update or delete; parameters by `bindparam(name, type_=…)`, or the
        columns' own names in an `insert`.
    :raises InternalError: when it is first run, a name that the statement does not have or lacks.
    """

    __slots__ = ("_compiled", "element", "names")

    def __init__(self, element: Executable, *names: str) -> None:
        self.element = element
        self.names = names
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, kind: str) -> Compiled:
        """For that kind of database."""
        found = self._compiled.get(kind)
        if found is None:
            found = self._compiled[kind] = self._compile(kind)
        return found

    def _compile(self, kind: str) -> Compiled:
        assert isinstance(self.element, ClauseElement)
        names = list(self.names)
        is_insert = getattr(self.element, "is_insert", False)
        compiled = self.element.compile(dialect=dialect_of(kind), column_keys=names if is_insert else None)
        assert isinstance(compiled, SQLCompiler)
        bounds = []
        for name in compiled.positiontup or ():
            bind = compiled.binds[name]
            convert = binder(kind, bind.type)
            if name in names:
                bounds.append(Bound(names.index(name), None, convert))
            elif bind.required or bind.expanding:
                raise InternalError(f"statement has a parameter {name} that gets no value: {compiled}")
            else:
                bounds.append(Bound(-1, bind.value, convert))
        if unknown := set(names) - set(compiled.positiontup or ()):
            raise InternalError(f"statement has no parameter {min(unknown)}: {compiled}")
        is_select = bool(getattr(self.element, "is_select", False))
        columns = [column.type for column in getattr(self.element, "selected_columns", ())]
        if not is_select:
            columns = [column.type for column in compiled.effective_returning or ()]
        readers = ((index, reader(kind, one)) for index, one in enumerate(columns))
        return Compiled(
            str(compiled),
            tuple(bounds),
            tuple((index, convert) for index, convert in readers if convert is not None),
            is_select,
            bool(columns),
        )


class WrittenStatement(Statement):
    """A statement that a person wrote as text, with `:name` where values go; its rows are as the driver has
    them.

    :param sql: one statement; a colon that is none of these is written `\\:`.
    """

    __slots__ = ("_returns_rows",)

    def __init__(self, sql: str, *names: str) -> None:
        super().__init__(text(sql), *names)
        self._returns_rows = sql.lstrip()[:6].lower() in ("select", "with") or " returning " in sql.lower()

    def _compile(self, kind: str) -> Compiled:
        compiled = self.element.compile(dialect=dialect_of(kind))  # type: ignore[attr-defined]  # a text clause
        places = [self.names.index(name) for name in compiled.positiontup or ()]
        is_read = self._returns_rows and " returning " not in str(compiled).lower()
        return Compiled(
            str(compiled),
            tuple(Bound(place, None, None) for place in places),
            (),
            is_read,
            self._returns_rows,
        )
