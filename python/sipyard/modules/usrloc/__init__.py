"""usrloc: who is registered where.

Bindings are kept in memory, so a lookup never asks a database; `db_mode` says how they survive a restart. The
modules registrar and (later) nathelper use it by `table` and `change`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import Generation
from sipyard.attributes import Name, Scope, Track
from sipyard.errors import ConfigError, StorageError
from sipyard.management.registry import RpcFault
from sipyard.module import Dynamic, Module, Parameter, function, rpc
from sipyard.modules.usrloc.attributes import (
    AttributeFlag,
    Columns,
    RegistrationAttributes,
    attributes_layout,
)
from sipyard.modules.usrloc.contact import MEMORY_ONLY, NAT, NEVER, NO_Q, PERMANENT, Contact
from sipyard.modules.usrloc.extras import Extra, attributes_in, methods_in
from sipyard.modules.usrloc.loading import load
from sipyard.modules.usrloc.persistence import MemoryStore, WriteBack, WriteThrough
from sipyard.modules.usrloc.rows import Clocks, rows_of
from sipyard.modules.usrloc.table import Bindings, Change, SharedTexts
from sipyard.stepping import rest_of, suspended_on
from sipyard.storage import Database, StoredTable
from sipyard.storage.backoff import Backoff
from sipyard.storage.layout import Layout
from sipyard.storage.location import Shape, location_layout

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine
    from sipyard.modules.usrloc.contact import Attribute

__all__ = ["MEMORY_ONLY", "NAT", "NEVER", "NO_Q", "PERMANENT", "Bindings", "Change", "Contact", "UsrLoc"]

_log = logging.getLogger("sipyard.usrloc")

MEMORY, WRITE_THROUGH, WRITE_BACK, READ_ONLY = range(4)
TICK: Final = 1.0
"""Seconds between looks for bindings that have ended."""
FREEZE_EVERY: Final = 50_000
"""New bindings after which the garbage collector is told to leave those there are alone."""
DUMP_LIMIT: Final = 100

_RENAMED_2_0: Final = {
    "uid": "uid_column",
    "aor": "aor_column",
    "contact": "contact_column",
    "received": "received_column",
    "expires": "expires_column",
    "q": "q_column",
    "callid": "callid_column",
    "cseq": "cseq_column",
    "flags": "flags_column",
    "user_agent": "user_agent_column",
    "instance": "instance_column",
}
_RENAMED_0_9: Final = {
    "username": "user_column",
    "domain": "domain_column",
    "replicate": "replicate_column",
    "state": "state_column",
    **{name: parameter for name, parameter in _RENAMED_2_0.items() if name not in ("uid", "aor", "instance")},
}


def _column(default: str, generations: Generation = Generation.BOTH) -> Parameter[str]:
    return Parameter(str, default, f"Name of the column `{default}`.", generations=generations)


def _old_stats(tables: list[dict[str, str | int]]) -> Iterator[str]:
    """As SER 0.9's FIFO told them."""
    yield "Domain Registered Expired"
    for each in tables:
        yield f"'{each['domain']}' {each['users']} {each['expired']}"


def _old_contacts(contacts: list[dict[str, str | int | float]]) -> Iterator[str]:
    """As SER 0.9's FIFO told them."""
    for each in contacts:
        yield f"<{each['contact']}>;q={each['q']};expires={each['expires']}"


