"""Filling a table from the database at start."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Mapping

from sipyard.modules.usrloc.contact import Attribute, Contact
from sipyard.modules.usrloc.rows import Clocks, Rows
from sipyard.modules.usrloc.table import Bindings, SharedTexts
from sipyard.storage.database import StoredTable
from sipyard.storage.layout import Key, Row

_log = logging.getLogger("sipyard.usrloc")

PROGRESS_EVERY = 1.0
"""Seconds between lines that say how far loading is."""

_RegistrationAttributes = Mapping[tuple[str, str], tuple[Attribute, ...]]


def load(
    bindings: Bindings,
    table: StoredTable,
    rows: Rows,
    clocks: Clocks,
    *,
    attributes: _RegistrationAttributes | None = None,
) -> dict[Key, Row | None]:
    """Read every row whose binding has not ended; returns the others, as changes that delete them.

    :raises StorageError: the table cannot be read.
    """
    total, loaded, read = table.count(), 0, 0
    started = said = time.monotonic()
    gone: dict[Key, Row | None] = {}
    share = SharedTexts()
    was_collecting = gc.isenabled()
    gc.disable()  # a million objects that all stay: collecting in between would double the time
    try:
        now, ahead = clocks.core(), clocks.ahead
        for piece in table.rows():
            read += len(piece)
            for row in piece:
                contact = rows.contact(row, ahead)
                if contact.expires > now:
                    _add(bindings, contact, share, attributes)
                    loaded += 1
                else:
                    gone[rows.key(contact.uid, contact.uri)] = None
            if time.monotonic() - said >= PROGRESS_EVERY:
                said = time.monotonic()
                _log.info("%s: %d of %d rows read", bindings.name, read, total)
    finally:
        if was_collecting:
            gc.enable()
    # What was loaded stays: the collector need never look at it.
    gc.freeze()
    _log.info(
        "%s: %d bindings loaded in %.1f s, %d had ended",
        bindings.name,
        loaded,
        time.monotonic() - started,
        read - loaded,
    )
    return gone


def _add(
    bindings: Bindings, contact: Contact, share: SharedTexts, attributes: _RegistrationAttributes | None
) -> None:
    first = bindings.first.get(contact.uid)
    if first is not None:
        contact.uid = first.uid
        if contact.aor == first.aor:
            contact.aor = first.aor
    if contact.user_agent:
        contact.user_agent = share(contact.user_agent)
    if contact.socket:
        contact.socket = share(contact.socket)
    if attributes:
        contact.attributes = attributes.get((contact.uid, contact.uri))
    bindings.add(contact)
