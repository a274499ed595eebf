"""What a stored table looks like: its SQLAlchemy columns, its key, its version.

SER keeps a row per table in `version(table_name, table_version)` and refuses to start on a mismatch; so do
we.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Column, Integer, MetaData, String, Table

from sipyard.errors import ConfigError

TABLE_OPTIONS: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_default_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
"""For every table that we make: MariaDB would else take `a` and `A` for the same key (RFC 3261 §19.1.4)."""

UNWRITTEN: Final = {"unwritten": True}
"""`info` of a column that exists for others: rows do not carry it, its default fills it."""

Row = tuple[object, ...]
"""Values in the order of `Layout.columns`."""

Key = tuple[object, ...]
"""Values of the key columns, in the order of `Layout.key`."""


@dataclass(frozen=True)
class Layout:
    """A table whose rows are written by key.

    :param table: columns in the order in which rows are handed over; its name is the table's name.
    :param key: names of the columns that make a row unique.
    :param version: what the `version` table must say.
    :param optional: columns that a table made by SER lacks; rows lose them there, and the operator is told.
    """

    table: Table
    key: tuple[str, ...]
    version: int
    optional: frozenset[str] = field(default=frozenset())

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def carried(self) -> tuple[Column[Any], ...]:
        """The columns whose values rows carry."""
        return tuple(column for column in self.table.columns if "unwritten" not in column.info)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that rows carry, in their order."""
        return tuple(column.name for column in self.carried)

    def check(self, version: int, existing: Collection[str]) -> frozenset[str]:
        """Compare with a table that is there; returns the optional columns that it lacks.

        :raises ConfigError: it is of another version, or lacks others.
        """
        if version != self.version:
            raise ConfigError(
                f"table {self.name} is of version {version}, version {self.version} is needed",
                hint="SER 0.9 and SER 2.0 keep their tables differently: use a database of its own for each",
            )
        missing = frozenset(self.columns) - set(existing)
        if lacking := missing - self.optional:
            raise ConfigError(f"table {self.name} has no column {', '.join(sorted(lacking))}")
        return missing


def version_table(metadata: MetaData) -> Table:
    """SER's table of table versions."""
    return Table(
        "version",
        metadata,
        Column("table_name", String(32), primary_key=True),
        Column("table_version", Integer, nullable=False, server_default="0"),
        **TABLE_OPTIONS,
    )
