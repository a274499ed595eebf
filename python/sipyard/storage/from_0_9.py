"""Copying a SER 0.9 database into one with the tables of SER 2.0.

A user becomes the uid `username@domain`, its domain the did of the same name. What 2.0 has no place for is
counted and said, never dropped in silence. Nothing is written unless everything can be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Table, func, inspect, select
from sqlalchemy.engine import RowMapping

from sipyard.errors import ConfigError
from sipyard.storage.administration import State, state, with_connection
from sipyard.storage.schema import SCHEMAS
from sipyard.storage.schema.ser_2_0 import INTEGER, STRING, RowFlag
from sipyard.storage.url import DatabaseUrl

_USABLE: Final = int(RowFlag.LOAD_SER | RowFlag.FOR_SERWEB)
_URI: Final = int(_USABLE | RowFlag.IS_TO | RowFlag.IS_FROM)
_LOCAL: Final = re.compile(r"sips?:([^@;]+)@([^:;>]+)")

_Rows = dict[str, list[dict[str, Any]]]
_PERSONAL: Final = {
    "first_name": "first_name",
    "last_name": "last_name",
    "phone": "phone",
    "email_address": "email",
    "timezone": "timezone",
    "rpid": "asserted_id",
}
_RENAMED_RECORDS: Final = {
    "i_uri": "in_ruri",
    "o_uri": "out_ruri",
    "fromtag": "from_tag",
    "totag": "to_tag",
    "username": "digest_username",
    "domain": "digest_realm",
}
_SAME_RECORDS: Final = (
    "sip_from",
    "sip_to",
    "sip_status",
    "sip_method",
    "from_uri",
    "to_uri",
    "sip_callid",
)


async def copy(source: DatabaseUrl, target: DatabaseUrl) -> list[str]:
    """Copy; returns lines that say what was copied and what was not.

    :raises ConfigError: the source is no database of SER 0.9, or the target none of 2.0, or has users.
    :raises StorageError: one of them fails; then nothing was written.
    """
    await _require(source, "0.9")
    found = await _require(target, "2.0")
    if found.missing:
        raise ConfigError(f"{target} has no table {found.missing[0]}", hint="sipyard db upgrade")
    old = await with_connection(source, _read)
    new, report = _Conversion(old).carry_out()
    await with_connection(target, lambda connection: _write(connection, new))
    return [*(f"{name}: {len(rows)} rows" for name, rows in sorted(new.items()) if rows), *report]


async def _require(url: DatabaseUrl, model: str) -> State:
    found = await state(url)
    if found.model != model:
        raise ConfigError(f"{url} has no tables of SER {model}")
    return found


def _read(connection: Connection) -> dict[str, list[RowMapping]]:
    inspector = inspect(connection)
    existing = set(inspector.get_table_names())
    found: dict[str, list[RowMapping]] = {}
    for name, table in SCHEMAS["0.9"].metadata.tables.items():
        if name in existing and name != "version":
            columns = {column["name"] for column in inspector.get_columns(name)}
            wanted = [column for column in table.columns if column.name in columns]
            found[name] = list(connection.execute(select(*wanted)).mappings())
    return found


def _write(connection: Connection, new: _Rows) -> None:
    tables: dict[str, Table] = dict(SCHEMAS["2.0"].metadata.tables)
    for name in ("credentials", "uri"):
        if connection.execute(select(func.count()).select_from(tables[name])).scalar_one():
            raise ConfigError(f"table {name} is not empty", hint="copy into a new database: sipyard db init")
    inspector = inspect(connection)
    for name, rows in new.items():
        columns = {column["name"] for column in inspector.get_columns(name)}
        kept = [{key: value for key, value in row.items() if key in columns} for row in rows]
        if kept:
            connection.execute(tables[name].insert(), kept)


class _Conversion:
    """One run: the old rows, the new ones, and what could not be placed."""

    def __init__(self, old: dict[str, list[RowMapping]]) -> None:
        self._old = old
        self._new: _Rows = {}
        self._unplaced: dict[str, int] = {}
        self._seen: set[tuple[Any, ...]] = set()

    def carry_out(self) -> tuple[_Rows, list[str]]:
        self._domains()
        self._subscribers()
        steps: dict[str, Callable[[RowMapping], None]] = {
            "uri": self._uri,
            "aliases": self._alias,
            "grp": self._group,
            "usr_preferences": self._preference,
            "speed_dial": self._speed_dial,
            "location": self._binding,
            "phonebook": self._phonebook,
            "trusted": self._trusted,
            "domains": self._prefix,
        }
        for name, step in steps.items():
            for row in self._rows(name):
                step(row)
        for name in ("acc", "missed_calls"):
            for row in self._rows(name):
                self._record(name, row)
        for name in ("pending", "silo", "preferences_types"):
            if count := len(self._old.get(name, ())):
                self._unplaced[f"{name} (not copied)"] = count
        return self._new, [f"not copied: {count} rows of {name}" for name, count in self._unplaced.items()]

    def _rows(self, name: str) -> Iterator[RowMapping]:
        yield from self._old.get(name, ())

    def _add(self, table: str, *unique: object, **row: Any) -> None:
        """Add a row, unless one with the same unique values is there."""
        if unique:
            if (table, *unique) in self._seen:
                return
            self._seen.add((table, *unique))
        self._new.setdefault(table, []).append(row)

    def _skip(self, what: str) -> None:
        self._unplaced[what] = self._unplaced.get(what, 0) + 1

    def _domains(self) -> None:
        names = {row["domain"].lower() for row in self._rows("domain")}
        names |= {row["domain"].lower() for row in self._rows("subscriber")}
        for name in sorted(names - {""}):
            self._add("domain", name, did=name, domain=name, flags=int(_USABLE | RowFlag.CANON))
            self._attribute("domain_attrs", {"did": name}, "digest_realm", name)

    def _subscribers(self) -> None:
        for row in self._rows("subscriber"):
            name, did = row["username"], row["domain"].lower()
            uid = _uid(row)
            more = {each: row[each] for each in ("ha1_sha256", "ha1_sha512_256") if each in row}
            self._add(
                "credentials",
                auth_username=name,
                did=did,
                realm=row["domain"],
                password=row["password"],
                flags=_USABLE,
                ha1=row["ha1"],
                ha1b=row["ha1b"],
                uid=uid,
                **more,
            )
            self._add_uri(uid, name, did, int(_URI | RowFlag.CANON))
            for old, new in _PERSONAL.items():
                if row.get(old):
                    self._attribute("user_attrs", {"uid": uid}, new, str(row[old]))

    def _add_uri(self, uid: str, name: str, did: str, flags: int = _URI) -> None:
        self._add("uri", name, did, uid=uid, did=did, username=name, flags=flags, scheme="sip")

    def _attribute(
        self, table: str, owner: dict[str, str], name: str, value: str, kind: int = STRING
    ) -> None:
        self._add(
            table, *owner.values(), name, value, **owner, name=name, value=value, type=kind, flags=_USABLE
        )

    def _uri(self, row: RowMapping) -> None:
        self._add_uri(_uid(row), row["uri_user"], row["domain"].lower())

    def _alias(self, row: RowMapping) -> None:
        found = _LOCAL.match(row["contact"])
        if found is None or ("domain", found[2].lower()) not in self._seen:
            self._skip("aliases (lead to another domain)")
            return
        self._add_uri(f"{found[1]}@{found[2].lower()}", row["username"], row["domain"].lower())

    def _group(self, row: RowMapping) -> None:
        self._attribute("user_attrs", {"uid": _uid(row)}, "acl", row["grp"])

    def _preference(self, row: RowMapping) -> None:
        kind = INTEGER if re.fullmatch(r"-?[0-9]+", row["value"]) and row["type"] == 1 else STRING
        self._attribute("user_attrs", {"uid": _uid(row)}, row["attribute"], row["value"], kind)

    def _speed_dial(self, row: RowMapping) -> None:
        did, name = row["sd_domain"].lower(), row["sd_username"]
        uid = _uid(row)
        self._add(
            "speed_dial", uid, did, name, uid=uid, dial_username=name, dial_did=did, new_uri=row["new_uri"]
        )

    def _binding(self, row: RowMapping) -> None:
        same = (
            "contact",
            "received",
            "expires",
            "q",
            "callid",
            "cseq",
            "flags",
            "user_agent",
            "path",
            "socket",
        )
        uid = _uid(row)
        self._add(
            "location",
            uid,
            row["contact"],
            uid=uid,
            aor=f"sip:{uid}",
            **{each: row.get(each) for each in same},
        )

    def _phonebook(self, row: RowMapping) -> None:
        self._add("phonebook", uid=_uid(row), **{each: row[each] for each in ("fname", "lname", "sip_uri")})

    def _trusted(self, row: RowMapping) -> None:
        self._add("trusted", *row.values(), **row)

    def _prefix(self, row: RowMapping) -> None:
        self._add("pdt", row["prefix"], prefix=row["prefix"], domain=row["domain"])

    def _record(self, table: str, row: RowMapping) -> None:
        self._add(
            table,
            **{each: row[each] for each in _SAME_RECORDS},
            **{new: row[old] for old, new in _RENAMED_RECORDS.items()},
            from_uid=_uid(row) if row["username"] else None,
            request_timestamp=row["time"],
            response_timestamp=row["time"],
            flags=0,
        )


def _uid(row: RowMapping) -> str:
    return f"{row['username']}@{row['domain'].lower()}"
