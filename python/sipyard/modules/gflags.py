"""gflags: 32 flags of the whole server, for switches that an operator turns while it runs.

They live in memory: a start sets them to `initial`. What SER does only with `load_global_attrs` (loading `$g`
attributes from a database, writing the flags back) is refused, as SER refuses it without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from sipyard.arguments import ArgumentError, FlagNumber, Generation, Loading, NumberKind
from sipyard.management.registry import RpcFault
from sipyard.module import Module, Parameter, function, rpc

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

FLAGS: Final = 32
_NEW: Final = Generation.SER_2_0
_NO_DATABASE: Final = "global attributes are not loaded from a database"


class _OffKind(NumberKind):
    says = "0"

    def convert_strict(self, value: object, loading: Loading) -> object:
        if super().convert_strict(value, loading) != 0:
            raise ArgumentError(f"expects 0: {_NO_DATABASE}", "set $ attributes in the script instead")
        return 0


Off = Annotated[int, _OffKind()]


def _stored(default: str) -> Parameter[str]:
    """A setting of the database form."""
    doc = "Accepted; has a meaning only together with `load_global_attrs`, which must be 0."
    return Parameter(str, default, doc, generations=_NEW)


class GlobalFlags(Module):
    """gflags: flags of the whole server."""

    name = "gflags"

    initial = Parameter(int, 0, "The flags at the start, as bits.")
    load_global_attrs: Parameter[int] = Parameter(Off, 0, f"Must be 0: {_NO_DATABASE}.", generations=_NEW)
    db_url = _stored("")
    global_attrs_table = _stored("global_attrs")
    global_attrs_name = _stored("name")
    global_attrs_type = _stored("type")
    global_attrs_value = _stored("value")
    global_attrs_flags = _stored("flags")

    def __init__(self) -> None:
        super().__init__()
        self.flags = 0

    async def start(self, engine: Engine) -> None:
        """Set the flags to what `initial` says."""
        self.flags = self.initial & (1 << FLAGS) - 1

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
    def flush_gflags(self, msg: Context) -> int:
        """Always -1: there is no database to write the flags to, as in SER without `load_global_attrs`."""
        msg.engine.log_incident(f"flush_gflags: {_NO_DATABASE}")
        return -1

    @rpc("gflags.set", old_name="set_gflag")
    def set(self, flag: int) -> None:
        """Set a flag (0 to 31)."""
        self.flags |= _bit(flag)

    @rpc("gflags.reset", old_name="reset_gflag")
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

    @rpc("gflags.flush")
    def flush(self) -> None:
        """Refused with 500: there is no database to write the flags to."""
        raise RpcFault(500, f"Cannot flush: {_NO_DATABASE}")

    @rpc("global.reload")
    def reload(self) -> None:
        """Refused with 500: there is no database to load global attributes from."""
        raise RpcFault(500, f"Cannot reload: {_NO_DATABASE}")


def _bit(flag: int) -> int:
    if not 0 <= flag < FLAGS:
        raise RpcFault(400, f"Flag {flag} does not exist: flags are numbered 0 to {FLAGS - 1}")
    return 1 << flag
