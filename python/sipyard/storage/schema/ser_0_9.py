"""The tables of SER 0.9 that its functions need, with its names, columns and versions."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, LargeBinary, Text

from sipyard.storage.location import Shape, location_layout
from sipyard.storage.schema.columns import (
    OURS,
    Schema,
    identifier,
    modified,
    moment,
    needed,
    number,
    text,
)

SCHEMA: Final = Schema()
_table = SCHEMA.table


def _accounts(name: str, version: int) -> None:
    _table(
        name,
        version,
        needed("phplib_id", 32, server_default=""),
        needed("username", 64, primary_key=True),
        needed("domain", 128, primary_key=True, server_default=""),
        needed("password", 25, server_default=""),
        needed("first_name", 25, server_default=""),
        needed("last_name", 45, server_default=""),
        needed("phone", 15, server_default=""),
        needed("email_address", 50, server_default=""),
        moment("datetime_created"),
        moment("datetime_modified"),
        needed("confirmation", 64, server_default=""),
        needed("flag", 1, server_default="o"),
        needed("sendnotification", 50, server_default=""),
        needed("greeting", 50, server_default=""),
        needed("ha1", 128, server_default=""),
        needed("ha1b", 128, server_default=""),
        needed("allow_find", 1, server_default="0"),
        text("timezone", 128),
        text("rpid", 128),
        text("domn", 10),
        text("uuid", 64),
        text("ha1_sha256", 64, info=OURS),
        text("ha1_sha512_256", 64, info=OURS),
    )


_accounts("subscriber", 5)
_accounts("pending", 4)
subscriber = SCHEMA.metadata.tables["subscriber"]

for _name in ("location", "aliases"):
    _adopted = SCHEMA.adopt(location_layout(_name, Shape.SER_0_9).table, 6)
    for _column in ("path", "socket"):
        _adopted.c[_column].info.update(OURS)
location = SCHEMA.metadata.tables["location"]
aliases = SCHEMA.metadata.tables["aliases"]


def _records(name: str, more: tuple[Column[str], ...]) -> None:
    _table(
        name,
        2,
        *(needed(each, 128, server_default="") for each in ("sip_from", "sip_to", "sip_status")),
        needed("sip_method", 16, server_default=""),
        *(needed(each, 128, server_default="") for each in ("i_uri", "o_uri", "from_uri", "to_uri")),
        needed("sip_callid", 128, server_default=""),
        needed("username", 64, server_default=""),
        needed("domain", 128, server_default=""),
        *(needed(each, 128, server_default="") for each in ("fromtag", "totag")),
        moment("time", nullable=False),
        modified("timestamp"),
        *more,
        index=("username", "sip_callid"),
    )


_records(
    "acc",
    tuple(needed(each, 1, server_default="0") for each in ("caller_deleted", "callee_deleted")),
)
_records("missed_calls", ())
acc = SCHEMA.metadata.tables["acc"]
missed_calls = SCHEMA.metadata.tables["missed_calls"]

_USER = ("username", "domain")
grp = _table(
    "grp",
    2,
    needed("username", 64, server_default=""),
    needed("domain", 128, server_default=""),
    needed("grp", 50, server_default=""),
    modified(),
    unique=(*_USER, "grp"),
)
domain = _table("domain", 1, needed("domain", 128, primary_key=True), modified())
uri = _table(
    "uri",
    1,
    needed("username", 64, server_default=""),
    needed("domain", 128, server_default=""),
    needed("uri_user", 50, server_default=""),
    modified(),
    unique=(*_USER, "uri_user"),
)
usr_preferences = _table(
    "usr_preferences",
    2,
    needed("uuid", 64, server_default=""),
    needed("username", 64, server_default="0"),
    needed("domain", 128, server_default=""),
    needed("attribute", 32, server_default=""),
    needed("value", 128, server_default=""),
    number("type"),
    modified("modified"),
    index=("uuid", "username"),
)
preferences_types = _table(
    "preferences_types",
    1,
    needed("att_name", 32, primary_key=True),
    needed("att_rich_type", 32, server_default="string"),
    number("att_raw_type", 2),
    Column("att_type_spec", Text),
    needed("default_value", 100, server_default=""),
)
silo = _table(
    "silo",
    3,
    identifier("mid"),
    needed("src_addr", server_default=""),
    needed("dst_addr", server_default=""),
    needed("r_uri", server_default=""),
    needed("username", 64, server_default=""),
    needed("domain", 128, server_default=""),
    number("inc_time"),
    number("exp_time"),
    needed("ctype", 128, server_default="text/plain"),
    Column("body", LargeBinary, nullable=False),
)
speed_dial = _table(
    "speed_dial",
    2,
    *(needed(each, 64, server_default="") for each in ("username", "domain", "sd_username", "sd_domain")),
    needed("new_uri", 192, server_default=""),
    *(needed(each, 128, server_default="") for each in ("fname", "lname")),
    needed("description", 64, server_default=""),
    unique=(*_USER, "sd_domain", "sd_username"),
)
trusted = _table(
    "trusted",
    1,
    needed("src_ip", 39),
    needed("proto", 4),
    needed("from_pattern", 64),
    unique=("src_ip", "proto", "from_pattern"),
)
phonebook = _table(
    "phonebook",
    1,
    identifier(),
    needed("username", 64, server_default=""),
    needed("domain", 128, server_default=""),
    needed("fname", 32, server_default=""),
    needed("lname", 32, server_default=""),
    needed("sip_uri", 128, server_default=""),
)
domains = _table("domains", 1, needed("prefix", 32), needed("domain"), unique=("prefix",))
