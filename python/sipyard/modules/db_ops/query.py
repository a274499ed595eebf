"""Queries as scripts write them, made into statements whose values are bound: what a message says is never a
part of the SQL.

A query is SQL, or SER's short form:

    select/table/fields/where/ops/order/values      insert/table/fields/values
    update/table/fields/where/ops/values            replace/table/fields/values
    delete/table/where/ops/values

Fields, columns of conditions, operators and values are separated by commas; values are formats (`%$fu.uid`),
`i:` before one makes it a number, `s:` a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipyard.arguments import ArgumentError, Loading, near
from sipyard.formats import Format
from sipyard.storage.statement import WrittenStatement

if TYPE_CHECKING:
    from sipyard.context import Context

Value = str | int
ReadValue = Callable[["Context"], Value]
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS: Final = ("=", "<", ">", "<=", ">=", "<>", "!=", "like")
_SHORT: Final = {"select": 6, "insert": 3, "update": 5, "replace": 3, "delete": 4}
"""Parts behind the word, by form."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Query:
    """A statement, how its values are read, and what the columns of its rows are called (lower case)."""

    statement: WrittenStatement
    values: tuple[ReadValue, ...]
    columns: tuple[str, ...]
    says = "SQL, or op/table/fields/where/ops/order/values"

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Query:
        """As an argument or a parameter."""
        word, slash, rest = text.strip().partition("/")
        if slash and re.fullmatch(r"[A-Za-z]+", word):
            return _short(word.lower(), rest, loading)
        return _written(text.strip(), loading)


# -- SQL -----------------------------------------------------------------------------------------------------


