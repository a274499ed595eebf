"""Selects: `@to.uri.host` and the like, read from the message as received; the result is text or missing.

A select is parsed and resolved once, at load, into a reader `(msg) -> str | None`. Names are matched in any
case, `_` in header and parameter names stands for `-`. A positive index counts from 1 (0 is taken as 1), a
negative one from the end. Modules add roots with `sipyard.module.select`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sipyard._native.core import NameAddr, ParseError, Uri
from sipyard.arguments import ArgumentError, near

if TYPE_CHECKING:
    from sipyard._native.core import Via
    from sipyard.context import Context

Reader = Callable[["Context"], str | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a path: a name, perhaps with `[index]`, `[*]` (`every`) or `["key"]`."""

    name: str
    index: int | None = None
    key: str | None = None
    every: bool = False

    def __str__(self) -> str:
        inside = "*" if self.every else f'"{self.key}"' if self.key is not None else self.index
        return self.name if inside is None else f"{self.name}[{inside}]"


SelectPath = tuple[Step, ...]

PATTERN = re.compile(
    r"@[A-Za-z_]\w*(?:\s*\[\s*(?:-?\d+|\*|\"(?:[^\"\\]|\\.)*\"|'[^']*')\s*\])?"
    r"(?:\.[A-Za-z_]\w*(?:\s*\[\s*(?:-?\d+|\*|\"(?:[^\"\\]|\\.)*\"|'[^']*')\s*\])?)*"
)
_STEP = re.compile(r"(\w+)(?:\s*\[\s*(?:(-?\d+)|(\*)|\"((?:[^\"\\]|\\.)*)\"|'([^']*)')\s*\])?\.?")


def parse_select(text: str) -> SelectPath:
    """The steps of `@a.b[1]["c"]`. ArgumentError when it is not a select."""
    if PATTERN.fullmatch(text) is None:
        raise ArgumentError(f"{text} is not a select", "selects look like @to.uri.host or @msg.Subject[1]")
    steps = []
    for found in _STEP.finditer(text, 1):
        name, index, every, quoted, raw = found.groups()
        key = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else raw
        steps.append(Step(name, int(index) if index else None, key, every is not None))
    return tuple(steps)


class UnknownSelect(ArgumentError):
    """The root is none of ours; a module may export it."""


class _ModuleSelects(Protocol):
    def __call__(self, path: SelectPath) -> Reader | None: ...


def no_module(path: SelectPath) -> Reader | None:
    """When no modules are loaded."""
    return None


def compile_select(path: SelectPath, from_modules: _ModuleSelects = no_module) -> Reader:
    """The reader of a select. UnknownSelect or ArgumentError (unknown part) otherwise."""
    found = from_modules(path)
    if found is not None:
        return found
    root = path[0].name.lower()
    table = _ROOTS.get(root)
    if table is None:
        raise UnknownSelect(f"select @{path[0].name} is not known", near(root, _ROOTS))
    return table(path)


def _text(path: SelectPath) -> str:
    return "@" + ".".join(str(step) for step in path)


def _part(path: SelectPath, at: int, known: Mapping[str, object]) -> str:
    """The name at a position, checked; "" when the path ends before."""
    if len(path) <= at:
        return ""
    name = path[at].name.lower()
    if name not in known and not (name == "params" and "params.X" in known):
        raise ArgumentError(f"{_text(path)}: there is no part .{path[at].name}", near(name, known))
    return name


def _ends(path: SelectPath, at: int) -> None:
    if len(path) > at:
        raise ArgumentError(f"{_text(path)}: nothing may follow .{path[at - 1].name}")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _parameter_name(path: SelectPath, at: int) -> str:
    """X of `.params.X` or `.params["X"]`."""
    step = path[at]
    if step.key is not None:
        _ends(path, at + 1)
        return step.key
    if len(path) <= at + 1:
        return ""
    _ends(path, at + 2)
    return path[at + 1].name


# -- URIs ----------------------------------------------------------------------------------------------------


def _user(uri: Uri) -> str | None:
    return uri.user or None


def _port(uri: Uri) -> str | None:
    return None if uri.port is None else str(uri.port)


def _hostport(uri: Uri) -> str | None:
    return f"{uri.host}:{uri.port or (5061 if uri.scheme == 'sips' else 5060)}"


_URI_PARTS: dict[str, Callable[[Uri], str | None]] = {
    "type": lambda uri: uri.scheme,
    "user": _user,
    "pwd": lambda uri: uri.password,
    "host": lambda uri: uri.host or None,
    "port": _port,
    "hostport": _hostport,
    "params": lambda uri: uri.parameters or None,
}