class UsrLoc(Module):
    """usrloc: the user location service."""

    name = "usrloc"
    live_parameters = ("max_bindings", "timer_interval")

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where bindings are stored.")
    db_mode = Parameter(
        int, MEMORY, "0 memory only, 1 write-through, 2 write-back by timer, 3 read at start only."
    )
    timer_interval = Parameter(int, 60, "Seconds between two flushes of write-back mode.")
    desc_time_order = Parameter(bool, False, "Newest contact first, whatever its q.")
    use_domain = Parameter(
        bool, False, "A user is user@domain, not user alone.", generations=Generation.SER_0_9
    )
    preload = Parameter(
        str,
        "location",
        "Tables read at start, with commas between; any other is read when it is first used (not in SER).",
    )
    max_bindings = Parameter(
        int,
        4_000_000,
        "Bindings in all tables; beyond, registrations are answered 503; 0 no limit (not in SER).",
    )

    uid_column = _column("uid", Generation.SER_2_0)
    aor_column = _column("aor", Generation.SER_2_0)
    instance_column = _column("instance", Generation.SER_2_0)
    user_column = _column("username", Generation.SER_0_9)
    domain_column = _column("domain", Generation.SER_0_9)
    replicate_column = _column("replicate", Generation.SER_0_9)
    state_column = _column("state", Generation.SER_0_9)
    contact_column = _column("contact")
    received_column = _column("received")
    expires_column = _column("expires")
    q_column = _column("q")
    callid_column = _column("callid")
    cseq_column = _column("cseq")
    flags_column = _column("flags")
    user_agent_column = _column("user_agent")
    method_column = Parameter(
        str,
        "",
        "Column that keeps which methods a contact understands (bits, as tm's `blst_methods_add`); none by "
        'default, as no table of either SER has one (SER: "method", which it does not use).',
    )

    reg_avp_table = Parameter(
        str, "contact_attrs", "Table of registration attributes.", generations=Generation.SER_2_0
    )
    reg_avp_flag: Parameter[AttributeFlag] = Parameter(
        AttributeFlag,
        "",
        "AVP flag that marks attributes to keep with a contact.",
        generations=Generation.SER_2_0,
    )
    reg_avp_column = Parameter(
        str,
        "",
        "Column of the location table that keeps registration attributes, instead of reg_avp_table.",
        generations=Generation.SER_2_0,
    )
    regavp_uid_column = _column("uid", Generation.SER_2_0)
    regavp_contact_column = _column("contact", Generation.SER_2_0)
    regavp_name_column = _column("name", Generation.SER_2_0)
    regavp_value_column = _column("value", Generation.SER_2_0)
    regavp_type_column = _column("type", Generation.SER_2_0)
    regavp_flags_column = _column("flags", Generation.SER_2_0)

    def __init__(self) -> None:
        super().__init__()
        self._stores: dict[str, MemoryStore] = {}
        self._clocks = Clocks(lambda: 0.0)
        self._database: Database | None = None
        self._attributes: RegistrationAttributes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flush_due = 0.0
        self._flushing: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._frozen = 0
        self._mask = 0
        self.share = SharedTexts()

    # -- life ------------------------------------------------------------------------------------------------

    async def start(self, engine: Engine) -> None:
        if self.db_mode not in range(4):
            raise ConfigError(f"usrloc: db_mode is 0, 1, 2 or 3, not {self.db_mode}")
        core = engine.core
        self._mask = self.reg_avp_flag.mask if self.generation is Generation.SER_2_0 else 0
        self._clocks = Clocks(lambda: core.now, self._clocks.wall)
        if self.db_mode != MEMORY:
            self._database = engine.databases.get(self.db_url)
            if self._mask and not self.reg_avp_column:
                self._attributes = RegistrationAttributes(self._database, self._attributes_layout())
        for name in filter(None, (name.strip() for name in self.preload.split(","))):
            store, table = self._make(name)
            if table is not None:
                await self._read_or_retry(store, table)
        self._flush_due = core.now + self.timer_interval
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in (*self._reading, *filter(None, (self._flushing,))):
            task.cancel()
        await asyncio.gather(*self._reading, *filter(None, (self._flushing,)), return_exceptions=True)
        try:
            await self._flush_all()
        except StorageError as error:
            lost = sum(store.unwritten for store in self._stores.values())
            _log.critical("%d changes of bindings are lost, they could not be written: %s", lost, error)

    def use_wall_clock(self, wall: Callable[[], float]) -> None:
        """Take UTC from elsewhere (a simulation, a test); before `start`."""
        self._clocks = Clocks(self._clocks.core, wall)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)
        for store in self._stores.values():
            store.remove_ended()
        now = self._clocks.core()
        if self.db_mode == WRITE_BACK and now >= self._flush_due:
            self._flush_soon()
        if self.count - self._frozen > FREEZE_EVERY:
            # A full collection would look at every binding, for half a second a million, and find nothing:
            # bindings make no cycles.
            gc.freeze()
            self._frozen = self.count

    def _flush_soon(self) -> None:
        self._flush_due = self._clocks.core() + self.timer_interval
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush_and_report())

    async def _flush_and_report(self) -> None:
        try:
            await self._flush_all()
        except StorageError as error:
            _log.error("bindings could not be written, tried again in %d s: %s", self.timer_interval, error)

    async def _flush_all(self) -> None:
        for store in self._stores.values():
            await store.flush()

    # -- for other modules -----------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Bindings in all tables."""
        return sum(store.bindings.count for store in self._stores.values())

    def live_contacts(self, *, behind_nat: bool = False) -> Iterator[Contact]:
        """Contacts of all tables that have not ended, or those behind NAT; tables may change meanwhile."""
        for store in list(self._stores.values()):
            for uid in list(store.bindings.first):
                for contact in list(store.bindings.contacts(uid)):
                    if contact.expires > self._clocks.core() and (not behind_nat or contact.flags & NAT):
                        yield contact

    def is_full(self, more: int) -> bool:
        """Whether so many more bindings would be too many."""
        return more > 0 and 0 < self.max_bindings < self.count + more

    def table(self, name: str) -> Bindings:
        """The bindings of a table; one that was not preloaded is read from the database, which for SQLite is
        done at once and for others takes a moment (`MemoryStore.require_loaded`)."""
        return self.store(name).bindings

    def store(self, name: str) -> MemoryStore:
        """As `table`: what keeps its bindings."""
        store = self._stores.get(name)
        if store is None:
            store, table = self._make(name)
            if table is not None:
                self._read_soon(store, table)
        return store

    def change(self, store: MemoryStore, uid: str, changes: Sequence[Change]) -> Awaitable[None] | None:
        """Change bindings of one uid, all or nothing: done when it returns None, else when what it returns
        has been awaited. Await `store.settled` first while `store.busy` names the uid.

        :raises StorageError: nothing was changed (from the call, or from awaiting).
        """
        store.touch(changes)
        if self._attributes is not None and self.db_mode != READ_ONLY:
            self._attributes.write(changes)
        return store.change(uid, changes)

    @property
    def keeps_methods(self) -> bool:
        """Whether it is kept which methods a contact understands (`method_column`)."""
        return bool(self.method_column)

    @property
    def keeps_attributes(self) -> bool:
        """Whether attributes of a REGISTER are kept with its contacts (`reg_avp_flag`)."""
        return self._mask != 0

    def registration_attributes(self, msg: Context) -> tuple[Attribute, ...] | None:
        """The message's attributes that are to be kept with the contacts it registers (`reg_avp_flag`)."""
        if not self._mask or not msg.has_attributes:
            return None
        found = {one.name: one for _, _, one in msg.attributes.flagged(self._mask)}
        return tuple((one.name, one.value, one.flags) for one in found.values()) or None

    def _make(self, name: str) -> tuple[MemoryStore, StoredTable | None]:
        """An empty store, and the table that it is to be filled from."""
        clocks = self._clocks
        bindings = Bindings(name, clocks.core(), newest_first=self.desc_time_order)
        table: StoredTable | None = None
        store = MemoryStore(bindings, clocks)
        if self._database is not None:
            shape = Shape.SER_0_9 if self.generation is Generation.SER_0_9 else Shape.SER_2_0
            table = self._database.table(self._layout(name, shape))
            rows = rows_of(self.generation, self._extras())
            if self.db_mode == WRITE_THROUGH:
                store = WriteThrough(bindings, clocks, table, rows)
            elif self.db_mode == WRITE_BACK:
                store = WriteBack(bindings, clocks, table, rows, self._flush_soon)
            store.touched = set()
        self._stores[name] = store
        return store, table

    async def _read(self, store: MemoryStore, table: StoredTable) -> None:
        """Fill a store. StorageError: nothing is known yet; ConfigError."""
        await table.prepare()
        if table.missing:
            missing = ", ".join(sorted(table.missing))
            name = store.bindings.name
            _log.warning("table %s has no column %s: a restart forgets what would be there", name, missing)
        attributes = None if self._attributes is None else await self._attributes.load()
        gone = await load(store, table, rows_of(self.generation, self._extras()), attributes)
        store.touched = None
        self._frozen = self.count
        if gone and self.db_mode != READ_ONLY:
            table.write(gone).add_done_callback(_report)

    async def _read_or_retry(self, store: MemoryStore, table: StoredTable) -> None:
        try:
            await self._read(store, table)
        except StorageError as error:
            _log.error(
                "table %s cannot be read: %s; until it can, only who registers from now on is found",
                store.bindings.name,
                error,
            )
            self._keep(asyncio.get_running_loop().create_task(self._retry(store, table)))

    async def _retry(self, store: MemoryStore, table: StoredTable) -> None:
        backoff = Backoff()
        while store.touched is not None:
            await asyncio.sleep(backoff.delay())
            try:
                await self._read(store, table)
            except StorageError as error:
                _log.info("table %s still cannot be read: %s", store.bindings.name, error)
            except ConfigError as error:
                _log.critical("table %s cannot be used: %s", store.bindings.name, error)
                return

    def _read_soon(self, store: MemoryStore, table: StoredTable) -> None:
        """Read a table that is used for the first time: now, as far as that needs no waiting."""
        coroutine = self._read_or_retry(store, table)
        try:
            yielded = suspended_on(coroutine.send(None))
        except StopIteration:
            return

        async def rest() -> None:
            try:
                await rest_of(coroutine, yielded)
            except ConfigError as error:
                _log.critical("table %s cannot be used: %s", store.bindings.name, error)

        self._keep(asyncio.get_running_loop().create_task(rest()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    def _layout(self, name: str, shape: Shape) -> Layout:
        return location_layout(name, shape, self._renamed(), [extra.made() for extra in self._extras()])

    def _extras(self) -> list[Extra]:
        """The columns that exist because a parameter names them."""
        extras = [methods_in(self.method_column)] if self.method_column else []
        if self._mask and self.reg_avp_column:
            extras.append(attributes_in(self.reg_avp_column))
        return extras

    def _renamed(self) -> dict[str, str]:
        names = _RENAMED_0_9 if self.generation is Generation.SER_0_9 else _RENAMED_2_0
        return {name: str(getattr(self, parameter)) for name, parameter in names.items()}

    def _attributes_layout(self) -> Any:
        columns = Columns(
            self.regavp_uid_column,
            self.regavp_contact_column,
            self.regavp_name_column,
            self.regavp_value_column,
            self.regavp_type_column,
            self.regavp_flags_column,
        )
        return attributes_layout(self.reg_avp_table, columns)

    # -- script ----------------------------------------------------------------------------------------------

    @function("RFB", generations=Generation.SER_2_0)
    def read_reg_avps(self, msg: Context, table: str, uid: Dynamic[str]) -> int:
        """Add the attributes kept with the contact of `uid` that the Request-URI is to the callee's URI
        attributes (`$tr`). 1, or -1 when there is no such contact."""
        contact = self.table(table).find(uid, msg.request_uri)
        if contact is None:
            return -1
        for name, value, flags in contact.attributes or ():
            msg.attributes.add(Name(name, Track.TO, Scope.URI), value, flags)
        return 1

    # -- management ------------------------------------------------------------------------------------------

    def _existing(self, table: str) -> Bindings:
        store = self._stores.get(table)
        if store is None:
            raise RpcFault(404, f"Table {table} not found")
        return store.bindings

    async def _change(self, table: str, uid: str, decide: Callable[[Bindings], Sequence[Change]]) -> None:
        bindings, store = self._existing(table), self.store(table)
        await store.settled(uid)
        try:
            waiting = self.change(store, uid, decide(bindings))
            if waiting is not None:
                await waiting
        except StorageError as error:
            raise RpcFault(500, str(error)) from error

    @rpc("usrloc.stats", old_name="ul_stats", old_lines=_old_stats)
    def stats(self) -> list[dict[str, str | int]]:
        """Each table with its number of users, of contacts, and of contacts that ended since the start."""
        return [
            {
                "domain": name,
                "users": len(store.bindings),
                "expired": store.bindings.expired,
                "contacts": store.bindings.count,
            }
            for name, store in self._stores.items()
        ]

    @rpc("usrloc.delete_uid", old_name="ul_rm", changes=True)
    async def delete_uid(self, table: str, uid: str) -> None:
        """Delete all contacts of a user."""

        def decide(bindings: Bindings) -> Sequence[Change]:
            changes: list[Change] = [(contact, None) for contact in bindings.contacts(uid)]
            if not changes:
                raise RpcFault(404, "User not found")
            return changes

        await self._change(table, uid, decide)

    @rpc("usrloc.delete_contact", old_name="ul_rm_contact", changes=True)
    async def delete_contact(self, table: str, uid: str, contact: str) -> None:
        """Delete one contact of a user."""

        def decide(bindings: Bindings) -> Sequence[Change]:
            found = bindings.find(uid, contact)
            if found is None:
                raise RpcFault(404, "Contact not found")
            return [(found, None)]

        await self._change(table, uid, decide)

    @rpc("usrloc.add_contact", old_name="ul_add", changes=True)
    async def add_contact(
        self, table: str, uid: str, contact: str, expires: int, q: float, *flags: int
    ) -> None:
        """Add a contact, or replace it; `expires` in seconds, 0 never. SER 0.9 has an argument `replicate`
        before `flags`."""
        try:
            uri = str(Uri(contact))
        except ParseError as error:
            raise RpcFault(400, f"contact: {error}") from None
        if q > 1 or 0 > q != -1 or expires < 0:
            raise RpcFault(400, "q is 0 to 1 or -1, expires not negative")
        new = Contact(
            uid,
            uri,
            NEVER if expires == 0 else self._clocks.core() + expires,
            q=NO_Q if q < 0 else round(q * 1000),
            call_id="usrloc.add_contact",
            cseq=1,
            flags=(flags[-1] if flags else 0) | (PERMANENT if expires == 0 else 0),
            user_agent="sipyard",
        )
        await self._change(table, uid, lambda bindings: [(bindings.find(uid, uri), new)])

    @rpc("usrloc.show_contacts", old_name="ul_show_contact", old_lines=_old_contacts)
    def show_contacts(self, table: str, uid: str) -> list[dict[str, str | int | float]]:
        """The contacts of a user: URI, q (-1 unspecified), seconds left (-1 never ends)."""
        shown = [self._shown(contact) for contact in self._existing(table).contacts(uid)]
        if not shown:
            raise RpcFault(404, "User not found")
        return shown

    def _shown(self, contact: Contact) -> dict[str, str | int | float]:
        left = -1 if contact.expires == NEVER else max(int(contact.expires - self._clocks.core()), 0)
        return {"contact": contact.uri, "q": contact.q / 1000 if contact.q >= 0 else -1, "expires": left}

    @rpc("usrloc.dump", old_name="ul_dump")
    def dump(self, limit: int = DUMP_LIMIT) -> list[dict[str, str | int | float]]:
        """The first `limit` contacts of every table."""
        shown: list[dict[str, str | int | float]] = []
        for name, store in self._stores.items():
            for _, contact in zip(range(limit), store.bindings.all(), strict=False):
                shown.append({"domain": name, "uid": contact.uid, **self._shown(contact)})
        return shown

    @rpc("usrloc.flush", old_name="ul_flush", changes=True)
    async def flush(self) -> None:
        """Write what write-back mode has not written yet."""
        try:
            await self._flush_all()
        except StorageError as error:
            raise RpcFault(500, str(error)) from error


def _report(written: asyncio.Future[None]) -> None:
    if not written.cancelled() and (error := written.exception()) is not None:
        _log.warning("rows of ended bindings stay in the database: %s", error)
