"""Users, domains, aliases and attributes in SER 2.0's tables: what `sipyard user add` and the RPC commands
do.

A domain's `did` is its first name. A user's `uid` is `user@did`; each URI (`uri` table) leads to one uid, and
the credentials of a uid say who it is. Everything that belongs together is one transaction.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import String, Table, bindparam, delete, insert, select, update

from sipyard.errors import ConfigError
from sipyard.storage.database import Database, Transaction
from sipyard.storage.schema import ser_2_0 as tables
from sipyard.storage.schema.ser_2_0 import INTEGER, STRING, RowFlag
from sipyard.storage.statement import Statement

_NAME: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=?/%-]{1,64}")
"""RFC 3261 §25.1 `user`, without what only a telephone-subscriber has."""
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,126}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_USABLE: Final = int(RowFlag.LOAD_SER | RowFlag.FOR_SERWEB)
_URI: Final = _USABLE | RowFlag.IS_TO | RowFlag.IS_FROM
_MD5: Final[tuple[str, ...]] = ("ha1", "ha1b")
_ALL: Final[tuple[str, ...]] = (*_MD5, "ha1_sha256", "ha1_sha512_256")


def _where(table: Table, *names: str) -> Any:
    """A condition on these columns, each with a parameter of its name."""
    first, *rest = (table.c[name] == bindparam(f"of_{name}", type_=table.c[name].type) for name in names)
    for one in rest:
        first &= one
    return first


def _find(table: Table, wanted: tuple[str, ...], *names: str) -> Statement:
    statement = select(*(table.c[name] for name in wanted)).order_by(*(table.c[name] for name in wanted))
    if names:
        statement = statement.where(_where(table, *names))
    return Statement(statement, *(f"of_{name}" for name in names))


def _delete(table: Table, *names: str) -> Statement:
    return Statement(delete(table).where(_where(table, *names)), *(f"of_{name}" for name in names))


_DOMAINS = _find(tables.domain, ("did", "domain", "flags"))
_DID = _find(tables.domain, ("did",), "domain")
_NAMES_OF = _find(tables.domain, ("domain", "flags"), "did")
_ADD_DOMAIN = Statement(insert(tables.domain), "did", "domain", "flags")
_REMOVE_NAME = _delete(tables.domain, "domain")
_UID = _find(tables.uri, ("uid", "flags"), "username", "did", "scheme")
_ADD_URI = Statement(insert(tables.uri), "uid", "did", "username", "flags", "scheme")
_REMOVE_URI = _delete(tables.uri, "username", "did", "scheme")
_URIS = _find(tables.uri, ("username", "did", "scheme", "flags"), "uid")
_USERS = _find(tables.credentials, ("auth_username", "realm", "uid", "flags"))
_USERS_OF = _find(tables.credentials, ("auth_username", "realm", "uid", "flags"), "did")
_CREDENTIALS = _find(tables.credentials, ("auth_username", "did", "realm"), "uid")
_COLUMNS = ("auth_username", "did", "realm", "password", "flags", "uid")


def _set_password(*names: str) -> Statement:
    values = {name: bindparam(f"new_{name}", type_=String) for name in names}
    condition = _where(tables.credentials, "auth_username", "did")
    statement = update(tables.credentials).where(condition).values(values)
    return Statement(statement, *(f"new_{name}" for name in names), "of_auth_username", "of_did")


_ADD_CREDENTIALS = {each: Statement(insert(tables.credentials), *_COLUMNS, *each) for each in (_MD5, _ALL)}
_SET_PASSWORD = {each: _set_password("password", *each) for each in (_MD5, _ALL)}
_EXPORTED = {
    each: _find(tables.credentials, ("auth_username", "did", "uid", "flags", *each)) for each in (_MD5, _ALL)
}
_REMOVALS = [_delete(table, "uid") for table in (tables.credentials, tables.uri, tables.user_attrs)]
_REMOVE_BINDINGS = [_delete(table, "uid") for table in (tables.location, tables.contact_attrs)]

_ATTRIBUTES: Final[Mapping[str, tuple[Table, tuple[str, ...]]]] = {
    "user": (tables.user_attrs, ("uid",)),
    "domain": (tables.domain_attrs, ("did",)),
    "global": (tables.global_attrs, ()),
}
_GET_ATTRIBUTES = {
    kind: _find(table, ("name", "value", "type", "flags"), *owner)
    for kind, (table, owner) in _ATTRIBUTES.items()
}
_ADD_ATTRIBUTE = {
    kind: Statement(insert(table), *owner, "name", "value", "type", "flags")
    for kind, (table, owner) in _ATTRIBUTES.items()
}
_REMOVE_ATTRIBUTE = {kind: _delete(table, *owner, "name") for kind, (table, owner) in _ATTRIBUTES.items()}


def digests(user: str, realm: str, password: str) -> dict[str, str]:
    """What is stored of a password: H(user:realm:password) by each algorithm, and `ha1b` for phones that give
    user@realm as their name (RFC 8760 §2.3, RFC 2617 §3.2.2.2)."""
    plain = f"{user}:{realm}:{password}".encode()
    with_realm = f"{user}@{realm}:{realm}:{password}".encode()
    return {
        "ha1": hashlib.md5(plain, usedforsecurity=False).hexdigest(),
        "ha1b": hashlib.md5(with_realm, usedforsecurity=False).hexdigest(),
        "ha1_sha256": hashlib.sha256(plain).hexdigest(),
        "ha1_sha512_256": hashlib.new("sha512_256", plain).hexdigest(),
    }


class Provisioning:
    """Changes of one database with SER 2.0's tables. Methods raise ConfigError for what cannot be done as
    asked, StorageError when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- domains ---------------------------------------------------------------------------------------------

    async def domains(self) -> list[tuple[str, str]]:
        """Domain identifier and name of every domain, sorted."""
        return [(did, name) for did, name, flags in await self._database.execute(_DOMAINS) if _is_used(flags)]

    async def add_domain(self, name: str, did: str = "") -> str:
        """Serve a domain, or with `did` a further name of one that is served; returns its identifier."""
        name = _checked(_HOST, name.lower(), "domain")
        async with self._database.transaction() as transaction:
            if await transaction.execute(_DID, name):
                raise ConfigError(f"domain {name} is there already")
            if did:
                if not await transaction.execute(_NAMES_OF, did):
                    raise ConfigError(f"there is no domain {did}")
                await transaction.execute(_ADD_DOMAIN, did, name, _USABLE)
                return did
            await transaction.execute(_ADD_DOMAIN, name, name, _USABLE | RowFlag.CANON)
            await transaction.execute(_ADD_ATTRIBUTE["domain"], name, "digest_realm", name, STRING, _USABLE)
            return name

    async def remove_domain(self, name: str) -> None:
        """Stop serving a name; with a domain's last one its attributes go. Refused while it has users."""
        async with self._database.transaction() as transaction:
            did = await self._did(transaction, name)
            if len(await transaction.execute(_NAMES_OF, did)) == 1:
                if await transaction.execute(_USERS_OF, did):
                    raise ConfigError(f"domain {name} has users", hint="remove them first")
                await transaction.execute(_delete(tables.domain_attrs, "did"), did)
            await transaction.execute(_REMOVE_NAME, name.lower())

    async def _did(self, transaction: Transaction, domain: str) -> str:
        found = await transaction.execute(_DID, domain.lower())
        if not found:
            raise ConfigError(f"there is no domain {domain}", hint=f"sipyard domain add {domain}")
        return str(found[0][0])

    # -- users -----------------------------------------------------------------------------------------------

    async def users(self, domain: str = "") -> list[tuple[str, str]]:
        """Address and uid of every user, or of those of a domain."""
        if domain:
            async with self._database.transaction() as transaction:
                did = await self._did(transaction, domain)
                rows = await transaction.execute(_USERS_OF, did)
        else:
            rows = await self._database.execute(_USERS)
        return [(f"{name}@{realm}", uid) for name, realm, uid, flags in rows if _is_used(flags)]

    async def add_user(self, address: str, password: str, *, keep_plain: bool = False) -> str:
        """Add alice@example.com with a password, of which only digests are stored unless `keep_plain`;
        returns the uid."""
        (uid,) = await self.add_users([{"address": address, "password": password}], keep_plain=keep_plain)
        return uid

    async def add_users(self, rows: Sequence[Mapping[str, str]], *, keep_plain: bool = False) -> list[str]:
        """Add users, all or none; returns their uids.

        :param rows: each with `address`, and `password` or the digests by the names of their columns;
            `aliases` are further user names or addresses with spaces between.
        """
        columns = await self._digest_columns()
        async with self._database.transaction() as transaction:
            return [await self._add_user(transaction, row, columns, keep_plain) for row in rows]

    async def _add_user(
        self, transaction: Transaction, row: Mapping[str, str], columns: tuple[str, ...], keep_plain: bool
    ) -> str:
        name, domain = _split(row["address"])
        did = await self._did(transaction, domain)
        uid = f"{name}@{did}"
        await self._add_uri(transaction, uid, name, did, RowFlag.CANON)
        password, realm = row.get("password", ""), await self._realm(transaction, did)
        made = digests(name, realm, password) if password else dict(row)
        values = [name, did, realm, password if keep_plain else "", _USABLE, uid]
        await transaction.execute(
            _ADD_CREDENTIALS[columns], *values, *(_digest(made, each) for each in columns)
        )
        for alias in row.get("aliases", "").split():
            user, other = _split(alias if "@" in alias else f"{alias}@{domain}")
            await self._add_uri(transaction, uid, user, await self._did(transaction, other))
        return uid

    async def _add_uri(self, transaction: Transaction, uid: str, name: str, did: str, more: int = 0) -> None:
        if await transaction.execute(_UID, name, did, "sip"):
            raise ConfigError(f"{name}@{did} is there already")
        await transaction.execute(_ADD_URI, uid, did, name, int(_URI | more), "sip")

    async def exported(self, domain: str = "") -> list[dict[str, str]]:
        """Users as `add_users` takes them: digests, no passwords."""
        columns = await self._digest_columns()
        rows = []
        async with self._database.transaction() as transaction:
            did = await self._did(transaction, domain) if domain else None
            for name, of, uid, flags, *found in await transaction.execute(_EXPORTED[columns]):
                if not _is_used(flags) or did not in (None, of):
                    continue
                uris = await transaction.execute(_URIS, uid)
                others = [f"{user}@{where}" for user, where, _, _ in uris if (user, where) != (name, of)]
                row = {"address": f"{name}@{of}", "aliases": " ".join(others)}
                rows.append(
                    {**row, **{each: value or "" for each, value in zip(columns, found, strict=True)}}
                )
        return rows

    async def set_password(self, address: str, password: str, *, keep_plain: bool = False) -> None:
        """Give a user another password."""
        columns = await self._digest_columns()
        async with self._database.transaction() as transaction:
            uid = await self._uid(transaction, address)
            for name, did, realm in await transaction.execute(_CREDENTIALS, uid):
                made = digests(name, realm, password)
                values = [password if keep_plain else "", *(made[each] for each in columns)]
                await transaction.execute(_SET_PASSWORD[columns], *values, name, did)

    async def remove_user(self, address: str) -> None:
        """Remove a user with credentials, URIs and attributes, and what is stored of registrations."""
        tables_there = [await self._database.columns(name) for name in ("location", "contact_attrs")]
        async with self._database.transaction() as transaction:
            uid = await self._uid(transaction, address)
            for statement in _REMOVALS:
                await transaction.execute(statement, uid)
            for statement, columns in zip(_REMOVE_BINDINGS, tables_there, strict=True):
                if columns:
                    await transaction.execute(statement, uid)

    async def _uid(self, transaction: Transaction, address: str) -> str:
        name, domain = _split(address)
        found = await transaction.execute(_UID, name, await self._did(transaction, domain), "sip")
        if not found:
            raise ConfigError(f"there is no {address}")
        return str(found[0][0])

    async def _realm(self, transaction: Transaction, did: str) -> str:
        for name, value, _, flags in await transaction.execute(_GET_ATTRIBUTES["domain"], did):
            if name == "digest_realm" and _is_used(flags):
                return str(value)
        return did

    async def _digest_columns(self) -> tuple[str, ...]:
        """Columns for digests; SER's own table has those of MD5 only."""
        existing = await self._database.columns("credentials")
        return _ALL if existing.issuperset(_ALL) else _MD5

    # -- aliases ---------------------------------------------------------------------------------------------

    async def aliases(self, address: str) -> list[str]:
        """All addresses that lead to a user."""
        async with self._database.transaction() as transaction:
            uid = await self._uid(transaction, address)
            rows = await transaction.execute(_URIS, uid)
        return [f"{name}@{did}" for name, did, _, flags in rows if _is_used(flags)]

    async def add_alias(self, alias: str, address: str) -> None:
        """Let a further address lead to a user."""
        name, domain = _split(alias)
        async with self._database.transaction() as transaction:
            uid, did = await self._uid(transaction, address), await self._did(transaction, domain)
            await self._add_uri(transaction, uid, name, did)

    async def remove_alias(self, alias: str) -> None:
        """Take a further address away; a user's own address goes with the user only."""
        name, domain = _split(alias)
        async with self._database.transaction() as transaction:
            did = await self._did(transaction, domain)
            found = await transaction.execute(_UID, name, did, "sip")
            if not found:
                raise ConfigError(f"there is no {alias}")
            if found[0][0] == f"{name}@{did}":
                raise ConfigError(f"{alias} is the user's own address", hint=f"sipyard user remove {alias}")
            await transaction.execute(_REMOVE_URI, name, did, "sip")

    # -- attributes ------------------------------------------------------------------------------------------

    async def attributes(self, owner: str) -> list[tuple[str, str]]:
        """Names and values: of a user (`alice@example.com`), a domain (`example.com`), or `global`."""
        async with self._database.transaction() as transaction:
            kind, values = await self._owner(transaction, owner)
            rows = await transaction.execute(_GET_ATTRIBUTES[kind], *values)
        return [(name, "" if value is None else value) for name, value, _, flags in rows if _is_used(flags)]

    async def set_attribute(self, owner: str, name: str, value: str) -> None:
        """Give an attribute one value; a decimal number becomes one of the type number."""
        _checked(re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}"), name, "attribute")
        kind_of_value = INTEGER if re.fullmatch(r"-?[0-9]{1,9}", value) else STRING
        async with self._database.transaction() as transaction:
            kind, values = await self._owner(transaction, owner)
            await transaction.execute(_REMOVE_ATTRIBUTE[kind], *values, name)
            await transaction.execute(_ADD_ATTRIBUTE[kind], *values, name, value, kind_of_value, _USABLE)

    async def remove_attribute(self, owner: str, name: str) -> None:
        """Remove an attribute with all its values."""
        async with self._database.transaction() as transaction:
            kind, values = await self._owner(transaction, owner)
            rows = await transaction.execute(_GET_ATTRIBUTES[kind], *values)
            if name not in [row[0] for row in rows]:
                raise ConfigError(f"{owner} has no attribute {name}")
            await transaction.execute(_REMOVE_ATTRIBUTE[kind], *values, name)

    async def _owner(self, transaction: Transaction, owner: str) -> tuple[str, tuple[str, ...]]:
        if owner == "global":
            return "global", ()
        if "@" in owner:
            return "user", (await self._uid(transaction, owner),)
        return "domain", (await self._did(transaction, owner),)


def _is_used(flags: int) -> bool:
    return bool(flags & RowFlag.LOAD_SER) and not flags & (RowFlag.DISABLED | RowFlag.DELETED)


def _digest(made: Mapping[str, str], column: str) -> str:
    """A digest as given, "" for none; ConfigError when it is none of that algorithm."""
    value = made.get(column, "")
    if value and re.fullmatch(r"[0-9a-f]{32}" if column in _MD5 else r"[0-9a-f]{64}", value) is None:
        raise ConfigError(f"{column} of {made.get('address', 'a user')} is not a digest in lower-case hex")
    return value


def _split(address: str) -> tuple[str, str]:
    """User and domain of an address; ConfigError."""
    name, at, domain = address.removeprefix("sip:").rpartition("@")
    if not at:
        raise ConfigError(f"{address} is not an address", hint="write alice@example.com")
    return _checked(_NAME, name, "user"), _checked(_HOST, domain.lower(), "domain")


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ConfigError(f'"{text}" cannot be the name of a {what}')
    return text
