"""avpops: the older toolbox of attributes, with its own way of naming them ("s:name", "i:12", "$alias").

Functions that load, store and delete in a database are not here. A value of a message stays one header line
and the part of the URI that it is put into; expressions to match with are written by the script alone.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Generation, HeaderKind, Loading, near, number_of
from sipyard.attributes import ALL_VALUES, Group, Name, Value
from sipyard.fault import Fault
from sipyard.module import Module, function, parameter
from sipyard.regex import Regex
from sipyard.sip.field_text import for_log, one_line

if TYPE_CHECKING:
    from sipyard.context import Context

_LOG_LEVEL: Final = 3
_URIS: Final[Mapping[str, Callable[[Context], str | None]]] = {
    "from": lambda msg: msg.message.from_uri,
    "to": lambda msg: msg.message.to_uri,
    "ruri": lambda msg: msg.request_uri,
}
_ADDRESSES: Final[Mapping[str, Callable[[Context], str]]] = {
    "src_ip": lambda msg: msg.message.source_ip,
    "dst_ip": lambda msg: msg.message.destination_ip,
}
_PARTS: Final = ("username", "domain")
_PSEUDO: Final = re.compile(
    r"\$(?P<root>from|to|ruri|src_ip|dst_ip|hdr\[(?P<header>[^\]]+)\])(?:/(?P<part>\w+))?"
)
_FLAGGED: Final = re.compile(r"(?P<text>.*?)(?:/(?P<flags>[gdi]+))?", re.DOTALL)
_ALIAS: Final = re.compile(r"\$([A-Za-z_]\w*)")
_USER: Final = re.compile(r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2})*")
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
Aliases = Mapping[str, Name]


def _part_of(uri: str | None, part: str) -> str | None:
    if uri is None:
        return None
    try:
        parsed = Uri(uri)
    except ParseError:
        return None
    return parsed.user if part == "username" else parsed.host


@dataclass(frozen=True, slots=True)
class Operand:
    """An attribute by its old name or alias, with flags behind it: `s:name/g`.

    :param name: None when it is an alias.
    """

    name: Name | None
    alias: str
    flags: str
    says = 'an attribute: "s:name", "i:12" or "$alias", with /g for all its values'

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Operand:
        """As an argument of a function."""
        found = _FLAGGED.fullmatch(text)
        plain, flags = (found["text"], found["flags"] or "") if found else (text, "")
        alias = _ALIAS.fullmatch(plain)
        if alias:
            return cls(None, alias[1], flags)
        if re.fullmatch(r"[si]:.+", plain, re.IGNORECASE) is None:
            raise ArgumentError(f'expects {cls.says}, not "{text}"')
        return cls(Name.from_script(plain, loading), "", flags)

    def meant(self, aliases: Aliases) -> Name | None:
        """The attribute; None when its alias is not declared."""
        return aliases.get(self.alias.lower()) if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class Given:
    """A value: of the message (`$from/username`, `$hdr[Name]`, `$src_ip`), written (`s:text`, `i:12`) or of
    an alias."""

    constant: Value | None
    read: Callable[[Context], str | None] | None = None
    operand: Operand | None = None
    says = 'a value: "s:text", "i:12", $from, $to, $ruri, $src_ip, $dst_ip, $hdr[Name] or $alias'

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Given:
        """As an argument of a function."""
        pseudo = _PSEUDO.fullmatch(text)
        if pseudo:
            return cls(None, _reader(pseudo, loading))
        if text[:1] == "$":
            return cls(None, None, Operand.from_script(text, loading))
        if text[:2].lower() == "i:":
            number = number_of(text[2:])
            if number is None:
                raise ArgumentError(f'expects a number behind i:, not "{text[2:]}"')
            return cls(number)
        return cls(text[2:] if text[:2].lower() == "s:" else text)

    def value(self, msg: Context, aliases: Aliases) -> Value | None:
        """The value for a message; None: missing."""
        if self.read is not None:
            return self.read(msg)
        if self.operand is None:
            return self.constant
        name = self.operand.meant(aliases)
        return None if name is None else msg.attributes.value(name)


def _reader(pseudo: re.Match[str], loading: Loading) -> Callable[[Context], str | None]:
    root, part = pseudo["root"], pseudo["part"]
    uri = _URIS.get(root)
    if part is not None and (uri is None or part not in _PARTS):
        raise ArgumentError(
            f"{pseudo[0]} has no part {part}", "$from, $to and $ruri have /username and /domain"
        )
    if uri is not None:
        return uri if part is None else lambda msg: _part_of(uri(msg), part)
    if pseudo["header"]:
        header = str(HeaderKind().convert(pseudo["header"], loading))
        return lambda msg: msg.message.header(header)
    return _ADDRESSES[root]


@dataclass(frozen=True, slots=True)
class Check:
    """`op/value/flags`: what avp_check compares with."""

    test: Callable[[Value, Value], bool]
    given: Given
    flags: str
    says = 'a check: "op/value/flags" with eq, lt, gt, re or fm'

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Check:
        """As an argument of a function."""
        operator, slash, rest = text.partition("/")
        found = _FLAGGED.fullmatch(rest)
        if not slash or found is None or operator not in _OPERATORS:
            raise ArgumentError(f'expects {cls.says}, not "{text}"', near(operator, _OPERATORS))
        flags, given = found["flags"] or "", Given.from_script(found["text"], loading)
        if operator in ("re", "fm"):
            if not isinstance(given.constant, str):
                raise ArgumentError(
                    f"{operator} takes an expression that the script writes", "write re/^sip:"
                )
            return cls(_matcher(operator, given.constant, "i" in flags), given, flags)
        compare = _OPERATORS[operator]
        fold = "i" in flags
        return cls(lambda one, other: _compared(one, other, compare, fold), given, flags)


_OPERATORS: Final[Mapping[str, Callable[[int], bool]]] = {
    "eq": lambda order: order == 0,
    "lt": lambda order: order < 0,
    "gt": lambda order: order > 0,
    "re": bool,
    "fm": bool,
}


def _compared(one: Value, other: Value, compare: Callable[[int], bool], fold: bool) -> bool:
    """Numbers by value, texts letter by letter; a number and a text compare as nothing."""
    if isinstance(one, int) and isinstance(other, int):
        return compare((one > other) - (one < other))
    if isinstance(one, str) and isinstance(other, str):
        left, right = (one.lower(), other.lower()) if fold else (one, other)
        return compare((left > right) - (left < right))
    return False


def _matcher(operator: str, pattern: str, fold: bool) -> Callable[[Value, Value], bool]:
    if operator == "re":
        regex = Regex(pattern, ignore_case=fold)
        return lambda one, _: isinstance(one, str) and regex.search(one)
    shape = re.compile(fnmatch.translate(pattern), re.IGNORECASE if fold else 0)
    return lambda one, _: isinstance(one, str) and shape.match(one) is not None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where avp_pushto puts a value: `$ruri`, `$ruri/username`, `$ruri/domain`, `$hdr[Name]`,
    `$hdr[Name]/reply`."""

    header: str
    part: str
    says = "$ruri, $ruri/username, $ruri/domain, $hdr[Name] or $hdr[Name]/reply"

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Destination:
        """As an argument of a function."""
        found = _PSEUDO.fullmatch(text)
        part = (found["part"] or "") if found else ""
        if found and found["header"] and part in ("", "request", "reply"):
            return cls(str(HeaderKind().convert(found["header"], loading)), part)
        if found and found["root"] == "ruri" and part in ("", *_PARTS):
            return cls("", part)
        raise ArgumentError(f'expects {cls.says}, not "{text}"')

    def put(self, msg: Context, value: Value, *, is_first: bool) -> bool:
        """Write a value; further ones of a URI become branches. False when it does not fit."""
        text = str(value)
        if self.header:
            return self._put_header(msg, text)
        try:
            uri = self._changed(msg, text)
        except ParseError:
            uri = None
        if uri is None:
            msg.error = Fault.BAD_URI
            return False
        return msg.rewrite_uri(uri) > 0 if is_first else msg.append_branch(uri) > 0

    def _changed(self, msg: Context, text: str) -> str | None:
        if self.part == "username":
            return str(Uri(msg.request_uri).replace(user=text)) if text and _USER.fullmatch(text) else None
        if self.part == "domain":
            return str(Uri(msg.request_uri).replace(host=text)) if _HOST.fullmatch(text) else None
        return str(Uri(text))

    def _put_header(self, msg: Context, text: str) -> bool:
        line = f"{self.header}: {one_line(text)}\r\n"
        try:
            if self.part == "reply":
                msg.message.append_to_reply(line)
            else:
                msg.message.append_header(line)
        except ValueError as error:  # what it was made of does not form a header line
            msg.engine.log_incident(f"avp_pushto: {error}")
            return False
        return True


