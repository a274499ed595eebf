"""Bindings as rows of the `location` table of either SER, and back.

In memory a binding ends at a moment of the core's monotonic clock, so that a jump of the wall clock ends
none; in the database at a moment of UTC. `Clocks` converts, by the wall clock as it is when rows are written
or read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from sipyard.arguments import Generation
from sipyard.modules.usrloc.contact import NEVER, NO_Q, PERMANENT, Contact
from sipyard.modules.usrloc.extras import Extra
from sipyard.storage.layout import Key, Row

LAST_SECOND: Final = 2**31 - 1
"""How a permanent binding's end is written: the last second that every database's DATETIME and tool knows."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The core's clock and UTC, both in seconds."""

    core: Callable[[], float]
    wall: Callable[[], float] = time.time

    @property
    def ahead(self) -> float:
        """What to add to a moment of the core's clock to get UTC."""
        return self.wall() - self.core()


class RowsOf20:
    """Rows of SER 2.0, in the order of `LOCATION_2_0`."""

    @staticmethod
    def key(uid: str, uri: str) -> Key:
        """Key of the row of a binding."""
        return (uid, uri)

    @staticmethod
    def row(contact: Contact, ahead: float) -> Row:
        """The row of a binding."""
        return (
            contact.uid,
            contact.aor,
            contact.uri,
            contact.received or None,
            _utc(contact, ahead),
            _q(contact),
            contact.call_id,
            contact.cseq,
            contact.flags,
            contact.user_agent,
            contact.instance or None,
            contact.path or None,
            contact.socket or None,
        )

    @staticmethod
    def contact(row: Row, ahead: float) -> Contact:
        """The binding of a row."""
        uid, aor, uri, received, expires, q, call_id, cseq, flags, user_agent, instance, path, socket = cast(
            "_Row20", row
        )
        return Contact(
            uid,
            uri,
            _moment(expires, flags, ahead),
            aor=aor or "",
            q=_thousandths(q),
            call_id=call_id or "",
            cseq=cseq or 0,
            flags=flags or 0,
            user_agent=user_agent or "",
            received=received or "",
            instance=instance or "",
            path=path or "",
            socket=socket or "",
        )


class RowsOf09:
    """Rows of SER 0.9, in the order of `LOCATION_0_9`; the uid is `user` or `user@domain`."""

    @staticmethod
    def key(uid: str, uri: str) -> Key:
        """Key of the row of a binding."""
        user, _, domain = uid.rpartition("@") if "@" in uid else (uid, "", "")
        return (user, domain, uri)

    @classmethod
    def row(cls, contact: Contact, ahead: float) -> Row:
        """The row of a binding."""
        user, domain, uri = cls.key(contact.uid, contact.uri)
        return (
            user,
            domain,
            uri,
            contact.received or None,
            _utc(contact, ahead),
            _q(contact),
            contact.call_id,
            contact.cseq,
            0,
            0,
            contact.flags,
            contact.user_agent,
            contact.path or None,
            contact.socket or None,
        )

    @staticmethod
    def contact(row: Row, ahead: float) -> Contact:
        """The binding of a row."""
        user, domain, uri, received, expires, q, call_id, cseq, _, _, flags, user_agent, path, socket = cast(
            "_Row09", row
        )
        return Contact(
            f"{user}@{domain}" if domain else user,
            uri,
            _moment(expires, flags, ahead),
            q=_thousandths(q),
            call_id=call_id or "",
            cseq=cseq or 0,
            flags=flags or 0,
            user_agent=user_agent or "",
            received=received or "",
            path=path or "",
            socket=socket or "",
        )


_Text = str | None
_Row20 = tuple[
    str, _Text, str, _Text, float | None, float | None, _Text, int, int, _Text, _Text, _Text, _Text
]
_Row09 = tuple[
    str, str, str, _Text, float | None, float | None, _Text, int, int, int, int, _Text, _Text, _Text
]


class RowsWithExtras:
    """Rows of either with more columns behind them."""

    def __init__(self, rows: RowsOf20 | RowsOf09, extras: Sequence[Extra]) -> None:
        self._rows = rows
        self._extras = extras
        self.key = rows.key

    def row(self, contact: Contact, ahead: float) -> Row:
        """The row of a binding."""
        return (*self._rows.row(contact, ahead), *(extra.value(contact) for extra in self._extras))

    def contact(self, row: Row, ahead: float) -> Contact:
        """The binding of a row."""
        count = len(row) - len(self._extras)
        contact = self._rows.contact(row[:count], ahead)
        for extra, value in zip(self._extras, row[count:], strict=True):
            if value is not None:
                extra.take(contact, value)
        return contact


Rows = RowsOf20 | RowsOf09 | RowsWithExtras


def rows_of(generation: Generation, extras: Sequence[Extra] = ()) -> Rows:
    """How that generation writes its table."""
    rows = RowsOf09() if generation is Generation.SER_0_9 else RowsOf20()
    return RowsWithExtras(rows, extras) if extras else rows


def _utc(contact: Contact, ahead: float) -> float:
    # Rounded up: a binding must not end in the database before it ends here.
    return (
        LAST_SECOND if contact.expires == NEVER else min(-int(-(contact.expires + ahead) // 1), LAST_SECOND)
    )


def _moment(utc: float | None, flags: int | None, ahead: float) -> float:
    if (flags or 0) & PERMANENT:
        return NEVER
    return (utc or 0.0) - ahead


def _q(contact: Contact) -> float:
    return contact.q / 1000 if contact.q >= 0 else -1.0


def _thousandths(q: float | None) -> int:
    return NO_Q if q is None or q < 0 else round(q * 1000)
