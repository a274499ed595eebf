"""Columns of the location table that exist only when a parameter names them.

`method_column` keeps which methods a contact understands as SER's bits (RFC 3840 `methods` of the Contact,
else Allow); `reg_avp_column` keeps its registration attributes as JSON: `[["name", value, flags], …]`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Integer, Text

from sipyard.modules.usrloc.contact import Attribute, Contact

_log = logging.getLogger("sipyard.usrloc")

METHOD_BITS: Final = {
    "INVITE": 1,
    "CANCEL": 2,
    "ACK": 4,
    "BYE": 8,
    "INFO": 16,
    "REGISTER": 32,
    "SUBSCRIBE": 64,
    "NOTIFY": 128,
}
OTHER_METHOD: Final = 256


def method_mask(methods: Iterable[str]) -> int:
    """SER's bits of these methods."""
    mask = 0
    for method in methods:
        if name := method.strip().upper():
            mask |= METHOD_BITS.get(name, OTHER_METHOD)
    return mask


@dataclass(frozen=True, slots=True)
class Extra:
    """One such column: what a binding writes there, and what is made of it when it is read."""

    column: str
    kind: type[Any]
    value: Callable[[Contact], object]
    take: Callable[[Contact, object], None]

    def made(self) -> Column[Any]:
        """The column for a table."""
        return Column(self.column, self.kind)


def methods_in(column: str) -> Extra:
    """The column of `method_column`."""

    def take(contact: Contact, value: object) -> None:
        contact.methods = value if isinstance(value, int) else 0

    return Extra(column, Integer, lambda contact: contact.methods or None, take)


def attributes_in(column: str) -> Extra:
    """The column of `reg_avp_column`."""

    def value(contact: Contact) -> object:
        kept = contact.attributes
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":")) if kept else None

    def take(contact: Contact, value: object) -> None:
        try:
            contact.attributes = _attributes(json.loads(str(value)))
        except (TypeError, ValueError) as error:
            _log.warning("%s of %s is not read: %s", column, contact.uri, error)

    return Extra(column, Text, value, take)


def _attributes(read: list[list[Any]]) -> tuple[Attribute, ...] | None:
    """ValueError or TypeError when it is something else."""
    found: list[Attribute] = []
    for name, value, flags in read:
        if not (isinstance(name, str) and isinstance(value, int | str) and isinstance(flags, int)):
            raise ValueError("not name, value and flags")
        found.append((name, value, flags))
    return tuple(found) or None
