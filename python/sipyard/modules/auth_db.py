"""auth_db: digest credentials in a database (`credentials` of SER 2.0, `subscriber` of SER 0.9).

The server never needs a password: H(username:realm:password) is stored, for MD5 and (in tables of our making)
for SHA-256 and SHA-512/256. Who is unknown and who gave a wrong password are answered alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Integer, String, bindparam, column, null, select, table

from sipyard.arguments import Dynamic, Generation
from sipyard.attributes import Name, Scope, Track, Value
from sipyard.errors import StorageError
from sipyard.module import Module, Parameter, function
from sipyard.modules.auth import NO_DATABASE, PROXY, WWW, Authentication, Side
from sipyard.sip.digest import Credentials, ha1_of
from sipyard.storage import Database, Statement
from sipyard.storage.schema.ser_2_0 import RowFlag

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
_SHA: Final = {"SHA-256": "ha1_sha256", "SHA-512-256": "ha1_sha512_256"}
_T_DID: Final = Name("did", Track.TO)
_F_DID: Final = Name("did", Track.FROM)
_DEFAULT: Final = "_default"
_TRUE_FALSE: Final = (RowFlag.LOAD_SER | RowFlag.DISABLED, RowFlag.LOAD_SER)


@dataclass(frozen=True, slots=True)
class _Lookup:
    """How rows of one table are asked for, for one algorithm: the statement gives flags, secret, loaded."""

    statement: Statement
    is_plain: bool


class DatabaseAuthentication(Module):
    """auth_db: authentication by credentials in a database."""

    name = "auth_db"
    requires = ("auth",)

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where credentials are.")
    user_column = Parameter(str, "username", "User name.", generations=_OLD)
    domain_column = Parameter(str, "domain", "Domain of the user.", generations=_OLD)
    username_column = Parameter(str, "auth_username", "User name.", generations=_NEW)
    did_column = Parameter(str, "did", "Identifier of the user's domain.", generations=_NEW)
    realm_column = Parameter(str, "realm", "Realm.", generations=_NEW)
    password_column = Parameter(
        str, "ha1", "H(username:realm:password) by MD5; with calculate_ha1 in SER 0.9 the password."
    )
    password_column_2 = Parameter(str, "ha1b", "The same for user names that are written user@domain.")
    plain_password_column = Parameter(
        str, "password", "The password itself, with calculate_ha1.", generations=_NEW
    )
    flags_column = Parameter(
        str, "flags", "Flags of the row: it must be for the server, and not disabled.", generations=_NEW
    )
    calculate_ha1 = Parameter(int, 0, "1: compute H(username:realm:password) of a stored password.")
    avps_column_int = Parameter(
        str, "domn", "Columns, by |, that become attributes: numbers.", generations=_OLD
    )
    avps_column_str = Parameter(
        str, "uuid|rpid", "Columns, by |, that become attributes: texts.", generations=_OLD
    )
    load_credentials = Parameter(
        str, "uid", "Columns, by |, that become attributes of the calling user ($fu).", generations=_NEW
    )
    use_domain = Parameter(int, 0, "1: users of one name in several domains are different.", generations=_OLD)
    use_did = Parameter(int, 1, "0: the domain's identifier does not matter.", generations=_NEW)

    def __init__(self) -> None:
        super().__init__()
        self._lookups: dict[tuple[str, str, bool], _Lookup | None] = {}

    async def start(self, engine: Engine) -> None:
        """Have the database; nothing is asked of it yet."""
        self._database: Database = engine.databases.get(self.db_url)
        self._auth: Authentication = self.need("auth")
        self._loaded = self._loaded_columns()
        self._lookups.clear()

    def _loaded_columns(self) -> list[tuple[str, Name, bool]]:
        """Columns that become attributes, their names, and whether they are numbers."""
        if self.generation is _NEW:
            names = _listed(self.load_credentials)
            return [(each, Name(each.lower(), Track.FROM, Scope.USER), False) for each in names]
        numbers = [(each, Name(each.lower()), True) for each in _listed(self.avps_column_int)]
        return numbers + [(each, Name(each.lower()), False) for each in _listed(self.avps_column_str)]

    # -- for scripts -----------------------------------------------------------------------------------------

    @function("R", names=("www_authenticate",), generations=_NEW, sets=("$fu.uid", "$digest_challenge"))
    @function("R", generations=_OLD)
    async def www_authorize(self, msg: Context, realm: Dynamic[str], credentials_table: str) -> int:
        """Check the Authorization header (as a registrar does). 1; -1 not proven, -2 the database failed, -3
        the header is malformed. When negative, there is a challenge to send."""
        return await self._authenticate(msg, realm, credentials_table, WWW)

    @function("R", names=("proxy_authenticate",), generations=_NEW, sets=("$fu.uid", "$digest_challenge"))
    @function("R", generations=_OLD)
    async def proxy_authorize(self, msg: Context, realm: Dynamic[str], credentials_table: str) -> int:
        """Check the Proxy-Authorization header. 1; -1 not proven, -2 the database failed, -3 the header is
        malformed. When negative, there is a challenge to send."""
        return await self._authenticate(msg, realm, credentials_table, PROXY)

    async def _authenticate(self, msg: Context, written: str, table_name: str, side: Side) -> int:
        auth = self._auth
        realm = auth.realm(msg, written)
        found = auth.begin(msg, realm, side)
        if isinstance(found, int):
            return found
        if not await auth.wait_for_turn(msg, found):
            return auth.refuse(msg, realm, side)
        try:
            row, is_plain = await self._row(msg, found, table_name)
        except StorageError as error:
            msg.engine.log_incident(f"auth_db: {error.message}")
            return auth.refuse(msg, realm, side, NO_DATABASE)
        secret = None if row is None else str(row[1] or "")
        if secret and is_plain:
            secret = ha1_of(found.algorithm, found.username, realm, secret)
        result = auth.settle(msg, found, secret, side)
        if result > 0 and row is not None:
            self._keep(msg, row[2:])
        if result < 0:
            await auth.conceal()
        return result

    def _keep(self, msg: Context, values: Sequence[Any]) -> None:
        for (_, name, is_number), value in zip(self._loaded, values, strict=True):
            if value is not None and value != "":
                kept: Value = int(value) if is_number else str(value)
                msg.attributes.assign(name, kept)

    # -- rows ------------------------------------------------------------------------------------------------

    async def _row(
        self, msg: Context, credentials: Credentials, name: str
    ) -> tuple[tuple[Any, ...] | None, bool]:
        """The row of a user, None when there is none that may be used, and whether it holds a password."""
        lookup = await self._lookup(name, credentials.algorithm, "@" in credentials.username)
        if lookup is None:
            return None, False
        rows = await self._database.execute(lookup.statement, *self._key(msg, credentials))
        mask, wanted = _TRUE_FALSE
        for row in rows:
            if row[0] is None or row[0] & mask == wanted:
                return row, lookup.is_plain
        return None, lookup.is_plain

    def _key(self, msg: Context, credentials: Credentials) -> tuple[str, ...]:
        if self.generation is _OLD:
            domain = credentials.username.partition("@")[2] or credentials.realm
            return (credentials.user, domain) if self.use_domain else (credentials.user,)
        if not self.use_did:
            return credentials.user, credentials.realm
        name = _T_DID if msg.message.method == "REGISTER" else _F_DID
        did = msg.attributes.value(name) if msg.has_attributes else None
        return credentials.user, credentials.realm, _DEFAULT if did is None else str(did)

    async def _lookup(self, name: str, algorithm: str, has_domain: bool) -> _Lookup | None:
        """How to find a row in this table, None when it does not hold what the algorithm needs."""
        key = (name, algorithm, has_domain)
        if key not in self._lookups:
            columns = await self._database.columns(name)
            if not columns:
                raise StorageError(f"there is no table {name} in {self._database.url}")
            self._lookups[key] = self._make_lookup(name, columns, algorithm, has_domain)
        return self._lookups[key]

    def _make_lookup(
        self, name: str, columns: frozenset[str], algorithm: str, has_domain: bool
    ) -> _Lookup | None:
        is_old = self.generation is _OLD
        if self.calculate_ha1:
            secret = self.password_column if is_old else self.plain_password_column
        elif algorithm in _SHA:
            secret = _SHA[algorithm]
        else:
            secret = self.password_column_2 if has_domain else self.password_column
        if secret not in columns:
            return None
        if is_old:
            keys = [self.user_column, *([self.domain_column] if self.use_domain else [])]
            flags = None
        else:
            keys = [self.username_column, self.realm_column, *([self.did_column] if self.use_did else [])]
            flags = self.flags_column
        return _Lookup(self._statement(name, keys, flags, secret), bool(self.calculate_ha1))

    def _statement(self, name: str, keys: list[str], flags: str | None, secret: str) -> Statement:
        loaded = [column(each, Integer if is_number else String) for each, _, is_number in self._loaded]
        wanted = [column(each, String) for each in dict.fromkeys((*keys, secret))]
        source = table(name, *wanted, *([] if flags is None else [column(flags, Integer)]))
        shown = column(flags, Integer) if flags is not None else null()
        statement = select(shown.label("row_flags"), column(secret, String).label("secret"), *loaded)
        statement = statement.select_from(source)
        for place, each in enumerate(keys):
            statement = statement.where(column(each, String) == bindparam(f"key{place}", type_=String))
        return Statement(statement, *(f"key{place}" for place in range(len(keys))))


def _listed(text: str) -> list[str]:
    return [each for each in (part.strip() for part in text.replace(",", "|").split("|")) if each]
