"""speeddial: a user's own short numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import Generation
from sipyard.attributes import Name, Scope, Track
from sipyard.errors import StorageError
from sipyard.fault import Fault
from sipyard.module import Module, Parameter, function
from sipyard.storage import Database, Statement
from sipyard.storage.named_columns import select_by, text

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
_UID: Final = Name("uid", Track.FROM, Scope.USER)
_DID: Final = Name("did", Track.TO, Scope.DOMAIN)
_DEFAULT: Final = "_default"


class SpeedDial(Module):
    """speeddial: short numbers of users."""

    name = "speeddial"

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where short numbers are.")
    uid_column = Parameter(str, "uid", "Whose number it is.", generations=_NEW)
    dial_username_column = Parameter(str, "dial_username", "What is dialled.", generations=_NEW)
    dial_did_column = Parameter(str, "dial_did", "In which domain it is dialled.", generations=_NEW)
    new_uri_column = Parameter(str, "new_uri", "Who is called.")
    user_column = Parameter(str, "username", "Whose number it is.", generations=_OLD)
    domain_column = Parameter(str, "domain", "Domain of that user.", generations=_OLD)
    sd_user_column = Parameter(str, "sd_username", "What is dialled.", generations=_OLD)
    sd_domain_column = Parameter(str, "sd_domain", "In which domain it is dialled.", generations=_OLD)
    use_domain = Parameter(int, 0, "1: domains count.", generations=_OLD)
    domain_prefix = Parameter(str, "", "What is taken off the front of domains before.", generations=_OLD)

    def __init__(self) -> None:
        super().__init__()
        self._statements: dict[str, Statement] = {}

    async def start(self, engine: Engine) -> None:
        """Have the database; nothing is asked of it yet."""
        self._database: Database = engine.databases.get(self.db_url)

    def _find(self, table: str) -> Statement:
        found = self._statements.get(table)
        if found is None:
            found = self._statements[table] = select_by(
                table, [text(self.new_uri_column)], [text(each) for each in self._keys()]
            )
        return found

    def _keys(self) -> list[str]:
        if self.generation is _NEW:
            return [self.uid_column, self.dial_username_column, self.dial_did_column]
        if self.use_domain:
            return [self.user_column, self.sd_user_column, self.domain_column, self.sd_domain_column]
        return [self.user_column, self.sd_user_column]

    def _values(self, msg: Context, dialled: Uri) -> tuple[str, ...] | None:
        """What rows are looked for by, None when nobody knows who calls."""
        if self.generation is _NEW:
            uid = self._uid(msg)
            did = msg.attributes.value(_DID) or msg.engine.domain_identifier(dialled.host) or _DEFAULT
            return None if uid is None else (uid, dialled.user or "", str(did))
        caller = Uri(msg.message.from_uri or "")
        if not caller.user:
            return None
        if not self.use_domain:
            return caller.user, dialled.user or ""
        domains = (each.host.lower().removeprefix(self.domain_prefix) for each in (caller, dialled))
        return (caller.user, dialled.user or "", *domains)

    @staticmethod
    def _uid(msg: Context) -> str | None:
        """Who calls (semantics §4): `$fu.uid`, the user of the credentials, the user of From."""
        uid = msg.attributes.value(_UID)
        if uid is not None:
            return str(uid)
        if msg.verified is not None:
            return msg.verified.username
        user = Uri(msg.message.from_uri or "").user
        return user.lower() if user else None

    @function("R")
    async def sd_lookup(self, msg: Context, table: str) -> int:
        """Replace the Request-URI by what the caller has stored under its user part. 1; -1 when he has stored
        nothing there, -2 when the database fails."""
        try:
            dialled = Uri(msg.request_uri)
            values = self._values(msg, dialled)
            if values is None or not dialled.user:
                return -1
            rows = await self._database.execute(self._find(table), *values)
            uri = str(Uri(str(rows[0][0]))) if rows else ""
        except ParseError:
            msg.error = Fault.BAD_URI
            return -1
        except StorageError as error:
            msg.engine.log_incident(f"speeddial: {error.message}")
            return -2
        return msg.rewrite_uri(uri) if uri else -1
