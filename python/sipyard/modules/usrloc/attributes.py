"""Registration attributes: attributes that a REGISTER's script marked, kept with the binding
(`contact_attrs`).

They are written when a binding that has them changes, whatever the `db_mode` but 0 and 3: they are few, and
their rows precede the binding's own in the writer's queue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from sqlalchemy import Column, Integer, MetaData, String, Table

from sipyard.arguments import ArgumentError, Loading
from sipyard.errors import StorageError
from sipyard.modules.usrloc.contact import Attribute, Contact
from sipyard.modules.usrloc.table import Change
from sipyard.storage.database import Database
from sipyard.storage.layout import TABLE_OPTIONS, Key, Layout, Row

_log = logging.getLogger("sipyard.usrloc")

INTEGER: Final = 0
STRING: Final = 2
"""`type` of a row, as in all of SER 2.0's attribute tables."""


@dataclass(frozen=True, slots=True)
class AttributeFlag:
    """An AVP flag by its name (`avpflags` of the script); "" is none."""

    mask: int
    says: ClassVar[str] = "an AVP flag declared with `avpflags`"

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> AttributeFlag:
        if not text:
            return cls(0)
        if text not in loading.avp_flags:
            raise ArgumentError(f"AVP flag {text} is not declared", f"write avpflags {text};")
        return cls(1 << loading.avp_flags[text])


@dataclass(frozen=True, slots=True)
class Columns:
    """What the `regavp_*_column` parameters call the columns."""

    uid: str = "uid"
    contact: str = "contact"
    name: str = "name"
    value: str = "value"
    type: str = "type"
    flags: str = "flags"


def attributes_layout(name: str, columns: Columns) -> Layout:
    """SER 2.0's `contact_attrs`."""
    table = Table(
        name,
        MetaData(),
        Column(columns.uid, String(64), primary_key=True),
        Column(columns.contact, String(255), primary_key=True),
        Column(columns.name, String(32), primary_key=True),
        Column(columns.value, String(255)),
        Column(columns.type, Integer, nullable=False, server_default="0"),
        Column(columns.flags, Integer, nullable=False, server_default="0"),
        **TABLE_OPTIONS,
    )
    return Layout(table, (columns.uid, columns.contact, columns.name), 1)


class RegistrationAttributes:
    """The table of registration attributes."""

    def __init__(self, database: Database, layout: Layout) -> None:
        self._table = database.table(layout)

    async def load(self) -> Mapping[tuple[str, str], tuple[Attribute, ...]]:
        """All of them by uid and contact; StorageError, ConfigError."""
        await self._table.prepare()
        found: dict[tuple[str, str], tuple[Attribute, ...]] = {}
        async for piece in self._table.rows():
            for uid, contact, name, value, kind, flags in piece:
                text = "" if value is None else str(value)
                attribute = (str(name), _number(text) if kind == INTEGER else text, int(str(flags)))
                key = (str(uid), str(contact))
                found[key] = (*found.get(key, ()), attribute)
        return found

    def write(self, changes: Sequence[Change]) -> None:
        """Queue what these changes of bindings make of their attributes."""
        rows: dict[Key, Row | None] = {}
        for old, new in changes:
            if old is not None and old.attributes:
                rows.update({(old.uid, old.uri, name): None for name, _, _ in old.attributes})
            if new is not None and new.attributes:
                rows.update(_rows(new))
        if rows:
            try:
                self._table.write(rows).add_done_callback(_report)
            except StorageError as error:
                _log.error("registration attributes are not written: %s", error)


def _rows(contact: Contact) -> dict[Key, Row | None]:
    return {
        (contact.uid, contact.uri, name): (
            contact.uid,
            contact.uri,
            name,
            str(value),
            INTEGER if isinstance(value, int) else STRING,
            flags,
        )
        for name, value, flags in contact.attributes or ()
    }


def _number(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text


def _report(written: asyncio.Future[None]) -> None:
    if not written.cancelled() and (error := written.exception()) is not None:
        _log.error("registration attributes are not written: %s", error)
