"""Statements on tables and columns whose names are parameters of a module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Integer, String, bindparam, column, select, table
from sqlalchemy.types import TypeEngine

from sipyard.storage.statement import Statement

Column = tuple[str, type[TypeEngine[Any]]]


def text(name: str) -> Column:
    """A column of texts."""
    return name, String


def number(name: str) -> Column:
    """A column of integers."""
    return name, Integer


def select_by(table_name: str, wanted: Sequence[Column], keys: Sequence[Column] = ()) -> Statement:
    """Rows of a table where the key columns have the values that are given, in this order."""
    columns: dict[str, ColumnElement[object]] = {name: column(name, kind) for name, kind in (*wanted, *keys)}
    source = table(table_name, *(column(name, kind) for name, kind in dict((*wanted, *keys)).items()))
    statement = select(*(columns[name] for name, _ in wanted)).select_from(source)
    for place, (name, kind) in enumerate(keys):
        statement = statement.where(columns[name] == bindparam(f"key{place}", type_=kind))
    return Statement(statement, *(f"key{place}" for place in range(len(keys))))
