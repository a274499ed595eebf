"""The tables of SER 2.0, with its names, columns and versions, and the columns that we add.

A row's `flags` are those of `RowFlag`: the server reads rows that have LOAD_SER and not DISABLED.
"""

from __future__ import annotations

import enum
from typing import Final

from sqlalchemy import Column, Float, LargeBinary, Text

from sipyard.storage.location import Shape, location_layout
from sipyard.storage.schema.columns import (
    OURS,
    Schema,
    attribute,
    identifier,
    modified,
    moment,
    needed,
    number,
    text,
    unsigned,
)


class RowFlag(enum.IntFlag):
    """Bits of the column `flags` in SER 2.0's tables."""

    LOAD_SER = 1
    DISABLED = 2
    CANON = 4
    IS_TO = 8
    IS_FROM = 16
    FOR_SERWEB = 32
    PENDING = 64
    DELETED = 128
    CALLER_DELETED = 256
    CALLEE_DELETED = 512
    MULTIVALUE = 1024
    FILL_ON_REG = 2048
    REQUIRED = 4096
    DIR = 8192


INTEGER: Final = 0
STRING: Final = 2
"""`type` of an attribute."""

SCHEMA: Final = Schema()
_table = SCHEMA.table

# -- domains and users ---------------------------------------------------------------------------------------

domain = _table("domain", 2, needed("did", 64), needed("domain", 128), number("flags"), unique=("domain",))
domain_attrs = _table(
    "domain_attrs", 1, needed("did", 64), *attribute(), unique=("did", "name", "value"), index=("did",)
)
domain_settings = _table(
    "domain_settings",
    1,
    needed("did", 64),
    needed("filename"),
    number("version"),
    number("timestamp"),
    Column("content", LargeBinary),
    number("flags"),
    unique=("did", "filename", "version"),
)
credentials = _table(
    "credentials",
    7,
    needed("auth_username", 64),
    needed("did", 64, server_default="_default"),
    needed("realm", 64),
    needed("password", 64, server_default=""),
    number("flags"),
    needed("ha1", 32, server_default=""),
    needed("ha1b", 32, server_default=""),
    needed("uid", 64),
    # RFC 8760: H(username:realm:password) by the other algorithms.
    text("ha1_sha256", 64, info=OURS),
    text("ha1_sha512_256", 64, info=OURS),
    unique=("auth_username", "did"),
    index=("uid",),
)
uri = _table(
    "uri",
    3,
    needed("uid", 64),
    needed("did", 64),
    needed("username", 64),
    number("flags"),
    needed("scheme", 8, server_default="sip"),
    unique=("username", "did", "scheme", "flags"),
    index=("uid",),
)
uri_attrs = _table(
    "uri_attrs",
    2,
    needed("username", 64),
    needed("did", 64),
    *attribute(),
    needed("scheme", 8, server_default="sip"),
    unique=("username", "did", "name", "value", "scheme"),
)
user_attrs = _table(
    "user_attrs", 3, needed("uid", 64), *attribute(), unique=("uid", "name", "value"), index=("uid",)
)
global_attrs = _table("global_attrs", 1, *attribute(), unique=("name", "value"))
attr_types = _table(
    "attr_types",
    4,
    needed("name", 32),
    needed("rich_type", 32, server_default="string"),
    number("raw_type", STRING),
    text("type_spec"),
    text("description"),
    number("default_flags"),
    number("flags"),
    number("priority"),
    number("access"),
    number("ordering"),
    needed("grp", 32, server_default="other"),
    unique=("name",),
)

# -- registrations -------------------------------------------------------------------------------------------

location = SCHEMA.adopt(location_layout("location", Shape.SER_2_0).table, 9)
for _name in ("path", "socket"):
    location.c[_name].info.update(OURS)
contact_attrs = _table(
    "contact_attrs",
    1,
    needed("uid", 64, primary_key=True),
    needed("contact", primary_key=True),
    needed("name", 32, primary_key=True),
    text("value"),
    number("type"),
    number("flags"),
)

# -- accounting ----------------------------------------------------------------------------------------------


