"""xl formats: texts with `%` codes, compiled at load (`xlog("L_INFO", "call from %fu\\n")`).

A value that is missing prints `<null>`, so does an unknown two-letter code; a malformed `%{`, `%<`, `%C`,
`%$` or `%@` is an error at load. `% ` and `%|` print nothing and end a name.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Annotated

from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.attributes import ALL_VALUES, Name
from sipyard.own_name import full_name, want_full_name
from sipyard.selects import PATTERN as SELECT

if TYPE_CHECKING:
    from sipyard.context import Context

Reader = Callable[["Context"], str | int | None]

NULL = "<null>"
ATTRIBUTE = re.compile(r"\$(?:(?:fr|fu|fd|f|tr|tu|td|t|g)\.)?[A-Za-z_]\w*(?:\[-?\d*\])?")
_HEADER = re.compile(r"\{([^\s:{}\[\]]+)(?:\[(-?\d+|\*)\])?\}")
_OLD_AVP = re.compile(r"<([^<>\[\]]+)(?:\[(-?\d+)\])?>")
_COLOURS = {letter: number for number, letter in enumerate("srgybpcw")}
_unique = count(1)
_PROCESS_STARTED = int(time.time())


def _uri_of_contact_set(msg: Context) -> str:
    """`%ds`: the destination set as a Contact header (RFC 3261 §8.1.3.4)."""
    values = [f"<{msg.request_uri}>" + _q(msg.ruri_q)]
    values += [f"<{branch.uri}>{_q(branch.q)}" for branch in msg.branches]
    return "Contact: " + ", ".join(values)


def _q(thousandths: int) -> str:
    return "" if thousandths < 0 else f";q={thousandths / 1000:g}"


def _first_branch(msg: Context) -> str | None:
    return msg.branches[0].uri if msg.branches else None


def _all_branches(msg: Context) -> str | None:
    return ",".join(branch.uri for branch in msg.branches) or None


def _own_ip(msg: Context) -> str | None:
    return next((each.ip for each in msg.core.listeners), None)


def _status(msg: Context) -> str | None:
    status = msg.message.status or msg.reply_status
    return str(status) if status else None


def _header(name: str) -> Reader:
    return lambda msg: msg.message.header(name)


def _domain(msg: Context) -> str | None:
    return full_name().partition(".")[2] or None


_CODES: dict[str, Reader] = {
    "br": _first_branch,
    "bR": _all_branches,
    "ci": lambda msg: msg.message.call_id,
    "cs": lambda msg: msg.message.cseq_number,
    "ct": _header("Contact"),
    "ds": _uri_of_contact_set,
    "fu": lambda msg: msg.message.from_uri,
    "ft": lambda msg: msg.message.from_tag,
    "tu": lambda msg: msg.message.to_uri,
    "tt": lambda msg: msg.message.to_tag,
    "Hn": lambda msg: socket.gethostname().partition(".")[0],
    "Hd": _domain,
    "Hf": lambda msg: full_name(),
    "Hi": _own_ip,
    "is": lambda msg: msg.message.source_ip,
    "mb": lambda msg: msg.message.raw.decode("utf-8", "surrogateescape"),
    "ml": lambda msg: msg.message.length,
    "mf": lambda msg: msg.flags,
    "mi": lambda msg: msg.message.id,
    "mx": lambda msg: f"{msg.message.id:x}",
    "nh": lambda msg: msg.next_hop or None,
    "pp": lambda msg: os.getpid(),
    "px": lambda msg: f"{os.getpid():x}",
    "rm": lambda msg: msg.message.method,
    "ru": lambda msg: msg.request_uri or None,
    "rs": _status,
    "rr": lambda msg: msg.message.reason or None,
    "rt": _header("Refer-To"),
    "Ri": lambda msg: msg.message.destination_ip,
    "Rp": lambda msg: msg.message.destination_port,
    "si": lambda msg: msg.message.source_ip,
    "sp": lambda msg: msg.message.source_port,
    "Ts": lambda msg: int(time.time()),
    "Tx": lambda msg: f"{int(time.time()):x}",
    "Tf": lambda msg: time.ctime(),
    "ua": _header("User-Agent"),
    "uq": lambda msg: f"{os.getpid():x}-{_PROCESS_STARTED:x}-{next(_unique):x}",
}


def attribute_reader(name: Name) -> Reader:
    """Reads an attribute: the newest of several values; `$x[]` gives all, joined by commas."""
    if name.index == ALL_VALUES:
        return lambda msg: ",".join(str(value) for value in msg.attributes.values(name)) or None

    def read(msg: Context) -> str | int | None:
        return msg.attributes.value(name) if msg.has_attributes else None

    return read


def _header_reader(name: str, index: str | None) -> Reader:
    if index == "*":
        return lambda msg: ",".join(msg.message.headers(name)) or None
    number = int(index or 0)
    return lambda msg: msg.message.header(name, number)


def _colour(text: str) -> str:
    """Two letters: foreground and background; upper case is bold, x the terminal's own."""
    for letter in text:
        if letter.lower() not in _COLOURS and letter not in "xX":
            raise ArgumentError(
                f"%C{text}: {letter} is not a colour", "colours are s r g y b p c w, x for default"
            )
    if len(text) != 2:
        raise ArgumentError(f"%C{text} is cut off", "%C takes two letters: foreground and background")
    fore, back = text[0], text[1]
    codes = ["0"] if text == "xx" else []
    if fore.lower() != "x":
        codes += (["1"] if fore.isupper() else []) + [str(30 + _COLOURS[fore.lower()])]
    if back.lower() != "x":
        codes.append(str(40 + _COLOURS[back.lower()]))
    return f"\x1b[{';'.join(codes or ['0'])}m"


