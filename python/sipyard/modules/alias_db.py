"""alias_db: other names of users, looked up in a table each time (OpenSER's module of that name)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipyard._native.core import ParseError, Uri
from sipyard.errors import StorageError
from sipyard.fault import Fault
from sipyard.module import Module, Parameter, function
from sipyard.storage import Database, Statement
from sipyard.storage.named_columns import select_by, text

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine


class DatabaseAliases(Module):
    """alias_db: aliases in a database."""

    name = "alias_db"

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where aliases are.")
    user_column = Parameter(str, "username", "User part of who is meant.")
    domain_column = Parameter(str, "domain", "Domain of who is meant.")
    alias_user_column = Parameter(str, "alias_username", "User part of the alias.")
    alias_domain_column = Parameter(str, "alias_domain", "Domain of the alias.")
    use_domain = Parameter(int, 0, "1: aliases of one name in several domains are different.")
    domain_prefix = Parameter(str, "", "What is taken off the front of the Request-URI's host before.")

    def __init__(self) -> None:
        super().__init__()
        self._statements: dict[str, Statement] = {}

    async def start(self, engine: Engine) -> None:
        """Have the database; nothing is asked of it yet."""
        self._database: Database = engine.databases.get(self.db_url)

    def _find(self, table: str) -> Statement:
        found = self._statements.get(table)
        if found is None:
            keys = [text(self.alias_user_column)]
            keys += [text(self.alias_domain_column)] if self.use_domain else []
            wanted = [text(self.user_column), text(self.domain_column)]
            found = self._statements[table] = select_by(table, wanted, keys)
        return found

    @function("RF")
    async def alias_db_lookup(self, msg: Context, table: str) -> int:
        """Replace the Request-URI by that of whom it is an alias; further ones become branches. 1; -1 when it
        is none, -2 when the database fails."""
        try:
            uri = Uri(msg.request_uri)
            if not uri.user:
                return -1
            host = uri.host.lower().removeprefix(self.domain_prefix)
            rows = await self._database.execute(
                self._find(table), *((uri.user, host) if self.use_domain else (uri.user,))
            )
            uris = [str(Uri(f"sip:{user}@{domain}")) for user, domain in rows]
        except ParseError:
            msg.error = Fault.BAD_URI
            return -1
        except StorageError as error:
            msg.engine.log_incident(f"alias_db: {error.message}")
            return -2
        for further in uris[1:]:
            msg.add_branch(further)
        return msg.rewrite_uri(uris[0]) if uris else -1
