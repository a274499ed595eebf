"""avp_db: attributes of users and URIs from a database (SER 2.0), preferences of users (SER 0.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Dynamic, Generation, Loading
from sipyard.attribute_rows import attribute_of, is_for_server
from sipyard.attributes import Group, Name, Scope, Track
from sipyard.errors import StorageError
from sipyard.module import Module, Parameter, function
from sipyard.storage import Database, Statement
from sipyard.storage.named_columns import number, select_by, text

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
NO_DATABASE: Final = -2
_DEFAULT: Final = "_default"


@dataclass(frozen=True, slots=True)
class Target:
    """A list of attributes that rows go to."""

    track: Track
    scope: Scope


class _TargetKind:
    says = "$fu, $tu (attributes of a user) or $fr, $tr (attributes of a URI)"

    def convert(self, value: str | int, loading: Loading) -> Target:
        group = Group.from_script(str(value), loading)
        if group.scope not in (Scope.USER, Scope.URI) or group.track is None:
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return Target(group.track, group.scope)

    def convert_strict(self, value: object, loading: Loading) -> Target:
        return self.convert(str(value), loading)


class _WhoseKind:
    says = "caller, callee, caller_uuid or callee_uuid"

    def convert(self, value: str | int, loading: Loading) -> str:
        if value not in ("caller", "callee", "caller_uuid", "callee_uuid"):
            raise ArgumentError(f'expects {self.says}, not "{value}"')
        return str(value)

    def convert_strict(self, value: object, loading: Loading) -> str:
        return self.convert(str(value), loading)


AttributeList = Annotated[Target, _TargetKind()]
Whose = Annotated[str, _WhoseKind()]


class DatabaseAttributes(Module):
    """avp_db: attributes from a database."""

    name = "avp_db"

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where attributes are.")
    user_attrs_table = Parameter(str, "user_attrs", "Attributes of users.", generations=_NEW)
    uri_attrs_table = Parameter(str, "uri_attrs", "Attributes of URIs.", generations=_NEW)
    uid_column = Parameter(str, "uid", "Identifier of a user.", generations=_NEW)
    did_column = Parameter(str, "did", "Identifier of a URI's domain.", generations=_NEW)
    name_column = Parameter(str, "name", "Name of the attribute.", generations=_NEW)
    type_column = Parameter(str, "type", "0 number, 2 text.", generations=_NEW)
    value_column = Parameter(str, "value", "Value of the attribute.", generations=_NEW)
    flags_column = Parameter(str, "flags", "Flags of the row.", generations=_NEW)
    scheme_column = Parameter(str, "scheme", "Scheme of a URI.", generations=_NEW)
    username_column = Parameter(str, "username", "User part of a URI.")
    pref_table = Parameter(str, "usr_preferences", "Preferences of users.", generations=_OLD)
    uuid_column = Parameter(str, "uuid", "Identifier of a user.", generations=_OLD)
    domain_column = Parameter(str, "domain", "Domain of a user.", generations=_OLD)
    attr_column = Parameter(str, "attribute", "Name of the attribute.", generations=_OLD)
    val_column = Parameter(str, "value", "Value of the attribute.", generations=_OLD)
    caller_uuid_avp = Parameter(
        int, 1, "Number of the attribute with the caller's identifier.", generations=_OLD
    )
    callee_uuid_avp = Parameter(
        int, 2, "Number of the attribute with the callee's identifier.", generations=_OLD
    )
    use_domain = Parameter(int, 0, "1: users of one name in several domains are different.", generations=_OLD)

    async def start(self, engine: Engine) -> None:
        """Have the database; nothing is asked of it yet."""
        self._database: Database = engine.databases.get(self.db_url)
        if self.generation is _OLD:
            wanted = [text(self.attr_column), text(self.val_column)]
            names = [text(self.username_column), *([text(self.domain_column)] if self.use_domain else [])]
            self._by_name: Statement = select_by(self.pref_table, wanted, names)
            self._by_uuid: Statement = select_by(self.pref_table, wanted, [text(self.uuid_column)])
            return
        columns = [text(self.name_column), number(self.type_column), text(self.value_column)]
        columns.append(number(self.flags_column))
        self._of_user: Statement = select_by(self.user_attrs_table, columns, [text(self.uid_column)])
        keys = [text(self.username_column), text(self.did_column), text(self.scheme_column)]
        self._of_uri: Statement = select_by(self.uri_attrs_table, columns, keys)

    # -- SER 2.0 ---------------------------------------------------------------------------------------------

    @function("RF", generations=_NEW)
    async def load_attrs(self, msg: Context, group: AttributeList, whose: Dynamic[str]) -> int:
        """Add the attributes that are stored of a user (`$fu` or `$tu` and a uid) or of a URI (`$fr` or `$tr`
        and a URI) to those that there are. 1, also when there are none; -1 for what is no URI, -2 when the
        database fails."""
        try:
            if group.scope is Scope.USER:
                rows = await self._database.execute(self._of_user, whose)
            else:
                uri = Uri(whose)
                did = msg.engine.domain_identifier(uri.host) or _DEFAULT
                rows = await self._database.execute(self._of_uri, uri.user or "", did, uri.scheme)
        except ParseError:
            return -1
        except StorageError as error:
            msg.engine.log_incident(f"avp_db: {error.message}")
            return NO_DATABASE
        for name, kind, value, flags in rows:
            if is_for_server(flags):
                for one in attribute_of(str(name), kind, value):
                    msg.attributes.add(Name(one.name, group.track, group.scope), one.value)
        return 1

    # -- SER 0.9 ---------------------------------------------------------------------------------------------

    @function("RF", generations=_OLD)
    async def avp_load(self, msg: Context, whose: Whose) -> int:
        """Add the preferences of the caller (From) or the callee (the Request-URI), or of whom the attribute
        with the caller's or callee's uuid names. 1, also when there are none; -1 when nobody is named, -2
        when the database fails."""
        try:
            if whose.endswith("_uuid"):
                number_of_it = self.caller_uuid_avp if whose == "caller_uuid" else self.callee_uuid_avp
                uuid = msg.attributes.value(Name(str(number_of_it)))
                if uuid is None:
                    return -1
                rows = await self._database.execute(self._by_uuid, str(uuid))
            else:
                uri = Uri((msg.message.from_uri or "") if whose == "caller" else msg.request_uri)
                if not uri.user:
                    return -1
                key = (uri.user, uri.host.lower()) if self.use_domain else (uri.user,)
                rows = await self._database.execute(self._by_name, *key)
        except ParseError:
            return -1
        except StorageError as error:
            msg.engine.log_incident(f"avp_db: {error.message}")
            return NO_DATABASE
        for name, value in rows:
            msg.attributes.add(Name(str(name).lower()), "" if value is None else str(value))
        return 1