def _records(name: str) -> None:
    _table(
        name,
        4,
        identifier(),
        *(text(each, 64) for each in ("from_uid", "to_uid", "to_did", "from_did")),
        *(text(each) for each in ("sip_from", "sip_to")),
        text("sip_status", 128),
        text("sip_method", 16),
        *(text(each) for each in ("in_ruri", "out_ruri", "from_uri", "to_uri", "sip_callid")),
        Column("sip_cseq", unsigned("sip_cseq").type),
        text("digest_username", 64),
        text("digest_realm"),
        text("from_tag", 128),
        text("to_tag", 128),
        unsigned("src_ip"),
        unsigned("src_port"),
        moment("request_timestamp", nullable=False),
        moment("response_timestamp", nullable=False),
        number("flags"),
        text("attrs"),
        index=("sip_callid", "from_uid", "to_uid"),
    )


_records("acc")
_records("missed_calls")
acc = SCHEMA.metadata.tables["acc"]
missed_calls = SCHEMA.metadata.tables["missed_calls"]

# -- permissions and routing ---------------------------------------------------------------------------------

trusted = _table(
    "trusted",
    1,
    needed("src_ip", 39),
    needed("proto", 4),
    needed("from_pattern", 64),
    unique=("src_ip", "proto", "from_pattern"),
)
ipmatch = _table(
    "ipmatch",
    1,
    needed("ip", 50, server_default=""),
    text("avp_val", 30),
    number("mark", 1),
    number("flags"),
    unique=("ip", "mark"),
)
gw = _table(
    "gw",
    3,
    needed("gw_name", 128),
    unsigned("ip_addr"),
    unsigned("port"),
    number("uri_scheme"),
    number("transport"),
    number("grp_id"),
    unique=("gw_name",),
)
gw_grp = _table("gw_grp", 2, identifier("grp_id"), needed("grp_name", 64))
lcr = _table(
    "lcr",
    1,
    needed("prefix", 16),
    needed("from_uri", server_default="%"),
    number("grp_id"),
    number("priority"),
)
pdt = _table("pdt", 1, needed("prefix", 32), needed("domain"), unique=("prefix",))
grp = _table("grp", 3, needed("uid", 64), needed("grp", 64), modified(), unique=("uid", "grp"))
speed_dial = _table(
    "speed_dial",
    2,
    identifier(),
    needed("uid", 64),
    needed("dial_username", 64),
    needed("dial_did", 64),
    needed("new_uri"),
    unique=("uid", "dial_did", "dial_username"),
)
sd_attrs = _table("sd_attrs", 1, needed("id", 64), *attribute(), unique=("id", "name", "value"))

# -- messages, presence, the web -----------------------------------------------------------------------------

