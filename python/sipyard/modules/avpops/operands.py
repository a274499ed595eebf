"""What avpops' functions take: attributes by their old names, values, checks, destinations."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, HeaderKind, Loading, near, number_of
from sipyard.attributes import Name, Value
from sipyard.fault import Fault
from sipyard.regex import Regex
from sipyard.sip.field_text import one_line

if TYPE_CHECKING:
    from sipyard.context import Context

URIS: Final[Mapping[str, Callable[[Context], str | None]]] = {
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
ALIAS: Final = re.compile(r"\$([A-Za-z_]\w*)")
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
        alias = ALIAS.fullmatch(plain)
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
    uri = URIS.get(root)
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
