"""What each `db_mode` does with a change of bindings.

    0 memory         apply
    1 write-through  write, wait until it is durable, apply; a failed write changes nothing
    2 write-back     apply, remember; written by the timer, by `usrloc.flush` and at shutdown
    3 read-only      apply; the database is only read, at start

`change` applies at once and returns None, or returns what to await. While a write-through change of a uid
waits, further changes of that uid wait for it (`settled`), so each is decided on what the one before it left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

from sipyard.errors import StorageError
from sipyard.modules.usrloc.contact import MEMORY_ONLY, Contact
from sipyard.modules.usrloc.rows import Clocks, Rows
from sipyard.modules.usrloc.table import Bindings, Change
from sipyard.storage.database import StoredTable
from sipyard.storage.layout import Key, Row

_log = logging.getLogger("sipyard.usrloc")

MAX_DIRTY: Final = 200_000
"""Rows that write-back remembers; beyond, REGISTER is refused (the database does not keep up or is gone)."""
EARLY_FLUSH: Final = 50_000
"""Rows after which write-back does not wait for the timer."""
PIECE: Final = 500
"""Rows written at a time: making them takes the deciding thread a millisecond or two."""


class MemoryStore:
    """`db_mode` 0 and 3."""

    def __init__(self, bindings: Bindings, clocks: Clocks) -> None:
        self.bindings = bindings
        self.clocks = clocks
        self.busy: dict[str, asyncio.Future[None]] = {}
        self.touched: set[tuple[str, str]] | None = None
        """Bindings, by uid and URI, that changed while the table is not read yet; None once it is."""

    def touch(self, changes: Sequence[Change]) -> None:
        """Remember what changes while the table is not read; StorageError when that becomes too much."""
        if self.touched is None:
            return
        if len(self.touched) >= MAX_DIRTY:
            raise StorageError(f"table {self.bindings.name} is not read yet", retry_after=30)
        self.touched.update((one.uid, one.uri) for change in changes for one in change if one is not None)

    def require_loaded(self) -> None:
        """For who did not find what it looked for: StorageError when it may be in the database."""
        if self.touched is not None:
            raise StorageError(f"table {self.bindings.name} could not be read from the database yet")

    def check_unread(self, uid: str, changes: Sequence[Change]) -> None:
        """For a REGISTER while the table is not read: StorageError unless it adds what we then know. Who asks
        for bindings that may be in the database must not be told that there are none."""
        if not changes and uid not in self.bindings.first:
            self.require_loaded()

    def change(self, uid: str, changes: Sequence[Change]) -> Awaitable[None] | None:
        """Carry out changes of one uid's bindings; StorageError when that is impossible now."""
        self.bindings.apply(changes)
        return None

    async def settled(self, uid: str) -> None:
        """Wait until no change of this uid is under way."""
        while (future := self.busy.get(uid)) is not None:
            await asyncio.wait([future])

    def remove_ended(self) -> int:
        """Remove bindings that have ended; returns how many."""
        return len(self.bindings.remove_ended(self.clocks.core(), self.busy))

    async def flush(self) -> None:
        """Write what is not written yet; StorageError."""

    @property
    def unwritten(self) -> int:
        """Rows that a crash would lose."""
        return 0


