"""Attributes of users in a database: load, store, delete.

Whose they are is said by a URI of the message (`$from`, `$to`, `$ruri`, a part of one) or by an identifier;
which ones by a name, or all of a kind: `s:` those with names, `i:` those with numbers, `*` both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Integer, String, bindparam, column, delete, insert, select, table

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.attributes import Name, Value
from sipyard.errors import StorageError
from sipyard.module import Module, Parameter, function, parameter
from sipyard.modules.avpops.operands import URIS, Aliases, Given, Operand
from sipyard.storage import Database, Statement

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
NO_DATABASE: Final = -2
_SOURCE: Final = re.compile(r"\$(from|to|ruri)(?:/(username|domain))?")
_TEXT, _NUMBER, _NUMBERED = 0, 1, 2
"""Bits of a row's type: its value is a number, its name is a number."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose attributes are meant: a URI of the message, or a part of it, or an identifier."""

    uri: str
    part: str
    given: Given | None
    says = "$from, $to, $ruri (with /username or /domain), or an identifier as a value"

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Source:
        """As an argument of a function."""
        found = _SOURCE.fullmatch(text)
        if found is not None:
            return cls(found[1], found[2] or "", None)
        return cls("", "", Given.from_script(text, loading))

    def keys(self, msg: Context, aliases: Aliases, use_domain: bool) -> dict[str, str] | None:
        """What rows must have: "user" and "domain", or "id"; None when nobody is named."""
        if self.given is not None:
            value = self.given.value(msg, aliases)
            return None if value is None else {"id": str(value)}
        try:
            uri = Uri(URIS[self.uri](msg) or "")
        except ParseError:
            return None
        keys = {"domain": uri.host} if self.part == "domain" or (use_domain and not self.part) else {}
        if self.part != "domain":
            if not uri.user:
                return None
            keys["user"] = uri.user
        return keys


@dataclass(frozen=True, slots=True)
class Which:
    """The attributes that are meant: one, or all of a kind; and in which table."""

    operand: Operand | None
    kinds: str
    scheme: str
    says = '"s:name", "i:12", "$alias", or all: "s:", "i:", "*"; behind a slash a table or $scheme'

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Which:
        """As an argument of a function."""
        plain, _, scheme = text.partition("/")
        if plain in ("*", "s:", "i:"):
            return cls(None, "si" if plain == "*" else plain[0], scheme)
        kinds = "i" if plain[:2].lower() == "i:" else "s"
        return cls(Operand.from_script(plain, loading), kinds, scheme)


@dataclass(slots=True)
class Shape:
    """A table and its columns; an empty name means that the table has no such column."""

    table: str
    identifier: str
    user: str
    domain: str
    name: str
    value: str
    type: str
    kind: int | None = None
    """The type of every value, for tables without such a column."""

    def keys(self, keys: dict[str, str]) -> dict[str, str]:
        """Columns and values that rows are found by."""
        names = {"id": self.identifier, "user": self.user, "domain": self.domain}
        return {names[each]: value for each, value in keys.items() if names[each]}


