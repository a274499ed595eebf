"""The text that reads and writes rows by key, for each kind of database.

Many rows go into one statement. Statements are of 256 rows or of a power of two, so that few texts are ever
prepared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sipyard.storage.layout import Key, Layout, Row
from sipyard.storage.url import MYSQL, POSTGRESQL, SQLITE
from sipyard.storage.values import Convert, binder, reader

ROWS_A_STATEMENT = 256

_SQLITE_MOMENT_IN = "datetime(?, 'unixepoch')"
"""As unix seconds in, SER's text out; converted by the database, not by the interpreter."""


class RowSql:
    """Statements about one table.

    :param missing: optional columns that the table does not have.
    """

    def __init__(self, kind: str, layout: Layout, missing: frozenset[str]) -> None:
        self.kind = kind
        self.layout = layout
        self._columns = tuple(column for column in layout.carried if column.name not in missing)
        self._positions = tuple(index for index, name in enumerate(layout.columns) if name not in missing)
        self._binders = tuple(
            None if self._is_moment(c.name) else binder(kind, c.type) for c in self._columns
        )
        self._key_binders = tuple(binder(kind, layout.table.c[name].type) for name in layout.key)
        self._cuts = tuple(
            None if column.name in layout.key else getattr(column.type, "length", None)
            for column in self._columns
        )
        self._missing = missing
        self._put: dict[int, str] = {}
        self._delete: dict[int, str] = {}

    def _is_moment(self, name: str) -> bool:
        from sqlalchemy import DateTime

        return self.kind == SQLITE and isinstance(self.layout.table.c[name].type, DateTime)

    # -- reading ---------------------------------------------------------------------------------------------

    @property
    def count(self) -> str:
        """How many rows there are."""
        return f"SELECT COUNT(*) FROM {self.quoted(self.layout.name)}"  # noqa: S608

    @property
    def select(self) -> str:
        """All rows, columns in the order of the layout."""
        selected = ", ".join(self._read(column.name) for column in self.layout.carried)
        return f"SELECT {selected} FROM {self.quoted(self.layout.name)}"  # noqa: S608

    def page(self, after: Key | None, rows: int) -> tuple[str, list[object]]:
        """So many rows in the order of the key, those after a key that a row was read with."""
        where, parameters = "", list[object]()
        if after is not None:
            text, parameters = self._behind(self.layout.key, after)
            where = f" WHERE {text}"
        return f"{self.select}{where} ORDER BY {self._list(self.layout.key)} LIMIT {rows}", parameters

    def _behind(self, names: Sequence[str], key: Key, number: int = 1) -> tuple[str, list[object]]:
        # A comparison of whole rows would be shorter, and read the table from its beginning in MariaDB.
        name, value = self.quoted(names[0]), key[0]
        first, second, third = (self._mark(number + more) for more in range(3))
        if len(names) == 1:
            return f"{name} > {first}", [value]
        rest, parameters = self._behind(names[1:], key[1:], number + 3)
        text = f"{name} >= {first} AND ({name} > {second} OR ({name} = {third} AND {rest}))"
        return text, [value, value, value, *parameters]

    def _mark(self, number: int) -> str:
        return f"${number}" if self.kind == POSTGRESQL else "%s" if self.kind == MYSQL else "?"

    def readers(self) -> tuple[tuple[int, Convert], ...]:
        """What to do with the values of columns, by position."""
        found = (
            (index, reader(self.kind, column.type))
            for index, column in enumerate(self.layout.carried)
            if column.name not in self._missing and not self._is_moment(column.name)
        )
        return tuple((index, convert) for index, convert in found if convert is not None)

    def _read(self, name: str) -> str:
        if name in self._missing:
            return "NULL"
        if self._is_moment(name):
            return f"CAST(strftime('%s', {self.quoted(name)}) AS INTEGER)"
        return self.quoted(name)

    # -- writing ---------------------------------------------------------------------------------------------

    def statements(self, changes: dict[Key, Row | None]) -> Iterator[tuple[str, list[object]]]:
        """Texts with parameters that make the rows so."""
        gone = [key for key, row in changes.items() if row is None]
        for start, count in _pieces(len(gone)):
            yield (
                self.delete(count),
                [
                    value if convert is None else convert(value)
                    for key in gone[start : start + count]
                    for convert, value in zip(self._key_binders, key, strict=True)
                ],
            )
        kept = [row for row in changes.values() if row is not None]
        for start, count in _pieces(len(kept)):
            parameters: list[object] = []
            for row in kept[start : start + count]:
                parameters += self._storable(row)
            yield self.put(count), parameters

    def _storable(self, row: Row) -> list[object]:
        values: list[object] = []
        for index, convert, cut in zip(self._positions, self._binders, self._cuts, strict=True):
            value = row[index]
            if cut is not None and type(value) is str and len(value) > cut:
                value = value[:cut]  # as MySQL always did for SER: a long User-Agent is no reason to refuse
            values.append(value if convert is None else convert(value))
        return values

    def put(self, rows: int) -> str:
        """Insert so many rows, each replacing the one of its key."""
        text = self._put.get(rows)
        if text is None:
            names = [column.name for column in self._columns]
            values = self._marks(rows, [_SQLITE_MOMENT_IN if self._is_moment(n) else "?" for n in names])
            text = self._put[rows] = (
                f"INSERT INTO {self.quoted(self.layout.name)} ({self._list(names)}) "  # noqa: S608
                f"VALUES {values} {self._on_conflict(names)}"
            )
        return text

    def delete(self, rows: int) -> str:
        """Delete the rows of so many keys."""
        text = self._delete.get(rows)
        if text is None:
            values = self._marks(rows, ["?"] * len(self.layout.key))
            keys = f"(VALUES {values})" if self.kind == SQLITE else f"({values})"
            text = self._delete[rows] = (
                f"DELETE FROM {self.quoted(self.layout.name)} "  # noqa: S608
                f"WHERE ({self._list(self.layout.key)}) IN {keys}"
            )
        return text

    def _on_conflict(self, names: Sequence[str]) -> str:
        others = [name for name in names if name not in self.layout.key] or list(self.layout.key)[:1]
        if self.kind == MYSQL:
            sets = ", ".join(f"{self.quoted(name)} = VALUES({self.quoted(name)})" for name in others)
            return f"ON DUPLICATE KEY UPDATE {sets}"
        sets = ", ".join(f"{self.quoted(name)} = excluded.{self.quoted(name)}" for name in others)
        return f"ON CONFLICT ({self._list(self.layout.key)}) DO UPDATE SET {sets}"

    def _marks(self, rows: int, one: Sequence[str]) -> str:
        if self.kind != POSTGRESQL:
            mark = "?" if self.kind == SQLITE else "%s"
            text = ", ".join(part.replace("?", mark) for part in one)
            return ", ".join([f"({text})"] * rows)
        width = len(one)
        numbered = (range(start, start + width) for start in range(1, rows * width + 1, width))
        return ", ".join(f"({', '.join(f'${number}' for number in numbers)})" for numbers in numbered)

    # -- names -----------------------------------------------------------------------------------------------

    def quoted(self, name: str) -> str:
        """A name of a table or column, whatever characters it has."""
        mark = "`" if self.kind == MYSQL else '"'
        text = mark + name.replace(mark, mark * 2) + mark
        return text.replace("%", "%%") if self.kind == MYSQL else text

    def _list(self, names: Sequence[str]) -> str:
        return ", ".join(map(self.quoted, names))


def _pieces(total: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < total:
        left = total - start
        count = ROWS_A_STATEMENT if left >= ROWS_A_STATEMENT else 1 << (left.bit_length() - 1)
        yield start, count
        start += count
