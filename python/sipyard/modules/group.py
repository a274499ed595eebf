"""group: whether a user is a member of a group (table `grp` of SER 0.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.errors import StorageError
from sipyard.module import Module, Parameter, function
from sipyard.storage import Database, Statement
from sipyard.storage.named_columns import select_by, text

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_WHO: Final = {"from": "From", "to": "To", "request-uri": "Request-URI", "credentials": "Credentials"}


class _WhoKind:
    says = '"From", "To", "Request-URI" or "Credentials"'

    def convert(self, value: str | int, loading: Loading) -> str:
        found = _WHO.get(str(value).lower())
        if found is None:
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return found

    def convert_strict(self, value: object, loading: Loading) -> str:
        return self.convert(str(value), loading)


Who = Annotated[str, _WhoKind()]


class Groups(Module):
    """group: membership in groups."""

    name = "group"

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where groups are.")
    table = Parameter(str, "grp", "Members.", generations=_OLD)
    user_column = Parameter(str, "username", "User name.", generations=_OLD)
    domain_column = Parameter(str, "domain", "Domain of the user.", generations=_OLD)
    group_column = Parameter(str, "grp", "Name of the group.", generations=_OLD)
    use_domain = Parameter(int, 0, "1: users of one name in several domains are different.", generations=_OLD)

    async def start(self, engine: Engine) -> None:
        """Have the database; nothing is asked of it yet."""
        self._database: Database = engine.databases.get(self.db_url)
        keys = [text(self.user_column), text(self.group_column)]
        keys += [text(self.domain_column)] if self.use_domain else []
        self._find: Statement = select_by(self.table, [text(self.group_column)], keys)

    @function("R", generations=_OLD)
    async def is_user_in(self, msg: Context, who: Who, group: str) -> int:
        """1 when the user of From, To, the Request-URI or the verified credentials is in the group, else -1;
        -2 when the database fails."""
        user, domain = _named(msg, who)
        if not user:
            return -1
        try:
            key = (user, group, domain) if self.use_domain else (user, group)
            return 1 if await self._database.execute(self._find, *key) else -1
        except StorageError as error:
            msg.engine.log_incident(f"group: {error.message}")
            return -2


def _named(msg: Context, who: str) -> tuple[str, str]:
    """User and domain, empty when there are none."""
    if who == "Credentials":
        if msg.verified is None:
            return "", ""
        user, _, domain = msg.verified.username.partition("@")
        return user, domain or msg.verified.realm
    message = msg.message
    uri = {"From": message.from_uri, "To": message.to_uri}.get(who, msg.request_uri)
    try:
        parsed = Uri(uri or "")
    except ParseError:
        return "", ""
    return parsed.user or "", parsed.host