silo = _table(
    "silo",
    4,
    identifier("mid"),
    needed("from_hdr"),
    needed("to_hdr"),
    needed("ruri"),
    needed("uid", 64),
    moment("inc_time", nullable=False),
    moment("exp_time", nullable=False),
    needed("ctype", 128, server_default="text/plain"),
    Column("body", LargeBinary, nullable=False),
    index=("uid",),
)
phonebook = _table(
    "phonebook", 1, identifier(), needed("uid", 64), text("fname", 32), text("lname", 32), needed("sip_uri")
)
cpl = _table(
    "cpl",
    2,
    needed("uid", 64),
    Column("cpl_xml", LargeBinary),
    Column("cpl_bin", LargeBinary),
    unique=("uid",),
)
presentity = _table(
    "presentity",
    5,
    needed("pres_id", 64),
    needed("uri"),
    needed("uid", 64),
    needed("pdomain", 128),
    Column("xcap_params", Text, nullable=False),
    unique=("pres_id",),
)
presentity_contact = _table(
    "presentity_contact",
    5,
    needed("pres_id", 64),
    number("basic"),
    moment("expires", nullable=False),
    Column("priority", Float, nullable=False, server_default="0"),
    text("contact"),
    needed("tupleid", 64),
    needed("etag", 64),
    needed("published_id", 64),
    index=("pres_id",),
)
presentity_notes = _table(
    "presentity_notes",
    5,
    needed("pres_id", 64),
    needed("etag", 64),
    needed("note"),
    needed("lang", 64),
    index=("pres_id",),
)
presentity_extensions = _table(
    "presentity_extensions",
    5,
    needed("pres_id", 64),
    needed("etag", 64),
    Column("element", Text, nullable=False),
    index=("pres_id",),
)
tuple_notes = _table(
    "tuple_notes",
    5,
    needed("pres_id", 64),
    needed("tupleid", 64),
    needed("note"),
    needed("lang", 64),
    index=("pres_id",),
)
tuple_extensions = _table(
    "tuple_extensions",
    5,
    needed("pres_id", 64),
    needed("tupleid", 64),
    Column("element", Text, nullable=False),
    number("status_extension"),
    index=("pres_id",),
)
watcherinfo = _table(
    "watcherinfo",
    5,
    needed("w_uri"),
    needed("display_name"),
    needed("s_id", 64),
    needed("package", 32),
    needed("status", 32),
    needed("event", 32),
    moment("expires", nullable=False),
    number("accepts"),
    needed("pres_id", 64),
    needed("server_contact"),
    Column("dialog", LargeBinary),
    number("doc_index"),
    unique=("s_id",),
)
offline_winfo = _table(
    "offline_winfo",
    5,
    needed("uid", 64),
    needed("watcher"),
    needed("events", 64),
    text("domain", 128),
    text("status", 32),
    moment("created_on", nullable=False),
    moment("expires_on", nullable=False),
    identifier("dbid"),
)
rls_subscription = _table(
    "rls_subscription",
    1,
    needed("id", 48),
    number("doc_version"),
    Column("dialog", LargeBinary),
    moment("expires", nullable=False),
    number("status"),
    needed("contact"),
    needed("uri"),
    needed("package", 128),
    needed("w_uri"),
    Column("xcap_params", Text, nullable=False),
    unique=("id",),
)
rls_vs = _table("rls_vs", 1, needed("id", 48), needed("rls_id", 48), needed("uri"), unique=("id",))
rls_vs_names = _table("rls_vs_names", 1, needed("id", 48), text("name", 64), text("lang", 64), index=("id",))
i18n = _table("i18n", 1, number("code"), text("reason_re"), needed("lang", 32), needed("new_reason"))
customers = _table(
    "customers", 1, identifier("cid"), needed("name", 128), text("address"), text("phone", 64), text("email")
)

_SER = RowFlag.LOAD_SER | RowFlag.FOR_SERWEB
_WEB = RowFlag.FOR_SERWEB

ATTRIBUTE_TYPES: Final[tuple[tuple[str, str, int, str, RowFlag, RowFlag], ...]] = (
    # name, rich type, raw type, what it is, flags of a new attribute, flags of the type
    ("uid", "string", STRING, "User identifier", _SER, RowFlag(0)),
    ("did", "string", STRING, "Domain identifier", _SER, RowFlag(0)),
    ("asserted_id", "string", STRING, "Asserted identity", _SER, RowFlag(0)),
    ("digest_realm", "string", STRING, "Realm of digest authentication", _SER, RowFlag.REQUIRED),
    ("acl", "string", STRING, "What calls are allowed to", _SER, RowFlag.MULTIVALUE),
    ("fr_timer", "int", INTEGER, "Seconds to wait for a final response", _SER, RowFlag(0)),
    ("fr_inv_timer", "int", INTEGER, "Seconds to wait for a final response to INVITE", _SER, RowFlag(0)),
    ("gflags", "int", INTEGER, "Global flags", _SER, RowFlag(0)),
    ("first_name", "string", STRING, "First name", _WEB, RowFlag(0)),
    ("last_name", "string", STRING, "Last name", _WEB, RowFlag(0)),
    ("email", "string", STRING, "E-mail address", _WEB, RowFlag(0)),
    ("phone", "string", STRING, "Telephone number", _WEB, RowFlag(0)),
    ("timezone", "string", STRING, "Time zone", _WEB, RowFlag(0)),
    ("lang", "string", STRING, "Language", _WEB, RowFlag(0)),
    ("datetime_created", "string", STRING, "When the account was made", _WEB, RowFlag(0)),
)
"""Rows of `attr_types` in a new database."""