class WriteThrough(MemoryStore):
    """`db_mode` 1."""

    def __init__(self, bindings: Bindings, clocks: Clocks, table: StoredTable, rows: Rows) -> None:
        super().__init__(bindings, clocks)
        self._table = table
        self._rows = rows

    def check_unread(self, uid: str, changes: Sequence[Change]) -> None:
        self.require_loaded()  # the 200 lists all bindings, and what it lists is durable

    def change(self, uid: str, changes: Sequence[Change]) -> Awaitable[None] | None:
        rows = self._changed_rows(changes)
        if not rows:
            return super().change(uid, changes)
        written = self._table.write(rows)
        if written.done():
            self._settle(uid, changes, written)
            return written
        self.busy[uid] = asyncio.get_running_loop().create_future()
        # A callback of its own, so that memory follows the database even when whoever waits gives up.
        written.add_done_callback(partial(self._settle, uid, changes))
        return asyncio.shield(written)

    def _settle(self, uid: str, changes: Sequence[Change], written: asyncio.Future[None]) -> None:
        if not written.cancelled() and written.exception() is None:
            self.bindings.apply(changes)
        waiting = self.busy.pop(uid, None)
        if waiting is not None:
            waiting.set_result(None)

    def _changed_rows(self, changes: Sequence[Change]) -> dict[Key, Row | None]:
        rows: dict[Key, Row | None] = {}
        ahead = self.clocks.ahead
        for old, new in changes:
            if old is not None and not old.flags & MEMORY_ONLY and (new is None or new.uri != old.uri):
                rows[self._rows.key(old.uid, old.uri)] = None
            if new is not None and not new.flags & MEMORY_ONLY:
                rows[self._rows.key(new.uid, new.uri)] = self._rows.row(new, ahead)
        return rows

    def remove_ended(self) -> int:
        removed = self.bindings.remove_ended(self.clocks.core(), self.busy)
        gone: dict[Key, Row | None] = {
            self._rows.key(contact.uid, contact.uri): None
            for contact in removed
            if not contact.flags & MEMORY_ONLY
        }
        if gone:
            try:
                # Queued now, so that a registration of a moment later is written after it.
                self._table.write(gone).add_done_callback(_report)
            except StorageError as error:
                _log.warning("rows of ended bindings stay in the database until the next start: %s", error)
        return len(removed)


def _report(written: asyncio.Future[None]) -> None:
    if not written.cancelled() and (error := written.exception()) is not None:
        _log.warning("rows of ended bindings stay in the database until the next start: %s", error)


class WriteBack(MemoryStore):
    """`db_mode` 2."""

    def __init__(
        self,
        bindings: Bindings,
        clocks: Clocks,
        table: StoredTable,
        rows: Rows,
        flush_soon: Callable[[], None],
    ) -> None:
        super().__init__(bindings, clocks)
        self._table = table
        self._rows = rows
        self._flush_soon = flush_soon
        self._dirty: dict[tuple[str, str], Contact | None] = {}
        self._flushing = asyncio.Lock()

    @property
    def unwritten(self) -> int:
        return len(self._dirty)

    def change(self, uid: str, changes: Sequence[Change]) -> Awaitable[None] | None:
        dirty = self._dirty
        if len(dirty) >= EARLY_FLUSH:
            if len(dirty) >= MAX_DIRTY:
                raise StorageError(f"{len(dirty)} bindings wait to be written", retry_after=30)
            self._flush_soon()
        for old, new in changes:
            if old is not None and not old.flags & MEMORY_ONLY and (new is None or new.uri != old.uri):
                dirty[old.uid, old.uri] = None
            if new is not None and not new.flags & MEMORY_ONLY:
                dirty[new.uid, new.uri] = new if old is None else old
        self.bindings.apply(changes)
        return None

    def remove_ended(self) -> int:
        removed = self.bindings.remove_ended(self.clocks.core())
        for contact in removed:
            if not contact.flags & MEMORY_ONLY:
                self._dirty[contact.uid, contact.uri] = None
        return len(removed)

    async def flush(self) -> None:
        async with self._flushing:
            while self._dirty:
                piece = dict(islice(self._dirty.items(), PIECE))
                for key in piece:
                    del self._dirty[key]
                ahead, make = self.clocks.ahead, self._rows
                rows = {
                    make.key(*key): None if contact is None else make.row(contact, ahead)
                    for key, contact in piece.items()
                }
                try:
                    await self._table.write(rows)
                except BaseException:
                    for key, contact in piece.items():
                        self._dirty.setdefault(key, contact)
                    raise
                await asyncio.sleep(0)