def _uri_reader(whole: Reader, path: SelectPath, at: int) -> Reader:
    """Reads the URI that `whole` gives, or the part of it that the path names from `at` on."""
    name = _part(path, at, _URI_PARTS)
    if not name:
        return whole
    take = _URI_PARTS[name]
    if name == "params" and (parameter := _parameter_name(path, at)):
        take = _uri_parameter(parameter)
    elif name != "params":
        _ends(path, at + 1)

    def read(msg: Context) -> str | None:
        text = whole(msg)
        if not text:
            return None
        try:
            return take(Uri(text))
        except ParseError:
            return None

    return read


def _uri_parameter(name: str) -> Callable[[Uri], str | None]:
    dashed = _dashed(name)

    def take(uri: Uri) -> str | None:
        value = uri.parameter(name)
        return uri.parameter(dashed) if value is None and dashed != name else value

    return take


def _uri_root(whole: Reader) -> Callable[[SelectPath], Reader]:
    return lambda path: _uri_reader(whole, path, 1)


# -- From, To, Contact, Record-Route -------------------------------------------------------------------------


def _parameter(name: str) -> Callable[[NameAddr], str | None]:
    dashed = _dashed(name)

    def take(value: NameAddr) -> str | None:
        found = value.parameter(name)
        return value.parameter(dashed) if found is None and dashed != name else found

    return take


def _all_parameters(value: NameAddr) -> str | None:
    return ";".join(name if text is None else f"{name}={text}" for name, text in value.parameters) or None


_Value = Callable[["Context"], "NameAddr | None"]


def _from(msg: Context) -> NameAddr | None:
    return msg.message.from_


def _to(msg: Context) -> NameAddr | None:
    return msg.message.to


def _contact(msg: Context) -> NameAddr | None:
    contacts = msg.message.contacts()
    return contacts[0] if contacts and not isinstance(contacts, str) else None


def _record_route(msg: Context) -> NameAddr | None:
    routes = msg.message.record_routes()
    return routes[0] if routes else None


def _name_addr_reader(value: _Value, path: SelectPath, at: int, extra: Mapping[str, str] = {}) -> Reader:
    """Parts of a name-addr from `at` on. `extra` maps part names to the header parameter that they read."""

    def reader(take: Callable[[NameAddr], str | None]) -> Reader:
        def read(msg: Context) -> str | None:
            try:
                found = value(msg)
            except ParseError:
                return None
            return None if found is None else take(found)

        return read

    known = {"uri": 1, "name": 1, "params": 1, **extra}
    name = _part(path, at, known)
    if name == "uri":
        return _uri_reader(reader(lambda found: found.uri), path, at + 1)
    if name == "params":
        parameter = _parameter_name(path, at)
        return reader(_parameter(parameter) if parameter else _all_parameters)
    _ends(path, at + 1)
    if name == "name":
        return reader(lambda found: found.display_name or None)
    return reader(_parameter(extra[name]))


def _name_addr_root(header: str, value: _Value, extra: Mapping[str, str]) -> Callable[[SelectPath], Reader]:
    def root(path: SelectPath) -> Reader:
        if len(path) == 1:
            return _header(header, 0)
        return _name_addr_reader(value, path, 1, extra)

    return root


# -- Via -----------------------------------------------------------------------------------------------------


def _via_rport(via: Via) -> str | None:
    return None if via.rport is None else str(via.rport)


_VIA_PARTS: dict[str, Callable[[Via], str | None]] = {
    "name": lambda via: via.protocol,
    "version": lambda via: via.version,
    "transport": lambda via: via.transport,
    "host": lambda via: via.host,
    "port": lambda via: None if via.port is None else str(via.port),
    "branch": lambda via: via.branch,
    "received": lambda via: via.received,
    "rport": _via_rport,
    "i": lambda via: via.parameter("i"),
    "alias": lambda via: via.parameter("alias"),
    "comment": lambda via: None,  # RFC 3261 has no comments in Via; RFC 2543's are not kept
    "params": lambda via: None,
}


def _via(path: SelectPath) -> Reader:

    index = _zero_based(path[0].index)
    name = _part(path, 1, _VIA_PARTS)
    take: Callable[[Via], str | None] = _VIA_PARTS[name] if name else str
    if name == "params":
        parameter = _parameter_name(path, 1)
        if not parameter:
            raise ArgumentError(f"{_text(path)}: write .params.NAME")
        take = _via_parameter(parameter)
    else:
        _ends(path, 2)

    def read(msg: Context) -> str | None:
        try:
            found = msg.message.via(index) if index >= 0 else _via_from_end(msg, index)
        except ParseError:
            return None
        return None if found is None else take(found)

    return read


def _via_from_end(msg: Context, index: int) -> Via | None:
    vias: list[Via] = []
    while (via := msg.message.via(len(vias))) is not None:
        vias.append(via)
    return vias[index] if len(vias) >= -index else None


def _via_parameter(name: str) -> Callable[[Via], str | None]:
    dashed = _dashed(name)

    def take(via: Via) -> str | None:
        found = via.parameter(name)
        return via.parameter(dashed) if found is None and dashed != name else found

    return take