class AttributeToolbox(Module):
    """avpops: operations on attributes that are named in the old way."""

    name = "avpops"

    def __init__(self) -> None:
        super().__init__()
        self._aliases: dict[str, Name] = {}

    @parameter()
    def avp_aliases(self, value: str) -> None:
        """Names to write as `$name` in this module's functions: "email=s:email;limit=i:12"."""
        for piece in filter(None, (each.strip() for each in value.split(";"))):
            alias, equals, target = (each.strip() for each in piece.partition("="))
            if not equals or _ALIAS.fullmatch(f"${alias}") is None:
                raise ArgumentError(f'"{piece}" declares no alias', "write name=s:attribute or name=i:12")
            name = Operand.from_script(target, Loading(self.generation)).name
            if name is None:
                raise ArgumentError(f"alias {alias} may not stand for another", "write name=s:attribute")
            self._aliases[alias.lower()] = name

    def _meant(self, msg: Context, operand: Operand) -> Name | None:
        name = operand.meant(self._aliases)
        if name is None:
            msg.engine.log_incident(f"avpops: ${operand.alias} is not declared by avp_aliases")
        return name

    @staticmethod
    def _delete(msg: Context, name: Name, *, every: bool) -> bool:
        if every:
            return msg.attributes.delete(name) > 0
        newest = msg.attributes.select(name)
        return bool(newest) and msg.attributes.remove(newest[-1])

    @function("RF")
    def avp_write(self, msg: Context, value: Given, name: Operand) -> int:
        """Add a value to an attribute. 1, or -1 when the message has none."""
        found, target = value.value(msg, self._aliases), self._meant(msg, name)
        if found is None or target is None:
            return -1
        msg.attributes.add(target, found)
        return 1

    @function("RF")
    def avp_delete(self, msg: Context, name: Operand) -> int:
        """Delete the newest value, with /g all. 1, or -1 when there is none."""
        target = self._meant(msg, name)
        if target is None:
            return -1
        return 1 if self._delete(msg, target, every="g" in name.flags) else -1

    @function("RF")
    def avp_pushto(self, msg: Context, destination: Destination, name: Operand) -> int:
        """Put the newest value into the Request-URI, a part of it, or a header; with /g all, those after the
        first as branches or further headers. 1, or -1 when there is none or none fits."""
        target = self._meant(msg, name)
        values = [] if target is None else msg.attributes.values(target)[::-1]
        done = 0
        for value in values if "g" in name.flags else values[:1]:
            done += destination.put(msg, value, is_first=done == 0)
        return 1 if done else -1

    @function("RF")
    def avp_check(self, msg: Context, name: Operand, check: Check) -> int:
        """Compare the newest value, with flag g all until one fits; i ignores case, d deletes what fits. 1
        when one does, else -1."""
        target, other = self._meant(msg, name), check.given.value(msg, self._aliases)
        if target is None or other is None:
            return -1
        found = msg.attributes.select(replace(target, index=ALL_VALUES))[::-1]
        for one in found if "g" in check.flags else found[:1]:
            if check.test(one.value, other):
                if "d" in check.flags:
                    msg.attributes.remove(one)
                return 1
        return -1

    @function("RF", generations=Generation.SER_2_0)
    def avp_copy(self, msg: Context, source: Operand, target: Operand) -> int:
        """Copy the newest value, with /g all, to another attribute; with /d they move. 1, or -1 when there is
        none."""
        old, new = self._meant(msg, source), self._meant(msg, target)
        if old is None or new is None:
            return -1
        flags = source.flags + target.flags
        found = msg.attributes.select(replace(old, index=ALL_VALUES if "g" in flags else None))
        copies = [(one.value, one.flags) for one in found]
        if "d" in flags:
            self._delete(msg, old, every="g" in flags)
        for value, bits in copies:
            msg.attributes.add(new, value, bits)
        return 1 if copies else -1

    @function("RF")
    def avp_print(self, msg: Context) -> int:
        """Log all attributes at L_INFO, one line each."""
        for line in msg.attributes.lines(Group()):
            msg.log(_LOG_LEVEL, for_log(line))
        return 1
