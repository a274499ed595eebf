"""The selects `@hf_value`, `@hf_value2` and `@hf_value_exists`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sipyard._native.core import NameAddr, ParseError, Uri
from sipyard.arguments import ArgumentError
from sipyard.modules.textops.header_values import HeaderItem, chosen, parameter_of, values_of
from sipyard.selects import Reader, SelectPath, Step

if TYPE_CHECKING:
    from sipyard._native.core import Message
    from sipyard.context import Context

_URI_PARTS: Final[dict[str, Callable[[Uri], str | None]]] = {
    "type": lambda uri: uri.scheme,
    "user": lambda uri: uri.user,
    "pwd": lambda uri: uri.password,
    "host": lambda uri: uri.host,
    "port": lambda uri: None if uri.port is None else str(uri.port),
    "hostport": lambda uri: uri.host if uri.port is None else f"{uri.host}:{uri.port}",
    "params": lambda uri: uri.parameters or None,
}


def _header(path: SelectPath) -> tuple[HeaderItem, tuple[Step, ...]]:
    if path[0].key is not None:  # @hf_value["contact"]
        return HeaderItem(path[0].key, None, False), path[1:]
    if len(path) < 2:
        raise ArgumentError(f"@{path[0].name} needs the name of a header", f"write @{path[0].name}.Supported")
    step = path[1]
    name = (step.key if step.key is not None and step.name == "" else step.name).replace("_", "-")
    return HeaderItem(name, step.index or None, step.every), path[2:]


def read_value(path: SelectPath, *, commas: bool) -> Reader:
    """The reader of `@hf_value` (`commas`: they separate values) or `@hf_value2`."""
    item, rest = _header(path)
    if not rest:
        return lambda msg: _whole(msg, item, commas)
    first = rest[0].name.lower()
    if commas and first == "uri":
        return _uri(item, rest[1:])
    if commas and first in ("name", "nameaddr"):
        return _name_addr(item, rest if first == "name" else rest[1:])
    if first in ("p", "param", "params") and len(rest) > 1:
        rest = rest[1:]
    if len(rest) != 1:
        raise ArgumentError(f"@{path[0].name}.{item.name} has no part {'.'.join(map(str, rest))}")
    wanted = rest[0].name.replace("_", "-")
    return lambda msg: _parameter(msg, item, wanted, commas)


def read_exists(path: SelectPath) -> Reader:
    """The reader of `@hf_value_exists.HEADER.ELEMENT`."""
    item, rest = _header(path)
    if len(rest) != 1:
        raise ArgumentError(
            f"@{path[0].name} takes a header and an element", "write @hf_value_exists.Supported.path"
        )
    wanted = (rest[0].key or rest[0].name).replace("_", "-").lower()

    def read(msg: Context) -> str | None:
        return "1" if any(text.lower() == wanted for text in _texts(msg.message, item, True)) else "0"

    return read


def _texts(message: Message, item: HeaderItem, commas: bool) -> list[str]:
    raw = message.raw
    values = values_of(message, raw, item.name, commas=commas)
    if item.index is not None:
        values = chosen(values, item)
    return [raw[value.start : value.end].decode("utf-8", "surrogateescape") for value in values]


def _whole(msg: Context, item: HeaderItem, commas: bool) -> str | None:
    texts = _texts(msg.message, item, commas)
    return ",".join(texts) if texts else None


def _parameter(msg: Context, item: HeaderItem, wanted: str, commas: bool) -> str | None:
    """The parameter of the value (without a number: of the first), quotes removed."""
    raw = msg.message.raw
    for value in chosen(values_of(msg.message, raw, item.name, commas=commas), item):
        found = parameter_of(raw, value, wanted, commas=not commas)
        if found is not None:
            text = raw[found.value_start : found.value_end] if found.value_start >= 0 else b""
            return _unquoted(text.decode("utf-8", "surrogateescape"))
    return None


def _unquoted(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    out, escaped = [], False
    for char in text[1:-1]:
        if char == "\\" and not escaped:
            escaped = True
            continue
        out.append(char)
        escaped = False
    return "".join(out)


def _parsed(msg: Context, item: HeaderItem) -> NameAddr | None:
    texts = _texts(msg.message, HeaderItem(item.name, item.index or 1), True)
    try:
        return NameAddr(texts[0]) if texts else None
    except ParseError:
        return None


def _uri(item: HeaderItem, rest: tuple[Step, ...]) -> Reader:
    part = rest[0].name.lower() if rest else ""
    if len(rest) > 2 or (part and part not in _URI_PARTS) or (len(rest) == 2 and part != "params"):
        raise ArgumentError(f"a URI has no part {'.'.join(map(str, rest))}")
    parameter = rest[1].name.replace("_", "-") if len(rest) == 2 else None

    def read(msg: Context) -> str | None:
        value = _parsed(msg, item)
        if value is None or not part:
            return None if value is None else value.uri
        try:
            uri = Uri(value.uri)
        except ParseError:
            return None
        if parameter is not None:
            return uri.parameter(parameter)
        return _URI_PARTS[part](uri)

    return read


def _name_addr(item: HeaderItem, rest: tuple[Step, ...]) -> Reader:
    part = rest[0].name.lower() if rest else "uri"
    if part == "uri":
        return _uri(item, rest[1:])
    if part == "params" and len(rest) == 2:
        wanted = rest[1].name.replace("_", "-")
        return lambda msg: _parameter(msg, item, wanted, True)
    if part != "name" or len(rest) > 1:
        raise ArgumentError(f"a name-addr has no part {'.'.join(map(str, rest))}")

    def read(msg: Context) -> str | None:
        value = _parsed(msg, item)
        return None if value is None else value.display_name

    return read