class _Writer:
    """Collects the text of a statement and its values."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.values: list[ReadValue] = []

    def put(self, *texts: str) -> None:
        self.text += [text.replace("\\", "\\\\").replace(":", "\\:") for text in texts]

    def bind(self, read: ReadValue) -> None:
        self.text.append(f":v{len(self.values)}")
        self.values.append(read)

    def query(self, columns: Sequence[str]) -> Query:
        names = (f"v{place}" for place in range(len(self.values)))
        return Query(WrittenStatement("".join(self.text), *names), tuple(self.values), tuple(columns))


def _written(text: str, loading: Loading) -> Query:
    """SQL with formats in it: one in quotes is bound with all that the quotes hold, others by themselves."""
    if not text:
        raise ArgumentError("the query is empty")
    parts = Format.from_script(text, loading).parts
    writer, literal = _Writer(), list[object]()
    is_quoted = False
    for part in parts:
        if not isinstance(part, str):
            if is_quoted:
                literal.append(part)
            else:
                writer.bind(_number_or_text(Format("", (part,))))
            continue
        pieces = part.split("'")
        for place, piece in enumerate(pieces):
            if is_quoted:
                literal.append(piece)
            else:
                writer.put(piece)
            if place < len(pieces) - 1:
                if is_quoted:
                    _close(writer, literal)
                    literal = []
                is_quoted = not is_quoted
    if is_quoted:
        raise ArgumentError("a quote is not closed")
    return writer.query(_columns_of(text))


def _close(writer: _Writer, literal: list[object]) -> None:
    if all(isinstance(each, str) for each in literal):
        writer.put("'" + "".join(str(each) for each in literal) + "'")
        return
    found = Format("", tuple(literal))  # type: ignore[arg-type]  # texts and readers, as in a format
    writer.bind(lambda msg: found.text(msg))


def _number_or_text(found: Format) -> ReadValue:
    def read(msg: Context) -> Value:
        text = found.text(msg)
        return int(text) if _INTEGER.fullmatch(text) else text

    return read


def _columns_of(sql: str) -> list[str]:
    """Names of what a SELECT gives, as far as they can be read off it."""
    found = re.match(r"\s*select\s+(?:distinct\s+)?(.*?)\s+from\b", sql, re.IGNORECASE | re.DOTALL)
    if found is None:
        return []
    depth, start, columns = 0, 0, []
    listed = found[1] + ","
    for place, char in enumerate(listed):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            name = re.search(r"([A-Za-z_][A-Za-z0-9_]*)\W*$", listed[start:place])
            columns.append(name[1].lower() if name else "")
            start = place + 1
    return columns


# -- the short form ------------------------------------------------------------------------------------------


def _short(word: str, rest: str, loading: Loading) -> Query:
    if word not in _SHORT:
        raise ArgumentError(f"{word} is no operation", near(word, _SHORT) or "there are " + ", ".join(_SHORT))
    parts = rest.split("/", _SHORT[word] - 1)
    parts += [""] * (_SHORT[word] - len(parts))
    table = _name(parts[0])
    writer = _Writer()
    if word in ("insert", "replace"):
        fields, values = _names(parts[1]), _values(parts[2], loading)
        _insert(writer, word, table, fields, values)
        return writer.query(())
    if word == "delete":
        writer.put("DELETE FROM ", table)
        _where(writer, _names(parts[1]), _listed(parts[2]), _values(parts[3], loading))
        return writer.query(())
    fields = _names(parts[1])
    if word == "update":
        values = _values(parts[4], loading)
        writer.put("UPDATE ", table, " SET ")
        _pairs(writer, fields, values[: len(fields)])
        _where(writer, _names(parts[2]), _listed(parts[3]), values[len(fields) :])
        return writer.query(())
    writer.put("SELECT ", ", ".join(fields) or "*", " FROM ", table)
    _where(writer, _names(parts[2]), _listed(parts[3]), _values(parts[5], loading))
    if parts[4].strip():
        writer.put(f" ORDER BY {', '.join(_order(each) for each in _listed(parts[4]))}")
    return writer.query([each.lower() for each in fields])


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",")] if text.strip() else []


def _name(text: str) -> str:
    if _NAME.fullmatch(text.strip()) is None:
        raise ArgumentError(f'"{text}" is no name of a table or column')
    return text.strip()


def _names(text: str) -> list[str]:
    return [_name(each) for each in _listed(text)]


def _order(text: str) -> str:
    name, _, way = text.partition(" ")
    if way.strip().lower() not in ("", "asc", "desc"):
        raise ArgumentError(f'"{text}" is no order', "write column or column desc")
    return f"{_name(name)} {way.strip()}".strip()


def _values(text: str, loading: Loading) -> list[ReadValue]:
    return [_value(each, loading) for each in text.split(",")] if text.strip() else []


def _value(text: str, loading: Loading) -> ReadValue:
    kind, colon, rest = text.strip().partition(":")
    if colon and kind in ("i", "s"):
        found = Format.from_script(rest, loading)
        return _number_or_text(found) if kind == "i" else lambda msg: found.text(msg)
    whole = Format.from_script(text.strip(), loading)
    return lambda msg: whole.text(msg)


def _pairs(writer: _Writer, fields: Sequence[str], values: Sequence[ReadValue]) -> None:
    if not fields or len(fields) != len(values):
        raise ArgumentError(f"{len(fields)} fields, but {len(values)} values")
    for place, (field, value) in enumerate(zip(fields, values, strict=True)):
        writer.put(f"{', ' if place else ''}{field} = ")
        writer.bind(value)


def _insert(
    writer: _Writer, word: str, table: str, fields: Sequence[str], values: Sequence[ReadValue]
) -> None:
    if not fields or len(fields) != len(values):
        raise ArgumentError(f"{len(fields)} fields, but {len(values)} values")
    writer.put(f"{'REPLACE' if word == 'replace' else 'INSERT'} INTO {table} ({', '.join(fields)}) VALUES (")
    for place, value in enumerate(values):
        writer.put(", " if place else "")
        writer.bind(value)
    writer.put(")")


def _where(
    writer: _Writer, columns: Sequence[str], operators: Sequence[str], values: Sequence[ReadValue]
) -> None:
    if len(columns) != len(values):
        raise ArgumentError(f"{len(columns)} columns in the condition, but {len(values)} values")
    for place, (column, value) in enumerate(zip(columns, values, strict=True)):
        operator = (operators[place] if place < len(operators) else "") or "="
        if operator.lower() not in _OPERATORS:
            raise ArgumentError(f"{operator} is no operator", f"there are {', '.join(_OPERATORS)}")
        writer.put(f" {'AND' if place else 'WHERE'} {column} {operator} ")
        writer.bind(value)
