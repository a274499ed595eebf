"""gflags: 32 flags of the whole server, for switches that an operator turns while it runs; `$g` attributes.

A start sets the flags to `initial`. With `load_global_attrs` the attributes of a table become the `$g` list
of every message that comes afterwards; the one called `gflags` holds the flags, and `flush` writes them
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Integer, String, column, delete, insert, table
from sqlalchemy.sql.expression import bindparam

from sipyard.arguments import FlagNumber, Generation
from sipyard.attribute_rows import attribute_of, is_for_server
from sipyard.attributes import Attribute
from sipyard.errors import StorageError
from sipyard.management.registry import RpcFault
from sipyard.module import Module, Parameter, function, rpc
from sipyard.storage import Database, Statement
from sipyard.storage.named_columns import number, select_by, text
from sipyard.storage.schema.ser_2_0 import INTEGER, RowFlag
from sipyard.storage.snapshot import Snapshot

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

FLAGS: Final = 32
_NEW: Final = Generation.SER_2_0
_OWN: Final = "gflags"
_NO_DATABASE: Final = "global attributes are not loaded from a database"


def _stored(default: str, doc: str) -> Parameter[str]:
    """A setting of the database form."""
    return Parameter(str, default, doc, generations=_NEW)


class GlobalFlags(Module):
    """gflags: flags and attributes of the whole server."""

    name = "gflags"

    initial = Parameter(int, 0, "The flags at the start, as bits.")
    load_global_attrs = Parameter(
        int, 0, "1: read the `$g` attributes, and the flags, from the database.", generations=_NEW
    )
    db_url = _stored("sqlite:///sipyard.db", "Where global attributes are.")
    global_attrs_table = _stored("global_attrs", "Global attributes.")
    global_attrs_name = _stored("name", "Name of the attribute.")
    global_attrs_type = _stored("type", "0 number, 2 text.")
    global_attrs_value = _stored("value", "Value of the attribute.")
    global_attrs_flags = _stored("flags", "Flags of the row.")

    def __init__(self) -> None:
        super().__init__()
        self.flags = 0
        self._engine: Engine | None = None
        self._attributes = Snapshot("gflags: global attributes", self._read)

    async def start(self, engine: Engine) -> None:
        """Set the flags to what `initial` says, or what the database says when it is asked."""
        self.flags = self.initial & (1 << FLAGS) - 1
        if self.load_global_attrs:
            self._engine = engine
            self._database: Database = engine.databases.get(self.db_url)
            self._prepare()
            await self._attributes.start()

    async def stop(self) -> None:
        """Stop trying to read."""
        await self._attributes.stop()

    # -- the database ----------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        names = (self.global_attrs_name, self.global_attrs_value)
        numbers = (self.global_attrs_type, self.global_attrs_flags)
        wanted = [text(names[0]), number(numbers[0]), text(names[1]), number(numbers[1])]
        self._select = select_by(self.global_attrs_table, wanted)
        texts, integers = [column(one, String) for one in names], [column(one, Integer) for one in numbers]
        source = table(self.global_attrs_table, *texts, *integers)
        self._delete = Statement(
            delete(source).where(column(names[0], String) == bindparam("of_name", type_=String)), "of_name"
        )
        self._insert = Statement(insert(source), names[0], names[1], numbers[0], numbers[1])

    async def _read(self) -> list[Attribute]:
        found: list[Attribute] = []
        for name, kind, value, flags in await self._database.execute(self._select):
            if is_for_server(flags):
                found += attribute_of(str(name), kind, value)
        for one in found:
            if one.name == _OWN and isinstance(one.value, int):
                self.flags = one.value & (1 << FLAGS) - 1
        if self._engine is not None:
            self._engine.global_attributes = found
        return found

    async def _write(self) -> None:
        async with self._database.transaction() as transaction:
            await transaction.execute(self._delete, _OWN)
            await transaction.execute(self._insert, _OWN, str(self.flags), INTEGER, int(RowFlag.LOAD_SER))

    # -- for scripts -----------------------------------------------------------------------------------------

    @function("RFO")
    def set_gflag(self, msg: Context, flag: FlagNumber) -> int:
        """Set a flag for all messages."""
        self.flags |= 1 << flag
        return 1

    @function("RFO")
    def reset_gflag(self, msg: Context, flag: FlagNumber) -> int:
        """Clear a flag for all messages."""
        self.flags &= ~(1 << flag)
        return 1

    @function("RFO")
    def is_gflag(self, msg: Context, flag: FlagNumber) -> int:
        """1 when the flag is set, else -1."""
        return 1 if self.flags >> flag & 1 else -1

    @function("RFO", generations=_NEW)
    async def flush_gflags(self, msg: Context) -> int:
        """Write the flags to the database. 1, or -1 when that fails or `load_global_attrs` is off."""
        if not self.load_global_attrs:
            msg.engine.log_incident(f"flush_gflags: {_NO_DATABASE}")
            return -1
        try:
            await self._write()
        except StorageError as error:
            msg.engine.log_incident(f"flush_gflags: {error.message}")
            return -1
        return 1

    @rpc("gflags.set", old_name="set_gflag", changes=True)
    def set(self, flag: int) -> None:
        """Set a flag (0 to 31)."""
        self.flags |= _bit(flag)

    @rpc("gflags.reset", old_name="reset_gflag", changes=True)
    def reset(self, flag: int) -> None:
        """Clear a flag (0 to 31)."""
        self.flags &= ~_bit(flag)

    @rpc("gflags.is_set", old_name="is_gflag")
    def is_set(self, flag: int) -> bool:
        """Whether a flag (0 to 31) is set."""
        return bool(self.flags & _bit(flag))

    @rpc("gflags.dump")
    def dump(self) -> list[bool]:
        """All 32 flags, the one of number 0 first."""
        return [bool(self.flags >> flag & 1) for flag in range(FLAGS)]

    @rpc("gflags.flush", changes=True)
    async def flush(self) -> None:
        """Write the flags to the database."""
        if not self.load_global_attrs:
            raise RpcFault(500, f"Cannot flush: {_NO_DATABASE}")
        try:
            await self._write()
        except StorageError as error:
            raise RpcFault(500, error.message) from None

    @rpc("global.reload", changes=True)
    async def reload(self) -> None:
        """Read the global attributes anew; messages under way keep those that they began with."""
        if not self.load_global_attrs:
            raise RpcFault(500, f"Cannot reload: {_NO_DATABASE}")
        try:
            await self._attributes.reload()
        except StorageError as error:
            raise RpcFault(500, error.message) from None


def _bit(flag: int) -> int:
    if not 0 <= flag < FLAGS:
        raise RpcFault(400, f"Flag {flag} does not exist: flags are numbered 0 to {FLAGS - 1}")
    return 1 << flag
