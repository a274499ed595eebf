"""The `location` table (and `aliases`, and any other name given to save) in the shape of either SER.

The columns that SER did not have, `path` (RFC 3327) and `socket`, are added to tables that we create. In a
table made by SER they are missing; bindings are then kept without them across a restart.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, DateTime, Float, Integer, MetaData, String, Table, Text, func

from sipyard.storage.layout import TABLE_OPTIONS, UNWRITTEN, Layout


class Shape(enum.Enum):
    """Whose table it is."""

    SER_0_9 = enum.auto()
    SER_2_0 = enum.auto()


OURS = ("path", "socket")
"""Columns that only tables of our making have."""


def location_layout(
    name: str,
    shape: Shape,
    renamed: Mapping[str, str] | None = None,
    extras: Sequence[Column[Any]] = (),
) -> Layout:
    """The table `name` of that shape; `renamed` gives columns other names (the `*_column` parameters),
    `extras` come after all others and are optional.

    Column order is that of `LOCATION_2_0` or `LOCATION_0_9`, whatever the names.
    """
    columns = {short: (renamed or {}).get(short, short) for short in _order(shape)}
    layout = _layout_0_9(name, columns) if shape is Shape.SER_0_9 else _layout_2_0(name, columns)
    for extra in extras:
        layout.table.append_column(extra)
    return replace(layout, optional=layout.optional | {extra.name for extra in extras})


LOCATION_2_0 = (
    "uid",
    "aor",
    "contact",
    "received",
    "expires",
    "q",
    "callid",
    "cseq",
    "flags",
    "user_agent",
    "instance",
    *OURS,
)
LOCATION_0_9 = (
    "username",
    "domain",
    "contact",
    "received",
    "expires",
    "q",
    "callid",
    "cseq",
    "replicate",
    "state",
    "flags",
    "user_agent",
    *OURS,
)


def _order(shape: Shape) -> tuple[str, ...]:
    return LOCATION_0_9 if shape is Shape.SER_0_9 else LOCATION_2_0


def _layout_2_0(name: str, columns: Mapping[str, str]) -> Layout:
    table = Table(
        name,
        MetaData(),
        Column(columns["uid"], String(64), primary_key=True),
        Column(columns["aor"], String(255), nullable=False),
        Column(columns["contact"], String(255), primary_key=True),
        *_binding_columns(columns),
        Column(columns["flags"], Integer, nullable=False, server_default="0"),
        Column(columns["user_agent"], String(64)),
        Column(columns["instance"], String(255)),
        *_our_columns(columns),
        **TABLE_OPTIONS,
    )
    return Layout(table, (columns["uid"], columns["contact"]), 9, _optional(columns))


def _layout_0_9(name: str, columns: Mapping[str, str]) -> Layout:
    table = Table(
        name,
        MetaData(),
        Column(columns["username"], String(64), primary_key=True),
        Column(columns["domain"], String(128), primary_key=True, server_default=""),
        Column(columns["contact"], String(255), primary_key=True),
        *_binding_columns(columns),
        Column(columns["replicate"], Integer, nullable=False, server_default="0"),
        Column(columns["state"], Integer, nullable=False, server_default="0"),
        Column(columns["flags"], Integer, nullable=False, server_default="0"),
        Column(columns["user_agent"], String(64)),
        Column("last_modified", DateTime, server_default=func.now(), info=UNWRITTEN),
        *_our_columns(columns),
        **TABLE_OPTIONS,
    )
    return Layout(table, (columns["username"], columns["domain"], columns["contact"]), 6, _optional(columns))


def _binding_columns(columns: Mapping[str, str]) -> tuple[Column[object], ...]:
    return (
        Column(columns["received"], String(255)),
        Column(columns["expires"], DateTime),
        Column(columns["q"], Float, nullable=False, server_default="1.0"),
        Column(columns["callid"], String(255)),
        Column(columns["cseq"], Integer),
    )


def _our_columns(columns: Mapping[str, str]) -> tuple[Column[object], ...]:
    return (Column(columns["path"], Text), Column(columns["socket"], String(64)))


def _optional(columns: Mapping[str, str]) -> frozenset[str]:
    return frozenset(columns[name] for name in OURS)