class Format:
    """A compiled format. As an argument kind: a text with % codes."""

    __slots__ = ("_parts", "constant", "source", "unknown")
    says = "a text with % codes"

    def __init__(self, source: str, parts: tuple[str | Reader, ...], unknown: tuple[str, ...] = ()) -> None:
        self.source = source
        self._parts = parts
        self.unknown = unknown
        self.constant = "".join(part for part in parts if isinstance(part, str)) if _is_plain(parts) else None

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Format:
        return cls(text, *_compile(text, loading))

    @classmethod
    def literal(cls, text: str) -> Format:
        """A text without codes; a percent sign is one."""
        return cls(text, (text,))

    @property
    def parts(self) -> tuple[str | Reader, ...]:
        """What it is made of: texts of the script, and readers of what the message decides."""
        return self._parts

    def text(self, msg: Context, clean: Callable[[str], str] | None = None) -> str:
        """The text for a message; `clean` is given every value that the message decided, not what the script
        wrote itself."""
        constant = self.constant
        if constant is not None:
            return constant
        out = []
        for part in self._parts:
            if isinstance(part, str):
                out.append(part)
            else:
                value = part(msg)
                text = value if isinstance(value, str) else NULL if value is None else str(value)
                out.append(text if clean is None else clean(text))
        return "".join(out)

    def __repr__(self) -> str:
        return f"Format({self.source!r})"


def _is_plain(parts: tuple[str | Reader, ...]) -> bool:
    return all(isinstance(part, str) for part in parts)


def _compile(text: str, loading: Loading) -> tuple[tuple[str | Reader, ...], tuple[str, ...]]:
    parts: list[str | Reader] = []
    unknown: list[str] = []
    position = 0
    while position < len(text):
        percent = text.find("%", position)
        if percent < 0:
            parts.append(text[position:])
            break
        if percent > position:
            parts.append(text[position:percent])
        position = _code(text, percent + 1, parts, unknown, loading)
    return tuple(parts), tuple(unknown)


def _code(text: str, at: int, parts: list[str | Reader], unknown: list[str], loading: Loading) -> int:
    """One code; `at` is just after the percent sign. Returns where the text goes on."""
    first = text[at : at + 1]
    if first in ("%", " ", "|"):
        if first == "%":
            parts.append("%")
        return at + 1
    if first in ("{", "<"):
        return _delimited(text, at, parts)
    if first in ("$", "@"):
        pattern = ATTRIBUTE if first == "$" else SELECT
        found = pattern.match(text, at)
        if found is None:
            raise ArgumentError(
                f"%{text[at : at + 12]} is not {'an attribute' if first == '$' else 'a select'}"
            )
        parts.append(attribute_reader(Name.parse(found[0])) if first == "$" else loading.reader(found[0]))
        return found.end()
    if first == "C":
        parts.append(_colour(text[at + 1 : at + 3]))
        return at + 3
    code = text[at : at + 2]
    reader = _CODES.get(code)
    if code in ("Hd", "Hf"):
        want_full_name()
    if reader is None:
        unknown.append("%" + code)
        parts.append(NULL)
    else:
        parts.append(reader)
    return at + 2


def _delimited(text: str, at: int, parts: list[str | Reader]) -> int:
    pattern = _HEADER if text[at] == "{" else _OLD_AVP
    found = pattern.match(text, at)
    if found is None:
        shape = "%{Header} or %{Header[index]}" if text[at] == "{" else "%<s:name> or %<i:12>"
        raise ArgumentError(f"%{text[at : at + 16]} is malformed", f"write {shape}")
    if text[at] == "{":
        parts.append(_header_reader(found[1], found[2]))
    else:
        try:
            name = Name.parse(found[1])
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        parts.append(
            attribute_reader(Name(name.name, name.track, name.scope, int(found[2]) if found[2] else None))
        )
    return found.end()


class _TextKind:
    """A format in SER 2.0, plain text in 0.9 (functions of textops)."""

    says = "a text with % codes (in SER 0.9: plain text)"

    def convert(self, value: str | int, loading: Loading) -> object:
        if Generation.SER_2_0 in loading.generation:
            return Format.from_script(str(value), loading)
        return Format.literal(str(value))

    def convert_strict(self, value: object, loading: Loading) -> object:
        return self.convert(str(value), loading)


TextFormat = Annotated[Format, _TextKind()]
"""Argument kind of textops: an xl format in SER 2.0, plain text in 0.9."""
