"""Column and table shapes that recur in both schemas."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
)

from sipyard.storage.layout import TABLE_OPTIONS, version_table

OURS: Final = {"ours": True}
"""`info` of a column that SER does not have: a database made by SER works without it."""


def text(name: str, length: int = 255, **more: Any) -> Column[str]:
    """A text that may be missing."""
    return Column(name, String(length), **more)


def needed(name: str, length: int = 255, **more: Any) -> Column[str]:
    """A text that must be there."""
    return Column(name, String(length), nullable=False, **more)


def number(name: str, default: int = 0) -> Column[int]:
    """A number, `default` when nobody gives one."""
    return Column(name, Integer, nullable=False, server_default=str(default))


def unsigned(name: str) -> Column[int]:
    """A number of up to 32 bits without sign, as an IPv4 address."""
    return Column(name, BigInteger)


def identifier(name: str = "id") -> Column[int]:
    """A key that the database counts up."""
    return Column(name, Integer, primary_key=True, autoincrement=True)


def moment(name: str, **more: Any) -> Column[Any]:
    """A moment in UTC."""
    return Column(name, DateTime, **more)


def modified(name: str = "last_modified") -> Column[Any]:
    """When the row was made."""
    return Column(name, DateTime, nullable=False, server_default=func.now())


def attribute() -> tuple[Column[Any], ...]:
    """SER 2.0's attribute row: type 0 is a number, 2 a text."""
    return (needed("name", 32), text("value"), number("type"), number("flags"))


class Schema:
    """The tables of one generation, each with the version that the `version` table must say.

    SER's tables have unique keys and no primary ones; the names of ours begin with the table's.
    """

    def __init__(self) -> None:
        self.metadata = MetaData()
        self.versions: dict[str, int] = {}
        self.version = version_table(self.metadata)

    def table(
        self,
        name: str,
        version: int,
        *columns: Column[Any],
        unique: tuple[str, ...] = (),
        index: tuple[str, ...] = (),
    ) -> Table:
        """Declare a table; `index` names columns that get an index each."""
        constraints: list[Any] = [UniqueConstraint(*unique, name=f"{name}_uk1")] if unique else []
        constraints += [Index(f"{name}_{column}_idx", column) for column in index]
        self.versions[name] = version
        return Table(name, self.metadata, *columns, *constraints, **TABLE_OPTIONS)

    def adopt(self, table: Table, version: int) -> Table:
        """Take in a table that is described elsewhere."""
        self.versions[table.name] = version
        return table.to_metadata(self.metadata)
