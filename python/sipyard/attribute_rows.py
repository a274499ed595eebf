"""Rows of SER 2.0's attribute tables (user_attrs, uri_attrs, domain_attrs, global_attrs)."""

from __future__ import annotations

import logging
from typing import Final

from sipyard.attributes import Attribute
from sipyard.storage.schema.ser_2_0 import INTEGER, RowFlag

_MASK: Final = int(RowFlag.LOAD_SER | RowFlag.DISABLED)
_WANTED: Final = int(RowFlag.LOAD_SER)
_log = logging.getLogger("sipyard.storage")


def is_for_server(flags: int | None) -> bool:
    """Whether a row is one that the server reads: LOAD_SER, and not DISABLED (inventory C.1)."""
    return (flags or 0) & _MASK == _WANTED


def attribute_of(name: str, kind: int | None, value: object) -> list[Attribute]:
    """The attribute of a row, none when it says that it is a number and is not (that is logged)."""
    text = "" if value is None else str(value)
    if kind != INTEGER:
        return [Attribute(name.lower(), text)]
    try:
        return [Attribute(name.lower(), int(text or "0"))]
    except ValueError:
        _log.warning("attribute %s is a number in the database, but %r is none", name, text)
        return []