class StoredAttributes(Module):
    """The part of avpops that asks a database."""

    avp_url = Parameter(str, "", "The database; empty: functions on databases fail.")
    avp_table = Parameter(str, "", "Table of attributes; empty: usr_preferences, in SER 2.0 user_attrs.")
    use_domain = Parameter(bool, False, "Users of one name in several domains are different.")
    uuid_column = Parameter(str, "uuid", "Identifier of a user.", generations=_OLD)
    uid_column = Parameter(str, "uid", "Identifier of a user.", generations=_NEW)
    attribute_column = Parameter(str, "attribute", "Name of the attribute.", generations=_OLD)
    name_column = Parameter(str, "name", "Name of the attribute.", generations=_NEW)
    value_column = Parameter(str, "value", "Value of the attribute.")
    type_column = Parameter(str, "type", "Type of the attribute.")
    username_column = Parameter(str, "username", "User name.")
    domain_column = Parameter(str, "domain", "Domain of the user.")

    def __init__(self) -> None:
        super().__init__()
        self._aliases: dict[str, Name] = {}
        self._schemes: dict[str, Shape] = {}
        self._statements: dict[tuple[Any, ...], Statement] = {}
        self._database: Database | None = None

    @parameter()
    def db_scheme(self, value: str) -> None:
        """Another table for `s:name/$SCHEME`: "SCHEME:table=T;uuid_col=…;username_col=…;domain_col=…;
        value_col=…;value_type=string" (or integer)."""
        label, colon, rest = value.partition(":")
        settings = dict(part.split("=", 1) for part in rest.split(";") if "=" in part)
        settings = {name.strip(): text.strip() for name, text in settings.items()}
        if not colon or not label.strip() or not settings.get("table") or not settings.get("value_col"):
            raise ArgumentError(f'"{value}" is no scheme', "write name:table=T;value_col=C;value_type=string")
        kind = settings.get("value_type", "string").lower()
        if kind not in ("string", "integer"):
            raise ArgumentError(f'value_type is string or integer, not "{kind}"')
        uuid, user, domain = (settings.get(each, "") for each in ("uuid_col", "username_col", "domain_col"))
        bits = _NUMBER if kind == "integer" else _TEXT
        shape = Shape(settings["table"], uuid, user, domain, "", settings["value_col"], "", bits)
        self._schemes[label.strip().lower()] = shape

    async def start(self, engine: Engine) -> None:
        """Have the database; nothing is asked of it yet."""
        if self.avp_url:
            self._database = engine.databases.get(self.avp_url)

    # -- statements ------------------------------------------------------------------------------------------

    def _shape(self, scheme: str) -> Shape | None:
        if scheme.startswith("$"):
            return self._schemes.get(scheme[1:].lower())
        is_old = self.generation is _OLD
        return Shape(
            scheme or self.avp_table or ("usr_preferences" if is_old else "user_attrs"),
            self.uuid_column if is_old else self.uid_column,
            self.username_column,
            self.domain_column,
            self.attribute_column if is_old else self.name_column,
            self.value_column,
            self.type_column,
        )

    def _select(self, shape: Shape, keys: Sequence[str]) -> Statement:
        place = ("select", shape.table, *keys)
        if place not in self._statements:
            texts = [column(each, String) for each in (shape.name, shape.value) if each]
            numbers = [column(shape.type, Integer)] if shape.type else []
            statement = select(*texts, *numbers).select_from(_table(shape, keys)).where(*_equal(keys))
            self._statements[place] = Statement(statement, *keys)
        return self._statements[place]

    def _delete(self, shape: Shape, keys: Sequence[str]) -> Statement:
        place = ("delete", shape.table, *keys)
        if place not in self._statements:
            statement = delete(_table(shape, keys)).where(*_equal(keys))
            self._statements[place] = Statement(statement, *keys)
        return self._statements[place]

    def _insert(self, shape: Shape, keys: Sequence[str]) -> Statement:
        place = ("insert", shape.table, *keys)
        if place not in self._statements:
            columns = [*keys, *(each for each in (shape.name, shape.value, shape.type) if each)]
            more = [] if self.generation is _OLD or shape.kind is not None else ["flags"]
            source = table(
                shape.table,
                *(
                    column(each, Integer if each in (shape.type, "flags") else String)
                    for each in (*columns, *more)
                ),
            )
            self._statements[place] = Statement(insert(source), *columns, *more)
        return self._statements[place]

    # -- for scripts -----------------------------------------------------------------------------------------

    def _prepared(self, msg: Context, source: Source, which: Which) -> tuple[Shape, dict[str, str]] | None:
        shape = self._shape(which.scheme)
        keys = source.keys(msg, self._aliases, self.use_domain)
        if shape is None or self._database is None:
            msg.engine.log_incident(
                "avpops: avp_url is not set" if shape is not None else f"avpops: no scheme {which.scheme}"
            )
            return None
        return None if keys is None else (shape, shape.keys(keys))

    def _name_of(self, which: Which) -> Name | None:
        return None if which.operand is None else which.operand.meant(self._aliases)

    @function("RF")
    async def avp_db_load(self, msg: Context, source: Source, which: Which) -> int:
        """Add attributes of a user that are stored. 1; -1 when there are none, -2 when the database fails."""
        prepared, name = self._prepared(msg, source, which), self._name_of(which)
        if prepared is None or self._database is None:
            return -1
        shape, keys = prepared
        if name is not None and shape.name:
            keys[shape.name] = name.name
        try:
            rows = await self._database.execute(self._select(shape, list(keys)), *keys.values())
        except StorageError as error:
            msg.engine.log_incident(f"avpops: {error.message}")
            return NO_DATABASE
        found = 0
        for row in rows:
            found += self._keep(msg, shape, which, name, row)
        return 1 if found else -1

    def _keep(self, msg: Context, shape: Shape, which: Which, name: Name | None, row: Sequence[Any]) -> bool:
        if shape.kind is not None:
            kept, kind, value = name, shape.kind, row[0]
        else:
            kind, value = int(row[2] or 0), row[1]
            if self.generation is _NEW:  # 0 is a number there, 2 a text
                kind = _NUMBER if kind == 0 else _TEXT
            if _kind_of(kind) not in which.kinds:
                return False
            kept = Name(str(row[0]).lower())
        if kept is None:
            return False
        text = "" if value is None else str(value)
        try:
            typed: Value = int(text) if kind & _NUMBER else text
        except ValueError:
            msg.engine.log_incident(f"avpops: {shape.table}: {text!r} is no number")
            return False
        msg.attributes.add(kept, typed)
        return True

    @function("RF")
    async def avp_db_store(self, msg: Context, source: Source, which: Which) -> int:
        """Store the values that an attribute has, beside those that are stored. 1; -1 when it has none, -2
        when the database fails."""
        prepared, name = self._prepared(msg, source, which), self._name_of(which)
        if prepared is None or name is None or self._database is None:
            return -1
        shape, keys = prepared
        values = msg.attributes.values(name)
        try:
            async with self._database.transaction() as transaction:
                for value in values:
                    row = self._row(shape, which, name, value)
                    await transaction.execute(self._insert(shape, list(keys)), *keys.values(), *row)
        except StorageError as error:
            msg.engine.log_incident(f"avpops: {error.message}")
            return NO_DATABASE
        return 1 if values else -1

    def _row(self, shape: Shape, which: Which, name: Name, value: Value) -> tuple[Any, ...]:
        is_number = isinstance(value, int)
        if shape.kind is not None:
            return (str(value),)
        if self.generation is _NEW:
            return (name.name, str(value), 0 if is_number else 2, 1)
        return (
            name.name,
            str(value),
            (_NUMBER if is_number else 0) | (_NUMBERED if which.kinds == "i" else 0),
        )

    @function("RF")
    async def avp_db_delete(self, msg: Context, source: Source, which: Which) -> int:
        """Delete stored attributes of a user. 1; -1 when nobody is named, -2 when the database fails."""
        prepared, name = self._prepared(msg, source, which), self._name_of(which)
        if prepared is None or self._database is None:
            return -1
        shape, keys = prepared
        try:
            for one in await self._names(shape, keys, which, name):
                wanted = keys if one is None else {**keys, shape.name: one}
                await self._database.execute(self._delete(shape, list(wanted)), *wanted.values())
        except StorageError as error:
            msg.engine.log_incident(f"avpops: {error.message}")
            return NO_DATABASE
        return 1

    async def _names(
        self, shape: Shape, keys: dict[str, str], which: Which, name: Name | None
    ) -> list[str | None]:
        """Names of the rows that are meant; None stands for all. StorageError."""
        if not shape.name or self._database is None or (name is None and which.kinds == "si"):
            return [None]
        if name is not None:
            return [name.name]
        rows = await self._database.execute(self._select(shape, list(keys)), *keys.values())
        return list({str(row[0]) for row in rows if _kind_of(row[2]) in which.kinds})


def _kind_of(bits: object) -> str:
    """Whether a row's name is a number (`i`) or a text (`s`)."""
    return "i" if int(str(bits or 0)) & _NUMBERED else "s"


def _table(shape: Shape, keys: Sequence[str]) -> Any:
    names = dict.fromkeys((*keys, *(each for each in (shape.name, shape.value) if each)))
    integers = [column(shape.type, Integer)] if shape.type else []
    return table(shape.table, *(column(each, String) for each in names), *integers)


def _equal(keys: Sequence[str]) -> list[ColumnElement[bool]]:
    return [column(each, String) == bindparam(each, type_=String) for each in keys]
