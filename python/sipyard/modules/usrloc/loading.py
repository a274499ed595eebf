"""Filling a table from the database: at start, or when a database that was away has come back.

Meanwhile bindings may change. What was touched since the start is newer than its row, which is passed over.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Mapping

from sipyard.modules.usrloc.contact import Attribute, Contact
from sipyard.modules.usrloc.persistence import MemoryStore
from sipyard.modules.usrloc.rows import Rows
from sipyard.modules.usrloc.table import Bindings, SharedTexts
from sipyard.storage.database import StoredTable
from sipyard.storage.layout import Key, Row

_log = logging.getLogger("sipyard.usrloc")

PROGRESS_EVERY = 1.0
"""Seconds between lines that say how far loading is."""

_RegistrationAttributes = Mapping[tuple[str, str], tuple[Attribute, ...]]


async def load(
    store: MemoryStore,
    table: StoredTable,
    rows: Rows,
    attributes: _RegistrationAttributes | None = None,
) -> dict[Key, Row | None]:
    """Read every row whose binding has not ended; returns the others, as changes that delete them.

    :raises StorageError: the table cannot be read.
    """
    total, loaded, read = await table.count(), 0, 0
    started = said = time.monotonic()
    bindings, clocks = store.bindings, store.clocks
    touched = set[tuple[str, str]]() if store.touched is None else store.touched
    is_fresh = bindings.count == 0  # else an earlier attempt broke off and left what it had read
    ended: list[tuple[str, str]] = []
    share = SharedTexts()
    was_collecting = gc.isenabled()
    gc.disable()  # a million objects that all stay: collecting in between would double the time
    try:
        now, ahead = clocks.core(), clocks.ahead
        async for piece in table.rows():
            read += len(piece)
            for row in piece:
                contact = rows.contact(row, ahead)
                if contact.expires <= now:
                    ended.append((contact.uid, contact.uri))
                elif (contact.uid, contact.uri) in touched:
                    continue
                elif is_fresh or bindings.find(contact.uid, contact.uri) is None:
                    _add(bindings, contact, share, attributes)
                    loaded += 1
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
        len(ended),
    )
    return {rows.key(*key): None for key in ended if key not in touched}


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