def _zero_based(index: int | None) -> int:
    return index - 1 if index is not None and index > 0 else index or 0


# -- any header ----------------------------------------------------------------------------------------------


def _header(name: str, index: int) -> Reader:
    return lambda msg: msg.message.header(name, index)


def _any_header(path: SelectPath) -> Reader:
    """`@msg.HDR[n]` and `@msg["HDR"][n]` with `.nameaddr` and `.params`."""
    if path[0].key is not None:
        name, index, at = path[0].key, 0, 1
    elif len(path) > 1:
        name, index, at = _dashed(path[1].name), _zero_based(path[1].index), 2
    else:
        raise ArgumentError("@msg needs the name of a header", "write @msg.Subject")
    part = _part(path, at, {"nameaddr": 1, "params": 1})
    whole = _header(name, index)
    if not part:
        return whole

    def value(msg: Context) -> NameAddr | None:
        text = whole(msg)
        return None if text is None else NameAddr(text)

    if part == "nameaddr":
        if len(path) == at + 1:
            raise ArgumentError(
                f"{_text(path)}: write .nameaddr.name, .nameaddr.uri or .nameaddr.params.NAME"
            )
        return _name_addr_reader(value, path, at + 1)
    parameter = _parameter_name(path, at)
    if not parameter:
        raise ArgumentError(f"{_text(path)}: write .params.NAME")
    return _header_parameter(whole, parameter)


def _header_parameter(whole: Reader, name: str) -> Reader:
    names = {name.lower(), _dashed(name).lower()}

    def read(msg: Context) -> str | None:
        for part in re.findall(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+', whole(msg) or "")[1:]:
            found, _, value = part.partition("=")
            if found.strip().lower() in names:
                return str(value.strip().strip('"'))
        return None

    return read


# -- the table -----------------------------------------------------------------------------------------------


def _fixed(**parts: Reader) -> Callable[[SelectPath], Reader]:
    def root(path: SelectPath) -> Reader:
        name = _part(path, 1, parts)
        _ends(path, 2)
        if name not in parts:
            raise ArgumentError(
                f"{_text(path)} needs a part: {', '.join('.' + each for each in parts if each)}"
            )
        return parts[name]

    return root


def _plain(read: Reader) -> Callable[[SelectPath], Reader]:
    def root(path: SelectPath) -> Reader:
        _ends(path, 1)
        return read

    return root


def _bracketed(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _source(msg: Context) -> str:
    return f"{_bracketed(msg.message.source_ip)}:{msg.message.source_port}"


def _destination(msg: Context) -> str:
    return f"{_bracketed(msg.message.destination_ip)}:{msg.message.destination_port}"


_CONTACT = {
    "q": "q",
    "expires": "expires",
    "method": "methods",
    "received": "received",
    "instance": "+sip.instance",
}
_RECEIVED = _fixed(
    proto=lambda msg: msg.message.protocol,
    ip=lambda msg: msg.message.destination_ip,
    port=lambda msg: str(msg.message.destination_port),
    ip_port=_destination,
    proto_ip_port=lambda msg: f"{msg.message.protocol}:{_destination(msg)}",
)

_ROOTS: dict[str, Callable[[SelectPath], Reader]] = {
    "method": _plain(lambda msg: msg.message.method),
    "ruri": _uri_root(lambda msg: msg.request_uri),
    "dst_uri": _uri_root(lambda msg: msg.dst_uri),
    "next_hop": _uri_root(lambda msg: msg.next_hop),
    "from": _name_addr_root("From", _from, {"tag": "tag"}),
    "to": _name_addr_root("To", _to, {"tag": "tag"}),
    "contact": _name_addr_root("Contact", _contact, _CONTACT),
    "record_route": _name_addr_root("Record-Route", _record_route, {}),
    "via": _via,
    "cseq": _fixed(
        **{"": _header("CSeq", 0)},
        num=lambda msg: str(msg.message.cseq_number),
        method=lambda msg: msg.message.cseq_method,
    ),
    "event": _plain(_header("Event", 0)),
    "msg": _any_header,
    "src": _fixed(
        ip=lambda msg: msg.message.source_ip, port=lambda msg: str(msg.message.source_port), ip_port=_source
    ),
    "dst": _fixed(
        ip=lambda msg: msg.message.destination_ip,
        port=lambda msg: str(msg.message.destination_port),
        ip_port=_destination,
    ),
    "received": _RECEIVED,
}
_ROOTS.update(
    f=_ROOTS["from"], t=_ROOTS["to"], m=_ROOTS["contact"], v=_ROOTS["via"], rr=_ROOTS["record_route"]
)


def root_names() -> tuple[str, ...]:
    """The selects of the core by their first part, for completion."""
    return tuple(_ROOTS)
