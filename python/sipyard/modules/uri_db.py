"""uri_db: who a URI is. SER 2.0 gives every URI to one user (`uri` table), SER 0.9 compares user names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Dynamic, Generation, Loading
from sipyard.attribute_rows import is_for_server
from sipyard.attributes import AssignedKind, Name, Scope, Track
from sipyard.errors import StorageError
from sipyard.module import Module, Parameter, function
from sipyard.storage import Database
from sipyard.storage.named_columns import number, select_by, text
from sipyard.storage.schema.ser_2_0 import RowFlag

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
NO_DATABASE: Final = -2
_DEFAULT: Final = "_default"
_FROM_UID: Final = Name("uid", Track.FROM, Scope.USER)
_TO_UID: Final = Name("uid", Track.TO, Scope.USER)
_CANONICAL: Final = Name("ruri_canonical", Track.TO, Scope.USER)
_DIDS: Final = {Track.FROM: Name("did", Track.FROM), Track.TO: Name("did", Track.TO)}
_WHERE: Final = {"from": "From", "to": "To", "request-uri": "Request-URI"}


class _WhoKind:
    """A header whose URI is meant, or the attribute that gets the uid."""

    says = '"From", "To", "Request-URI" or an attribute such as $tu.uid'

    def convert(self, value: str | int, loading: Loading) -> str | Name:
        text_of_it = str(value)
        if text_of_it[:1] == "$":
            return AssignedKind().convert(text_of_it, loading)
        found = _WHERE.get(text_of_it.lower())
        if found is None:
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return found

    def convert_strict(self, value: object, loading: Loading) -> str | Name:
        return self.convert(str(value), loading)


Who = Annotated[str | Name, _WhoKind()]


class DatabaseUris(Module):
    """uri_db: users by their URIs."""

    name = "uri_db"

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where URIs are.")
    uri_table = Parameter(str, "uri", "URIs of users.")
    uid_column = Parameter(str, "uid", "Identifier of the user.", generations=_NEW)
    did_column = Parameter(str, "did", "Identifier of the domain.", generations=_NEW)
    username_column = Parameter(str, "username", "User part of the URI.", generations=_NEW)
    flags_column = Parameter(str, "flags", "Flags of the row.", generations=_NEW)
    scheme_column = Parameter(str, "scheme", "Scheme of the URI.", generations=_NEW)
    uri_user_column = Parameter(str, "username", "User name of credentials.", generations=_OLD)
    uri_domain_column = Parameter(str, "domain", "Domain of credentials.", generations=_OLD)
    uri_uriuser_column = Parameter(
        str, "uri_user", "User part that these credentials may use.", generations=_OLD
    )
    subscriber_table = Parameter(str, "subscriber", "Users.", generations=_OLD)
    subscriber_user_column = Parameter(str, "username", "User name.", generations=_OLD)
    subscriber_domain_column = Parameter(str, "domain", "Domain.", generations=_OLD)
    use_uri_table = Parameter(
        int, 0, "1: a table says which user parts credentials may use.", generations=_OLD
    )
    use_domain = Parameter(int, 0, "1: users of one name in several domains are different.", generations=_OLD)

    async def start(self, engine: Engine) -> None:
        """Have the database; nothing is asked of it yet."""
        self._database: Database = engine.databases.get(self.db_url)
        if self.generation is _NEW:
            keys = [text(self.username_column), text(self.did_column), text(self.scheme_column)]
            self._find = select_by(self.uri_table, [text(self.uid_column), number(self.flags_column)], keys)
            return
        domain = [text(self.uri_domain_column)] if self.use_domain else []
        mine, theirs = text(self.uri_user_column), text(self.uri_uriuser_column)
        self._may_use = select_by(self.uri_table, [mine], [mine, theirs, *domain])
        self._uri_exists = select_by(self.uri_table, [theirs], [theirs, *domain])
        user = text(self.subscriber_user_column)
        keys = [user, *([text(self.subscriber_domain_column)] if self.use_domain else [])]
        self._subscriber = select_by(self.subscriber_table, [user], keys)

    # -- SER 2.0 ---------------------------------------------------------------------------------------------

    @function("RF", generations=_NEW, sets=("$fu.uid", "$tu.uid"))
    async def lookup_user(self, msg: Context, who: Who, uri: Dynamic[str] | None = None) -> int:
        """Find whose URI it is. `lookup_user("From")` (or "To", "Request-URI") sets `$fu.uid` or `$tu.uid`;
        its domain is the `did` that lookup_domain has set. `lookup_user("$tu.uid", "@to.uri")` sets that
        attribute; its domain is that of the URI's host. 1; -1 when there is no such user, or the URI may not
        be used there; -2 when the database fails."""
        if isinstance(who, Name):
            return -1 if uri is None else await self._of_value(msg, who, uri)
        track = Track.FROM if who == "From" else Track.TO
        did = msg.attributes.value(_DIDS[track])
        found = await self._row(msg, _uri_of(msg, who), track, _DEFAULT if did is None else str(did))
        if isinstance(found, int):
            return found
        uid, flags = found
        msg.attributes.assign(_FROM_UID if track is Track.FROM else _TO_UID, uid)
        if who == "Request-URI" and flags & RowFlag.CANON:
            msg.attributes.assign(_CANONICAL, "1")
        return 1

    async def _of_value(self, msg: Context, name: Name, text_of_uri: str) -> int:
        try:
            did = msg.engine.domain_identifier(Uri(text_of_uri).host) or _DEFAULT
        except ParseError:
            return -1
        found = await self._row(msg, text_of_uri, name.track or Track.FROM, did)
        if isinstance(found, int):
            return found
        msg.attributes.assign(name, found[0])
        return 1

    async def _row(self, msg: Context, uri: str | None, track: Track, did: str) -> tuple[str, int] | int:
        """The uid and flags of a URI, or the function's result when there is none."""
        try:
            parsed = Uri(uri or "")
        except ParseError:
            return -1
        scheme = "sip" if parsed.scheme == "sips" else parsed.scheme
        needed = RowFlag.IS_FROM if track is Track.FROM else RowFlag.IS_TO
        try:
            rows = await self._database.execute(self._find, parsed.user or "", did, scheme)
        except StorageError as error:
            msg.engine.log_incident(f"uri_db: {error.message}")
            return NO_DATABASE
        for uid, flags in rows:
            if is_for_server(flags) and flags & needed:
                return str(uid), int(flags)
        return -1

    @function("RF", generations=_NEW)
    async def check_uri(self, msg: Context, who: Who) -> int:
        """1 when the URI of From, To or the Request-URI belongs to the user who was authenticated
        (`$fu.uid`), else -1; -2 when the database fails."""
        if isinstance(who, Name):
            return -1
        uid = msg.attributes.value(_FROM_UID)
        if uid is None:
            return -1
        track = Track.FROM if who == "From" else Track.TO
        did = msg.attributes.value(_DIDS[track])
        found = await self._row(msg, _uri_of(msg, who), track, _DEFAULT if did is None else str(did))
        if isinstance(found, int):
            return found
        return 1 if found[0] == str(uid) else -1

    # -- SER 0.9 ---------------------------------------------------------------------------------------------

    @function("R", generations=_OLD)
    async def check_to(self, msg: Context) -> int:
        """1 when the user of To is the one whose credentials were verified (or one that they may use, with
        `use_uri_table`), else -1; -2 when the database fails."""
        return await self._check(msg, msg.message.to_uri)

    @function("R", generations=_OLD)
    async def check_from(self, msg: Context) -> int:
        """As check_to, for From."""
        return await self._check(msg, msg.message.from_uri)

    async def _check(self, msg: Context, uri: str | None) -> int:
        verified = msg.verified
        try:
            user = Uri(uri or "").user
        except ParseError:
            return -1
        if verified is None or not user:
            return -1
        own, _, domain = verified.username.partition("@")
        if not self.use_uri_table:
            return 1 if own.lower() == user.lower() else -1
        key: tuple[Any, ...] = (own, user, *((domain or verified.realm,) if self.use_domain else ()))
        return await self._has(msg, self._may_use, key)

    @function("R", generations=_OLD)
    async def does_uri_exist(self, msg: Context) -> int:
        """1 when the user of the Request-URI is a subscriber (or in the URI table, with `use_uri_table`),
        else -1; -2 when the database fails."""
        try:
            uri = Uri(msg.request_uri)
        except ParseError:
            return -1
        if not uri.user:
            return -1
        key = (uri.user, uri.host) if self.use_domain else (uri.user,)
        return await self._has(msg, self._uri_exists if self.use_uri_table else self._subscriber, key)

    async def _has(self, msg: Context, statement: Any, key: tuple[Any, ...]) -> int:
        try:
            return 1 if await self._database.execute(statement, *key) else -1
        except StorageError as error:
            msg.engine.log_incident(f"uri_db: {error.message}")
            return NO_DATABASE


def _uri_of(msg: Context, who: str) -> str | None:
    if who == "From":
        return msg.message.from_uri
    return msg.message.to_uri if who == "To" else msg.request_uri
